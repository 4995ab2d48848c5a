"""What a turn is: a parent, a request that determines the picture completely, the picture, and what came of it.

A turn is never changed. Its id is a tagged hash of parent, request and picture, so the same edit of the same turn has
the same id wherever it was made, and a turn on another parent is another turn. Pictures, masks and fitted layers are
named by the SHA-256 of their file; their bytes live in the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from pipelines.contract import LATER, Kind, LoraUse, Quality, Request, Scope, StageReport, about, asked_for


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, ASCII only, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def tagged_hash(tag: str, value: Any) -> str:
    """SHA-256 in 64 hex digits of the canonical JSON of `value` under `tag`; another tag never gives the same id."""
    return hashlib.sha256(f"palimpsest/{tag}/1\n{canonical_json(value)}".encode()).hexdigest()


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As it reads back from JSON: tuples become lists, enums their text. Makes stored and fresh requests equal."""
    plain: dict[str, Any] = json.loads(canonical_json(value))
    return plain


def written(value: Any) -> dict[str, Any]:
    """A dataclass as a stored object: every field, but for those that came later and say nothing."""
    later = {f.name for f in fields(value) if f.metadata.get(LATER) and getattr(value, f.name) == f.default}
    return {name: one for name, one in asdict(value).items() if name not in later}


@dataclass(frozen=True, kw_only=True)
class StoredRequest(Request):
    """What is asked for, as the studio keeps it: on which model, by which method, and pictures by their digests. Its
    fields are the draft's, the turn's and the session file's."""

    model: str
    method: str
    quality: Quality
    background_reference: str | None = field(default=None, metadata=asked_for(Kind.PICTURE, Scope.BACKGROUND))
    subject_reference: str | None = field(default=None, metadata=asked_for(Kind.PICTURE, Scope.SUBJECT))
    subject_reference_mask: str | None = field(
        default=None, metadata=asked_for(Kind.MASK, Scope.SUBJECT, mask_of="subject_reference", later=True)
    )
    """Digest of the mask of the subject reference's subject, of that picture's size; ``None``: all of it is."""

    def texts(self) -> dict[str, Any]:
        """All that was typed, by field: ``str``."""
        return {name: getattr(self, name) for name, _ in about(self, Kind.TEXT)}

    def references(self) -> dict[str, Any]:
        """The pictures that were given to go by and their masks, by field: ``str``, a digest, or ``None``."""
        return {name: getattr(self, name) for name, _ in about(self, Kind.PICTURE, Kind.MASK)}


