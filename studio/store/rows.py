"""Between the values of a session and the rows of the tables, sealed."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from studio.history.turn import Outcome, Turn, TurnRequest, canonical_json, turn_id
from studio.store.record import Record, Staged
from studio.store.seals import sealed
from studio.store.tables import BranchRow, GalleryRow, SessionRow, StagedRow, TurnRow


def folded(text: str) -> str:
    """`text` as it is searched: neither capitals nor the way in which accents are encoded count."""
    return unicodedata.normalize("NFKC", text).casefold()


def session_row(record: Record, trashed_at: float | None) -> dict[str, Any]:
    """The session itself; `trashed_at` is no part of a record."""
    tree = record.tree
    return sealed(
        SessionRow,
        {
            "sid": record.sid,
            "name": record.name,
            "rev": record.rev,
            "created_at": record.created_at,
            "saved_at": record.saved_at,
            "width": record.width,
            "height": record.height,
            "branch": tree.branch,
            "current": tree.current,
            "panel": canonical_json(record.panel),
            "notes": canonical_json(record.notes),
            "trashed_at": trashed_at,
            "trash": canonical_json([[t.cut, list(t.branches.items())] for t in tree.trashed]),
            "holds": counts(len(tree.turns), len(tree.branches), len(record.staged)),
        },
    )


def counts(turns: int, branches: int, staged: int) -> str:
    """What `SessionRow.holds` says of so many rows."""
    return canonical_json([turns, branches, staged])


def gallery_row(record: Record) -> dict[str, Any]:
    """What a list says of a session."""
    asked = [turn.request for turn in record.tree.visible.values() if turn.request is not None]
    texts = [record.name, *(f"{request.subject}\n{request.background}" for request in asked)]
    return sealed(GalleryRow, {"sid": record.sid, "turns": len(asked), "words": folded("\n".join(texts))})


def turn_row(sid: str, seq: int, turn: Turn) -> dict[str, Any]:
    """The turn that was appended as number `seq`."""
    return sealed(
        TurnRow,
        {
            "sid": sid,
            "id": turn.id,
            "seq": seq,
            "parent": turn.parent,
            "picture": turn.picture,
            "request": None if turn.request is None else canonical_json(turn.request.to_json()),
            "outcome": canonical_json(turn.outcome.to_json()),
            "created_at": turn.created_at,
        },
    )


def turn(row: TurnRow) -> Turn:
    """What `turn_row` was made of; `ValueError` where it is not what its id says."""
    asked = None if row.request is None else json.loads(row.request)
    if row.id != turn_id(row.parent, asked, row.picture):
        raise ValueError("the turn is not what its id says")
    return Turn(
        id=row.id,
        parent=row.parent,
        request=None if asked is None else TurnRequest.from_json(asked),
        picture=row.picture,
        outcome=Outcome.from_json(json.loads(row.outcome)),
        created_at=row.created_at,
    )


def branch_row(sid: str, position: int, name: str, tip: str) -> dict[str, Any]:
    """A branch, in the order in which they were made."""
    return sealed(BranchRow, {"sid": sid, "name": name, "position": position, "tip": tip})


def staged_row(sid: str, position: int, staged: Staged) -> dict[str, Any]:
    """A candidate that nobody decided on."""
    return sealed(
        StagedRow,
        {
            "sid": sid,
            "position": position,
            "parent": staged.parent,
            "picture": staged.picture,
            "request": canonical_json(staged.request.to_json()),
            "outcome": canonical_json(staged.outcome.to_json()),
        },
    )


def staged(row: StagedRow) -> Staged:
    """What `staged_row` was made of."""
    return Staged(
        parent=row.parent,
        picture=row.picture,
        request=TurnRequest.from_json(json.loads(row.request)),
        outcome=Outcome.from_json(json.loads(row.outcome)),
    )
