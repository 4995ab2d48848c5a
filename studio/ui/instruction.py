"""One sentence instead of two texts: it is split into turns, which are shown for correction before anything runs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui import instruction_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


def build() -> gr.HTML:
    """The component, without handlers."""
    return drawn("instruction", "instruction")


def bind(said: gr.HTML, everything: list[Any], handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers; `everything` are the seat and the panel's values."""

    def split(seat: Seat | None, evt: gr.EventData) -> Any:
        return instruction_handlers.split_up(handlers, seat, evt._data.get("words"), evt._data.get("count"))

    def use(seat: Seat | None, evt: gr.EventData) -> Fields:
        payload, fields = instruction_handlers.used(handlers, seat, evt._data.get("turns"))
        return [payload, *fields]

    def run_all(seat: Seat | None, evt: gr.EventData, *values: Any) -> Any:
        insists = evt._data.get("insists") is True
        return instruction_handlers.run_all(handlers, seat, evt._data.get("turns"), *values, insists=insists)

    seat, wire = shared.seat, shared.wire
    said.split_words(split, [seat], [wire], **EVENT).then(**shared.follow)
    said.use_turn(use, [seat], shared.restored, **EVENT)
    said.run_turns(run_all, everything, [wire], **EVENT).then(**shared.follow)
