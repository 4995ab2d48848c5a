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
    "duck-on-the-beach": Example(
        "Duck on the beach",
        Scene("beach", Subject("duck", size="big", x=0.5, ground=0.87), background_seed=11),
        "",
        "in a forest",
        Scope.BACKGROUND,
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
        Scene("meadow", Subject("elephant", size="big", x=0.56, ground=0.87), background_seed=3),
        "",
        "on the beach",
        Scope.BACKGROUND,
    ),
    "cat-in-the-snow": Example(
        "Cat in the snow",
        Scene("snow", Subject("cat", size="big", x=0.5, ground=0.87), background_seed=8),
        "a purple cat",
        "",
        Scope.SUBJECT,
    ),
    "turtle-in-the-desert": Example(
        "Turtle in the desert",
        Scene("desert", Subject("turtle", size="big", x=0.44, ground=0.87), background_seed=21),
        "a blue turtle",
        "",
        Scope.SUBJECT,
    ),
    "rocket-at-night": Example(
        "Rocket at night",
        Scene("night", Subject("rocket", size="big", x=0.44, ground=0.87), background_seed=2),
        "",
        "in the desert",
        Scope.BACKGROUND,
    ),
}
"""What the embedded model does best: backgrounds and colours. See its card."""


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
