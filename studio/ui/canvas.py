"""The stage: the picture with its mask tools and views, the finished candidates, and the start page when it is empty.

The component's own value is what the page marked: ``{"count": n, "prompts": {...}}`` with the whole list of clicks,
box and strokes. It is passed as an input, because an event's data is the first one's when events are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.handlers import Fields, Handlers
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

    def open_file(evt: gr.EventData) -> Fields:
        sid, payload, values = handlers.opened(evt._data.get("path"), evt._data.get("name"))
        return [gr.skip() if sid is None else sid, payload, *values]

    def open_example(evt: gr.EventData) -> Fields:
        sid, payload, values = handlers.example(evt._data.get("example"))
        return [gr.skip() if sid is None else sid, payload, *values]

    def upload_mask(sid: str | None, evt: gr.EventData) -> Any:
        return handlers.upload_mask(sid, evt._data.get("path"))

    def keep(sid: str | None, evt: gr.EventData) -> Fields:
        payload, values = handlers.keep(sid, evt._data.get("index"))
        return [payload, *values]

    stage, sid, wire = panel.stage, shared.sid, shared.wire
    stage.open_file(open_file, None, shared.opened, **EVENT)
    stage.open_example(open_example, None, shared.opened, **EVENT)
    # The last state of the marks wins; what lies between two answers is skipped.
    stage.mark(handlers.mark, [sid, stage], [wire], trigger_mode="always_last", **EVENT)
    stage.upload_mask(upload_mask, [sid], [wire], **EVENT)
    stage.keep(keep, [sid], shared.restored, **EVENT).then(**shared.settle)
    stage.discard(handlers.discard, [sid], [wire], **EVENT)
    stage.more_seeds(handlers.more_seeds, [sid], [wire], **EVENT).then(**shared.follow)
