"""What is said before Run: hints to the texts as they stand, and a part of a picture that is too long to be edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.catalog import method, settings
from pipelines.contract import Box, Scope
from pipelines.hints.contract import Hint, spoken
from pipelines.hints.texts import hints_of, hints_of_negative
from studio.errors import NotReady, UnknownSession
from studio.session.session import Session
from studio.ui import text
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.instruction_handlers import last_texts
from studio.ui.language import say
from studio.ui.payload import Payload


def hinted(handlers: Handlers, seat: Seat | None, sent: Mapping[str, Any]) -> Payload:
    """The hints to the texts that the page has, for the model and method of its draft.

    Nothing of the session is changed, and nothing waits for the engine. ``count`` comes back, so that the page knows
    which of its questions was answered.
    """
    session = handlers.found(seat)
    found: list[dict[str, Any]] = []

    def work() -> None:
        if session is None:
            return
        view = session.view()
        subject, background, negative = (str(sent.get(part) or "") for part in ("subject", "background", "negative"))
        scope = Scope(sent["scope"]) if sent.get("scope") in list(Scope) else view.draft.scope
        card = handlers.card(view.draft.model)
        values = asdict(settings(view.draft.method, view.draft.quality, card=card)) | dict(view.draft.changes)
        hints = hints_of(subject, background, scope, method(view.draft.method), card, last_texts(view))
        found.extend(map(_plain, (*hints, *hints_of_negative(negative, card, values.get("guidance")))))

    failed = handlers.calmly(work)
    return {"hints": {"count": sent.get("count"), "found": found}} if failed is None else failed


def _plain(hint: Hint) -> dict[str, Any]:
    """As the page is sent it, in its language."""
    fixes = [asdict(fix) | {"label": spoken(fix.label, say)} for fix in hint.fixes]
    return asdict(hint) | {"says": spoken(hint.says, say), "fixes": fixes}


def cropped(handlers: Handlers, seat: Seat | None, sent: Mapping[str, Any]) -> tuple[Seat | None, Payload, Fields]:
    """A new session of a part of the picture that the page's session began with."""

    def crop() -> Session:
        session = handlers.found(seat)
        if session is None:
            raise UnknownSession(text.GONE)
        said = [sent.get(name) for name in ("left", "top", "right", "bottom")]
        edges = [edge for edge in said if isinstance(edge, int) and not isinstance(edge, bool)]
        if len(edges) != len(said):
            raise NotReady(text.NO_PART.format(got=said))
        return handlers.studio.sessions.crop(session.sid, Box(*edges))

    return handlers.taken(seat, crop)
