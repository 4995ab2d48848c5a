"""The bar on top: brand, the session and its name, model, undo and redo, export, new, sessions, shortcuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui import gallery_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class TopBar:
    """One component; its script draws everything in it."""

    bar: gr.HTML


def build() -> TopBar:
    """The component, without handlers."""
    return TopBar(drawn("topbar", "top"))


def bind(panel: TopBar, handlers: Handlers, shared: Shared, values: list[Any]) -> None:
    """Attaches the handlers; `values` are the turn panel's."""

    def undo(seat: Seat | None) -> Fields:
        payload, values = handlers.undo(seat)
        return [payload, *values]

    def redo(seat: Seat | None) -> Fields:
        payload, values = handlers.redo(seat)
        return [payload, *values]

    def rename(seat: Seat | None, evt: gr.EventData) -> Any:
        return gallery_handlers.renamed(handlers, seat, seat.sid if seat else None, evt._data.get("name"))

    def look(seat: Seat | None, evt: gr.EventData, *values: Any) -> Fields:
        payload, fields = gallery_handlers.looked(handlers, seat, evt._data, *values)
        return [payload, *fields]

    # Every press counts, so none is dropped while an earlier one is answered.
    for event, handler in ((panel.bar.undo, undo), (panel.bar.redo, redo)):
        event(handler, [shared.seat], shared.restored, trigger_mode="multiple", **EVENT).then(**shared.settle)
    panel.bar.rename_here(rename, [shared.seat], [shared.wire], trigger_mode="multiple", **EVENT)
    panel.bar.look(look, [shared.seat, *values], shared.restored, **EVENT).then(**shared.follow)
