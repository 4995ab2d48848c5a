"""``swap``: two neighbouring turns of a session file in both orders, and whether that made a difference."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.errors import BadRequest
from studio.cli import options
from studio.cli.opened import computing, line_of, numbered, opened
from studio.cli.report import ProgressLine, answer, say, table, write
from studio.errors import StorageError
from studio.session import order_swap
from studio.session.order_swap import Swap
from studio.store.archive.session_file import read_archive
from studio.store.blobs import Blobs


def swap(
    file: options.SessionFile,
    turns: Annotated[str, typer.Option("--turns", help="Two neighbours, by their numbers.", metavar="A,B")],
    branch: options.Branch = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for ab.png, ba.png and difference.png; made if missing.", file_okay=False),
    ] = None,
    data: options.Data = options.DEFAULTS.data,
    segmenter: options.SegmenterName = options.DEFAULTS.segmenter,
    models: options.Models = [],  # noqa: B006  typer copies it
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Say whether the order of two turns matters.

    Runs B and then A from where A began, compares that with A and then B as recorded, and remembers the answer in the
    data folder: asked again it takes no model. Turns are numbered along the branch; the original is 0.
    """
    began = time.perf_counter()
    numbers = two_numbers(turns)
    with opened(options.settings_from(models, device, segmenter=segmenter), data) as studio:
        record = read_archive(file, studio.pictures)
        line = line_of(record.tree, branch)
        first, second = (numbered(line, number) for number in numbers)
        found = order_swap.swap(computing(studio, record), record.tree, first, second, ProgressLine())
        written = [] if out is None else write_pictures(found, studio.pictures, out)
    if weights_differ(found):
        say("the other order was run on other weights than were recorded: the comparison shows that too")
    told = {
        "branch": record.tree.branch if branch is None else branch,
        "turns": list(numbers),
        **report(found),
        "seconds": round(time.perf_counter() - began, 3),
        "out": [str(path) for path in written],
    }
    answer(as_json, told, lambda: in_words(found, told))


def two_numbers(text: str) -> tuple[int, int]:
    """``2,3`` as numbers of turns."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise BadRequest(f"--turns needs the numbers of two neighbouring turns, like 2,3; got {text!r:.80}")
    return int(parts[0]), int(parts[1])


def write_pictures(found: Swap, pictures: Blobs, folder: Path) -> list[Path]:
    """Both orders and the map of their difference; the names of the files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} could not be made ({error.strerror}); name another folder with --out") from None
    view = found.view()
    files = {"ab.png": view.ab, "ba.png": view.ba, "difference.png": view.difference}
    for name, digest in files.items():
        write(folder / name, pictures.get(digest))
    return [folder / name for name in files]


def weights_differ(found: Swap) -> bool:
    """Whether the two orders were made by different weights."""
    made = (found.first, found.second, *found.turns)
    return len({turn.request.weights for turn in made if turn.request is not None}) > 1


def report(found: Swap) -> dict[str, Any]:
    """What a program is told. `run_seconds` is what the other order took when it was computed."""
    view = found.view()
    return {
        "verdict": view.consistency["order"],
        "consistency": view.consistency,
        "ab": {"turns": [view.first, view.second], "picture": view.ab},
        "ba": {"turns": [turn.id for turn in found.turns], "picture": view.ba},
        "difference": view.difference,
        "same_weights": not weights_differ(found),
        "run_seconds": round(view.seconds, 3),
    }


def in_words(found: Swap, told: dict[str, Any]) -> list[str]:
    """The same for a person."""
    numbers = found.compared.consistency
    a, b = told["turns"]
    rows: list[tuple[str, ...]] = [("PART", "OF THE PICTURE", "SIMILARITY", "SSIM", "CHANGED", "MEAN DIFFERENCE")]
    for name in ("whole", "subject", "background", "overlap"):
        part = getattr(numbers, name)
        cells = [
            "-" if value is None else form.format(value)
            for form, value in (
                ("{:.1%}", part.share),
                ("{:.3f}", part.similarity),
                ("{:.3f}", part.ssim),
                ("{:.1%}", part.changed),
                ("{:.2f} levels", part.mean),
            )
        ]
        rows.append((name, *cells))
    return [
        f"{numbers.order}: {a} then {b} or {b} then {a}; {numbers.disagreement:.1%} of what changed differs",
        *table(rows),
        f"{told['seconds']:.1f} s; the other order took {told['run_seconds']:.1f} s to run",
        *told["out"],
    ]
