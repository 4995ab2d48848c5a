"""What all panels share: how a part drawn by our own script is made, and how its events are bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.assets import script

EVENT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""How a button's event is bound: answered at once, beside the queue of long work, with no overlay of Gradio's."""


@dataclass(frozen=True)
class Shared:
    """The components that several panels write to."""

    seat: gr.State
    """The `handlers.Seat` of this page; the server believes no other."""
    wire: gr.HTML
    """Takes the messages of `payload`."""
    fields: list[gr.components.Component]
    """The turn panel's fields, then one group a method: what `Handlers.fields` fills."""
    shown: gr.State
    """Revision of the view that the last of those handlers sent."""
    follow: dict[str, Any]
    """Arguments of the event that follows a running job; comes after every event that may have started one."""
    settle: dict[str, Any]
    """Arguments of the event that shows the mask made anew; comes after every event that changes the picture."""

    @property
    def restored(self) -> list[Any]:
        """Outputs of a handler that answers with a payload and the panel's fields."""
        return [self.wire, self.shown, *self.fields]

    @property
    def opened(self) -> list[Any]:
        """Outputs of a handler that also changes which session is shown."""
        return [self.seat, *self.restored]


def drawn(name: str, elem_id: str) -> gr.HTML:
    """An empty `gr.HTML` that ``assets/js/<name>.js`` fills. Its template never changes, so Gradio never redraws it."""
    return gr.HTML(
        value=None,
        html_template='<div class="p-root"></div>',
        js_on_load=script(f"{name}.js"),
        elem_id=elem_id,
        apply_default_css=False,
    )
