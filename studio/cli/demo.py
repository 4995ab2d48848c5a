"""``demo-session``: a session to try things on, made from an example picture by the embedded model."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pipelines.contract import Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from studio.cli import options
from studio.cli.opened import opened, write_session
from studio.cli.report import ProgressLine, answer, table
from studio.errors import UserError
from studio.jobs.job import JobState
from studio.session.session import Session

EXAMPLE = "duck-on-the-beach"


class DemoFailed(UserError):
    """A turn of the demonstration could not be made."""


@dataclass(frozen=True)
class Planned:
    """One turn of the demonstration."""

    after: int
    """Number of the turn it follows, in the order they are made; 0 is the original."""
    subject: str
    background: str
    scope: Scope


TURNS = (
    Planned(0, "", "in a forest", Scope.BACKGROUND),
    Planned(1, "a big blue duck", "", Scope.SUBJECT),
    Planned(2, "", "at night", Scope.BACKGROUND),
    Planned(3, "a big red duck", "", Scope.SUBJECT),
    Planned(2, "", "in the snow", Scope.BACKGROUND),
    Planned(5, "a big purple duck", "", Scope.SUBJECT),
)
"""Backgrounds and colours, which the embedded model does well where it is told how large the duck is. The branch leaves
after the second turn."""


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
    as_json: options.Json = False,
) -> None:
    """Make a session of six turns with a branch.

    An example picture is clicked once and edited as a person would, in a data folder of its own, and the session
    written to a file.
    """
    began = time.perf_counter()
    with opened(options.settings_from(models, device, model, segmenter), None) as studio:
        session = studio.sessions.create_example(EXAMPLE)
        clicks = next(example.clicks for example in studio.sessions.examples() if example.id == EXAMPLE)
        snap = session.view().draft.prompts.snap
        session.set_prompts(MaskPrompts(clicks=tuple(Click(x, y) for x, y in clicks), snap=snap))
        made, progress = [session.view().current], ProgressLine()
        for number, turn in enumerate(TURNS, 1):
            session.jump(made[turn.after])
            made.append(run(session, turn, quality, seed))
            progress("turns", number, len(TURNS))
        session.jump(dict(session.view().branches)["main"])
        record = studio.store.load(session.sid)
        assert record is not None, "it was saved with its last turn"
        write_session(out, record, studio.pictures)
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
    session.set_draft(replace(said, quality=quality, seed=seed))
    session.start()
    view = session.view()
    while view.job is not None and view.job.state in (JobState.QUEUED, JobState.RUNNING):
        view = session.wait(view.rev, 1.0)
    if not view.staged:
        stopped = "" if view.job is None else view.job.error
        raise DemoFailed(f"the turn {turn.subject or turn.background!r} could not be made: {stopped}")
    return session.accept(0).id
