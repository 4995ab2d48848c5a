"""``replay``: every turn of a session file run again, to check the recorded pictures or to make a new session."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pipelines.catalog import is_by_hand
from pipelines.errors import PipelineError
from pipelines.models.folders import find_model
from pipelines.models.lora_files import lora_path
from pipelines.progress import Progress
from studio.cli import options
from studio.cli.opened import computing, opened, session_bytes, write_session
from studio.cli.report import EXIT_DIFFERENT, ProgressLine, answer, say, table
from studio.cli.server import Running, Server, Source, session_file
from studio.history.replay import Replay, Step
from studio.history.tree import Tree
from studio.history.turn import Turn, TurnRequest
from studio.session.computing import HUNDRED, Computing, within
from studio.store.archive.session_file import read_archive

SHOWN = 12
"""Digits of a checksum that a person is shown."""


class Verdict(StrEnum):
    """What running a turn again came to."""

    IDENTICAL = "identical"
    """The very same picture file."""
    CLOSE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Recorded:
    """A turn as it was recorded, and what it came to now. Pictures by their SHA-256, weights by their checksum."""

    number: int
    branch: str
    """The first branch that leads to it."""
    id: str
    verdict: Verdict
    mean_difference: float
    """Over all pixels and channels, in levels of 0 to 255."""
    largest_difference: int
    """Levels."""
    picture_recorded: str
    picture_now: str
    model: str
    weights_recorded: str
    weights_now: str
    warm_recorded: str | None
    """Digest of the layers at which its fit began."""
    warm_now: str | None
    seconds_recorded: float
    seconds: float


def replay(
    source: Source,
    check: Annotated[
        bool, typer.Option("--check", help="Run each turn on the recorded picture before it, and compare.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="Levels (of 255) that a picture may differ by on average.", min=0, max=255)
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the new session to this file.", callback=options.writable_session),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="The folder to work in; one that is gone afterwards if none is kept.", file_okay=False
        ),
    ] = None,
    segmenter: options.SegmenterName = options.DEFAULTS.segmenter,
    models: options.Models = [],  # noqa: B006  typer copies it
    device: options.Device = "auto",
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """Run a session file again.

    With --check nothing is kept: the exit code is 0 when every picture came out as recorded (or within the tolerance),
    1 when one did not, 2 when the file or its model cannot be used. Without it the turns follow on one another, masks
    found again where the picture before is another, and become a new session: in --out, or else in the data folder.
    With --server the session may be one of the studio there, and the new one goes there; the turns run here all the
    same.
    """
    options.spare(out, Path(source))
    if check and out is not None:
        raise typer.BadParameter("--check keeps nothing, so there is nothing to write; leave out --check or --out")
    own, kept = options.settings_from(models, device, segmenter=segmenter), not check and out is None and not server
    work = data or (options.DEFAULTS.data if kept else None)
    with session_file(source, server) as file, opened(own, work) as studio:
        record = read_archive(file, studio.pictures)
        engine = computing(studio, record)
        refuse_what_cannot_run(engine, record.tree, own.all_model_folders)
        rows, now = [], {}
        for turn, made, seconds in rerun(engine, record.tree, check, ProgressLine()):
            rows.append(compared(engine, record.tree, turn, made, seconds, tolerance))
            now[turn.id] = made
        told: dict[str, Any] = {"name": record.name, "check": check, "tolerance": tolerance, **counted(rows)}
        if not check:
            masks = [
                one | {"turn": now[one["turn"]].id if one["turn"] in now else one["turn"]}
                for one in record.panel["masks"]
            ]
            again = replace(record, tree=rebuilt(record.tree, now), panel={**record.panel, "masks": masks})
            if out is not None:
                write_session(out, again, studio.pictures)
                told["out"] = str(out)
            elif server:
                told["session"] = Running(server).take(session_bytes(again, studio.pictures))["sid"]
            else:
                told["session"] = studio.sessions.adopt_record(again).sid
    for remark in remarks(rows):
        say(remark)
    answer(as_json, told, lambda: in_words(rows, told))
    if check and told["different"]:
        raise typer.Exit(EXIT_DIFFERENT)


def edits(tree: Tree) -> Iterator[tuple[Turn, str, TurnRequest]]:
    """Every turn there is to run, parents before their children: the turn, its parent's id, its request."""
    for turn in tree.visible.values():
        if turn.parent is not None and turn.request is not None:
            yield turn, turn.parent, turn.request


def place(tree: Tree, id: str) -> tuple[int, str]:
    """Number and branch by which a person finds the turn."""
    branch = next(name for name, tip in tree.branches.items() if id in tree.line(tip))
    return len(tree.line(id)) - 1, branch


