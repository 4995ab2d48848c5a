"""What the page's scripts send with each event, and what its fields hold.

Whoever speaks HTTP can send anything at all, so nothing is believed: what is not of these types never reaches a handler
(`studio.ui.panel.Shared.on`). The scripts that send it are in ``assets/js``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from pipelines.contract import Kind, Quality, Request, Scope, about
from studio.api.bodies import fault
from studio.errors import BadBody
from studio.session.selection import Combine

Text = StrictStr | None
"""Of a field that may be empty."""
Number = StrictInt | StrictFloat | None
Setting = StrictBool | StrictInt | StrictFloat | StrictStr | None
"""Of a method; its parameter class says which."""
TURN_TEXTS = tuple(name for name, said in about(Request, Kind.TEXT) if said.part is None)
"""The texts about a turn as a whole."""
PANEL: dict[str, Any] = {
    "subject": Text,
    "background": Text,
    "scope": Scope,
    "method": StrictStr,
    "model": StrictStr,
    "quality": Quality,
    "candidates": Number,
    "seed": Number,
    **dict.fromkeys(TURN_TEXTS, Text),
    "filled": StrictStr,
}
"""The turn panel's fields before the methods' own settings, in the order in which they are passed, and what each holds.
`filled` is not of the draft: it names the presets that the settings were last filled with, as
`handlers.presets_named` does."""


def held_as(kind: TypeAdapter[Any], value: object) -> Any:
    """What a field holds, if it is of that kind; raises `BadBody`."""
    try:
        return kind.validate_python(value)
    except ValidationError as problem:
        raise BadBody(fault(problem)) from None


class Sent(BaseModel):
    """Base of all: types are taken as they are, and what is not asked for is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    @classmethod
    def of(cls, value: object) -> Self:
        """`value` as this; raises `BadBody`."""
        try:
            return cls.model_validate(value)
        except ValidationError as problem:
            raise BadBody(fault(problem)) from None


class File(Sent):
    """A file that was sent before, as a picture, a mask or a session."""

    ticket: str
    name: str = "Untitled"


class Marks(Sent):
    """What was marked in the picture; `MaskPrompts.from_json` reads it."""

    count: int = 0
    prompts: dict[str, Any] = {}


class Example(Sent):
    """One of the examples."""

    example: str


class Picked(Sent):
    """One of the finished candidates."""

    index: int


class Sides(Sent):
    """What a crop cuts off, in shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float


class Saved(Sent):
    """A mask that is saved, used or forgotten by its name."""

    name: str
    how: Annotated[Combine, Field(strict=False)] = Combine.REPLACE


class Reference(Sent):
    """A file for the subject or the background to follow, or none."""

    which: Literal["subject", "background"]
    ticket: str | None = None


class Loras(Sent):
    """Scales by the LoRA files' names."""

    loras: dict[str, float]


class Sought(Sent):
    """Sessions that the gallery looks for."""

    place: str | None = None
    count: int | None = None
    own: list[str] = []
    search: str | None = None
    trashed: bool = False
    shown: int | None = None


class Named(Sent):
    """A session, and what is wanted of it."""

    sid: str
    name: str = ""
    enter: bool = False


class NewName(Sent):
    """Of the session that is shown."""

    name: str


class Typed(Sent):
    """The two texts as the page was last told them."""

    subject: str | None = None
    background: str | None = None


class Words(Sent):
    """A sentence to be split into turns."""

    words: str
    count: int


class Turns(Sent):
    """The turns that a sentence was split into; `instruction_handlers.asked_from` reads them."""

    turns: list[Any]
    insists: bool = False


class Hinted(Sent):
    """The texts as they stand, about which something may be said."""

    subject: str = ""
    background: str = ""
    negative: str = ""
    scope: str | None = None
    count: int = 0


class Part(Sent):
    """Of a picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


class Run(Sent):
    """The turn in preparation; `insists` where it is wanted in spite of what was said of it. With `methods` it is tried
    by each of them."""

    insists: bool = False
    methods: list[StrictStr] = []


class Film(Sent):
    """Which turns, branches or parts an event of the film is about; each has its own."""

    turn: str = ""
    onto: str = ""
    first: str = ""
    last: str = ""
    second: str = ""
    subject_of: str = ""
    background_of: str = ""
    track: str = ""
    old: str = ""
    new: str = ""
    count: Annotated[int, Field(ge=0)] = 0
    pictures: list[str] = []


class Repository(Sent):
    """A model or a file on the hub."""

    repo: str
    file: str = ""
    half: bool = False


class Folder(Sent):
    """A model on this machine. Gradio takes what is called ``path`` for a file of its own, and refuses it."""

    folder: str


class Row(Sent):
    """Of the list of models and LoRA files."""

    id: str
    lora: bool = False
