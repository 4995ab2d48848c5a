"""What the models dialog and the list of LoRA files do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from studio.session.registry import NOT_HERE, ModelsView
from studio.session.session import Session
from studio.ui.handlers import Handlers, Seat
from studio.ui.language import ENGLISH, say
from studio.ui.payload import Payload, notice


def shown(
    handlers: Handlers, seat: Seat | None, act: Callable[[], object] = lambda: None, elsewhere: bool = False
) -> tuple[Payload, Any]:
    """Does `act`; answers with the list as it is then, and the models that a turn can be run on. For a page that is
    `elsewhere`, behind a proxy, nothing is done.

    The one that the page has chosen stays among them though it was removed: Gradio refuses what a page sends with a
    value that is no choice.
    """
    if elsewhere:
        return notice(NOT_HERE, lang=ENGLISH), gr.skip()
    views: list[dict[str, Any]] = []
    failed = handlers.calmly(act)
    unseen = handlers.calmly(lambda: views.append(_listed(handlers.studio.registry.view())))
    payload: Payload = {"models": views[0]} if views else {}
    return payload | (unseen or {}) | (failed or {}), gr.update(choices=handlers.models(handlers.chosen_model(seat)))


def _listed(view: ModelsView) -> dict[str, Any]:
    """The list as the page draws it: what a model to begin with does is said in the page's language."""
    starters = tuple(replace(starter, use=say(starter.use)) for starter in view.starters)
    return asdict(replace(view, starters=starters))


def put_loras(handlers: Handlers, seat: Seat | None, sent: Mapping[str, Any]) -> Payload:
    """The LoRA files of the turn in preparation: scale by name."""
    loras = sent.get("loras")

    def act(session: Session) -> None:
        session.set_draft(replace(session.view().draft, loras=loras if isinstance(loras, dict) else {}))

    return handlers.answered(seat, act)
