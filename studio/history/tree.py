"""The timeline as a value: turns linked to their parents, branches as pointers to their last turn, where one stands.

Every function gives a new `Tree`; nothing is ever taken out of one. Undo and redo move along the branch one stands on,
a jump goes anywhere, and appending to a turn that already has a successor on its branch starts a new branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from studio.errors import UnknownTurn
from studio.history.turn import Turn


@dataclass(frozen=True)
class Tree:
    """Invariants: one original; every parent is in `turns`, before its children; every tip and `current` are in
    `turns`; every turn lies on the line of some branch; `current` lies on the line of `branch`."""

    turns: Mapping[str, Turn]
    """By id, in the order they were appended."""
    branches: Mapping[str, str]
    """Branch name to the id of its last turn, in the order they were made."""
    branch: str
    """Name of the branch one stands on."""
    current: str
    """Id of the turn one stands on."""

    @classmethod
    def planted(cls, original: Turn) -> Tree:
        """A tree of the original alone."""
        return cls({original.id: original}, {"main": original.id}, "main", original.id)

    def __getitem__(self, id: str) -> Turn:
        try:
            return self.turns[id]
        except KeyError:
            raise UnknownTurn("this timeline has no such turn; reload the page to see the turns there are") from None

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

    def append(self, turn: Turn) -> Tree:
        """Add `turn` after its parent and stand on it. A turn that is already there is only stood on."""
        if turn.id in self.turns:
            return self.jump(turn.id)
        if turn.parent is None:
            raise ValueError("a timeline has one original")
        parent = self[turn.parent].id
        ends_here = [name for name, tip in self.branches.items() if tip == parent]
        name = self.branch if self.branch in ends_here else next(reversed(ends_here), None) or self._free_name()
        return Tree({**self.turns, turn.id: turn}, {**self.branches, name: turn.id}, name, turn.id)

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
        for name in (self.branch, *reversed(list(self.branches))):
            if wanted in self.line(self.branches[name]):
                return replace(self, branch=name, current=wanted)
        raise ValueError("every turn lies on a branch")

    def depths(self) -> dict[str, int]:
        """Number of every turn: the original is 0."""
        depth: dict[str, int] = {}
        for id, turn in self.turns.items():
            depth[id] = 0 if turn.parent is None else depth[turn.parent] + 1
        return depth

    def lanes(self) -> dict[str, int]:
        """Row of every turn in the strip: the branch one stands on is row 0, the others follow in order of making."""
        lanes: dict[str, int] = {}
        others = (name for name in self.branches if name != self.branch)
        for lane, name in enumerate((self.branch, *others)):
            id: str | None = self.branches[name]
            while id is not None and id not in lanes:
                lanes[id] = lane
                id = self.turns[id].parent
        return lanes

    def _free_name(self) -> str:
        number = len(self.branches) + 1
        while (name := f"branch {number}") in self.branches:
            number += 1
        return name
