"""The timeline as a value: turns linked to their parents, branches as pointers to their last turn, where one stands.

Every function gives a new `Tree`; no turn is ever taken out of one. Undo and redo move along the branch one stands on,
a jump goes anywhere, and appending to a turn that already has a successor on its branch starts a new branch. What is
trashed stays in the tree out of sight: a cut hides a turn and all that follow it, and keeps the pointers it took along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from studio.errors import BadName, UnknownBranch, UnknownTurn, WrongTurns
from studio.history.turn import Turn

LONGEST_NAME = 60
"""Characters of a branch's name."""


@dataclass(frozen=True)
class Trashed:
    """A turn in the trash with all that follow it."""

    cut: str
    """Id of the first of them."""
    branches: Mapping[str, str]
    """The branches that ended among them: name to last turn, in the order they were made."""


@dataclass(frozen=True)
class Tree:
    """Invariants: one original; every parent is in `turns`, before its children; what follows a cut is hidden, all
    else is visible, the original always; every tip and `current` are visible; every visible turn lies on the line of
    some branch; `current` lies on the line of `branch`; every cut is in the trash once, its branches end below it.

    Unknown ids raise `UnknownTurn` everywhere, and so do hidden ones but for `restore`.
    """

    turns: Mapping[str, Turn]
    """By id, in the order they were appended; those in the trash too."""
    branches: Mapping[str, str]
    """Branch name to the id of its last turn, in the order they were made."""
    branch: str
    """Name of the branch one stands on."""
    current: str
    """Id of the turn one stands on."""
    trashed: tuple[Trashed, ...] = ()
    """In the order they were trashed."""

    @classmethod
    def planted(cls, original: Turn) -> Tree:
        """A tree of the original alone."""
        return cls({original.id: original}, {"main": original.id}, "main", original.id)

    def __getitem__(self, id: str) -> Turn:
        try:
            return self.visible[id]
        except KeyError:
            raise UnknownTurn("this timeline has no such turn; reload the page to see the turns there are") from None

    @cached_property
    def visible(self) -> Mapping[str, Turn]:
        """The turns that are not in the trash, by id, in the order they were appended."""
        hidden = self._following(*(trashed.cut for trashed in self.trashed))
        return {id: turn for id, turn in self.turns.items() if id not in hidden} if hidden else self.turns

    @property
    def here(self) -> Turn:
        """The turn one stands on."""
        return self.turns[self.current]

    @property
    def can_undo(self) -> bool:
        return self.here.parent is not None

    @property
    def can_redo(self) -> bool:
        return self.current != self.branches[self.branch]

    def line(self, id: str) -> tuple[str, ...]:
        """Ids from the original to `id`."""
        path = [self[id].id]
        while (parent := self.turns[path[-1]].parent) is not None:
            path.append(parent)
        return tuple(reversed(path))

    def ancestor(self, a: str, b: str) -> str:
        """Id of the last turn that lies on both lines; that may be `a` or `b`."""
        common = [x for x, y in zip(self.line(a), self.line(b), strict=False) if x == y]
        return common[-1]

    # Growing

    def append(self, turn: Turn) -> Tree:
        """Add `turn` after its parent and stand on it.

        A turn that is already there is only stood on; one that is in the trash is restored first.
        """
        if turn.parent is None and turn.id not in self.turns:
            raise ValueError("a timeline has one original")
        if turn.id in self.visible:
            return self.jump(turn.id)
        parent = self[turn.parent or ""].id
        if turn.id in self.turns:  # hidden under a visible parent: a cut
            return self.restore(turn.id).jump(turn.id)
        ends_here = [name for name, tip in self.branches.items() if tip == parent]
        name = self.branch if self.branch in ends_here else next(reversed(ends_here), None) or self._free_name()
        return replace(
            self,
            turns={**self.turns, turn.id: turn},
            branches={**self.branches, name: turn.id},
            branch=name,
            current=turn.id,
        )

    def adopt(self, turns: Sequence[Turn]) -> Tree:
        """Append a chain, each turn the parent of the next, and stand on its last one.

        It becomes a new branch, and the old ones stay as they are, but where it begins at the end of a branch it
        goes on with that. Turns that are already there are not added again.
        """
        if not turns or any(after.parent != before.id for before, after in pairwise(turns)):
            raise ValueError("a chain has turns, and each is the parent of the next")
        tree = self
        for turn in turns:
            tree = tree.append(turn)
        return tree

    # Moving

    def undo(self) -> Tree:
        """One turn back; at the original, nothing."""
        parent = self.here.parent
        return self if parent is None else replace(self, current=parent)

    def redo(self) -> Tree:
        """One turn forward along the branch; at its end, nothing."""
        line = self.line(self.branches[self.branch])
        here = line.index(self.current)
        return self if here + 1 == len(line) else replace(self, current=line[here + 1])

    def jump(self, id: str) -> Tree:
        """Stand on the turn `id`: on the same branch if it lies there, else on the newest branch that leads to it."""
        wanted = self[id].id
        following = self._following(wanted)
        for name in (self.branch, *reversed(list(self.branches))):
            if self.branches[name] in following:
                return replace(self, branch=name, current=wanted)
        raise ValueError("every turn lies on a branch")

    # Branches

    def branch_here(self, name: str | None = None) -> Tree:
        """A new branch that ends at the turn one stands on, and stand on it; without a name it is given one.

        Raises `BadName` for a name that is taken, blank, too long or not printable.
        """
        name = self._free_name() if name is None else self._new_name(name)
        return replace(self, branches={**self.branches, name: self.current}, branch=name)

    def rename_branch(self, old: str, new: str) -> Tree:
        """The same branch by another name. Raises `UnknownBranch`, and `BadName` as `branch_here` does."""
        if old not in self.branches:
            raise UnknownBranch(f"there is no branch {old!r:.80}; reload the page to see the branches there are")
        if new.strip() == old:
            return self
        new = self._new_name(new)
        branches = {new if name == old else name: tip for name, tip in self.branches.items()}
        return replace(self, branches=branches, branch=new if self.branch == old else self.branch)

    # Trash

    def trash(self, id: str) -> Tree:
        """Take the turn `id` and all that follow it out of sight; whoever stands among them then stands before them.

        Of the branches that ended among them, the first one and the one stood on now end before them, and where
        nothing else leads there, one does in any case; the others vanish. `restore` brings them back. Raises
        `WrongTurns` for the original.
        """
        before = self[id].parent
        if before is None:
            raise WrongTurns("the original cannot go into the trash: everything else was made from it")
        hidden = self._following(id)
        taken = {name: tip for name, tip in self.branches.items() if tip in hidden}
        leading = self._following(before) - hidden
        moved = {next(iter(self.branches)), self.branch}.intersection(taken)
        if not moved and not any(tip in leading for tip in self.branches.values()):
            moved = {next(iter(taken))}
        branches = {
            name: before if name in moved else tip
            for name, tip in self.branches.items()
            if name in moved or name not in taken
        }
        current = before if self.current in hidden else self.current
        return replace(self, branches=branches, current=current, trashed=(*self.trashed, Trashed(id, taken)))

    def restore(self, cut: str) -> Tree:
        """Bring back what went into the trash with the turn `cut`; one stands where one stood.

        What took its parent into the trash since is brought back as well. A branch that still ends before the cut
        ends where it did; one that vanished comes back as the newest; one whose name leads elsewhere by now comes
        back under another. Raises `UnknownTurn` when the trash has no such turn.
        """
        trashed = next((trashed for trashed in self.trashed if trashed.cut == cut), None)
        if trashed is None:
            raise UnknownTurn("the trash has no such turn; reload the page to see what is in it")
        before = self.turns[cut].parent
        if before is not None and before not in self.visible:
            cuts = {trashed.cut for trashed in self.trashed}
            while before not in cuts:
                before = self.turns[before].parent or ""
            return self.restore(before).restore(cut)
        branches = dict(self.branches)
        for name, tip in trashed.branches.items():
            if branches.get(name, before) != before:
                name = _numbered(name[: LONGEST_NAME - 5].rstrip(), 2, {*branches, *trashed.branches})
            branches[name] = tip
        return replace(self, branches=branches, trashed=tuple(t for t in self.trashed if t != trashed))

    def size_of(self, trashed: Trashed) -> int:
        """How many turns `trashed` keeps out of sight; those that another one keeps within it not counted."""
        inner = [t.cut for t in self.trashed[: self.trashed.index(trashed)]]
        return len(self._following(trashed.cut) - self._following(*inner))

    # Drawing

    def depths(self) -> dict[str, int]:
        """Number of every visible turn: the original is 0."""
        depth: dict[str, int] = {}
        for id, turn in self.visible.items():
            depth[id] = 0 if turn.parent is None else depth[turn.parent] + 1
        return depth

    def lanes(self) -> dict[str, int]:
        """Row of every visible turn in the strip: the branch one stands on is row 0, the others follow in order of
        making. A branch that ends on another one's line needs no row."""
        lanes: dict[str, int] = {}
        lane = 0
        for name in (self.branch, *(name for name in self.branches if name != self.branch)):
            id: str | None = self.branches[name]
            drawn = len(lanes)
            while id is not None and id not in lanes:
                lanes[id] = lane
                id = self.turns[id].parent
            lane += len(lanes) > drawn
        return lanes

    # Inside

    def _following(self, *ids: str) -> set[str]:
        """The turns `ids` and all that come after them: one pass, since parents come before their children."""
        found = set(ids)
        for id, turn in self.turns.items() if ids else ():
            if turn.parent is not None and turn.parent in found:
                found.add(id)
        return found

    def _free_name(self) -> str:
        return _numbered("branch", len(self.branches) + 1, self.branches)

    def _new_name(self, name: str) -> str:
        name = name.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise BadName(f"a branch's name has 1 to {LONGEST_NAME} printable characters; got {name!r:.80}")
        if name in self.branches:
            raise BadName(f"there is a branch {name!r} already; choose another name")
        return name


def _numbered(stem: str, number: int, taken: Mapping[str, str] | set[str]) -> str:
    """`stem` with the first number from `number` on that makes a name which is not taken."""
    while (name := f"{stem} {number}") in taken:
        number += 1
    return name
