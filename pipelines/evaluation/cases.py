"""Edits of Toybox scenes with a known right answer: what is asked, what must stay, and where a person would click.

The scenes are held out: no model of the project was trained on them. This file imports no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelines.contract import Picture, Point, Scope
from pipelines.masks.refine import deepest_point
from pipelines.toybox.data import HELD_OUT_SEED
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject, sample_scene
from pipelines.toybox.words import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    NATURAL,
    SUBJECTS,
    article,
    background_phrase,
    subject_phrase,
)

CASES_SEED = HELD_OUT_SEED + 500_000
"""Case ``k`` of a scope is made from ``CASES_SEED + 1000 * scope + k``, so more cases begin with the same ones."""

OWN_COLOUR = {"apple": "red", "balloon": "red", "car": "red", "turtle": "green"}
"""Things that are of a paint's colour by nature; asking for that colour would be no edit to a person's eye."""

ATTRIBUTES = ("subject", "colour", "size", "action", "background")


@dataclass(frozen=True)
class Case:
    """One edit of one scene, and what is true of a right answer."""

    name: str
    scope: Scope
    source: Scene
    target: Scene
    """The same scene as it would be drawn after the edit."""
    click: Point
    """Well inside the subject, in pixels of the 256 x 256 picture."""
    subject: str
    """What is typed for the subject; empty keeps it."""
    background: str
    """What is typed for the background; empty keeps it."""
    asked: dict[str, str]
    """Attributes that the texts name, with the values they ask for."""
    kept: dict[str, str]
    """Attributes that the edit must leave as they are."""

    def texts(self, instructs: bool) -> tuple[str, str]:
        """What is typed for the subject and for the background: what there is then, or what is to be done."""
        return self.orders if instructs else (self.subject, self.background)

    @property
    def orders(self) -> tuple[str, str]:
        """The texts as instructions; empty where that part is kept."""
        assert self.source.subject is not None
        kind, place = self.source.subject.kind, self.asked.get("background")
        done = []
        if (other := self.asked.get("subject", kind)) != kind:
            done.append(f"turn the {kind} into {article(other)}")
        if "colour" in self.asked:
            done.append(f"make the {kind} {self.asked['colour']}")
        if "action" in self.asked:
            done.append(f"the {kind} now {self.asked['action']}")
        return " and ".join(done), "" if place is None else f"put it {background_phrase(place)}"

    def picture(self) -> Picture:
        """Drawn now, 256 x 256."""
        return render(self.source).picture


def other(rng: random.Random, values: dict[str, tuple[str, ...]], than: str) -> str:
    """One of `values`, but not `than`."""
    return rng.choice([value for value in values if value != than])


def _recolour(subject: Subject, rng: random.Random) -> tuple[Subject, dict[str, str]]:
    """``a blue dog`` of a dog of another colour; half of the dogs were in their natural one."""
    before = replace(subject, colour=subject.colour if rng.random() < 0.5 else NATURAL)
    own = OWN_COLOUR.get(subject.kind)
    colour = rng.choice([colour for colour in COLOURS if colour not in (before.colour, own)])
    return before, {"subject": subject.kind, "colour": colour}


def _change_kind(subject: Subject, rng: random.Random) -> tuple[Subject, dict[str, str]]:
    """``a cat`` of a dog in its natural colour: of a red dog, nobody could say which colour the cat should have."""
    return replace(subject, colour=NATURAL), {"subject": other(rng, SUBJECTS, subject.kind)}


def _change_action(subject: Subject, rng: random.Random) -> tuple[Subject, dict[str, str]]:
    """``a dog jumping`` of one that stands. Its colour is not mentioned, so it must stay."""
    return replace(subject, action="standing"), {
        "subject": subject.kind,
        "action": other(rng, ACTIONS, "standing"),
    }


Change = Callable[[Subject, random.Random], tuple[Subject, dict[str, str]]]

CHANGES: dict[Scope, tuple[Change, ...]] = {
    Scope.SUBJECT: (_recolour, _change_kind),
    Scope.BACKGROUND: (),
    Scope.BOTH: (_recolour, _change_kind, _change_action),
}
"""What happens to the subject, in turn over the cases. A jump leaves the subject's place, so it needs both tracks."""


def _phrase(asked: dict[str, str]) -> str:
    return subject_phrase(asked["subject"], asked.get("colour", NATURAL), "medium", asked.get("action", "standing"))


def make_case(scope: Scope, number: int) -> Case:
    """Case `number` of `scope`, from 0; always the same one."""
    rng = random.Random(CASES_SEED + 1000 * list(Scope).index(scope) + number)
    source = sample_scene(rng, empty=0)
    assert source.subject is not None
    asked: dict[str, str] = {}
    changes = CHANGES[scope]
    if changes:
        before, asked = changes[number % len(changes)](source.subject, rng)
        source = replace(source, subject=before)
    typed_subject = _phrase(asked) if asked else ""
    target = source.with_subject(**{"kind" if k == "subject" else k: v for k, v in asked.items()})
    typed_background = ""
    if scope is not Scope.SUBJECT:
        asked["background"] = other(rng, BACKGROUNDS, source.background)
        typed_background = background_phrase(asked["background"])
        target = replace(target, background=asked["background"])
    return case_of(f"{scope}-{number:02d}", scope, source, target, typed_subject, typed_background, asked)


def case_of(
    name: str, scope: Scope, source: Scene, target: Scene, subject: str, background: str, asked: dict[str, str]
) -> Case:
    """The edit of `source` into `target` by the texts `subject` and `background`.

    What is not asked for must stay; but of a subject that is drawn anew, nothing is said.
    """
    kept = ("background",) if scope is Scope.SUBJECT else ATTRIBUTES
    return Case(
        name=name,
        scope=scope,
        source=source,
        target=target,
        click=deepest_point(render(source).mask),
        subject=subject,
        background=background,
        asked=asked,
        kept={key: value for key, value in values_of(source).items() if key in kept and key not in asked},
    )


def values_of(scene: Scene) -> dict[str, str]:
    """The attributes of a scene with a subject, by name."""
    assert scene.subject is not None
    s = scene.subject
    return dict(zip(ATTRIBUTES, (s.kind, s.colour, s.size, s.action, scene.background), strict=True))


def held_out_cases(count: int = 60) -> list[Case]:
    """`count` cases, the three scopes in turn, so that any number of them is as even as it can be."""
    scopes = list(Scope)
    return [make_case(scopes[k % len(scopes)], k // len(scopes)) for k in range(count)]
