"""What the store keeps of sessions and jobs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.history.tree import Tree
from studio.history.turn import Outcome, TurnRequest


@dataclass(frozen=True)
class Staged:
    """A finished candidate, kept across reloads until the person decides."""

    parent: str
    """The turn it was started from; it is appended there whatever one stands on by then."""
    picture: str
    request: TurnRequest
    outcome: Outcome


@dataclass(frozen=True)
class Record:
    """All of a session that lasts."""

    sid: str
    name: str
    created_at: float
    width: int
    height: int
    tree: Tree
    panel: Mapping[str, Any]
    """Draft and mask's steps as the session wrote them; empty for a picture that was recovered."""
    notes: tuple[str, ...] = ()
    staged: tuple[Staged, ...] = ()
    rev: int = 0
    saved_at: float = 0.0
    damage: str = ""
    """What of it was found to be another than what was saved, in words for the person; empty where all is whole. What
    is damaged is shown as far as it is whole, and never saved over."""


@dataclass(frozen=True)
class Summary:
    """A session in a list."""

    sid: str
    name: str
    saved_at: float
    turns: int
    """Edits made, without the original and those in the trash."""
    picture: str
    """Digest of the picture one stands on; empty where that is not known."""
    damaged: bool = False
    """Something of it is not what was saved: see `Record.damage`."""


@dataclass(frozen=True)
class JobNote:
    """What is remembered of a job."""

    id: str
    sid: str
    kind: str
    state: str
    queued_at: float
    started_at: float | None = None
    finished_at: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class FittedLayers:
    """Layers that were fitted before."""

    digest: str
    data: bytes = field(repr=False)
    """As a safetensors file."""
