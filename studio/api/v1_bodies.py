"""What programs send to ``/api/v1``, generated from the values that form, command line and verbs have.

A turn's body is made of `TurnAsk`, and its settings of each method's parameter class: ranges, help and defaults stand
there and nowhere else. Numbers are numbers: nothing is read out of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    create_model,
)

from pipelines.catalog import CATALOG, Method
from pipelines.contract import Point
from pipelines.curves import LONGEST, ToneCurve
from pipelines.masks.prompts import (
    LARGEST_GROW,
    LARGEST_RADIUS,
    LARGEST_TOLERANCE,
    LONGEST_PHRASE,
    MOST_CLICKS,
    MOST_SCRIBBLES,
    MOST_STROKE_POINTS,
    MOST_STROKES,
    Stroke,
)
from pipelines.params import Knob, knobs
from pipelines.requests import LONGEST_TEXT
from studio.history.tree import LONGEST_NAME
from studio.session.selection import Combine
from studio.verbs.session import TurnAsk

NAME = 200
"""Characters of a model's, LoRA's or file's name, and of an id."""
Text = Annotated[str, StringConstraints(strict=True, max_length=NAME)]
AS_WHOLE = BeforeValidator(lambda n: int(n) if isinstance(n, float) and n.is_integer() else n)
"""JSON has one kind of numbers: 3.0 is a whole one. Stands last, so that bounds are described."""
Number = StrictFloat
Turn = Annotated[
    Annotated[StrictInt, AS_WHOLE] | Annotated[str, StringConstraints(strict=True, max_length=NAME)],
    Field(description="A turn: its id, its number along the line, or one of current and original"),
]


