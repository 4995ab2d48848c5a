"""The film at the bottom: the tree of turns with what can be done with each, and the facts of the one that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.handlers import Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.sent import Film
from studio.ui.timeline_handlers import CHANGES, JOBS, MOVES, TimelineHandlers


@dataclass(frozen=True)
class Timeline:
    """One component; its script draws everything in it."""

    film: gr.HTML


def build() -> Timeline:
    """The component, without handlers."""
    return Timeline(drawn("timeline", "film", *MOVES, *JOBS, *CHANGES, "arrived", "orders"))


def bind(panel: Timeline, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers. Each event of the film has the name of its handler."""
    does, film, on = TimelineHandlers(handlers), panel.film, shared.on

    def named(do: Callable[[str, Seat | None, dict[str, Any]], object], name: str) -> Callable[..., object]:
        return lambda seat, sent: do(name, seat, sent.model_dump())

    for name in MOVES:
        moves = on(getattr(film, name), named(does.moved, name), shared.restored, hears=Film, trigger_mode="multiple")
        moves.then(**shared.settle)
    for name in JOBS:
        on(getattr(film, name), named(does.started, name), hears=Film).then(**shared.follow)
    for name in CHANGES:
        on(getattr(film, name), named(does.changed, name), hears=Film)
    on(film.arrived, does.arrived, shared.restored).then(**shared.settle)
    on(film.orders, lambda seat, sent: does.orders(seat, sent.model_dump()), hears=Film, trigger_mode="multiple")
