"""Whether a timeline that comes from outside can be one: a file, or a database that others can write to.

`Tree` keeps its invariants by its own functions and does not look at them again; here they are looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from studio.history.tree import LONGEST_NAME, Trashed, Tree
from studio.history.turn import Turn


class UnsoundTimeline(ValueError):
    """Something in it does not point where it should."""


def sound(
    turns: Sequence[Turn], branches: Mapping[str, str], branch: str, current: str, trashed: tuple[Trashed, ...] = ()
) -> Tree:
    """The timeline, its turns parents before children and otherwise as listed. Raises `UnsoundTimeline`."""
    by_id = {turn.id: turn for turn in turns}
    if len(by_id) != len(turns):
        raise UnsoundTimeline("a timeline has each of its turns once")
    if (originals := sum(turn.parent is None for turn in turns)) != 1:
        raise UnsoundTimeline(f"a timeline has one original; this one has {originals}")
    ordered = following(turns)
    if len(ordered) != len(turns):
        raise UnsoundTimeline("a turn follows one that is not there, or turns follow each other in a circle")
    for name in (name for pointers in (branches, *(cut.branches for cut in trashed)) for name in pointers):
        if not is_name(name):
            raise UnsoundTimeline(f"it has a branch of the name {name!r:.80}, which is none")
    _check_pointers(ordered, branches, trashed)
    tip = branches.get(branch)
    if tip is None or current not in line(ordered, tip):
        raise UnsoundTimeline("one stands on a turn that its branch does not lead to")
    return Tree(ordered, branches, branch, current, trashed)


def following(turns: Sequence[Turn]) -> dict[str, Turn]:
    """The first original and all that follow it, by id, parents before children and otherwise as listed."""
    waiting: dict[str, list[Turn]] = {}
    ordered: dict[str, Turn] = {}
    for turn in turns:
        if turn.parent is not None and turn.parent not in ordered:
            waiting.setdefault(turn.parent, []).append(turn)
            continue
        if turn.parent is None and ordered:
            continue
        ready = deque([turn])
        while ready:
            placed = ready.popleft()
            ordered[placed.id] = placed
            ready.extend(waiting.pop(placed.id, ()))
    return ordered


def is_name(name: str) -> bool:
    """Whether a branch, or a saved mask, can be called so."""
    return bool(name.strip()) and len(name) <= LONGEST_NAME and name.isprintable()


def line(turns: Mapping[str, Turn], tip: str) -> Iterator[str]:
    """Ids from `tip` back to the original."""
    id: str | None = tip
    while id is not None:
        yield id
        id = turns[id].parent


def _check_pointers(turns: Mapping[str, Turn], branches: Mapping[str, str], trashed: tuple[Trashed, ...]) -> None:
    """Every visible turn lies on the line of a branch; every hidden one on that of a branch that its cut took along.

    A cut within another one was made first: what is hidden cannot be cut.
    """
    places = {trash.cut: place for place, trash in enumerate(trashed)}
    under: dict[str, str | None] = {}  # the nearest cut at or above a turn
    for id, turn in turns.items():
        above = None if turn.parent is None else under[turn.parent]
        if id in places and (turn.parent is None or (above is not None and places[above] < places[id])):
            raise UnsoundTimeline("the trash holds a turn that cannot have been put there")
        under[id] = id if id in places else above
    if len(places) != len(trashed) or not places.keys() <= turns.keys():
        raise UnsoundTimeline("the trash names a turn that is not there, or one twice")
    reached: set[str] = set()
    for cut, pointers in ((None, branches), *((trash.cut, trash.branches) for trash in trashed)):
        for tip in pointers.values():
            if tip not in turns or under[tip] != cut:
                raise UnsoundTimeline("a branch ends at a turn that is not there")
            for id in line(turns, tip):
                if under[id] != cut or id in reached:
                    break
                reached.add(id)
    if len(reached) != len(turns):
        raise UnsoundTimeline("there are turns to which no branch leads")
