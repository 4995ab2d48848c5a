"""How well the judge agrees with an eye: ``python -m pipelines.toybox.grades FOLDER``.

The folder holds pictures of edits and ``grades.csv`` with the columns file, before, subject, background, grade: what
was typed, and what a person said of the result. A and B may be shown, D and F may not, C is neither and is left out.
The judge says right when it reads what the texts name, refuses neither subject nor background, and reads the kept part
as it was before. ``before`` is a path in the folder or in ``assets``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.contract import Picture
from pipelines.toybox.judge import OF_THE_SUBJECT, REFUSED, Judge
from pipelines.toybox.words import Attributes, read

ASSETS = Path(__file__).resolve().parents[2] / "assets"
MODELS = ASSETS / "models"

RIGHT, WRONG = frozenset("AB"), frozenset("DF")


@dataclass(frozen=True)
class Graded:
    """One edit and what a person said of it."""

    file: str
    subject: str
    background: str
    grade: str
    before: Picture
    after: Picture


def read_grades(folder: Path) -> list[Graded]:
    """The rows of ``grades.csv`` in `folder`, with their pictures."""
    with (folder / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Graded(
            row["file"],
            row["subject"].strip(),
            row["background"].strip(),
            row["grade"].strip().upper(),
            _picture(next(p for p in (folder / row["before"], ASSETS / row["before"]) if p.is_file())),
            _picture(folder / row["file"]),
        )
        for row in rows
    ]


def _picture(path: Path) -> Picture:
    return np.asarray(Image.open(path).convert("RGB"))


def faults(graded: Graded, see: Callable[[Picture], Attributes]) -> list[str]:
    """What the judge finds wrong with an edit; nothing where it is right."""
    seen, was = asdict(see(graded.after)), asdict(see(graded.before))
    said = asdict(read(f"{graded.subject} {graded.background}"))
    wanted = {name: value for name, value in said.items() if value is not None}
    if not graded.subject:
        wanted = {name: was[name] for name in ("subject", *OF_THE_SUBJECT) if was[name]} | wanted
    if not graded.background:
        wanted = {"background": was["background"]} | wanted
    found = [f"{name}: {value}, read {seen[name]}" for name, value in wanted.items() if seen[name] != value]
    return found + [f"{name} refused" for name in ("subject", "background") if seen[name] == REFUSED]


def main() -> None:
    """Print each graded edit with the judge's answer, then the share on which the two agree."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.toybox.grades", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--judge", type=Path, default=MODELS / "toybox-judge")
    asked = parser.parse_args()
    judge = Judge.load(asked.judge)
    agreed = []
    for graded in read_grades(asked.folder):
        found = faults(graded, lambda picture: judge.read([picture])[0].attributes)
        said = "; ".join(found) or "right"
        if graded.grade in RIGHT | WRONG:
            agreed.append((graded.grade in RIGHT) == (not found))
            said += "" if agreed[-1] else "   <- disagrees"
        print(f"{graded.grade}  {graded.file}: {graded.subject} | {graded.background}: {said}")  # noqa: T201
    share = f"{sum(agreed)} of {len(agreed)}, {sum(agreed) / max(len(agreed), 1):.0%}"
    print(f"agrees with the eye on {share}")  # noqa: T201


if __name__ == "__main__":
    main()
