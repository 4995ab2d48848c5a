"""What the page and the command line are shown of a session: frozen, plain values, and nothing that computes.

Pictures and masks are named by their digest (SHA-256 of the PNG file, 64 hex digits); the page turns a digest into a
URL, nobody else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.contract import Box, Quality, Scope
from pipelines.instructions.contract import Split
from pipelines.masks.prompts import MaskPrompts
from studio.jobs.job import JobState as JobState
from studio.store.archive.schema import StoredDraft


@dataclass(frozen=True, kw_only=True)
class Draft(StoredDraft):
    """The turn that is being prepared: what stands in the panel, saved on every change."""

    loras: Mapping[str, float] = field(default_factory=dict)
    """Scale by name of each LoRA file that is attached."""
    insisted: bool = False
    """Whether somebody said in this session to run a model on a picture that it was not made for."""
    prompts: MaskPrompts = field(default_factory=MaskPrompts)


FRESH = Draft(
    subject="",
    background="",
    scope=Scope.BOTH,
    method="layered",
    quality=Quality.STANDARD,
    candidates=1,
    seed=7,
    model="toybox",
    changes={},
)
"""What stands in the panel of a new session."""


@dataclass(frozen=True)
class MaskChoice:
    """One of the segmenter's alternatives for a single click: shown as a chip."""

    label: str
    score: float
    """The segmenter's own estimate of its IoU, 0 to 1."""


@dataclass(frozen=True)
class MaskView:
    """The mask as it stands; `mask` is ``None`` when nothing is selected."""

    mask: str | None
    area: float
    """Share of the picture, 0 to 1."""
    choices: tuple[MaskChoice, ...] = ()
    chosen: int = 0
    stale: bool = False
    """True when the clicks were made on another picture than the current one."""


@dataclass(frozen=True)
class SavedMaskView:
    """A mask that was saved under a name."""

    name: str
    area: float
    """Share of the picture that it was saved on, 0 to 1."""
    mask: str
    """Its picture, of the size of that of `turn`."""
    turn: str


@dataclass(frozen=True)
class FrameView:
    """A picture's size in pixels, and where the original lies in it."""

    width: int
    height: int
    moves: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    """From the original's coordinates to its own, as CSS and SVG write a matrix: a, b, c, d, e, f with
    ``x' = a x + c y + e`` and ``y' = b x + d y + f``."""


@dataclass(frozen=True)
class TurnView:
    """One node of the timeline."""

    id: str
    parent: str | None
    number: int
    """Depth in the tree; the original is 0."""
    lane: int
    """Row in the strip; the branch one stands on is lane 0."""
    label: str
    picture: str
    frame: FrameView
    mask: str | None = None
    """Of the subject as the turn was given it, in the frame of the turn before."""
    mask_after: str | None = None
    """Of the subject in its picture."""
    scope: Scope | None = None
    subject: str = ""
    background: str = ""
    negative: str = ""
    """What was to be kept out."""
    method: str = ""
    quality: str = ""
    seed: int = 0
    seconds: float = 0.0
    outside_changed: int = 0
    outside_largest: int = 0
    flat: str = ""
    """The one colour, ``#rrggbb``, of all that was to change; empty where it is a picture."""
    in_float32: bool = False
    """It took a second run, in float32."""
    begun_warm: bool = False
    """Its fit began at the layers of the turn before."""
    reference: str | None = None
    drift: Mapping[str, Any] | None = None
    """`pipelines.evaluation.drift.Drift` as JSON; ``None`` where it was not measured."""


@dataclass(frozen=True)
class StageView:
    """One stage of a job and the share of it that is done, 0 to 1."""

    name: str
    fraction: float


@dataclass(frozen=True)
class JobView:
    """A running or just finished job."""

    id: str
    does: str
    """``edit``, ``try``, ``replay``, ``swap``, ``orders``, ``split`` or ``attention``."""
    state: JobState
    stage: str
    step: int
    total: int
    stages: tuple[StageView, ...]
    seconds_left: float | None
    ahead: int = 0
    """Jobs before it in the queue."""
    preview: int = 0
    """Counts up with every new preview picture; 0 while there is none."""
    error: str | None = None


