"""A world like i-CLEVR's as values: coloured solids on a floor, which are added one a turn. No torch here.

A picture is drawn from a `Scene` (see `render`), an instruction is made from two that follow each other, so every turn
has a known right answer. Scenes come from seeds: nothing is stored but the code.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

COLOURS = ("red", "blue", "green", "yellow", "purple", "cyan", "brown", "grey")
SHAPES = ("cube", "sphere", "cylinder")
TURNS = 5

SPLITS = {"train": 6000, "validation": 2000, "test": 2000}
"""How many sequences each has, as many as i-CLEVR."""

REACH = 0.85
"""How far from the floor's centre a solid's own centre may be on either axis; the floor's edge is at 1."""

ROOM = 0.46
"""The least distance of two centres: a little more than a solid is wide."""

MARGIN = 0.10
"""The least difference of two centres on each axis, so that behind and in front, left and right are seen as such."""


class Thing(NamedTuple):
    """One of the 24 solids; a scene has each at most once."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


THINGS = tuple(Thing(colour, shape) for colour in COLOURS for shape in SHAPES)


class Placed(NamedTuple):
    """A solid where it stands; the floor's axes run from -1 to 1, x to the right and y towards who looks."""

    thing: Thing
    x: float
    y: float


Scene = tuple[Placed, ...]
"""What stands on the floor, in the order it was added."""


class Depth(StrEnum):
    """Where along the line of sight, as seen from the solid that is named."""

    BEHIND = "behind"
    FRONT = "in front of"


class Side(StrEnum):
    """Where across the line of sight."""

    LEFT = "left of"
    RIGHT = "right of"


@dataclass(frozen=True)
class Relation:
    """Where the new solid goes, as seen from one that is there; at least one of the two is said."""

    to: Thing
    depth: Depth | None = None
    side: Side | None = None

    def __str__(self) -> str:
        if self.depth and self.side:
            return f"{self.depth} the {self.to} and {self.side} it"
        return f"{self.depth or self.side} the {self.to}"


@dataclass(frozen=True)
class Instruction:
    """What one turn adds, and where. Without relations it goes to the centre."""

    thing: Thing
    relations: tuple[Relation, ...] = ()

    def __str__(self) -> str:
        """``add a red cube behind the blue sphere and left of it``, the one form that the model reads."""
        where = ", ".join(map(str, self.relations)) or "at the centre"
        return f"add a {self.thing} {where}"


@dataclass(frozen=True)
class Story:
    """Five turns, each with its instruction and the scene after it."""

    instructions: tuple[Instruction, ...]
    scene: Scene

    def before(self, turn: int) -> Scene:
        """The scene that turn `turn`, from 0, begins with."""
        return self.scene[:turn]

    def after(self, turn: int) -> Scene:
        return self.scene[: turn + 1]


def relation(new: Placed, to: Placed) -> Relation:
    """Both halves of where `new` is, as seen from `to`."""
    return Relation(to.thing, Depth.BEHIND if new.y < to.y else Depth.FRONT, Side.LEFT if new.x < to.x else Side.RIGHT)


def story(split: str, number: int, turns: int = TURNS) -> Story:
    """The sequence `number` of a split: the same number is the same sequence everywhere."""
    return sample_story(random.Random(f"compose/{split}/{number}"), turns)


def sample_story(rng: random.Random, turns: int = TURNS) -> Story:
    """The first solid at the centre, each further one somewhere that is free, told by where one or two others are."""
    scene = sample_scene(rng, turns)
    told = [Instruction(scene[0].thing)]
    for turn in range(1, turns):
        others = rng.sample(scene[:turn], min(turn, rng.choice((1, 2))))
        told.append(Instruction(scene[turn].thing, tuple(relation(scene[turn], other) for other in others)))
    return Story(tuple(told), scene)


def sample_scene(rng: random.Random, count: int, centred: bool = True) -> Scene:
    """`count` different solids that keep `ROOM` and `MARGIN`; the first at the centre where `centred`."""
    things = rng.sample(THINGS, count)
    places: list[tuple[float, float]] = []
    while len(places) < count:  # the first ones may leave no room for the last: then all are placed anew
        places = [(0.0, 0.0)] if centred else []
        for _ in range(40 * count):
            at = rng.uniform(-REACH, REACH), rng.uniform(-REACH, REACH)
            if len(places) < count and _is_free(at, places):
                places.append(at)
    return tuple(Placed(thing, x, y) for thing, (x, y) in zip(things, places, strict=True))


def placed_as_told(told: Sequence[Instruction], rng: random.Random, heeding: bool = True) -> Scene:
    """A scene of which all that was said is true, and nothing else is sure: what is not said of a place is drawn at
    random. Not `heeding`, no place is heeded but the first one's."""
    scene: Scene = ()
    while len(scene) < len(told):  # a place that what came before has left no room for: all anew
        scene = (Placed(told[0].thing, 0.0, 0.0),)
        for instruction in told[1:]:
            found = _place(scene, instruction, rng, heeding)
            if found is None:
                break
            scene += (found,)
    return scene


def _place(scene: Scene, instruction: Instruction, rng: random.Random, heeding: bool) -> Placed | None:
    there, places = {placed.thing: placed for placed in scene}, [(placed.x, placed.y) for placed in scene]
    for _ in range(2000):
        new = Placed(instruction.thing, rng.uniform(-REACH, REACH), rng.uniform(-REACH, REACH))
        if not _is_free((new.x, new.y), places):
            continue
        if not heeding or all(_holds(told, relation(new, there[told.to])) for told in instruction.relations):
            return new
    return None


def _holds(told: Relation, seen: Relation) -> bool:
    """Whether all that is told is seen."""
    return told.depth in (None, seen.depth) and told.side in (None, seen.side)


def _is_free(at: tuple[float, float], places: Iterable[tuple[float, float]]) -> bool:
    for x, y in places:
        dx, dy = abs(at[0] - x), abs(at[1] - y)
        if min(dx, dy) < MARGIN or dx * dx + dy * dy < ROOM * ROOM:
            return False
    return True


def alternatives(instruction: Instruction) -> list[Instruction]:
    """Instructions that differ from `instruction` in one word: what a picture of it has to be told apart from. Those
    with another place come first, the hardest to tell."""
    return elsewhere(instruction) + otherwise(instruction)


def otherwise(instruction: Instruction) -> list[Instruction]:
    """The alternatives with another thing."""
    colour, shape = instruction.thing
    found = [Instruction(Thing(other, shape), instruction.relations) for other in COLOURS if other != colour]
    return found + [Instruction(Thing(colour, other), instruction.relations) for other in SHAPES if other != shape]


def elsewhere(instruction: Instruction) -> list[Instruction]:
    """The alternatives with another place: none, two or four."""
    found: list[Instruction] = []
    for k, told in enumerate(instruction.relations):
        around = instruction.relations[:k], instruction.relations[k + 1 :]
        depth = {Depth.BEHIND: Depth.FRONT, Depth.FRONT: Depth.BEHIND}
        side = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
        if told.depth:
            turned = Relation(told.to, depth[told.depth], told.side)
            found.append(Instruction(instruction.thing, (*around[0], turned, *around[1])))
        if told.side:
            turned = Relation(told.to, told.depth, side[told.side])
            found.append(Instruction(instruction.thing, (*around[0], turned, *around[1])))
    return found
