"""The film at the bottom: the tree of turns with what can be done with each, and the facts of the one that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn
from studio.ui.payload import Payload
from studio.ui.timeline_handlers import TimelineHandlers


@dataclass(frozen=True)
class Timeline:
    """One component; its script draws everything in it."""

    film: gr.HTML


def build() -> Timeline:
    """The component, without handlers."""
    return Timeline(drawn("timeline", "film"))


def bind(panel: Timeline, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers. Each event of the film has the name of its handler."""
    does = TimelineHandlers(handlers)

    def moves(name: str) -> Callable[..., Fields]:
        def move(seat: Seat | None, evt: gr.EventData) -> Fields:
            payload, values = does.moved(name, seat, evt._data or {})
            return [payload, *values]

        return move

    def answers(do: Callable[[str, Seat | None, dict[str, Any]], Payload], name: str) -> Callable[..., Payload]:
        def answer(seat: Seat | None, evt: gr.EventData) -> Payload:
            return do(name, seat, evt._data or {})

        return answer

    def arrived(seat: Seat | None) -> Fields:
        payload, values = does.arrived(seat)
        return [payload, *values]

    def orders(seat: Seat | None, evt: gr.EventData) -> Payload:
        return does.orders(seat, evt._data or {})

    seat, wire, film = [shared.seat], [shared.wire], panel.film
    for name in does.moves:
        event = getattr(film, name)
        event(moves(name), seat, shared.restored, trigger_mode="multiple", **EVENT).then(**shared.settle)
    for name in does.jobs:
        getattr(film, name)(answers(does.started, name), seat, wire, **EVENT).then(**shared.follow)
    for name in does.changes:
        getattr(film, name)(answers(does.changed, name), seat, wire, **EVENT)
    film.arrived(arrived, seat, shared.restored, **EVENT).then(**shared.settle)
    film.orders(orders, seat, wire, trigger_mode="multiple", **EVENT)
