from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from pipelines.contract import Quality, Scope
from studio.errors import UnknownTurn
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest


def child(parent: Turn, seed: int) -> Turn:
    request = TurnRequest("m", "w", "sdedit", {}, Quality.DRAFT, "", "", Scope.BOTH, seed, None, {}, 2.0)
    return Turn.after(parent.id, request, f"picture {seed}", Outcome())


ROOT = Turn.original("original")
A, B = child(ROOT, 1), child(ROOT, 2)
A1 = child(A, 3)


def test_undo_and_redo_walk_the_branch() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1)
    assert tree.current == A1.id and tree.can_undo and not tree.can_redo
    assert tree.undo().undo().current == ROOT.id
    assert tree.undo().undo().undo().current == ROOT.id
    assert tree.undo().undo().redo().current == A.id
    assert tree.redo() == tree


def test_kpix102_undo_then_edit_keeps_the_old_branch() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).undo().undo().append(B)
    assert tree.line(tree.branches[tree.branch]) == (ROOT.id, B.id)
    assert tree.undo().redo().current == B.id
    back = tree.jump(A.id)
    assert back.redo().current == A1.id, "the old line is redone along its own branch"
    assert back.lanes() == {ROOT.id: 0, A.id: 0, A1.id: 0, B.id: 1}
    assert tree.lanes() == {ROOT.id: 0, B.id: 0, A.id: 1, A1.id: 1}


def test_a_result_attaches_where_it_was_started_whatever_one_stands_on() -> None:
    tree = Tree.planted(ROOT).append(A).append(B)
    late = tree.append(A1)
    assert late.line(A1.id) == (ROOT.id, A.id, A1.id) and late.current == A1.id
    assert len(late.branches) == 2, "A was the end of its branch, which grows"


def test_appending_a_turn_again_only_stands_on_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1)
    assert tree.undo().append(A1) == tree


def test_unknown_turns_are_refused() -> None:
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).jump("elsewhere")
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).append(A1)


def test_a_thousand_turns_and_two_hundred_branches_are_quick_to_draw() -> None:
    tree, tip = Tree.planted(ROOT), ROOT
    for seed in range(1_000):
        tip = child(tip, seed)
        tree = tree.append(tip)
    line = tree.line(tip.id)
    for seed in range(200):
        tree = tree.append(child(tree[line[seed * 4]], 5_000 + seed))
    assert len(tree.branches) == 201 and max(tree.lanes().values()) == 200 and max(tree.depths().values()) == 1_000


@dataclass
class Oracle:
    """What a person expects: parents, for each turn the child that redo leads to, and where they stand."""

    parent: dict[str, str | None]
    here: str
    lines: list[list[str]] = field(default_factory=list)
    on: int = 0
    """Index of the line they stand on."""

    def append(self, id: str, parent: str) -> None:
        self.parent[id] = parent
        ends = [i for i, line in enumerate(self.lines) if line[-1] == parent]
        if self.on in ends:
            self.lines[self.on].append(id)
        elif ends:
            self.on = ends[-1]
            self.lines[self.on].append(id)
        else:
            whole = next(line for line in self.lines if parent in line)
            self.lines.append([*whole[: whole.index(parent) + 1], id])
            self.on = len(self.lines) - 1
        self.here = id

    def jump(self, id: str) -> None:
        if id not in self.lines[self.on]:
            self.on = max(i for i, line in enumerate(self.lines) if id in line)
        self.here = id

    def step(self, by: int) -> None:
        line = self.lines[self.on]
        self.here = line[min(max(line.index(self.here) + by, 0), len(line) - 1)]


class Timeline(RuleBasedStateMachine):
    """Random work on a tree, compared with the oracle after every step."""

    turns = Bundle("turns")

    @initialize(target=turns)
    def begin(self) -> Turn:
        self.tree = Tree.planted(ROOT)
        self.oracle = Oracle({ROOT.id: None}, ROOT.id, [[ROOT.id]])
        self.made = 0
        return ROOT

    @rule(target=turns)
    def edit_here(self) -> Turn:
        return self._append(self.tree.here)

    @rule(target=turns, parent=turns)
    def late_result(self, parent: Turn) -> Turn:
        return self._append(parent)

    @rule(turn=turns)
    def jump(self, turn: Turn) -> None:
        self.tree = self.tree.jump(turn.id)
        self.oracle.jump(turn.id)

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

    @rule(turn=turns)
    def same_again(self, turn: Turn) -> None:
        self.tree = self.tree.append(turn)
        self.oracle.jump(turn.id)

    @invariant()
    def agrees(self) -> None:
        tree, oracle = self.tree, self.oracle
        assert {id: turn.parent for id, turn in tree.turns.items()} == oracle.parent
        assert tree.current == oracle.here
        assert [list(tree.line(tip)) for tip in tree.branches.values()] == oracle.lines
        assert list(tree.branches).index(tree.branch) == oracle.on
        line = oracle.lines[oracle.on]
        assert tree.can_undo == (oracle.here != line[0]) and tree.can_redo == (oracle.here != line[-1])
        lanes = tree.lanes()
        assert set(lanes) == set(tree.turns) and all(lanes[id] == 0 for id in line)
        seen: set[str | None] = {None}
        for turn in tree.turns.values():
            assert turn.parent in seen, "a parent comes before its children"
            seen.add(turn.id)

    def _append(self, parent: Turn) -> Turn:
        self.made += 1
        turn = child(parent, self.made)
        self.tree = self.tree.append(turn)
        self.oracle.append(turn.id, parent.id)
        return turn


TestTimeline = Timeline.TestCase
TestTimeline.settings = settings(max_examples=100, stateful_step_count=100, deadline=None)