@dataclass(frozen=True)
class StagedView:
    """A finished picture that has not been kept yet."""

    picture: str
    frame: FrameView
    scope: Scope
    """What the turn was allowed to change, whatever the panel says by now."""
    seed: int
    outside_changed: int
    outside_largest: int
    flat: str
    mask_after: str | None
    label: str
    method: str


@dataclass(frozen=True)
class EditingView:
    """An earlier turn that is being changed."""

    turn: str
    stale: tuple[str, ...]
    """Ids of the turns after it, which will be run again."""
    seconds: float
    """What all of it took the last time."""


@dataclass(frozen=True)
class SwapView:
    """Two neighbouring turns, A then B, and what B then A came to. Pictures are digests."""

    first: str
    second: str
    before: str
    ab: str
    ba: str
    difference: str
    """The map of their difference."""
    seconds: float
    """What the other order took to compute."""
    consistency: Mapping[str, Any]
    """`pipelines.evaluation.consistency.Consistency` as JSON."""


@dataclass(frozen=True)
class OrderCell:
    """One pair of the table of orders."""

    first: str
    second: str
    guess: float
    """From scopes and masks alone, 0 to 1: `guess_commute`."""
    consistency: Mapping[str, Any] | None
    """What was measured; ``None`` before both orders were run."""


@dataclass(frozen=True)
class OrdersView:
    """Whether the order of the last turns matters, pair by pair."""

    turns: tuple[str, ...]
    cells: tuple[OrderCell, ...]


@dataclass(frozen=True)
class TrashView:
    """A turn in the trash."""

    turn: str
    label: str
    picture: str
    turns: int
    """How many went with it, itself included."""


@dataclass(frozen=True)
class SplitView:
    """A sentence as turns, by the job that read it: the page that asked knows it by that."""

    job: str
    found: Split


@dataclass(frozen=True)
class AttendedWord:
    """What the model looks at for one word."""

    word: str
    map: str
    """Digest of a small grey picture that lies over the whole one: white is where it looks most."""
    most: float
    """The share of its attention, 0 to 1, that it gives the word there."""


@dataclass(frozen=True)
class AttendedText:
    """A text that the model was shown with the picture."""

    of: str
    """``turn``: what the turn in preparation says; ``picture``: what the picture is said to show; ``text``: another
    one."""
    text: str
    words: tuple[AttendedWord, ...]


@dataclass(frozen=True)
class AttentionView:
    """What the model looks at in the picture one stands on."""

    texts: tuple[AttendedText, ...]


@dataclass(frozen=True)
class SessionView:
    """Everything the page draws."""

    sid: str
    name: str
    rev: int
    """Grows with every change; a page that sends an older one is told to reload."""
    saved_at: float
    """Seconds since 1970."""
    width: int
    height: int
    """Of the picture one stands on, in pixels."""
    turns: tuple[TurnView, ...]
    film: int = field(compare=False)
    """Names `turns` and `branches` as they are: the revision at which they were last drawn up."""
    current: str
    can_undo: bool
    can_redo: bool
    draft: Draft
    mask: MaskView
    job: JobView | None = None
    staged: tuple[StagedView, ...] = ()
    notes: tuple[str, ...] = ()
    """What was done to the picture at upload, and limits of the model, in words."""
    branch: str = "main"
    branches: tuple[tuple[str, str], ...] = ()
    """Name and id of the last turn of each, in the order they were made."""
    editing: EditingView | None = None
    swap: SwapView | None = None
    trash: tuple[TrashView, ...] = ()
    split: SplitView | None = None
    damage: str = ""
    """Why the session can be looked at only, in words; empty where all of it is as it was saved."""
    put_away: tuple[StagedView, ...] = ()
    """Candidates that were not kept, the newest first; they can be brought back."""
    idle: Mapping[str, str] = field(default_factory=dict)
    """Settings of the draft's method that change nothing with what is asked and with the others as they are: by name,
    why."""
    masks: tuple[SavedMaskView, ...] = ()
    """Those that were saved, in the order of their names."""
    sees: Box | None = None
    """The part of the picture that the model would be shown, in pixels; ``None`` for all of it."""
    alike: tuple[str, ...] = ()
    """Methods that can be tried on the draft's words, its own first."""
    attention: AttentionView | None = None
    """``None`` where nobody asked since this is the picture."""
