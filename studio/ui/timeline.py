"""The film at the bottom: the tree of turns, and the facts of the one that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class Timeline:
    """One component; its script draws everything in it."""

    film: gr.HTML


def build() -> Timeline:
    """The component, without handlers."""
    return Timeline(drawn("timeline", "film"))


def bind(panel: Timeline, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def jump(seat: Seat | None, evt: gr.EventData) -> Fields:
        payload, values = handlers.jump(seat, evt._data.get("turn"))
        return [payload, *values]

    panel.film.jump(jump, [shared.seat], shared.restored, trigger_mode="multiple", **EVENT).then(**shared.settle)