class Body(BaseModel):
    """What is sent has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


def typed(kind: Any, spec: Knob) -> Any:
    """The type of a field with its knob's bounds; a text's are of its length."""
    about: dict[str, Any] = {"description": spec.help + (f" ({spec.unit})" if spec.unit else "")}
    if get_origin(kind) in (Union, UnionType):
        inner = next(each for each in get_args(kind) if each is not NoneType)
        return typed(inner, spec) | None
    if get_origin(kind) is not None and issubclass(get_origin(kind), Mapping):
        value = Number if get_args(kind)[1] is float else StrictBool | StrictInt | StrictFloat | Text
        return Annotated[dict[Text, value], Field(max_length=64, **about)]  # type: ignore[valid-type]
    if kind is str:
        longest = NAME if spec.high is None else int(spec.high)
        return Annotated[str, StringConstraints(strict=True, max_length=longest), Field(**about)]
    if kind is ToneCurve:
        return Annotated[str, StringConstraints(strict=True, max_length=LONGEST), Field(**about)]
    if kind is bool:
        return Annotated[StrictBool, Field(**about)]
    if issubclass(kind, StrEnum):
        return Annotated[kind, Field(**about)]
    if kind is int:
        low, high = (None if edge is None else int(edge) for edge in (spec.low, spec.high))
        return Annotated[StrictInt, Field(ge=low, le=high, **about), AS_WHOLE]
    return Annotated[StrictFloat, Field(ge=spec.low, le=spec.high, **about)]


def settings_body(method: Method) -> type[BaseModel]:
    """The settings of one method; one that is left out is as the preset has it."""
    fields = {name: (typed(kind, spec) | None, None) for name, (kind, _, spec) in knobs(method.params).items()}
    about = f"Settings of the method {method.name}; one that is left out is as the preset of the quality has it."
    name = f"{method.params.__name__.removesuffix('Params')}Settings"
    return create_model(name, __base__=Body, __doc__=about, **fields)  # type: ignore[call-overload,no-any-return]


def turn_body(method: Method) -> type[BaseModel]:
    """A turn by one method."""
    own: dict[str, Any] = {}
    for name, (kind, default, spec) in knobs(TurnAsk).items():
        if name == "method":
            own[name] = (Literal[method.name], Field(description=spec.help))
        elif name == "settings":
            own[name] = (settings_body(method) | None, Field(None, description=spec.help))
        elif name == "loras":
            own[name] = (typed(kind, spec), Field(default_factory=dict))
        else:
            own[name] = (typed(kind, spec), default)
    for part in ("subject", "background"):
        about = f"The ticket of an uploaded picture that the {part} is to follow"
        own[f"{part}_upload"] = (Text | None, Field(None, description=about))
    name = f"{method.params.__name__.removesuffix('Params')}Turn"
    return create_model(name, __base__=Body, __doc__=f"{method.title}: {method.paper}.", **own)


if TYPE_CHECKING:
    TurnBody = Any
else:
    TurnBody = Annotated[
        Union[tuple(turn_body(method) for method in CATALOG.values())],  # noqa: UP007
        Field(discriminator="method"),
    ]


class OpenBody(Body):
    """What a new session begins with: an uploaded picture or session file, or an example."""

    upload: Text | None = Field(None, description="The ticket of an uploaded file")
    example: Text | None = Field(None, description="The id of an example")
    name: Text = Field("", description="What the session is called; by default untitled, or as the example is")


class RenameBody(Body):
    """Another name."""

    name: Text


class ClickBody(Body):
    """One click; with ``include`` false it says "not this"."""

    x: Number = Field(description="Pixels from the left")
    y: Number = Field(description="Pixels from the top")
    include: StrictBool = True


class BoxBody(Body):
    """A box around the subject, in pixels; right and bottom are exclusive."""

    left: Number
    top: Number
    right: Number
    bottom: Number


class StrokeBody(Body):
    """One stroke of the brush, or of the eraser; a line around what to select; a scribble; or a wand at one point."""

    points: list[tuple[Number, Number]] = Field(max_length=MOST_STROKE_POINTS, description="x and y in pixels")
    radius: Number = Field(ge=0.5, le=LARGEST_RADIUS, description="Pixels to each side")
    erase: StrictBool = Field(False, description="Take away; of a scribble: this does not belong to the subject")
    fill: StrictBool = Field(False, description="All within the closed line, instead of the line")

    wand: Annotated[Number, Field(ge=0, le=LARGEST_TOLERANCE)] | None = Field(
        None, description="All of the colour of the first point, no further from it than this in CIELAB; 2 is just seen"
    )
    everywhere: StrictBool = Field(False, description="Of a wand: also what does not hang together with its point")
    refine: StrictBool = Field(
        False, description="Over an edge, as of hair: there the picture says what belongs to the subject"
    )
    keep: StrictBool = Field(False, description="Of what is selected only that in it stays: the intersection")

    def stroke(self) -> Stroke:
        points = tuple(Point(float(x), float(y)) for x, y in self.points)
        wand = None if self.wand is None else float(self.wand)
        return Stroke(points, float(self.radius), self.erase, self.fill, wand, self.everywhere, self.keep, self.refine)


class MaskBody(Body):
    """What the subject is. All of it is said anew each time; nothing at all takes the mask away."""

    clicks: list[ClickBody] = Field([], max_length=MOST_CLICKS)
    box: BoxBody | None = None
    phrase: Annotated[str, StringConstraints(strict=True, max_length=LONGEST_PHRASE)] = Field(
        "", description="What the subject is called, where a model reads phrases"
    )
    upload: Text | None = Field(
        None, description="The ticket of an uploaded mask of the picture's own size, white on black"
    )
    choice: Annotated[StrictInt, Field(ge=0, le=2), AS_WHOLE] | None = Field(
        None, description="Number of one of a single click's alternatives"
    )
    scribbles: list[StrokeBody] = Field(
        [],
        max_length=MOST_SCRIBBLES,
        description="Lines through what belongs to the subject, or does not; followed, not painted",
    )
    strokes: list[StrokeBody] = Field([], max_length=MOST_STROKES)
    snap: StrictBool | None = Field(None, description="Draw the edge along the picture's")
    invert: StrictBool = False
    grow: Annotated[
        StrictInt, Field(ge=-LARGEST_GROW, le=LARGEST_GROW, description="Pixels; below 0 shrinks"), AS_WHOLE
    ] = 0
    feather: Number = Field(2.0, ge=0, le=64, description="Pixels over which the seam fades")


MaskName = Annotated[str, StringConstraints(strict=True, max_length=LONGEST_NAME), Field(description="The mask's name")]


class SaveMaskBody(Body):
    """What the mask as it stands is called from now on."""

    name: MaskName


class UseMaskBody(Body):
    """Which saved mask, and what it does with what is selected."""

    name: MaskName
    how: Combine = Field(Combine.REPLACE, description="In place of it, added, taken away, or what is in both stays")


class AttentionBody(Body):
    """For which words it is wanted what the model looks at."""

    text: Annotated[str, StringConstraints(strict=True, max_length=LONGEST_TEXT)] = Field(
        "", description="What is said of the picture; unsaid, what the turn in preparation says"
    )
    words: list[Text] = Field([], max_length=64, description="Words of it; all of them where none is named")


class KeepBody(Body):
    """Which of the finished candidates."""

    candidate: Annotated[StrictInt, Field(ge=0, description="Its number, from 0"), AS_WHOLE] = 0


class GoBody(Body):
    """Where to stand."""

    turn: Turn = Field(description="A turn; or undo or redo, for one step")


class BranchBody(Body):
    """A new branch."""

    name: Annotated[str, StringConstraints(strict=True, max_length=LONGEST_NAME)] | None = None
    turn: Turn = "current"


class SwapBody(Body):
    """Two neighbouring turns, the earlier one first."""

    first: Turn
    second: Turn
