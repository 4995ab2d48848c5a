"""The stage: the picture with its mask tools and views, the finished candidates, and the start page when it is empty.

The component's own value is what the page marked: ``{"count": n, "prompts": {...}}`` with the whole list of clicks,
box and strokes. It is passed as an input, because an event's data is the first one's when events are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class Canvas:
    """One component; its script draws everything in it."""

    stage: gr.HTML


def build() -> Canvas:
    """The component, without handlers."""
    return Canvas(drawn("canvas", "stage"))


def bind(panel: Canvas, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def open_file(seat: Seat | None, evt: gr.EventData) -> Fields:
        taken, payload, values = handlers.opened(seat, evt._data.get("ticket"), evt._data.get("name"))
        return [taken, payload, *values]

    def open_example(seat: Seat | None, evt: gr.EventData) -> Fields:
        taken, payload, values = handlers.example(seat, evt._data.get("example"))
        return [taken, payload, *values]

    def upload_mask(seat: Seat | None, evt: gr.EventData) -> Any:
        return handlers.upload_mask(seat, evt._data.get("ticket"))

    def keep(seat: Seat | None, evt: gr.EventData) -> Fields:
        payload, values = handlers.keep(seat, evt._data.get("index"))
        return [payload, *values]

    stage, seat, wire = panel.stage, shared.seat, shared.wire
    stage.open_file(open_file, [seat], shared.opened, **EVENT)
    stage.open_example(open_example, [seat], shared.opened, **EVENT)
    # The last state of the marks wins; what lies between two answers is skipped.
    stage.mark(handlers.mark, [seat, stage], [wire], trigger_mode="always_last", **EVENT)
    stage.upload_mask(upload_mask, [seat], [wire], **EVENT)
    stage.keep(keep, [seat], shared.restored, **EVENT).then(**shared.settle)
    stage.discard(handlers.discard, [seat], [wire], **EVENT)
    stage.more_seeds(handlers.more_seeds, [seat], [wire], **EVENT).then(**shared.follow)