@dataclass(frozen=True, kw_only=True)
class TurnRequest(StoredRequest):
    """Everything that determines the picture of a turn, given its parent's picture."""

    weights: str
    """Checksum of the model's weights, so that a replay on other weights is recognised."""
    params: Mapping[str, Any]
    """Every setting of the method, resolved: a preset that changes later does not change this turn."""
    mask: str | None
    """Digest of the mask that was used; ``None`` where the method ran on the whole picture."""
    prompts: Mapping[str, Any]
    """`MaskPrompts.to_json()` that the mask came from, so that it can be segmented again on another picture."""
    feather: float
    """Pixels."""
    fit_seed: int | None = field(default=None, metadata={LATER: True})
    """Seed of the draws before sampling, where it is not `seed`: candidates share what was fitted for the first."""
    loras: tuple[LoraUse, ...] = field(default=(), metadata={LATER: True})
    """LoRA files that were attached to the model."""
    warm: str | None = field(default=None, metadata={LATER: True})
    """Digest of the parent's fitted layers, where the fit was given them to begin at; ``None``: it began cold."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _plain(self.params))
        object.__setattr__(self, "prompts", _plain(self.prompts))

    def to_json(self) -> dict[str, Any]:
        """What the id is the hash of."""
        data = written(self)
        return {**data, "loras": list(data["loras"])} if self.loras else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TurnRequest:
        loras = tuple(LoraUse(**use) for use in data.get("loras", ()))
        return cls(**{**data, "quality": Quality(data["quality"]), "scope": Scope(data["scope"]), "loras": loras})

    @property
    def begins_warm(self) -> bool:
        """Whether its settings ask for a warm start; those from before there was one do not."""
        return self.params.get("warm_start") is True

    def key(self, parent: str) -> str:
        """Names the computation itself: the same request on the same parent has the same key."""
        return tagged_hash("request", {"parent": parent, "request": self.to_json()})


@dataclass(frozen=True)
class Outcome:
    """What is known of how a picture came to be; no part of the turn's identity."""

    no_longer_told: ClassVar[frozenset[str]] = frozenset({"subject_told", "motion"})
    """What earlier studios read off the picture, and did with it, unasked; it is read over."""

    seconds: float = 0.0
    stages: tuple[StageReport, ...] = ()
    outside_changed: int = 0
    """Pixels that were to be kept and differ all the same."""
    outside_kept: int = 0
    """Pixels that were to be kept."""
    outside_largest: int = 0
    """Largest difference among them, in levels of 0 to 255."""
    flat: str = ""
    """The colour, ``#rrggbb``, in which all of what was to change came out; empty where it is a picture."""
    weights_after: str = ""
    in_float32: bool = False
    """The fast arithmetic left the finite numbers, and this was made by a second run in float32."""
    mask_after: str | None = None
    """Digest of the subject's mask in the picture that the turn made; ``None`` where it named no subject, and of turns
    from before it was noted."""
    background_reference: str | None = None
    """Digest of the background picture that the method made or was given."""
    fitted: str | None = None
    """Digest of the fitted layers (safetensors). The file is there for as long as there is room for it."""
    drift: Mapping[str, Any] | None = None
    """How far the picture has gone from the original: `pipelines.evaluation.drift.Drift` as JSON."""

    master: str | None = field(default=None, metadata={LATER: True})
    """Of an original: digest of the opened file's own pixels (`pipelines.masters`), where they are clear somewhere or
    have 16 bits a channel."""

    def to_json(self) -> dict[str, Any]:
        return written(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        told = {name: value for name, value in data.items() if name not in cls.no_longer_told}
        return cls(**{**told, "stages": tuple(StageReport(**stage) for stage in data["stages"])})


def turn_id(parent: str | None, request: TurnRequest | Mapping[str, Any] | None, picture: str) -> str:
    """The identity of a turn, given its request or what `TurnRequest.to_json` gave of it."""
    asked = request.to_json() if isinstance(request, TurnRequest) else request
    return tagged_hash("turn", {"parent": parent, "request": asked, "picture": picture})


@dataclass(frozen=True)
class Turn:
    """One node of a timeline. The original has neither parent nor request."""

    id: str
    parent: str | None
    request: TurnRequest | None
    picture: str
    """Digest of the picture."""
    outcome: Outcome = field(default_factory=Outcome)
    created_at: float = 0.0
    """Seconds since 1970; for display. Order is the order of appending, since clocks jump."""

    @classmethod
    def original(cls, picture: str, created_at: float = 0.0, master: str | None = None) -> Turn:
        return cls(turn_id(None, None, picture), None, None, picture, Outcome(master=master), created_at)

    @classmethod
    def after(cls, parent: str, request: TurnRequest, picture: str, outcome: Outcome, created_at: float = 0.0) -> Turn:
        return cls(turn_id(parent, request, picture), parent, request, picture, outcome, created_at)

    def files(self) -> frozenset[str]:
        """Digests of all pictures and masks that belong to this turn."""
        outcome = self.outcome
        named = [self.picture, outcome.background_reference, outcome.mask_after, outcome.master]
        if self.request is not None:
            named += [self.request.mask, self.request.prompts.get("uploaded"), *self.request.references().values()]
        return frozenset(digest for digest in named if digest is not None)
