"""How a person points at the subject: clicks, a box, brush strokes and adjustments, as values that are stored.

The mask itself is always recomputed from these (see `refine.compose`), so a stored turn can be segmented again.
Coordinates are pixels of the picture. This file imports no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipelines.contract import Box, Extent, Point
from pipelines.errors import BadRequest

MOST_CLICKS = 64
LONGEST_PHRASE = 100
"""Characters."""
MOST_SCRIBBLES = 64
MOST_STROKES = 500
MOST_STROKE_POINTS = 5_000
LARGEST_RADIUS = 512
"""Of a brush, in pixels. It bounds the memory that one stroke can ask for."""
LARGEST_GROW = 200
"""Pixels."""
LARGEST_TOLERANCE = 100.0
FURTHEST = 100_000
"""Pixels from the corner that a stroke may reach: where its picture was cropped it goes on beyond the sides."""
LATER = ("phrase", "snap", "scribbles")
"""Fields that `MaskPrompts` did not have from the beginning."""


@dataclass(frozen=True)
class Click:
    """One click; ``include=False`` says "not this"."""

    x: float
    y: float
    include: bool = True


@dataclass(frozen=True)
class Stroke:
    """A brush or eraser stroke along `points`, `radius` pixels wide to each side; or the area that they go around; or
    what has the colour of the first of them. It is added to what is selected, or taken away (`erase`), or all else is
    (`keep`)."""

    points: tuple[Point, ...]
    radius: float
    erase: bool = False
    fill: bool = False
    """All that lies within the closed line of `points`, and the line; `radius` says nothing then. Where it crosses
    itself the even-odd rule holds."""
    wand: float | None = None
    """Everything within the box (if there is one) whose colour is no further than this from that at the first point:
    see `wand.alike`. `radius` says nothing then."""
    everywhere: bool = False
    """Of a wand: also what does not hang together with its point."""
    keep: bool = False
    """What is selected and lies in it stays selected, nothing else."""
    refine: bool = False
    """Where it goes over an edge the picture itself says what belongs to the subject: see `matting.matted`."""


@dataclass(frozen=True)
class MaskPrompts:
    """Everything the mask is made from, applied in the order of the fields."""

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    phrase: str = ""
    """What the subject is called: it is looked for, and clicks and box refine what was found."""
    scribbles: tuple[Stroke, ...] = ()
    """Strokes through what belongs to the subject, or (``erase``) through what does not: they are followed, not
    painted."""
    choice: int | None = None
    """Which of the segmenter's alternatives (or of the phrase's matches) was chosen; ``None`` takes the best scored."""
    uploaded: str | None = None
    """Digest of an uploaded mask, which replaces the segmenter's answer."""
    snap: bool = False
    """Draw the edge of the segmenter's answer along the picture's: see `snap.snapped`."""
    strokes: tuple[Stroke, ...] = ()
    invert: bool = False
    grow: int = 0
    """Pixels to grow (positive) or shrink (negative)."""
    feather: float = 2.0
    """Pixels over which the pasted seam fades."""

    @property
    def is_empty(self) -> bool:
        """True when nothing was pointed at."""
        return not (self.clicks or self.box or self.scribbles or self.phrase or self.uploaded or self.strokes)

    @property
    def asks_segmenter(self) -> bool:
        return self.uploaded is None and bool(self.clicks or self.box or self.scribbles or self.phrase)

    @property
    def all_clicks(self) -> tuple[Click, ...]:
        """The clicks, and for each scribble one in its middle and one at either end: what is shown to a segmenter that
        knows no scribbles."""
        places = ((mark, mark.points[i]) for mark in self.scribbles for i in _ends_and_middle(len(mark.points)))
        return self.clicks + tuple(Click(point.x, point.y, not mark.erase) for mark, point in places)

    def to_json(self) -> dict[str, Any]:
        """Fields of `LATER` are left out where they ask for nothing, so that turns from before them keep their ids."""
        data = asdict(self) | {
            marks: [_stroke_to_json(stroke) for stroke in getattr(self, marks)] for marks in ("strokes", "scribbles")
        }
        return {name: value for name, value in data.items() if name not in LATER or value}

    @classmethod
    def from_json(cls, data: Any, extent: Extent) -> MaskPrompts:
        """Read untrusted JSON for a picture of `extent`.

        Raises `BadRequest` for unknown fields, numbers that are not finite, too many items, or a point outside.
        """
        return _Reader(extent).prompts(data)


