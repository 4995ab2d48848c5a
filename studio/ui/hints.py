"""What is said before Run: the component that marks words while they are typed, and offers to crop a picture."""

from __future__ import annotations

import gradio as gr

from studio.ui import hint_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import Hinted, Part


def build() -> gr.HTML:
    """The component, without handlers; its script puts marks and sentences to the two fields."""
    return drawn("hints", "hints", "ask_hints", "crop_here")


def bind(remarks: gr.HTML, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def ask(seat: Seat | None, sent: Hinted) -> Payload:
        return hint_handlers.hinted(handlers, seat, sent.model_dump())

    def crop(seat: Seat | None, part: Part) -> tuple[Seat | None, Payload, Fields]:
        return hint_handlers.cropped(handlers, seat, part.model_dump())

    shared.on(remarks.ask_hints, ask, hears=Hinted, trigger_mode="multiple")
    shared.on(remarks.crop_here, crop, shared.opened, hears=Part)
