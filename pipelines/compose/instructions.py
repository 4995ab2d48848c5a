"""Reads what a person writes as an instruction of the world, and refuses what names nothing of it. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipelines.compose.world import COLOURS, SHAPES, Depth, Instruction, Relation, Side, Thing
from pipelines.errors import BadRequest

EXAMPLE = "add a red cube behind the blue sphere and left of it"

_SHAPES = {**{shape: shape for shape in SHAPES}, "ball": "sphere", "block": "cube", "box": "cube", "tube": "cylinder"}
_COLOURS = {**{colour: colour for colour in COLOURS}, "gray": "grey", "violet": "purple", "turquoise": "cyan"}
_PLACES: dict[str, Depth | Side] = {
    "behind": Depth.BEHIND,
    "front": Depth.FRONT,
    "left": Side.LEFT,
    "right": Side.RIGHT,
}
_CENTRE = {"centre", "center", "middle"}
_FILLING = {"add", "put", "place", "draw", "set", "please", "then", "and", "also"} | {
    *("a", "an", "the", "of", "at", "in", "on", "to", "its", "side", "floor")
}


def read_script(text: str) -> list[Instruction]:
    """One instruction a line, each checked against what the lines before it have added; empty lines are skipped.

    Raises `BadRequest` with the number of the line and what is wrong with it.
    """
    told: list[Instruction] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            there = [instruction.thing for instruction in told]
            told.append(read_instruction(line, there, there[-1] if there else None))
        except BadRequest as error:
            raise BadRequest(f"line {number}: {error}") from None
    if not told:
        raise BadRequest(f'there is no instruction; write one a line, like "{EXAMPLE}"')
    return told


def read_instruction(line: str, there: Sequence[Thing] | None, last: Thing | None = None) -> Instruction:
    """The instruction in `line`, where `there` is what stands on the floor; ``None`` where nobody knows.

    Before a solid has been named as what others are seen from, *it* is `last`. Raises `BadRequest` for words that mean
    nothing here, for a solid that is there already, and for a relation to one that is not there.
    """
    instruction = _parsed(line, last)
    if there is None:
        return instruction
    if instruction.thing in there:
        raise BadRequest(f"there is a {instruction.thing} already; a scene holds one of each, so add another solid")
    for relation in instruction.relations:
        if relation.to not in there:
            standing = ", ".join(f"the {thing}" for thing in there) or "nothing"
            raise BadRequest(f"there is no {relation.to} to be {relation.depth or relation.side}; found {standing}")
    if there and not instruction.relations:
        raise BadRequest(
            f"{str(instruction.thing)!r} needs a place, as seen from what is there: "
            f'"add a {instruction.thing} {Depth.BEHIND} the {there[-1]}"'
        )
    return instruction


def _parsed(line: str, last: Thing | None) -> Instruction:
    named: list[Thing] = []
    colour: str | None = None
    pending: list[Depth | Side] = []
    found: dict[Thing, Relation] = {}
    for word in re.findall(r"[a-z]+|[^\sa-z.,;!]+", line.lower()):
        target: Thing | None = None
        if word in _COLOURS:
            colour = _COLOURS[word]
        elif word in _SHAPES:
            if colour is None:
                raise BadRequest(f"a {_SHAPES[word]} needs a colour; choose from {', '.join(COLOURS)}")
            target, colour = Thing(colour, _SHAPES[word]), None
            named.append(target)
        elif word in _PLACES:
            pending.append(_PLACES[word])
        elif word == "it" and pending:
            target = next(reversed(found)) if found else last
            if target is None:
                raise BadRequest(f'"it" needs a solid to stand for; name the one that is meant, as in "{EXAMPLE}"')
        elif word not in _FILLING and word not in _CENTRE:
            raise BadRequest(f'{word!r} names nothing of this world; it has {_world()}, as in "{EXAMPLE}"')
        if target is None or (len(named) == 1 and target is named[0] and not pending):
            continue
        if not pending:
            raise BadRequest(
                f'an instruction adds one solid; got a second one, {target}. Write one a line: "{EXAMPLE}"'
            )
        for place in pending:
            now = found.get(target, Relation(target))
            found[target] = replace(now, depth=place) if isinstance(place, Depth) else replace(now, side=place)
        pending = []
    if not named or named[0] in found:
        raise BadRequest(f'nothing of this world is added; it has {_world()}, as in "{EXAMPLE}"')
    if pending:
        raise BadRequest(f'"{pending[0]}" needs a solid to be seen from, as in "{EXAMPLE}"')
    return Instruction(named[0], tuple(found.values()))


def _world() -> str:
    return f"{', '.join(SHAPES[:-1])} and {SHAPES[-1]} in {', '.join(COLOURS)}"
