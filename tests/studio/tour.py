"""The session of the tour in docs: eight turns on a photograph, none of which needs a model.

``python -m tests.studio.tour FOLDER`` makes it anew: ``tour.palimpsest``, and ``tour.webp`` with every turn's picture.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pipelines.contract import Point, Scope
from pipelines.masks.prompts import Stroke
from pipelines.pictures import decode
from studio.app import build_studio
from studio.exports.kinds import ExportKind
from studio.settings import Settings
from studio.verbs.rows import Value
from studio.verbs.session import OpenSession, TurnAsk
from studio.verbs.studio import OpenStudio

PHOTOGRAPH = Path(__file__).resolve().parents[2] / "assets" / "photographs" / "coffee.jpg"
CUP = (72.0, 14.0, 486.0, 390.0)
"""The box around cup and saucer."""
SPOON, TABLE = ((416.0, 74.0), (402.0, 118.0)), ((478.0, 96.0), (466.0, 150.0))
"""Lines through what the box got wrong: the spoon's handle belongs to them, the strip of table does not."""


@dataclass(frozen=True)
class Step:
    """One turn of the tour."""

    method: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    scope: Scope = Scope.BOTH
    background: str = ""


STEPS = (
    Step("recolour", {"hue": 170.0}, Scope.SUBJECT),
    Step("light", {"exposure": -0.9, "warmth": -0.3, "saturation": 0.7}, Scope.BACKGROUND),
    Step("defocus", {"blur": 0.012}),
    Step("extend", {"right": 0.35, "top": 0.08, "beyond": "its edge"}),
    Step("place", {"scale": 0.8, "right": 0.3, "fill": "smooth", "margin": 0.02}),
    Step("straighten", {"angle": 4.0}),
    Step("backdrop", {"match": 0.35}, Scope.BACKGROUND, "#1d2b3a to #c8a27c"),
    Step("crop", {"left": 0.1, "top": 0.1}),
)


def toured(studio: OpenStudio) -> OpenSession:
    """The session, made now."""
    session = studio.open(PHOTOGRAPH, "Coffee, without a model")
    lines = [Stroke(tuple(Point(*at) for at in line), 4.0, erase=line is TABLE) for line in (SPOON, TABLE)]
    session.mask(box=CUP, scribbles=lines)
    for step in STEPS:
        asked = TurnAsk(method=step.method, settings=step.settings, scope=step.scope, background=step.background)
        session.ask(asked).done()
        session.keep()
    return session


def sheet(pictures: list[Image.Image], width: int = 400, across: int = 3) -> Image.Image:
    """All pictures side by side, each of the same width."""
    cells = [picture.resize((width, round(picture.height * width / picture.width))) for picture in pictures]
    height, gap = max(cell.height for cell in cells), 6
    whole = Image.new(
        "RGB",
        (across * (width + gap) - gap, -(-len(cells) // across) * (height + gap) - gap),
        "white",
    )
    for k, cell in enumerate(cells):
        whole.paste(cell, (k % across * (width + gap), k // across * (height + gap) + (height - cell.height) // 2))
    return whole


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(prog="python -m tests.studio.tour", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data=Path(data), warm_up=False, device_process=False)
        with OpenStudio(build_studio(settings)) as studio:
            session = toured(studio)
            (folder / "tour.palimpsest").write_bytes(session.export(ExportKind.PALIMPSEST))
            turns = session.view().turns
            pictures = [Image.fromarray(decode(studio.studio.pictures.get(turn.picture)).picture) for turn in turns]
            for turn in turns[1:]:
                print(turn.label, f"{turn.seconds:.2f} s")
            sheet(pictures).save(folder / "tour.webp", quality=82)


if __name__ == "__main__":
    main()
