"""A session out of its rows: all of it where all is as it was saved, else as far as it is, with a report in words.

Whatever a row may hold, reading it raises nothing but `DamagedSession`, and only where not even the original is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from studio.errors import DamagedSession
from studio.history.sound import following, is_name, line, sound
from studio.history.tree import Trashed, Tree
from studio.history.turn import Turn, TurnRequest, turn_id
from studio.store import rows
from studio.store.archive.parse import typed
from studio.store.archive.schema import BadArchive
from studio.store.record import Record, Staged
from studio.store.seals import is_sealed
from studio.store.tables import BranchRow, SessionRow, StagedRow, TurnRow

MISREAD = (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadArchive)
"""What reading a row raises that is not as it was written."""
LONGEST_NAME = 120
"""Characters of a session's name."""

MOST = 2.0**53
"""Above every count and time that there can be."""

Size = tuple[int, int]
T = TypeVar("T", dict[str, Any], list[Any])


@dataclass(frozen=True)
class SessionRows:
    """All rows of one session, each in its order."""

    session: SessionRow
    turns: Sequence[TurnRow]
    branches: Sequence[BranchRow]
    staged: Sequence[StagedRow]

    @property
    def are_sealed(self) -> bool:
        """Whether each is as it was written and none is missing."""
        parts = (self.turns, self.branches, self.staged)
        every = (self.session, *self.turns, *self.branches, *self.staged)
        return all(map(is_sealed, every)) and self.session.holds == rows.counts(*map(len, parts))


def read(found: SessionRows, size_of: Callable[[str], Size | None]) -> Record:
    """The session. `size_of` gives the pixels of a stored picture, across and down, where they can be known.

    Raises `DamagedSession` when nothing of it can be shown.
    """
    if found.are_sealed:
        try:
            return _as_saved(found)
        except MISREAD:
            pass
    return _as_far_as_whole(found, size_of)


def _as_saved(found: SessionRows) -> Record:
    row = found.session
    turns = [rows.turn(t) for t in found.turns]
    tree = sound(turns, _branches(found.branches), row.branch, row.current, _trashed(row))
    return Record(
        sid=row.sid,
        name=row.name,
        created_at=row.created_at,
        width=row.width,
        height=row.height,
        tree=tree,
        panel=json.loads(row.panel),
        notes=tuple(json.loads(row.notes)),
        staged=tuple(rows.staged(s) for s in found.staged),
        rev=row.rev,
        saved_at=row.saved_at,
    )


def _branches(found: Sequence[BranchRow]) -> dict[str, str]:
    return {branch.name: branch.tip for branch in found}


def _trashed(row: SessionRow) -> tuple[Trashed, ...]:
    return tuple(Trashed(cut, dict(branches)) for cut, branches in json.loads(row.trash))


# Damaged


def _as_far_as_whole(found: SessionRows, size_of: Callable[[str], Size | None]) -> Record:
    row = found.session
    turns = following([turn for t in found.turns if (turn := _turn(t)) is not None])
    if not turns:
        raise DamagedSession(
            "nothing of this session can be shown: its original is not what was saved. Nothing was deleted; a copy of "
            "the database in the folder backups of the data folder may have it whole"
        )
    width, height = size_of(next(iter(turns.values())).picture) or (int(number(row.width)), int(number(row.height)))
    staged = (_staged(s) for s in found.staged)
    return Record(
        sid=row.sid,
        name=shown_name(row.name),
        created_at=number(row.created_at),
        width=width,
        height=height,
        tree=_tree(found, turns),
        panel=_json(row.panel, {}) if is_sealed(row) else {},
        notes=tuple(note for note in _json(row.notes, []) if isinstance(note, str)),
        staged=tuple(s for s in staged if s is not None and s.parent in turns),
        rev=int(number(row.rev)),
        saved_at=number(row.saved_at),
        damage=_report(found, turns),
    )


def _turn(row: TurnRow) -> Turn | None:
    """The turn, where it is what its id says. What the id does not cover is believed of a sealed row only."""
    try:
        asked = None if row.request is None else json.loads(row.request)
        if row.id != turn_id(row.parent, asked, row.picture) or (row.parent is None) != (asked is None):
            return None
        if is_sealed(row):
            return rows.turn(row)
        request = None if asked is None else typed(TurnRequest, asked, "the request")
        return Turn(row.id, row.parent, request, row.picture)
    except MISREAD:
        return None


def _staged(row: StagedRow) -> Staged | None:
    try:
        return rows.staged(row) if is_sealed(row) else None
    except MISREAD:
        return None


def _tree(found: SessionRows, turns: dict[str, Turn]) -> Tree:
    """The timeline of `turns`. Where the branches do not lead to all of them, others are added, and what was in the
    trash is among them."""
    row = found.session
    branches = {b.name: b.tip for b in found.branches if is_sealed(b) and b.tip in turns and is_name(b.name)}
    try:
        return sound(tuple(turns.values()), branches, row.branch, row.current, _trashed(row))
    except MISREAD:
        pass
    reached = {id for tip in branches.values() for id in line(turns, tip)}
    for id in reversed(turns):
        if id not in reached:
            branches[next(name for n in count(1) if (name := f"found {n}") not in branches)] = id
            reached.update(line(turns, id))
    current = row.current if row.current in turns else next(reversed(branches.values()))
    leading = [name for name, tip in branches.items() if current in line(turns, tip)]
    return Tree(turns, branches, row.branch if row.branch in leading else leading[0], current)


def _report(found: SessionRows, turns: Mapping[str, Turn]) -> str:
    held = _json(found.session.holds, [])
    own = is_sealed(found.session) and len(held) == 3
    had, branches, staged = held if own else (len(found.turns), 0, 0)
    lost = max(had, len(found.turns)) - len(turns)
    bare = sum(t.id in turns and not is_sealed(t) for t in found.turns)
    intact = [sum(map(is_sealed, part)) for part in (found.branches, found.staged)]
    parts = []
    if lost:
        parts.append(f"of {lost + len(turns)} turns {len(turns)} are whole; the others, or what they follow, are not")
    if bare:
        parts.append(f"when {_turns(bare)} was made, how long it took and how far it drifted is not known any more")
    if not own:
        parts.append("its name and the place in its timeline may be others, and the turn in preparation is gone")
    if intact != [len(found.branches), len(found.staged)] or (own and intact != [branches, staged]):
        parts.append("a branch, or a candidate that waited, is gone")
    return (
        "Something of this session is not what was saved: the disk is failing, or another program wrote to the "
        f"database. Of it, {'; '.join(parts) or 'its parts do not fit together'}. What is shown is whole and can be "
        "exported, but not changed: duplicate the session to go on from it. Nothing was deleted."
    )


def _turns(number: int) -> str:
    return "a turn" if number == 1 else f"{number} turns"


def shown_name(value: object) -> str:
    """As it stands, but for what no page could show."""
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text if c.isprintable()).strip()[:LONGEST_NAME] or "damaged"


def number(value: object) -> float:
    """A count or a time; 0 where it cannot be one."""
    return value if isinstance(value, int | float) and 0 <= value < MOST else 0


def _json(text: object, nothing: T) -> T:
    """The value in `text`, where it is of the kind of `nothing`."""
    try:
        value = json.loads(text) if isinstance(text, str) else nothing
    except (ValueError, RecursionError):
        return nothing
    return value if isinstance(value, type(nothing)) else nothing
