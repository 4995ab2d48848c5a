"""Triples of the toy world: a scene, an instruction of two parts, and the scene that it asks for. No torch here.

Each part is a change of a scene's value, so every target is exact, and so is the picture after the first part. A part
may replace the thing that stands there ("a cat instead", in a cat's own colours) or put a new one into an empty
scene, and two parts may be about the same attribute: then their order matters, which is found by trying both.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.contract import Picture
from pipelines.toybox.data import HELD_OUT_SEED
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, sample_scene, sample_subject
from pipelines.toybox.words import ACTIONS, BACKGROUNDS, COLOURS, NATURAL, SIZES, SUBJECTS, article, background_phrase
from pipelines.training.triples import HELD_OUT, TRAINING, Instruction

JUDGE = Path(__file__).resolve().parents[2] / "assets" / "models" / "toybox-judge"
COUNTS = {TRAINING: 1_000_000, HELD_OUT: 2_000}
SEEDS = {TRAINING: 20_000_000, HELD_OUT: HELD_OUT_SEED + 500_000}
"""Triple ``k`` of a split is drawn from its seed plus ``k``."""

EMPTY = 0.1
"""Share of the references with nobody in them."""
SAME_THING = 0.25
"""How often the second part may be about what the first one is about, in which case order matters."""


@dataclass(frozen=True)
class Part:
    """One change, and how it is said."""

    about: str
    """The attribute that it sets: ``subject``, ``colour``, ``size``, ``action`` or ``background``."""
    text: str
    change: Callable[[Scene], Scene]


@dataclass(frozen=True)
class Told:
    """A triple as values."""

    before: Scene
    first: Part
    second: Part

    @property
    def between(self) -> Scene:
        return self.first.change(self.before)

    @property
    def after(self) -> Scene:
        return self.second.change(self.between)

    @property
    def independent(self) -> bool:
        """Whether the other order leads to the same scene."""
        return self.first.change(self.second.change(self.before)) == self.after

    @property
    def instruction(self) -> Instruction:
        joint = " and " if self.independent else ", then "
        first, second = self.first.text, self.second.text
        return Instruction(first, second, first + joint + second, second + joint + first, self.independent)


def told(split: str, number: int) -> Told:
    """The triple `number` of a split: the same number is the same triple everywhere."""
    return sample_told(random.Random(SEEDS[split] + number))


def sample_told(rng: random.Random) -> Told:
    """A scene and two parts, each of which changes what it meets; either order can be carried out."""
    while True:
        before = sample_scene(rng, EMPTY)
        if before.subject is None:
            parts = [_arrival(rng), _place(before, rng)]
            rng.shuffle(parts)
        else:
            about = rng.choices(list(_PARTS), k=2) if rng.random() < SAME_THING else rng.sample(list(_PARTS), 2)
            parts = [_PARTS[name](before, rng) for name in about]
        found = Told(before, *parts)
        if before != found.between != found.after != before:
            return found


class ToyTriples:
    """The source of triples that a training asks; see `pipelines.training.triples.Source`."""

    name = "toy world"

    def count(self, split: str) -> int:
        return COUNTS[split]

    def triple(self, split: str, number: int) -> tuple[Picture, Instruction, Picture]:
        one = told(split, number)
        return render(one.before).picture, one.instruction, render(one.after).picture

    def between(self, split: str, number: int, /) -> Picture | None:
        return render(told(split, number).between).picture

    def right(self, split: str, numbers: Sequence[int], pictures: Sequence[Picture], /) -> list[bool] | None:
        """By the judge, which guides nothing; ``None`` where its folder is not there."""
        if not JUDGE.is_dir():
            return None
        judging = importlib.import_module("pipelines.toybox.judge")  # brings torch, so only when it reads
        read = judging.Judge.load(JUDGE).read(pictures)
        wanted = [judging.attributes_of(told(split, number).after) for number in numbers]
        return [one.attributes == true for one, true in zip(read, wanted, strict=True)]


# ------------------------------------------------------------------------------------------------------------ parts


def _set(**changes: str) -> Callable[[Scene], Scene]:
    return lambda scene: scene.with_subject(**changes)


def _other(values: dict[str, tuple[str, ...]], than: str, rng: random.Random) -> str:
    return rng.choice([value for value in values if value != than])


def _said(forms: tuple[str, ...], rng: random.Random) -> str:
    """Most often the first."""
    return forms[0] if rng.random() < 0.6 else rng.choice(forms)


def _colour(scene: Scene, rng: random.Random) -> Part:
    assert scene.subject is not None
    colour = _other(COLOURS, scene.subject.colour, rng)
    said = _said(COLOURS[colour], rng)
    return Part("colour", rng.choice((f"make it {said}", f"paint it {said}")), _set(colour=colour))


def _size(scene: Scene, rng: random.Random) -> Part:
    assert scene.subject is not None
    size = _other({name: forms for name, forms in SIZES.items() if forms}, scene.subject.size, rng)
    return Part("size", f"make it {_said(SIZES[size], rng)}", _set(size=size))


def _action(scene: Scene, rng: random.Random) -> Part:
    assert scene.subject is not None
    action = _other(ACTIONS, scene.subject.action, rng)
    return Part("action", f"now {_said(ACTIONS[action], rng)}", _set(action=action))


def _kind(scene: Scene, rng: random.Random) -> Part:
    """Another thing in the same place, in its own colours."""
    assert scene.subject is not None
    kind = _other(SUBJECTS, scene.subject.kind, rng)
    text = f"{article(_said(SUBJECTS[kind], rng))} instead"
    return Part("subject", text, _set(kind=kind, colour=NATURAL))


def _place(scene: Scene, rng: random.Random) -> Part:
    background = _other(BACKGROUNDS, scene.background, rng)
    said = background_phrase(background, rng, synonyms=0.35)
    text = said if scene.subject is None else f"put it {said}"
    return Part("background", text, lambda scene: replace(scene, background=background))


def _arrival(rng: random.Random) -> Part:
    """Somebody in an empty scene."""
    subject = sample_subject(rng)
    return Part("subject", f"add {subject.phrase(rng, 0.35)}", lambda scene: replace(scene, subject=subject))


_PARTS: dict[str, Callable[[Scene, random.Random], Part]] = {
    "colour": _colour,
    "size": _size,
    "action": _action,
    "subject": _kind,
    "background": _place,
}
