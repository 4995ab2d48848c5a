"""``demo-session``: a session to try things on, made from an example picture by the embedded model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from pipelines.contract import Picture, Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import encode_png
from studio.cli import options
from studio.cli.opened import opened, write_session
from studio.cli.report import ProgressLine, answer, table, write
from studio.errors import UserError
from studio.jobs.job import JobState
from studio.session.session import Session

EXAMPLE = "turtle-in-the-desert"
MASK = "the turtle"
"""What the mask of the first click is saved as."""
PANEL = 128
"""Pixels a side of each picture of the strip."""


class DemoFailed(UserError):
    """A turn of the demonstration could not be made."""


@dataclass(frozen=True)
class Planned:
    """One turn of the demonstration."""

    after: int
    """Number of the turn it follows, in the order they are made; 0 is the original."""
    scope: Scope
    subject: str = ""
    background: str = ""
    method: str = "layered"
    changes: Mapping[str, Any] = field(default_factory=dict)


TURNS = (
    Planned(0, Scope.SUBJECT, subject="a blue turtle"),
    Planned(1, Scope.BACKGROUND, background="on the beach"),
    Planned(2, Scope.SUBJECT, method="recolour", changes={"hue": 120.0}),
    Planned(3, Scope.BACKGROUND, background="at night"),
    Planned(4, Scope.SUBJECT, method="light", changes={"exposure": -0.7, "warmth": -0.4}),
    Planned(5, Scope.SUBJECT, method="place", changes={"right": 0.37, "up": -0.12, "scale": 0.4, "twice": True}),
    Planned(2, Scope.BACKGROUND, background="in the snow"),
)
"""Six turns, and a branch of one that leaves after the second: what the embedded model does well, which are backgrounds
and a subject's colour while its picture is fresh, and between them turns that need no model."""


def demo_session(
    out: Annotated[
        Path,
        typer.Option("--out", help="The session file to write.", callback=options.writable_session, dir_okay=False),
    ],
    quality: Annotated[Quality, typer.Option(help="How much work each turn is given.")] = Quality.DRAFT,
    seed: Annotated[int, typer.Option(help="The seed of every turn.")] = 7,
    model: options.Model = options.DEFAULTS.model,
    segmenter: options.SegmenterName = options.DEFAULTS.segmenter,
    models: options.Models = [],  # noqa: B006  typer copies it
    device: options.Device = "auto",
    strip: Annotated[
        Path | None,
        typer.Option(help="A PNG of the pictures of the main line beside each other.", callback=options.writable),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a session of six turns with a branch.

    An example picture is clicked once and edited as a person would, in a data folder of its own, and the session
    written to a file. That of the first page is made with --seed 10 and --strip.
    """
    began = time.perf_counter()
    with opened(options.settings_from(models, device, model, segmenter), None) as studio:
        session = studio.sessions.create_example(EXAMPLE)
        clicks = next(example.clicks for example in studio.sessions.examples() if example.id == EXAMPLE)
        snap = session.view().draft.prompts.snap
        session.set_prompts(MaskPrompts(clicks=tuple(Click(x, y) for x, y in clicks), snap=snap))
        session.save_mask(MASK)
        fresh, made, progress = session.view().draft, [session.view().current], ProgressLine()
        for number, turn in enumerate(TURNS, 1):
            session.jump(made[turn.after])
            made.append(run(session, turn, quality, seed))
            progress("turns", number, len(TURNS))
        session.jump(dict(session.view().branches)["main"])
        session.set_draft(replace(fresh, subject="", background="", scope=Scope.BOTH))
        record = studio.store.load(session.sid)
        assert record is not None, "it was saved with its last turn"
        write_session(out, record, studio.pictures)
        if strip is not None:
            line = [record.tree[id].picture for id in record.tree.line(record.tree.current)]
            write(strip, encode_png(beside_each_other([studio.services.pixels(picture) for picture in line])))
        turns = [turn for turn in session.view().turns if turn.parent is not None]
    told = {
        "out": str(out),
        "quality": quality,
        "seed": seed,
        "branches": list(record.tree.branches),
        "turns": [{"id": t.id, "number": t.number, "label": t.label, "seconds": round(t.seconds, 3)} for t in turns],
        "seconds": round(time.perf_counter() - began, 3),
    }
    rows = [("TURN", "WHAT", "TOOK"), *((str(turn.number), turn.label, f"{turn.seconds:.1f} s") for turn in turns)]
    answer(as_json, told, lambda: [*table(rows), str(out)])


def run(session: Session, turn: Planned, quality: Quality, seed: int) -> str:
    """Run and keep one turn after the one stood on; its id. Raises what stopped it."""
    said = replace(session.view().draft, subject=turn.subject, background=turn.background, scope=turn.scope)
    said = replace(said, method=turn.method, changes=turn.changes)
    session.set_draft(replace(said, quality=quality, seed=seed))
    session.start()
    view = session.view()
    while view.job is not None and view.job.state in (JobState.QUEUED, JobState.RUNNING):
        view = session.wait(view.rev, 1.0)
    if not view.staged:
        stopped = "" if view.job is None else view.job.error
        raise DemoFailed(f"the turn {turn.subject or turn.background or turn.method!r} could not be made: {stopped}")
    return session.accept(0).id


def beside_each_other(pictures: Sequence[Picture]) -> Picture:
    """Square pictures in a row, each `PANEL` pixels a side."""
    return np.concatenate([np.asarray(Image.fromarray(picture).resize((PANEL, PANEL))) for picture in pictures], axis=1)
