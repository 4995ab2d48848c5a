"""Between the values of a session and the rows of the tables."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from studio.history.turn import Outcome, Turn, TurnRequest, canonical_json
from studio.store.record import Record, Staged
from studio.store.tables import StagedRow, TurnRow


def folded(text: str) -> str:
    """`text` as it is searched: neither capitals nor the way in which accents are encoded count."""
    return unicodedata.normalize("NFKC", text).casefold()


def gallery_row(record: Record) -> dict[str, Any]:
    """What a list says of a session."""
    asked = [turn.request for turn in record.tree.visible.values() if turn.request is not None]
    texts = [record.name, *(f"{request.subject}\n{request.background}" for request in asked)]
    return {"sid": record.sid, "turns": len(asked), "words": folded("\n".join(texts))}


def turn_row(sid: str, seq: int, turn: Turn) -> dict[str, Any]:
    """The turn that was appended as number `seq`."""
    return {
        "sid": sid,
        "id": turn.id,
        "seq": seq,
        "parent": turn.parent,
        "picture": turn.picture,
        "request": None if turn.request is None else canonical_json(turn.request.to_json()),
        "outcome": canonical_json(turn.outcome.to_json()),
        "created_at": turn.created_at,
    }


def turn(row: TurnRow) -> Turn:
    """What `turn_row` was made of."""
    return Turn(
        id=row.id,
        parent=row.parent,
        request=None if row.request is None else TurnRequest.from_json(json.loads(row.request)),
        picture=row.picture,
        outcome=Outcome.from_json(json.loads(row.outcome)),
        created_at=row.created_at,
    )


def staged_row(sid: str, position: int, staged: Staged) -> dict[str, Any]:
    """A candidate that nobody decided on."""
    return {
        "sid": sid,
        "position": position,
        "parent": staged.parent,
        "picture": staged.picture,
        "request": canonical_json(staged.request.to_json()),
        "outcome": canonical_json(staged.outcome.to_json()),
    }


def staged(row: StagedRow) -> Staged:
    """What `staged_row` was made of."""
    return Staged(
        parent=row.parent,
        picture=row.picture,
        request=TurnRequest.from_json(json.loads(row.request)),
        outcome=Outcome.from_json(json.loads(row.outcome)),
    )
