"""The bar on top: brand, the session and its name, model, undo and redo, export, new, sessions, shortcuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui import gallery_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import NewName, Typed


@dataclass(frozen=True)
class TopBar:
    """One component; its script draws everything in it."""

    bar: gr.HTML


def build() -> TopBar:
    """The component, without handlers."""
    return TopBar(drawn("topbar", "top", "undo", "redo", "rename_here", "look"))


def bind(panel: TopBar, handlers: Handlers, shared: Shared, values: list[Any]) -> None:
    """Attaches the handlers; `values` are the turn panel's."""
    bar, on = panel.bar, shared.on

    def rename(seat: Seat | None, new: NewName) -> Payload:
        return gallery_handlers.renamed(handlers, seat, seat.sid if seat else None, new.name)

    def look(seat: Seat | None, known: Typed, *values: Any) -> tuple[Payload, Fields]:
        return gallery_handlers.looked(handlers, seat, known.model_dump(), *values)

    # Every press counts, so none is dropped while an earlier one is answered.
    for event, handler in ((bar.undo, handlers.undo), (bar.redo, handlers.redo)):
        on(event, handler, shared.restored, trigger_mode="multiple").then(**shared.settle)
    on(bar.rename_here, rename, hears=NewName, trigger_mode="multiple")
    looks = on(bar.look, look, shared.restored, hears=Typed, values=values, holding=shared.panel)
    looks.then(**shared.follow)
