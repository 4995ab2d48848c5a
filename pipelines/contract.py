"""What a method is given and what it gives back, and the conventions every module of `pipelines` keeps.

Conventions
-----------
* A *picture* is ``(H, W, 3) uint8`` in ``[0, 255]``, RGB, row 0 at the top.
* A *mask* is ``(H, W) bool`` of the same size as its picture; ``True`` is the **subject**.
* A *point* is ``(x, y)`` in pixels of the picture, x to the right, y down; a *box* is ``xyxy`` in the same frame.
* Inside the network an image is ``(B, 3, H, W) float32`` in ``[-1, 1]``, RGB; a latent is ``(B, C, h, w) float32``,
  already multiplied by the autoencoder's scaling factor.

This file imports no torch: the studio reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""``(H, W, 3) uint8`` in ``[0, 255]``, RGB."""

Mask = NDArray[np.bool_]
"""``(H, W) bool``, ``True`` = subject."""
Matte = Callable[[Picture, NDArray[np.uint8]], NDArray[np.float32]]
"""How much of each pixel of a picture is the subject, ``(H, W)`` in [0, 1], where a trimap ``(H, W)`` says 128; it says
255 where all of it is and 0 where nothing is."""


@dataclass(frozen=True)
class Extent:
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, picture: Picture | Mask) -> Extent:
        return cls(width=int(picture.shape[1]), height=int(picture.shape[0]))

    @property
    def area(self) -> int:
        return self.width * self.height

    def contains(self, point: Point) -> bool:
        return 0 <= point.x < self.width and 0 <= point.y < self.height

    def fitted_inside(self, limit: Extent) -> Extent:
        """The largest extent of the same aspect that fits inside `limit`, at least one pixel a side."""
        scale = min(limit.width / self.width, limit.height / self.height)
        return Extent(max(1, round(self.width * scale)), max(1, round(self.height * scale)))


@dataclass(frozen=True)
class Point:
    """A position in pixels of the picture; ``(0, 0)`` is the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """An axis-parallel box ``xyxy`` in pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def is_empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top


class Scope(StrEnum):
    """Which of the two tracks a turn may change; the other one is kept."""

    SUBJECT = "subject"
    BACKGROUND = "background"
    BOTH = "both"


class Quality(StrEnum):
    """How much work a turn is given; the numbers behind each name are data in ``assets/presets``."""

    DRAFT = "draft"
    STANDARD = "standard"
    EXACT = "exact"


class Backbone(StrEnum):
    """What a text-to-image model's network is shown beside the noisy latent; told by how many channels it takes."""

    PLAIN = "plain"  # nothing: the latent's own channels
    INPAINTING = "inpainting"  # where to paint (1 channel), and the picture without that place
    EXEMPLAR = "exemplar"  # the same as for inpainting, and a picture of what to paint in the place of a text
    INSTRUCT = "instruct"  # the picture that an instruction is about
    COMPOSER = "composer"  # the picture that an instruction adds to; a composer's folder says so itself


@dataclass(frozen=True)
class LoraUse:
    """A LoRA file at work in a turn. The digest is what determines the picture; the name is where to look."""

    name: str
    """Of the file, without its ending."""
    sha256: str
    """Of the file: 64 hex digits."""
    scale: float = 1.0
    """How much of its change is added; 0 is none, and a negative one goes the other way."""


class Kind(StrEnum):
    """What a field that somebody filled in holds, where it is more than a number or a name."""

    TEXT = "text"
    PICTURE = "picture"
    MASK = "mask"


@dataclass(frozen=True)
class About:
    """What a field of a request is. Whoever checks, keeps, shows, loads or empties requests goes by this, so that one
    field more is said once."""

    kind: Kind
    part: Scope | None = None
    """The part of the picture that it is about; ``None`` for the turn as a whole."""
    mask_of: str = ""
    """Of a mask: the field of the picture in which it is the subject's, and whose size it has."""


LATER = "later"
"""In a field's metadata: it came after there were turns. Where it says nothing it is not written, so that turns from
before keep their ids."""


def asked_for(kind: Kind, part: Scope | None = None, *, mask_of: str = "", later: bool = False) -> dict[str, Any]:
    """The metadata of a field that somebody fills in."""
    return {"about": About(kind, part, mask_of), LATER: later}


