"""Reads what a page sends with an event, within bounds, before anything else looks into it.

What costs is not the bytes but what they say: three megabytes of ``[],`` become a million lists, each of which Gradio
looks through several times. So the marks that make values are counted before any is made, and of what was read only
the fields that Gradio is to have are passed on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from studio.errors import BadBody

LARGEST_EVENT = 4 * 2**20
"""Bytes of an event: a long painting is the largest."""
MOST_VALUES = 20_000
"""Values in one event, lists and objects included; the longest that a page sends is a thousand sessions' ids."""
DEEPEST = 16
"""Lists and objects inside each other."""

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read(body: bytes, most: int = MOST_VALUES, deepest: int = DEEPEST) -> Any:
    """The JSON in `body`: at most `most` values, at most `deepest` inside each other; numbers are finite, and texts can
    be written as UTF-8.

    Raises `BadBody`.
    """
    outside = _outside_texts(body, 2 * most)  # an object's values have names
    brackets = outside.translate(None, NO_BRACKETS)
    if len(brackets) // 2 + outside.count(b",") > most:
        raise BadBody(f"at most {most:,} values are read at once; here are more")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > deepest:
            raise BadBody(f"at most {deepest} lists and objects are read inside each other; here are more")
    try:
        found = json.loads(body.decode(), parse_constant=_finite, parse_float=_finite)
        # Half of a character can only be written as an escape.
        halves = b"\\ud" in body.lower()
        return json.loads(_whole(json.dumps(found, ensure_ascii=False))) if halves else found
    except ValueError as problem:  # of the text's bytes, of JSON, of a number too long to be one
        raise BadBody(f"JSON is expected; {problem!s:.120}") from None


def _outside_texts(body: bytes, most: int) -> bytes:
    """What of JSON does not stand in quotes, where there are at most `most` texts."""
    parts, at = [], 0
    for number, found in enumerate(STRING.finditer(body)):
        if number >= most:
            raise BadBody(f"at most {most:,} texts are read at once; here are more")
        parts.append(body[at : found.start()])
        at = found.end()
    return b"".join([*parts, body[at:]])


def _whole(text: str) -> str:
    """Half of a surrogate pair cannot be written as UTF-8 and becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _finite(number: str) -> float:
    if not math.isfinite(found := float(number)):
        raise ValueError(f"{number:.40} is no finite number")
    return found


@dataclass(frozen=True)
class EventShape:
    """What goes with one kind of event."""

    values: int
    """Values of fields, those that the server keeps itself included."""
    queued: bool
    """Whether it lasts, and is followed."""


Plain = StrictBool | StrictInt | StrictFloat | StrictStr | None
"""What a field holds."""
Remembered = dict[Literal["sid"], Plain]
"""What a browser keeps of the studio; of any other object Gradio may believe that it is a file."""


class _Event(BaseModel):
    """What Gradio is told of an event; what else the page says is left out."""

    model_config = ConfigDict(extra="ignore")

    data: list[Plain | Remembered]
    event_data: dict[str, Any] | None = Field(default_factory=dict)
    fn_index: StrictInt
    trigger_id: StrictInt | None = None
    session_hash: Annotated[StrictStr, Field(pattern=r"^[a-z0-9]{1,40}$")]


def event(body: bytes, shapes: Mapping[int, EventShape], queued: bool) -> bytes:
    """An event as Gradio takes it, of one that it has. `shapes` are by the number that Gradio gives each.

    Raises `BadBody`.
    """
    try:
        sent = _Event.model_validate(read(body))
    except ValidationError as problem:
        raise BadBody(fault(problem)) from None
    shape = shapes.get(sent.fn_index)
    if shape is None or shape.queued != queued:
        raise BadBody(f"there is no event {sent.fn_index} here")
    if len(sent.data) != shape.values:
        raise BadBody(f"{shape.values} values go with the event; here are {len(sent.data)}")
    if _names_a_path(sent.event_data):
        raise BadBody("no field may be called 'path', which Gradio takes for a file of its own")
    return sent.model_copy(update={"event_data": sent.event_data or {}}).model_dump_json().encode()


def _names_a_path(value: Any) -> bool:
    if isinstance(value, dict):
        return "path" in value or any(_names_a_path(part) for part in value.values())
    return isinstance(value, list) and any(_names_a_path(part) for part in value)


def fault(problem: ValidationError) -> str:
    """The first thing that is wrong, in a line."""
    first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place:.80}: {first['msg']:.120}"
