"""A Toybox scene as a value: what is in the picture, where, and how it is said.

Every picture of the world is drawn from a `Scene` (see `render`), so every edit of a scene has a known right answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from pipelines.toybox.words import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    NATURAL,
    PLACES,
    SIZES,
    SUBJECTS,
    background_phrase,
    subject_phrase,
)


@dataclass(frozen=True)
class Subject:
    """One thing standing in the scene."""

    kind: str
    colour: str = NATURAL
    size: str = "medium"
    action: str = "standing"
    x: float = 0.5
    """Centre of the subject, as a fraction of the picture's width."""
    ground: float = 0.9
    """Where it stands (or would land), as a fraction of the picture's height from the top."""

    def phrase(self, rng: random.Random | None = None, synonyms: float = 0.0) -> str:
        return subject_phrase(self.kind, self.colour, self.size, self.action, rng, synonyms)


@dataclass(frozen=True)
class Scene:
    """A background painted from a seed, with a subject or without one."""

    background: str
    subject: Subject | None
    background_seed: int = 0

    def caption(self, rng: random.Random | None = None, synonyms: float = 0.0) -> str:
        """``a red dog jumping in a forest``; a scene without a subject is named by its background alone."""
        place = background_phrase(self.background, rng, synonyms)
        if self.subject is None:
            if rng is not None and rng.random() < 0.5:
                return f"an empty {PLACES[self.background][0]}"
            return place
        return f"{self.subject.phrase(rng, synonyms)} {place}"

    def with_subject(self, **changes: object) -> Scene:
        """The same scene with some of its subject's attributes changed."""
        if self.subject is None:
            raise ValueError("this scene has no subject to change")
        return replace(self, subject=replace(self.subject, **changes))  # type: ignore[arg-type]


def sample_subject(rng: random.Random) -> Subject:
    """A subject as the training pictures have them: half in natural colour, 60 % standing."""
    return Subject(
        kind=rng.choice(list(SUBJECTS)),
        colour=NATURAL if rng.random() < 0.4 else rng.choice(list(COLOURS)),
        size=rng.choices(list(SIZES), weights=(1, 2, 1))[0],
        action=rng.choices(list(ACTIONS), weights=(6, 2, 2))[0],
        x=rng.uniform(0.38, 0.62),
        ground=rng.uniform(0.87, 0.93),
    )


def sample_scene(rng: random.Random, empty: float = 0.15) -> Scene:
    """A random scene; `empty` is the chance of a background with nobody in it."""
    return Scene(
        background=rng.choice(list(BACKGROUNDS)),
        subject=None if rng.random() < empty else sample_subject(rng),
        background_seed=rng.getrandbits(32),
    )


UNSAID = {"colour": 0.25, "size": 0.5, "action": 0.5}
"""How often a caption leaves an attribute unsaid. Were it always said, its absence would ask for what has no word:
"a blue dog" would mean one that is of medium size and stands, and an edit would shrink every big dog it paints."""

_WORDLESS = {"colour": NATURAL, "size": "medium", "action": "standing"}


def training_caption(scene: Scene, rng: random.Random) -> str:
    """A caption as a person would type it into the studio: often with synonyms, at times without a detail (`UNSAID`),
    sometimes the subject alone."""
    if scene.subject is None:
        return scene.caption(rng, synonyms=0.35)
    scene = scene.with_subject(**{name: _WORDLESS[name] for name, share in UNSAID.items() if rng.random() < share})
    assert scene.subject is not None
    if rng.random() < 0.15:
        return scene.subject.phrase(rng, synonyms=0.35)
    return scene.caption(rng, synonyms=0.35)
