"""What ``session.json`` says: its schema, the pictures that it names, and the error of a file that is not one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipelines.contract import Quality, Scope
from studio.errors import UserError
from studio.history.turn import Turn
from studio.store.blobs import DIGEST

FORMAT = "palimpsest"
VERSION = 1
LARGEST_JSON = 10 * 2**20
"""Bytes."""
MOST_TURNS = 10_000


class BadArchive(UserError):
    """A file is no session file that can be taken in, or a session is too large to become one."""


@dataclass(frozen=True)
class StoredDraft:
    """The texts and settings of the turn in preparation. Its mask steps stay where they were drawn."""

    subject: str
    background: str
    scope: Scope
    method: str
    quality: Quality
    candidates: int
    seed: int
    model: str
    changes: Mapping[str, Any]
    background_reference: str | None = None
    subject_reference: str | None = None
    loras: Mapping[str, Any] = field(default_factory=dict)
    subject_reference_mask: str | None = None
    negative: str = ""
    source: str = ""


@dataclass(frozen=True)
class Branch:
    """A branch of the timeline, and the turn that it ends at."""

    name: str
    tip: str


@dataclass(frozen=True)
class Cut:
    """What lies in the trash: the turn that was cut off, and the branches that went with it."""

    cut: str
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class SessionFile:
    """The whole of ``session.json``: these fields, of these types, and no others."""

    format: str
    version: int
    studio: str
    """Version of the studio that wrote it; for people."""
    name: str
    created_at: float
    width: int
    height: int
    turns: tuple[Turn, ...]
    branches: tuple[Branch, ...]
    branch: str
    current: str
    trashed: tuple[Cut, ...]
    draft: StoredDraft
    notes: tuple[str, ...]


class Role(StrEnum):
    """What a picture is for."""

    PICTURE = "picture"
    """Colour, of the session's size."""
    MASK = "mask"
    """Grey, of the session's size."""
    REFERENCE = "reference"
    """Colour, of any size."""
    REFERENCE_MASK = "mask of a reference"
    """Grey, of its reference's size."""


def pictures_of(session: SessionFile) -> dict[str, set[Role]]:
    """Every picture the file needs by its digest, and what it is there for."""
    named: list[tuple[str | None, Role]] = [
        (session.draft.background_reference, Role.REFERENCE),
        (session.draft.subject_reference, Role.REFERENCE),
        (session.draft.subject_reference_mask, Role.REFERENCE_MASK),
    ]
    for turn in session.turns:
        named += [(turn.picture, Role.PICTURE), (turn.outcome.background_reference, Role.REFERENCE)]
        named.append((turn.outcome.mask_after, Role.MASK))
        if (request := turn.request) is not None:
            named += [(request.mask, Role.MASK), (request.prompts.get("uploaded"), Role.MASK)]
            named += [(d, Role.REFERENCE) for d in (request.background_reference, request.subject_reference)]
            named.append((request.subject_reference_mask, Role.REFERENCE_MASK))
    needed: dict[str, set[Role]] = {}
    for digest, role in named:
        if digest is not None:
            if not DIGEST.fullmatch(digest):
                raise BadArchive(f"a picture is named by its SHA-256 in 64 small hex digits; got {digest!r:.80}")
            needed.setdefault(digest, set()).add(role)
    return needed
