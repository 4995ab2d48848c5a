"""What all panels share: how a part drawn by our own script is made, and how its events are bound."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from pydantic import TypeAdapter

from studio.ui.assets import importing
from studio.ui.handlers import Handlers
from studio.ui.language import speaking, wanted
from studio.ui.payload import Payload
from studio.ui.sent import Sent, held_as

EVENT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "preprocess": False}
"""How a button's event is bound: answered at once, beside the queue of long work, with no overlay of Gradio's. Values
come as they were sent: `Shared.on` looks at them, and not each component in its own way."""


QUEUED: dict[str, Any] = {"queue": True, "concurrency_limit": None}
"""How it is bound where a GPU is lent to visitors: by an event of the queue alone the hub says who they are."""


@dataclass(frozen=True)
class Shared:
    """The components that several panels write to, and how their events are bound."""

    handlers: Handlers
    seat: gr.State
    """The `handlers.Seat` of this page; the server believes no other."""
    wire: gr.HTML
    """Takes the messages of `payload`."""
    fields: list[gr.components.Component]
    """The turn panel's fields, then one group a method: what `Handlers.fields` fills."""
    panel: list[Any]
    """What the turn panel's fields that hold a value may hold: see `sent.PANEL`."""
    shown: gr.State
    """Revision of the view that the last of those handlers sent."""
    follow: dict[str, Any]
    """Arguments of the event that follows a running job; comes after every event that may have started one."""
    settle: dict[str, Any]
    """Arguments of the event that shows the mask made anew; comes after every event that changes the picture."""
    bound: dict[str, Any] = field(default_factory=lambda: EVENT)
    """How events are bound: any of them may compute, for a picture that was changed is looked at anew."""

    def on(
        self,
        event: Callable[..., Any],
        does: Callable[..., object],
        outputs: Sequence[Any] | None = None,
        *,
        hears: type[Sent] | None = None,
        values: Sequence[Any] = (),
        holding: Sequence[Any] = (),
        with_request: bool = False,
        seated: bool = True,
        trigger_mode: str | None = None,
    ) -> Any:
        """Binds `event` to ``does(seat, what was sent, *values)``; what it raises or must not be sent is told.

        What was sent is of the type `hears`, and left out without one; `values` are those of components, of the types
        in `holding`. `with_request` adds it as ``request``. Without `seated` there is no seat yet. `outputs` are the
        wire alone unless said. The answer is a payload, or a tuple of as many as there are outputs; lists in it count
        as their items.
        """
        fills = list(outputs or [self.wire])
        wire = fills.index(self.wire)
        kinds = [TypeAdapter[Any](kind) for kind in holding]

        def told(failed: Payload) -> Any:
            return failed if len(fills) == 1 else [failed if at == wire else gr.skip() for at in range(len(fills))]

        def heard(evt: gr.EventData, request: gr.Request, *given: Any) -> Any:
            answers: list[Any] = []

            def work() -> None:
                said = [hears.of(evt._data)] if hears else []
                held = [held_as(kind, value) for kind, value in zip(kinds, given[len(seat) :], strict=True)]
                more = {"request": request} if with_request else {}
                answers.append(does(*given[: len(seat)], *said, *held, **more))

            # An event of the queue is not answered within its request.
            with speaking(wanted(request.headers)):
                failed = self.handlers.calmly(work)
            return told(failed) if failed else _flat(answers[0])

        seat = [self.seat] if seated else []
        inputs = [*seat, *values]
        return event(heard, inputs, fills, trigger_mode=trigger_mode, **self.bound)

    @property
    def restored(self) -> list[Any]:
        """Outputs of a handler that answers with a payload and the panel's fields."""
        return [self.wire, self.shown, *self.fields]

    @property
    def opened(self) -> list[Any]:
        """Outputs of a handler that also changes which session is shown."""
        return [self.seat, *self.restored]


def drawn(name: str, elem_id: str, *events: str) -> gr.HTML:
    """An empty `gr.HTML` that the `Panel` of ``assets/js/<name>.js`` fills. Its template never changes, so Gradio never
    redraws it. It has the events whose names stand in its script: `events`."""
    place = f"{{ element, trigger, props, events: {json.dumps(events)} }}"
    return gr.HTML(
        value=None,
        html_template='<i class="p-place"></i>',
        js_on_load=f"{importing(name)}.then(({{ panel }}) => panel.mount({place}))",
        elem_id=elem_id,
        apply_default_css=False,
    )


def _flat(answer: object) -> Any:
    """A tuple's parts, and those of the lists among them, as one list."""
    if not isinstance(answer, tuple):
        return answer
    return [item for part in answer for item in (part if isinstance(part, list) else [part])]
