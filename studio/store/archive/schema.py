"""What ``session.json`` says: its schema, the pictures that it names, and the error of a file that is not one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipelines.contract import Kind, about
from studio.errors import UserError
from studio.history.turn import StoredRequest, Turn
from studio.store.blobs import DIGEST

FORMAT = "palimpsest"
VERSION = 3
"""Of a file with a master; one without is written as a version before, so that older studios read it."""
LARGEST_JSON = 10 * 2**20
"""Bytes."""
MOST_TURNS = 10_000
MOST_MASKS = 50
"""That were saved by name."""


class BadArchive(UserError):
    """A file is no session file that can be taken in, or a session is too large to become one."""


@dataclass(frozen=True, kw_only=True)
class StoredDraft(StoredRequest):
    """The texts and settings of the turn in preparation. Its mask steps stay where they were drawn."""

    candidates: int
    changes: Mapping[str, Any]
    """Settings of the method that differ from the preset."""
    loras: Mapping[str, Any] = field(default_factory=dict)
    """Scale by LoRA file; that each is a number is looked at with the rest."""


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
class StoredMask:
    """A mask under a name, for later turns."""

    name: str
    mask: str
    """Digest."""
    turn: str
    """The turn that was shown: the mask lies in its frame."""


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
    masks: tuple[StoredMask, ...] = ()


class Role(StrEnum):
    """What a picture is for."""

    PICTURE = "picture"
    """Colour, of the size of its turn's frame."""
    MASK = "mask"
    """Grey, of the size of its turn's frame, or of that of the turn before."""
    REFERENCE = "reference"
    """Colour, of any size."""
    REFERENCE_MASK = "mask of a reference"
    """Grey, of its reference's size."""
    MASTER = "master"
    """Colour, clear somewhere or of 16 bits, of the size of the original."""


def pictures_of(session: SessionFile) -> dict[str, set[Role]]:
    """Every picture the file needs by its digest, and what it is there for."""
    named = [*_references(session.draft), *((saved.mask, Role.MASK) for saved in session.masks)]
    for turn in session.turns:
        named += [(turn.picture, Role.PICTURE), (turn.outcome.background_reference, Role.REFERENCE)]
        named += [(turn.outcome.mask_after, Role.MASK), (turn.outcome.master, Role.MASTER)]
        if (request := turn.request) is not None:
            named += [(request.mask, Role.MASK), (request.prompts.get("uploaded"), Role.MASK)]
            named += _references(request)
    needed: dict[str, set[Role]] = {}
    for digest, role in named:
        if digest is not None:
            if not DIGEST.fullmatch(digest):
                raise BadArchive(f"a picture is named by its SHA-256 in 64 small hex digits; got {digest!r:.80}")
            needed.setdefault(digest, set()).add(role)
    return needed


def _references(wanted: StoredRequest) -> list[tuple[str | None, Role]]:
    roles = {Kind.PICTURE: Role.REFERENCE, Kind.MASK: Role.REFERENCE_MASK}
    return [(getattr(wanted, name), roles[said.kind]) for name, said in about(wanted, *roles)]
