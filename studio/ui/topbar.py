"""The bar on top: brand, session, model, undo and redo, open, download, shortcuts."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class TopBar:
    """One component; its script draws everything in it."""

    bar: gr.HTML


def build() -> TopBar:
    """The component, without handlers."""
    return TopBar(drawn("topbar", "top"))


def bind(panel: TopBar, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def undo(seat: Seat | None) -> Fields:
        payload, values = handlers.undo(seat)
        return [payload, *values]

    def redo(seat: Seat | None) -> Fields:
        payload, values = handlers.redo(seat)
        return [payload, *values]

    # Every press counts, so none is dropped while an earlier one is answered.
    for event, handler in ((panel.bar.undo, undo), (panel.bar.redo, redo)):
        event(handler, [shared.seat], shared.restored, trigger_mode="multiple", **EVENT).then(**shared.settle)
