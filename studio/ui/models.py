"""The models dialog: models and LoRA files, and why some cannot be used; pull, add, verify, remove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.api.hosts import came_from_elsewhere
from studio.ui import model_handlers
from studio.ui.handlers import Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import Folder, Repository, Row, Sent


@dataclass(frozen=True)
class Models:
    """One component; its script draws everything in it."""

    registry: gr.HTML


def build() -> Models:
    """The component, without handlers."""
    events = ("see_models", "pull_model", "add_model", "verify_model", "remove_model", "stop_model")
    return Models(drawn("models", "models", *events))


def bind(panel: Models, handlers: Handlers, shared: Shared, model: gr.Dropdown) -> None:
    """Attaches the handlers; `model` is the turn panel's choice, which a pull adds to."""
    registry, component = handlers.studio.registry, panel.registry

    def on(event: Callable[..., Any], acts: Callable[..., object], hears: type[Sent] | None = None) -> None:
        def does(seat: Seat | None, *sent: Any, request: gr.Request) -> tuple[Payload, Any]:
            return model_handlers.shown(handlers, seat, lambda: acts(*sent), came_from_elsewhere(request.headers))

        outputs = [shared.wire, model]
        shared.on(event, does, outputs, hears=hears, with_request=True, trigger_mode="multiple")

    on(component.see_models, lambda: None)
    on(component.pull_model, lambda one: registry.pull(one.repo.strip(), one.half, one.file.strip()), Repository)
    on(component.add_model, lambda one: registry.add(one.folder.strip()), Folder)
    on(component.verify_model, lambda row: registry.verify(row.id, row.lora), Row)
    on(component.remove_model, lambda row: registry.remove(row.id, row.lora), Row)
    on(component.stop_model, registry.cancel)
