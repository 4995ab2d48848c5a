"""The models dialog: models and LoRA files, and why some cannot be used; pull, add, verify, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui import model_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class Models:
    """One component; its script draws everything in it."""

    shelf: gr.HTML


def build() -> Models:
    """The component, without handlers."""
    return Models(drawn("models", "models"))


def bind(panel: Models, handlers: Handlers, shared: Shared, model: gr.Dropdown) -> None:
    """Attaches the handlers; `model` is the turn panel's choice, which a pull adds to."""
    shelf = handlers.studio.shelf

    def see(seat: Seat | None) -> Fields:
        return model_handlers.shown(handlers, seat)

    def pull(seat: Seat | None, evt: gr.EventData) -> Fields:
        sent = evt._data
        repo, file = (str(sent.get(name) or "").strip() for name in ("repo", "file"))
        return model_handlers.shown(handlers, seat, lambda: shelf.pull(repo, sent.get("half") is True, file))

    def add(seat: Seat | None, evt: gr.EventData) -> Fields:
        return model_handlers.shown(handlers, seat, lambda: shelf.add(str(evt._data.get("path") or "").strip()))

    def verify(seat: Seat | None, evt: gr.EventData) -> Fields:
        return model_handlers.shown(handlers, seat, lambda: shelf.verify(*_asked(evt)))

    def remove(seat: Seat | None, evt: gr.EventData) -> Fields:
        return model_handlers.shown(handlers, seat, lambda: shelf.remove(*_asked(evt)))

    def stop(seat: Seat | None) -> Fields:
        return model_handlers.shown(handlers, seat, shelf.cancel)

    component, seat, outputs = panel.shelf, [shared.seat], [shared.wire, model]
    often: dict[str, Any] = {"trigger_mode": "multiple", **EVENT}
    component.see_models(see, seat, outputs, **often)
    component.pull_model(pull, seat, outputs, **often)
    component.add_model(add, seat, outputs, **often)
    component.verify_model(verify, seat, outputs, **often)
    component.remove_model(remove, seat, outputs, **often)
    component.stop_model(stop, seat, outputs, **often)


def _asked(evt: gr.EventData) -> tuple[str, bool]:
    """Of which row an event speaks: its id, and whether it is a LoRA's."""
    return str(evt._data.get("id")), evt._data.get("lora") is True
