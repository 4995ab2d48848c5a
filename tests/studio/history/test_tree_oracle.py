"""10,000 random operations on a timeline, compared after each with a plain oracle that keeps whole lines as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from pipelines.contract import Quality, Scope
from studio.errors import BadName, UnknownBranch, UnknownTurn, WrongTurns
from studio.history.replay import Replay, cherry_picked, edited, followed, stale, swapped
from studio.history.tree import Trashed, Tree
from studio.history.turn import Outcome, Turn, TurnRequest

ROOT = Turn.original("original")
NAMES = st.sampled_from(["main", "day", "night", "branch 2", "branch 3", ""])


def request(seed: int) -> TurnRequest:
    return TurnRequest(
        model="m",
        weights="w",
        method="sdedit",
        params={},
        quality=Quality.DRAFT,
        subject="a dog",
        background="",
        scope=Scope.BOTH,
        seed=seed,
        mask=None,
        prompts={},
        feather=2.0,
    )


def after(parent: str, seed: int) -> Turn:
    return Turn.after(parent, request(seed), f"picture {seed}", Outcome())


Line = list[str]


@dataclass
class Oracle:
    """What a person expects. `lines` are the branches, each with all its turns from the original on."""

    parent: dict[str, str | None]
    here: str
    lines: dict[str, Line]
    on: str = "main"
    trash: list[tuple[str, dict[str, Line]]] = field(default_factory=list)

    def ancestry(self, id: str) -> Line:
        parent = self.parent[id]
        return [id] if parent is None else [*self.ancestry(parent), id]

    def hidden(self, id: str) -> bool:
        return any(cut in self.ancestry(id) for cut, _ in self.trash)

    def visible(self) -> list[str]:
        return [id for id in self.parent if not self.hidden(id)]

    def append(self, id: str, parent: str) -> bool:
        """False: refused."""
        if self.hidden(parent):
            return False
        if id in self.parent:
            if self.hidden(id):
                self.restore(id)
            self.jump(id)
            return True
        self.parent[id] = parent
        ends = [name for name, line in self.lines.items() if line[-1] == parent]
        if self.on not in ends:
            self.on = ends[-1] if ends else self.free("branch", len(self.lines) + 1, self.lines)
        self.lines[self.on] = self.ancestry(id)
        self.here = id
        return True

    def jump(self, id: str) -> bool:
        if self.hidden(id):
            return False
        if id not in self.lines[self.on]:
            self.on = [name for name, line in self.lines.items() if id in line][-1]
        self.here = id
        return True

    def step(self, by: int) -> None:
        line = self.lines[self.on]
        self.here = line[min(max(line.index(self.here) + by, 0), len(line) - 1)]

    def branch(self, name: str | None) -> bool:
        if name == "" or name in self.lines:
            return False
        self.on = name or self.free("branch", len(self.lines) + 1, self.lines)
        self.lines[self.on] = self.ancestry(self.here)
        return True

    def rename(self, old: str, new: str) -> bool:
        if old not in self.lines or ((new == "" or new in self.lines) and new != old):
            return False
        self.lines = {new if name == old else name: line for name, line in self.lines.items()}
        self.on = new if self.on == old else self.on
        return True

    def cut(self, id: str) -> bool:
        parent = self.parent[id]
        if parent is None or self.hidden(id):
            return False
        taken = {name: line for name, line in self.lines.items() if id in line}
        stay = [name for name in taken if name == next(iter(self.lines)) or name == self.on]
        if not stay and not any(parent in line for name, line in self.lines.items() if name not in taken):
            stay = [next(iter(taken))]
        short = self.ancestry(parent)
        self.lines = {n: short if n in stay else ln for n, ln in self.lines.items() if n in stay or n not in taken}
        self.here = parent if id in self.ancestry(self.here) else self.here
        self.trash.append((id, taken))
        return True

    def restore(self, id: str) -> bool:
        taken = dict(self.trash).get(id)
        if taken is None:
            return False
        for outer in self.ancestry(id)[:-1]:
            self.restore(outer)
        self.trash = [entry for entry in self.trash if entry[0] != id]
        names = {*taken}
        for name, line in taken.items():
            new = name
            if name in self.lines and self.lines[name][-1] != self.parent[id]:
                new = self.free(name, 2, {*self.lines, *names})
            self.lines[new] = line
        return True

    def later(self, id: str) -> Line:
        """What follows on the branch one stands on, or on the newest that leads there."""
        leading = [line for line in self.lines.values() if id in line]
        line = self.lines[self.on] if id in self.lines[self.on] else leading[-1]
        return line[line.index(id) + 1 :]

    @staticmethod
    def free(stem: str, number: int, taken: dict[str, Line] | set[str]) -> str:
        return next(name for k in range(number, 10_000) if (name := f"{stem} {k}") not in taken)


class Timeline(RuleBasedStateMachine):
    turns = Bundle("turns")

    @initialize(target=turns)
    def begin(self) -> Turn:
        self.tree = Tree.planted(ROOT)
        self.oracle = Oracle({ROOT.id: None}, ROOT.id, {"main": [ROOT.id]})
        self.made = 0
        return ROOT

    def new(self, parent: str) -> Turn:
        self.made += 1
        return after(parent, self.made)

    @rule(target=turns)
    def edit_here(self) -> Turn:
        turn = self.new(self.tree.current)
        self.tree = self.tree.append(turn)
        assert self.oracle.append(turn.id, self.oracle.here)
        return turn

    @rule(target=turns, parent=turns)
    def late_result(self, parent: Turn) -> Turn:
        turn = self.new(parent.id)
        self._append(turn)
        return turn if turn.id in self.tree.turns else parent

    @rule(turn=turns)
    def same_again(self, turn: Turn) -> None:
        self._append(turn)

    def _append(self, turn: Turn) -> None:
        if self.oracle.append(turn.id, turn.parent or ROOT.id):
            self.tree = self.tree.append(turn)
        else:
            with pytest.raises(UnknownTurn):
                self.tree.append(turn)

    @rule(target=turns, parent=turns, length=st.integers(1, 3))
    def adopt(self, parent: Turn, length: int) -> Turn:
        chain = [self.new(parent.id)]
        while len(chain) < length:
            chain.append(self.new(chain[-1].id))
        return chain[-1] if self._adopt(chain) else parent

    @rule(turn=turns, length=st.integers(1, 4), more=st.booleans())
    def adopt_what_is_there(self, turn: Turn, length: int, more: bool) -> None:
        chain = [self.tree.turns[id] for id in self.oracle.ancestry(turn.id)[-length:]]
        if more:
            chain.append(self.new(turn.id))
        self._adopt(chain)

    def _adopt(self, chain: Sequence[Turn]) -> bool:
        if self.oracle.append(chain[0].id, chain[0].parent or ROOT.id):
            for turn in chain[1:]:
                if self.oracle.hidden(turn.parent or ROOT.id):
                    raise AssertionError("a turn just appended is visible")
                self.oracle.append(turn.id, turn.parent or ROOT.id)
            self.tree = self.tree.adopt(chain)
            return True
        with pytest.raises(UnknownTurn):
            self.tree.adopt(chain)
        return False

    @rule(turn=turns)
    def jump(self, turn: Turn) -> None:
        if self.oracle.jump(turn.id):
            self.tree = self.tree.jump(turn.id)
        else:
            with pytest.raises(UnknownTurn):
                self.tree.jump(turn.id)

    @rule(times=st.integers(1, 4))
    def undo(self, times: int) -> None:
        for _ in range(times):
            self.tree = self.tree.undo()
            self.oracle.step(-1)

    @rule(times=st.integers(1, 4))
    def redo(self, times: int) -> None:
        for _ in range(times):
            self.tree = self.tree.redo()
            self.oracle.step(+1)

    @rule(name=st.none() | NAMES)
    def branch(self, name: str | None) -> None:
        if self.oracle.branch(name):
            self.tree = self.tree.branch_here(name)
        else:
            with pytest.raises(BadName):
                self.tree.branch_here(name)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        if self.oracle.rename(old, new):
            self.tree = self.tree.rename_branch(old, new)
        else:
            with pytest.raises((BadName, UnknownBranch)):
                self.tree.rename_branch(old, new)

    @rule(turn=turns)
    def trash(self, turn: Turn) -> None:
        if self.oracle.cut(turn.id):
            self.tree = self.tree.trash(turn.id)
        else:
            with pytest.raises((UnknownTurn, WrongTurns)):
                self.tree.trash(turn.id)

    @rule(turn=turns)
    def restore(self, turn: Turn) -> None:
        self._restore(turn.id)

    @rule(number=st.integers(0, 3))
    def restore_one_of_the_trash(self, number: int) -> None:
        if number < len(self.oracle.trash):
            self._restore(self.oracle.trash[number][0])

    def _restore(self, id: str) -> None:
        if self.oracle.restore(id):
            self.tree = self.tree.restore(id)
        else:
            with pytest.raises(UnknownTurn):
                self.tree.restore(id)

    @rule(turn=turns)
    def trashed_and_restored_is_as_before(self, turn: Turn) -> None:
        if turn.id in self.tree.visible and turn.parent is not None:
            back = self.tree.trash(turn.id).restore(turn.id)
            assert (back.turns, back.branches, back.branch) == (self.tree.turns, self.tree.branches, self.tree.branch)
            assert back.trashed == self.tree.trashed and back.visible == self.tree.visible

    @rule(turn=turns)
    def swap(self, turn: Turn) -> None:
        line = self.oracle.ancestry(turn.id)
        if self.oracle.hidden(turn.id) or len(line) < 3:
            return
        replay = followed(self.tree, swapped(self.tree, line[-2], line[-1]), line[-1])
        assert stale(self.tree, turn.id) == tuple(self.oracle.later(turn.id))
        self._run(replay, line[-3], [line[-1], line[-2], *self.oracle.later(turn.id)])

    @rule(turn=turns)
    def edit_an_earlier_turn(self, turn: Turn) -> None:
        if self.oracle.hidden(turn.id) or turn.parent is None:
            return
        self.made += 1
        replay = edited(self.tree, turn.id, request(self.made))
        self._run(replay, turn.parent, [None, *self.oracle.later(turn.id)])

    @rule(turn=turns, onto=turns)
    def cherry_pick(self, turn: Turn, onto: Turn) -> None:
        if turn.parent in (None, onto.id) or self.oracle.hidden(turn.id) or self.oracle.hidden(onto.id):
            return
        self._run(cherry_picked(self.tree, turn.id, onto.id), onto.id, [turn.id])

    def _run(self, replay: Replay, base: str, expected: Sequence[str | None]) -> None:
        """What a session does with a plan, with pictures that follow from the request."""
        asked = [request(self.made) if id is None else self.tree[id].request for id in expected]
        assert replay.base == base and [step.source for step in replay.steps] == list(expected)
        assert [step.request for step in replay.steps] == asked
        chain: list[Turn] = []
        for step in replay.steps:
            chain.append(after(chain[-1].id if chain else base, step.request.seed))
        self._adopt(chain)

    @invariant()
    def agrees(self) -> None:
        tree, oracle = self.tree, self.oracle
        assert {id: turn.parent for id, turn in tree.turns.items()} == oracle.parent
        assert (tree.current, tree.branch) == (oracle.here, oracle.on)
        assert [(name, list(tree.line(tip))) for name, tip in tree.branches.items()] == list(oracle.lines.items())
        assert list(tree.visible) == oracle.visible()
        assert tree.trashed == tuple(
            Trashed(cut, {name: line[-1] for name, line in taken.items()}) for cut, taken in oracle.trash
        )
        line = oracle.lines[oracle.on]
        assert tree.can_undo == (oracle.here != line[0]) and tree.can_redo == (oracle.here != line[-1])

    @invariant()
    def holds(self) -> None:
        tree, seen = self.tree, {None}
        for turn in tree.turns.values():
            assert turn.parent in seen, "a parent comes before its children"
            seen.add(turn.id)
        on_lines = {id for tip in tree.branches.values() for id in tree.line(tip)}
        assert set(tree.visible) == on_lines, "what is visible lies on a line, and what lies on a line is visible"
        assert tree.current in tree.line(tree.branches[tree.branch])
        hidden = sum(tree.size_of(trashed) for trashed in tree.trashed)
        assert len(tree.visible) + hidden == len(tree.turns)
        lanes, depths = tree.lanes(), tree.depths()
        assert set(lanes) == set(depths) == set(tree.visible)
        assert all(lanes[id] == 0 for id in tree.line(tree.branches[tree.branch]))
        assert set(lanes.values()) == set(range(max(lanes.values()) + 1)), "no row is empty"
        assert all(depths[id] == len(tree.line(id)) - 1 for id in tree.visible)


TestTimeline = Timeline.TestCase
TestTimeline.settings = settings(max_examples=130, stateful_step_count=100, deadline=None)
