"""The stage: the picture with its mask tools and views, the finished candidates, and the start page when it is empty.

The component's own value is what the page marked, as JSON: ``{"count": n, "prompts": {...}}`` with the whole list of
clicks, box and strokes. It is passed as an input, because an event's data is the first one's when events are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.api import bodies
from studio.ui.handlers import Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import Example, File, Marks, Picked, Saved, Sides, Text

MOST_MARKS = 500_000
"""Numbers and points of all strokes."""


@dataclass(frozen=True)
class Stage:
    """One component; its script draws everything in it."""

    stage: gr.HTML


def build() -> Stage:
    """The component, without handlers."""
    events = (
        "open_file",
        "open_example",
        "mark",
        "upload_mask",
        "save_mask",
        "use_mask",
        "forget_mask",
        "frame",
        "keep",
        "discard",
        "more_seeds",
        "attend",
    )
    return Stage(drawn("stage", "stage", *events))


def bind(panel: Stage, handlers: Handlers, shared: Shared, values: list[Any]) -> None:
    """Attaches the handlers; `values` are the turn panel's."""

    def mark(seat: Seat | None, marks: str | None) -> Payload:
        # A text, for Gradio looks at each value that it can see into, and a long painting has a hundred thousand.
        return handlers.mark(seat, Marks.of(bodies.read((marks or "{}").encode(), MOST_MARKS)).model_dump())

    stage, on = panel.stage, shared.on
    on(stage.open_file, lambda seat, file: handlers.opened(seat, file.ticket, file.name), shared.opened, hears=File)
    on(stage.open_example, lambda seat, one: handlers.example(seat, one.example), shared.opened, hears=Example)
    # The last state of the marks wins; what lies between two answers is skipped.
    on(stage.mark, mark, values=[stage], holding=[Text], trigger_mode="always_last")
    on(stage.upload_mask, lambda seat, file: handlers.upload_mask(seat, file.ticket), hears=File)
    on(stage.save_mask, lambda seat, one: handlers.save_mask(seat, one.name), hears=Saved)
    on(stage.use_mask, lambda seat, one: handlers.use_mask(seat, one.name, one.how), hears=Saved)
    on(stage.forget_mask, lambda seat, one: handlers.forget_mask(seat, one.name), hears=Saved)
    on(
        stage.frame,
        lambda seat, sides: handlers.framed(seat, sides.model_dump()),
        shared.restored,
        hears=Sides,
        trigger_mode="multiple",
    )
    keeps = on(stage.keep, lambda seat, one: handlers.keep(seat, one.index), shared.restored, hears=Picked)
    keeps.then(**shared.settle)
    on(stage.discard, handlers.discard)
    on(stage.more_seeds, handlers.more_seeds).then(**shared.follow)
    on(stage.attend, handlers.attend, values=values, holding=shared.panel).then(**shared.follow)
