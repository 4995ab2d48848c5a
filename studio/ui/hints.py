"""What is said before Run: the component that marks words while they are typed, and offers to crop a picture."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui import hint_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


def build() -> gr.HTML:
    """The component, without handlers; its script puts marks and sentences to the two fields."""
    return drawn("hints", "hints")


def bind(remarks: gr.HTML, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def ask(seat: Seat | None, evt: gr.EventData) -> Any:
        return hint_handlers.hinted(handlers, seat, evt._data)

    def crop(seat: Seat | None, evt: gr.EventData) -> Fields:
        taken, payload, values = hint_handlers.cropped(handlers, seat, evt._data)
        return [taken, payload, *values]

    remarks.ask_hints(ask, [shared.seat], [shared.wire], trigger_mode="multiple", **EVENT)
    remarks.crop_here(crop, [shared.seat], shared.opened, **EVENT)
