"""One sentence instead of two texts: it is split into turns, which are shown for correction before anything runs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui import instruction_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import Turns, Words


def build() -> gr.HTML:
    """The component, without handlers."""
    return drawn("instruction", "instruction", "split_words", "use_turn", "run_turns")


def bind(said: gr.HTML, values: list[Any], handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers; `values` are the panel's."""

    def split(seat: Seat | None, sent: Words) -> Payload:
        return instruction_handlers.split_up(handlers, seat, sent.words, sent.count)

    def use(seat: Seat | None, sent: Turns) -> tuple[Payload, Fields]:
        return instruction_handlers.used(handlers, seat, sent.turns)

    def run_all(seat: Seat | None, sent: Turns, *values: Any) -> Payload:
        return instruction_handlers.run_all(handlers, seat, sent.turns, *values, insists=sent.insists)

    shared.on(said.split_words, split, hears=Words).then(**shared.follow)
    shared.on(said.use_turn, use, shared.restored, hears=Turns)
    runs = shared.on(said.run_turns, run_all, hears=Turns, values=values, holding=shared.panel)
    runs.then(**shared.follow)