class _Reader:
    def __init__(self, extent: Extent) -> None:
        self.extent = extent

    def number(self, value: Any, name: str, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise BadRequest(f"{name} must be a number; got {value!r:.40}")
        if not low <= value <= high:
            raise BadRequest(f"{name} must be between {low:g} and {high:g}; got {value!r:.40}")
        return float(value)

    def items(self, value: Any, name: str, most: int) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise BadRequest(f"{name} must be a list; got {type(value).__name__}")
        if len(value) > most:
            raise BadRequest(f"at most {most} {name} are taken; got {len(value)}")
        return list(value)

    def fields(self, value: Any, name: str, allowed: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict) or not set(value) <= allowed:
            raise BadRequest(f"{name} must have only the fields {', '.join(sorted(allowed))}; got {value!r:.200}")
        return value

    def click(self, value: Any) -> Click:
        raw = self.fields(value, "a click", {"x", "y", "include"})
        return Click(
            x=self.number(raw.get("x"), "a click's x", 0, self.extent.width),
            y=self.number(raw.get("y"), "a click's y", 0, self.extent.height),
            include=bool(raw.get("include", True)),
        )

    def stroke(self, value: Any) -> Stroke:
        raw = self.fields(value, "a stroke", set(Stroke.__dataclass_fields__))
        wand = raw.get("wand")
        points = []
        for item in self.items(raw.get("points"), "points of a stroke", MOST_STROKE_POINTS):
            at = [item.get("x"), item.get("y")] if isinstance(item, dict) else self.items(item, "coordinates", 2)
            if len(at) != 2:
                raise BadRequest(f"a point of a stroke has two coordinates; got {at!r:.40}")
            points.append(
                Point(*(self.number(value, name, -FURTHEST, FURTHEST) for name, value in zip("xy", at, strict=True)))
            )
        return Stroke(
            tuple(points),
            self.number(raw.get("radius"), "a stroke's radius", 0.5, LARGEST_RADIUS),
            bool(raw.get("erase")),
            bool(raw.get("fill")),
            None if wand is None else self.number(wand, "a wand's tolerance", 0, LARGEST_TOLERANCE),
            bool(raw.get("everywhere")),
            bool(raw.get("keep")),
            bool(raw.get("refine")),
        )

    def scribble(self, value: Any) -> Stroke:
        stroke = self.stroke(value)
        if not stroke.points:
            raise BadRequest("a scribble has one point at least; got none")
        for point in stroke.points:
            self.number(point.x, "a scribble's x", 0, self.extent.width)
            self.number(point.y, "a scribble's y", 0, self.extent.height)
        return stroke

    def box(self, value: Any) -> Box:
        raw = self.fields(value, "a box", {"left", "top", "right", "bottom"})
        w, h = self.extent.width, self.extent.height
        edges = [
            self.number(raw.get(k), f"the box's {k}", 0, top)
            for k, top in (("left", w), ("top", h), ("right", w), ("bottom", h))
        ]
        box = Box(*edges)
        if box.is_empty:
            raise BadRequest("a box needs its right edge right of its left one and its bottom below its top")
        return box

    def phrase(self, value: Any) -> str:
        if not isinstance(value, str):
            raise BadRequest(f"a phrase must be a text; got {type(value).__name__}")
        words = " ".join(value.split())
        if len(words) > LONGEST_PHRASE or not words.isprintable():
            raise BadRequest(f"a phrase has at most {LONGEST_PHRASE} printable characters; got {words!r:.120}")
        return words

    def prompts(self, value: Any) -> MaskPrompts:
        allowed = set(MaskPrompts.__dataclass_fields__)
        raw = self.fields(value, "mask prompts", allowed)
        uploaded, choice = raw.get("uploaded"), raw.get("choice")
        if uploaded is not None and not (isinstance(uploaded, str) and len(uploaded) == 64):
            raise BadRequest(f"an uploaded mask is named by its 64-digit digest; got {uploaded!r:.80}")
        return MaskPrompts(
            clicks=tuple(self.click(c) for c in self.items(raw.get("clicks", ()), "clicks", MOST_CLICKS)),
            box=None if raw.get("box") is None else self.box(raw["box"]),
            phrase=self.phrase(raw.get("phrase", "")),
            scribbles=tuple(
                self.scribble(s) for s in self.items(raw.get("scribbles", ()), "scribbles", MOST_SCRIBBLES)
            ),
            choice=None if choice is None else int(self.number(choice, "the choice", 0, 2)),
            uploaded=uploaded,
            snap=bool(raw.get("snap", False)),
            strokes=tuple(self.stroke(s) for s in self.items(raw.get("strokes", ()), "strokes", MOST_STROKES)),
            invert=bool(raw.get("invert", False)),
            grow=int(self.number(raw.get("grow", 0), "grow", -LARGEST_GROW, LARGEST_GROW)),
            feather=self.number(raw.get("feather", 2.0), "feather", 0, 64),
        )


def _stroke_to_json(stroke: Stroke) -> dict[str, Any]:
    """Without what came later than strokes did and says nothing."""
    later = ("fill", "wand", "everywhere", "keep", "refine")
    return {name: v for name, v in asdict(stroke).items() if name not in later or (v is not None and v is not False)}


def refining(prompts: MaskPrompts) -> tuple[Stroke, ...]:
    """The strokes that go over an edge."""
    return tuple(stroke for stroke in prompts.strokes if stroke.refine)


def _ends_and_middle(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1}) if count else []


def central_click(extent: Extent) -> MaskPrompts:
    """A click in the middle of a picture of `extent`, which is where the subject of a reference picture is sought."""
    return MaskPrompts(clicks=(Click(extent.width / 2, extent.height / 2),))