def about(request: Any, *kinds: Kind) -> Iterator[tuple[str, About]]:
    """Name and description of the fields of a request, or of its class, that somebody fills in; those of `kinds`, where
    any are named."""
    for f in fields(request):
        said: About | None = f.metadata.get("about")
        if said is not None and (not kinds or said.kind in kinds):
            yield f.name, said


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a turn is asked for in words and numbers, whoever carries it: the draft in the panel, a turn of the
    timeline, the session file, and a method.

    `subject` and `background` are what each part *becomes*; an empty text keeps that part's wording out of the
    prompt. `seed` is that of the first candidate; candidate ``k`` is sampled with ``seed + k``.
    """

    subject: str = field(metadata=asked_for(Kind.TEXT, Scope.SUBJECT))
    background: str = field(metadata=asked_for(Kind.TEXT, Scope.BACKGROUND))
    scope: Scope
    seed: int
    negative: str = field(default="", metadata=asked_for(Kind.TEXT, later=True))
    """What is to be kept out: guidance leads away from this text instead of away from none at all."""
    source: str = field(default="", metadata=asked_for(Kind.TEXT, later=True))
    """What the picture shows now, as far as it is known; read by methods that go by what a text changes
    (`Method.hears`)."""


@dataclass(frozen=True, kw_only=True)
class EditRequest(Request):
    """One turn as a method sees it: the picture and everything asked of it, nothing about how. All candidates share
    what was drawn and fitted before they are sampled, with `fit_seed`."""

    picture: Picture
    mask: Mask
    candidates: int = 1
    background_reference: Picture | None = field(default=None, metadata=asked_for(Kind.PICTURE, Scope.BACKGROUND))
    subject_reference: Picture | None = field(default=None, metadata=asked_for(Kind.PICTURE, Scope.SUBJECT))
    subject_reference_mask: Mask | None = field(
        default=None, metadata=asked_for(Kind.MASK, Scope.SUBJECT, mask_of="subject_reference")
    )
    refined: Mask | None = None
    """Where a brush went over the subject's edge: there it is as transparent as the picture shows it, whatever fades
    elsewhere."""
    feather: float = 2.0
    """Width in pixels of the seam in which a pasted-back part fades into the edit."""
    fitted: bytes | None = field(default=None, repr=False)
    """An earlier `EditResult.fitted` under the same `Method.fit_key`: what was fitted then is not fitted again."""
    fit_seed: int | None = None
    """Seed of all draws before sampling; ``None`` for `seed`."""
    warm: bytes | None = field(default=None, repr=False)
    """The `EditResult.fitted` of the turn that made `picture`. Where the settings ask for it (`warm_start`), fitting
    begins at what of it fits; all else begins cold."""
    loras: tuple[LoraUse, ...] = ()
    """Attached to the model by the engine for as long as the method runs."""
    matte: Matte | None = field(default=None, repr=False, compare=False)
    """The network that edges are matted by, which the engine has for settings that ask for it."""

    @property
    def fitting_seed(self) -> int:
        return self.seed if self.fit_seed is None else self.fit_seed


@dataclass(frozen=True)
class OutsideChange:
    """What happened to the pixels that were to be kept (outside the edited scope and its feathered seam)."""

    changed: int
    """Number of kept pixels that differ in any channel."""
    kept: int
    """Number of pixels that were to be kept."""
    largest: int
    """Largest difference in any channel, in levels of 0 to 255."""


@dataclass(frozen=True)
class Candidate:
    """One finished picture of a turn."""

    seed: int
    picture: Picture
    outside: OutsideChange
    flat: str = ""
    """The colour, ``#rrggbb``, in which all of what was to change came out; empty where it is a picture. A filter in
    a model's folder, or numbers that ran over, leave nothing but black."""


@dataclass(frozen=True)
class StageReport:
    """How long one named stage took."""

    name: str
    seconds: float
    steps: int


@dataclass(frozen=True)
class EditResult:
    """What a method gives back.

    `weights_before` and `weights_after` are checksums of every parameter and buffer of the bundle; they are equal
    unless there is a bug; the engine measures them, a method leaves them empty. `fitted` is the method's reusable
    state as safetensors bytes, or ``None``.
    """

    candidates: tuple[Candidate, ...]
    stages: tuple[StageReport, ...]
    weights_before: str = ""
    weights_after: str = ""
    background_reference: Picture | None = None
    fitted: bytes | None = field(default=None, repr=False)
    network_passes: int = 0
    """How many samples went through the network, as the engine counts them: guidance by two texts is two, and so is a
    batch of two. What a step of fitting takes beside that, to find its gradients, is not counted."""
    in_float32: bool = False
    """The fast arithmetic left the finite numbers, and a second run in float32 gave this; the engine says so."""
    reconstruction: float | None = None
    """How far the picture's own branch ended from the picture, where a method inverts it: root mean square difference
    of latents, whose size is about 1."""
    found: Mask | None = None
    """Where the method itself found that the texts ask for a change."""
    subject_after: Mask | None = None
    """Where the subject is in the new picture, where the method moved it rather than drew it anew; all False where it
    took it out."""


@dataclass(frozen=True, eq=False)
class WordMap:
    """What the model looks at for one word."""

    word: str
    cells: NDArray[np.uint8]
    """``(h, w)`` over the whole picture, in levels of its own largest value."""
    most: float
    """That value: the share of its attention that the place gives to the word."""