def refuse_what_cannot_run(engine: Computing, tree: Tree, model_folders: Sequence[Path]) -> None:
    """Raises the `PipelineError` of the first turn that lacks its model or cannot be run, before any is."""
    for turn, parent, request in edits(tree):
        try:
            if not is_by_hand(request.method):
                find_model(request.model, model_folders)
            for use in request.loras:
                lora_path(use, model_folders)
            engine.check(tree[parent].picture, request, 1)
        except PipelineError as error:
            number, branch = place(tree, turn.id)
            raise type(error)(f"turn {number} of the branch {branch!r} cannot be run again: {error}") from None


def rerun(engine: Computing, tree: Tree, check: bool, progress: Progress) -> Iterator[tuple[Turn, Turn, float]]:
    """Each turn, what it came to now, and the seconds that took.

    For a check each runs on its own recorded parent, whatever is remembered; else on what its parent came to.
    """
    total = sum(1 for _ in edits(tree))
    now = {id: id for id in tree.visible}
    for number, (turn, parent, request) in enumerate(edits(tree), 1):
        began, name = time.perf_counter(), f"turn {number} of {total}"
        again = Replay(parent if check else now[parent], (Step(request, turn.id),))
        (made,) = engine.replay(tree, again, within(progress, name, 1), fresh=check)
        progress(name, HUNDRED, HUNDRED)
        if not check:
            tree, now[turn.id] = tree.append(made), made.id
        yield turn, made, time.perf_counter() - began


def compared(engine: Computing, tree: Tree, turn: Turn, made: Turn, seconds: float, tolerance: float) -> Recorded:
    """One turn's row."""
    before, after = (engine.picture(t.picture).astype(np.int16) for t in (turn, made))
    difference = np.abs(before - after)
    mean, (number, branch) = float(difference.mean()), place(tree, turn.id)
    same = Verdict.CLOSE if mean <= tolerance else Verdict.DIFFERENT
    assert turn.request is not None and made.request is not None
    return Recorded(
        number=number,
        branch=branch,
        id=turn.id,
        verdict=same if difference.any() else Verdict.IDENTICAL,
        mean_difference=round(mean, 4),
        largest_difference=int(difference.max()),
        picture_recorded=turn.picture,
        picture_now=made.picture,
        model=turn.request.model,
        weights_recorded=turn.request.weights,
        weights_now=made.request.weights,
        warm_recorded=turn.request.warm,
        warm_now=made.request.warm,
        seconds_recorded=round(turn.outcome.seconds, 3),
        seconds=round(seconds, 3),
    )


def rebuilt(tree: Tree, now: Mapping[str, Turn]) -> Tree:
    """The same timeline of what the turns came to; what is in the trash stays behind."""
    original = next(turn for turn in tree.visible.values() if turn.parent is None)
    came = {original.id: original, **now}
    return Tree(
        turns={turn.id: turn for turn in came.values()},
        branches={name: came[tip].id for name, tip in tree.branches.items()},
        branch=tree.branch,
        current=came[tree.current].id,
    )


def counted(rows: Sequence[Recorded]) -> dict[str, Any]:
    """All rows and how many there are of each verdict, for a program."""
    verdicts = [row.verdict for row in rows]
    return {
        "identical": verdicts.count(Verdict.IDENTICAL),
        "within_tolerance": verdicts.count(Verdict.CLOSE),
        "different": verdicts.count(Verdict.DIFFERENT),
        "seconds": round(sum(row.seconds for row in rows), 3),
        "turns": [asdict(row) for row in rows],
    }


def remarks(rows: Sequence[Recorded]) -> list[str]:
    """What a person should know beside the answer: models whose weights are others than were recorded, and turns that
    could not begin where they did."""
    lost = "began at what the turn before it had fitted, which is not here as it was; it began cold"
    others = {(r.model, r.weights_recorded, r.weights_now) for r in rows if r.weights_recorded != r.weights_now}
    return [
        f"the weights of {model!r} are not the recorded ones: {was[:SHOWN]!r} then, {now[:SHOWN]!r} now"
        for model, was, now in sorted(others)
    ] + [
        f"turn {row.number} of the branch {row.branch!r} {lost}"
        for row in rows
        if row.warm_recorded is not None and row.warm_now is None
    ]


def in_words(rows: Sequence[Recorded], told: Mapping[str, Any]) -> list[str]:
    """The same for a person."""
    cells = [
        (
            str(row.number),
            row.branch,
            row.verdict,
            f"{row.mean_difference:.2f} levels",
            f"{row.seconds:.1f} s",
            row.picture_recorded[:SHOWN],
            row.picture_now[:SHOWN],
        )
        for row in rows
    ]
    lines = table([("TURN", "BRANCH", "VERDICT", "MEAN DIFFERENCE", "TOOK", "RECORDED", "NOW"), *cells])
    lines.append(f"{told['identical']} of {len(rows)} turns identical")
    if "session" in told:
        lines.append(f"new session {told['session']}")
    return [*lines, told["out"]] if "out" in told else lines
