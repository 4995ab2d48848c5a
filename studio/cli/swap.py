"""``swap``: two neighbouring turns of a session file in both orders, and whether that made a difference."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pipelines.errors import BadRequest
from pipelines.evaluation.consistency import Consistency
from studio.app import Studio
from studio.cli import options
from studio.cli.opened import computing, line_of, numbered, opened
from studio.cli.report import ProgressLine, answer, say, table, write
from studio.cli.server import Running, Server, Source, session_file
from studio.cli.server import line_of as line_there
from studio.errors import ServerRefused, StorageError
from studio.session import order_swap
from studio.session.order_swap import Swap
from studio.store.archive.session_file import read_archive


def swap(
    source: Source,
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
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """Say whether the order of two turns matters.

    Runs B and then A from where A began, compares that with A and then B as recorded, and remembers the answer in the
    data folder: asked again it takes no model. Turns are numbered along the branch; the original is 0.
    With --server the studio there runs it, in its session of that id, or in a new one of the file.
    """
    began = time.perf_counter()
    numbers = two_numbers(turns)
    if server:
        found, pictures = swapped_there(Running(server), source, numbers, branch)
    else:
        with (
            session_file(source, "") as file,
            opened(options.settings_from(models, device, segmenter=segmenter), data) as studio,
        ):
            found, pictures = swapped_here(studio, file, numbers, branch)
    if found["same_weights"] is False:
        say("the other order was run on other weights than were recorded: the comparison shows that too")
    written = [] if out is None else write_pictures(pictures, out)
    told = {
        **found,
        "turns": list(numbers),
        "seconds": round(time.perf_counter() - began, 3),
        "out": [str(path) for path in written],
    }
    answer(as_json, told, lambda: in_words(told))


def swapped_here(
    studio: Studio, file: Path, numbers: tuple[int, int], branch: str | None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is told of both orders, and their pictures as files."""
    record = read_archive(file, studio.pictures)
    line = line_of(record.tree, branch)
    first, second = (numbered(line, number) for number in numbers)
    found = order_swap.swap(computing(studio, record), record.tree, first, second, ProgressLine())
    view = found.view()
    told = report(
        asdict(view),
        record.tree.branch if branch is None else branch,
        [turn.id for turn in found.turns],
        not weights_differ(found),
    )
    return told, {name: studio.pictures.get(digest) for name, digest in files_of(asdict(view)).items()}


def swapped_there(
    there: Running, source: str, numbers: tuple[int, int], branch: str | None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The same of a running studio, which says neither the turns of the other order nor their weights."""
    view = there.take(Path(source).read_bytes()) if Path(source).is_file() else there.session(source)
    session = f"/sessions/{quote(view['sid'], safe='')}"
    line = line_there(view, branch)
    first, second = (numbered(line, number) for number in numbers)
    there.wait(there.ask("POST", f"{session}/swap", {"first": first, "second": second}), ProgressLine())
    found = there.ask("GET", session)["swap"]
    if found is None:
        raise ServerRefused("somebody put the comparison away in the meantime; ask for it once more")
    told = report(found, view["branch"] if branch is None else branch, [], None) | {"session": view["sid"]}
    return told, {name: there.file(f"{session}/pictures/{digest}") for name, digest in files_of(found).items()}


def two_numbers(text: str) -> tuple[int, int]:
    """``2,3`` as numbers of turns."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise BadRequest(f"--turns needs the numbers of two neighbouring turns, like 2,3; got {text!r:.80}")
    return int(parts[0]), int(parts[1])


def files_of(view: Mapping[str, Any]) -> dict[str, str]:
    """Digests of both orders' pictures and of the map of their difference, by the names of their files."""
    return {"ab.png": view["ab"], "ba.png": view["ba"], "difference.png": view["difference"]}


def write_pictures(pictures: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Writes them by their names; the names of the files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} could not be made ({error.strerror}); name another folder with --out") from None
    for name, data in pictures.items():
        write(folder / name, data)
    return [folder / name for name in pictures]


def weights_differ(found: Swap) -> bool:
    """Whether the two orders were made by different weights."""
    made = (found.first, found.second, *found.turns)
    return len({turn.request.weights for turn in made if turn.request is not None}) > 1


def report(view: Mapping[str, Any], branch: str, others: list[str], same_weights: bool | None) -> dict[str, Any]:
    """What a program is told of a `SwapView` in JSON; `others` are the turns of the other order. `run_seconds` is what
    that took when it was computed."""
    return {
        "branch": branch,
        "verdict": view["consistency"]["order"],
        "consistency": view["consistency"],
        "ab": {"turns": [view["first"], view["second"]], "picture": view["ab"]},
        "ba": {"turns": others, "picture": view["ba"]},
        "difference": view["difference"],
        "same_weights": same_weights,
        "run_seconds": round(view["seconds"], 3),
    }


def in_words(told: Mapping[str, Any]) -> list[str]:
    """The same for a person."""
    numbers = Consistency.from_json(told["consistency"])
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
