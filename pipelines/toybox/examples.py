"""Draws the example pictures of the studio: ``python -m pipelines.toybox.examples`` writes ``assets/examples``.

Each is a picture and a JSON file beside it with a turn that works on the embedded model, and the point that a person
would click.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.contract import Scope
from pipelines.masks.refine import deepest_point
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """A scene and the turn that is proposed for it."""

    title: str
    scene: Scene
    subject: str
    background: str
    scope: Scope


EXAMPLES: dict[str, Example] = {
    "dog-on-the-beach": Example(
        "Dog on the beach",
        Scene("beach", Subject("dog", size="big", x=0.52, ground=0.86), background_seed=11),
        "a blue dog",
        "in a forest",
        Scope.BOTH,
    ),
    "car-in-the-city": Example(
        "Car in the city",
        Scene("city", Subject("car", size="big", x=0.5, ground=0.88), background_seed=5),
        "",
        "in the snow",
        Scope.BACKGROUND,
    ),
    "elephant-in-a-meadow": Example(
        "Elephant in a meadow",
        Scene("meadow", Subject("elephant", size="big", x=0.46, ground=0.87), background_seed=3),
        "a purple elephant",
        "",
        Scope.SUBJECT,
    ),
    "cat-in-the-snow": Example(
        "Cat in the snow",
        Scene("snow", Subject("cat", size="medium", faces_left=False, x=0.5, ground=0.86), background_seed=8),
        "",
        "at night",
        Scope.BACKGROUND,
    ),
    "turtle-in-the-desert": Example(
        "Turtle in the desert",
        Scene("desert", Subject("turtle", size="big", x=0.5, ground=0.87), background_seed=21),
        "a red turtle",
        "",
        Scope.SUBJECT,
    ),
    "rocket-in-space": Example(
        "Rocket in space",
        Scene("space", Subject("rocket", size="medium", x=0.48, ground=0.85), background_seed=2),
        "a green rocket",
        "on the beach",
        Scope.BOTH,
    ),
}


def main() -> None:
    """Write every example of `EXAMPLES` to `FOLDER`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, example in EXAMPLES.items():
        drawn = render(example.scene)
        point = deepest_point(drawn.mask)
        Image.fromarray(drawn.picture).save(FOLDER / f"{name}.png", optimize=True)
        turn = {
            "title": example.title,
            "subject": example.subject,
            "background": example.background,
            "scope": example.scope.value,
            "clicks": [[point.x, point.y]],
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(turn, indent=2) + "\n")


if __name__ == "__main__":
    main()
