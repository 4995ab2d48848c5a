"""What the gallery's buttons do: sessions found, entered, named, copied, put into the trash and taken out again.

A session's id is all that is needed to open it. Where strangers share a studio (`Handlers.lists_all` is false) a page
is therefore told only of sessions whose ids it names itself: those that its browser opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.session.view import Draft
from studio.store.record import Summary
from studio.ui import text
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.language import say
from studio.ui.payload import Payload, notice

MOST_SHOWN = 2000
"""Tiles; a person who does not find a session among these searches for it."""
MOST_OWN = 1000
"""Ids that a page may name."""

AGAIN: Payload = {"gallery": {"again": True}}
"""Tells the page that what it lists is not as it was."""


def listed(handlers: Handlers, asked: Mapping[str, Any], elsewhere: bool = False) -> Payload:
    """The sessions that the page looks for; for one that is `elsewhere` see `Handlers.lists_all`.

    `asked` has ``search``, ``trashed``, ``shown`` (tiles at most), ``own`` (ids that the browser remembers), and
    ``count`` and ``place``, which come back so that the page knows the answer of its last question.
    """
    own = asked.get("own")
    own = {sid for sid in own[:MOST_OWN] if isinstance(sid, str)} if isinstance(own, list) else set()
    search, trashed = str(asked.get("search") or ""), asked.get("trashed") is True
    shown = asked.get("shown")
    shown = min(shown, MOST_SHOWN) if isinstance(shown, int) and shown > 0 else MOST_SHOWN
    found: list[Summary] = []
    list_ = handlers.studio.sessions.list
    if handlers.lists_all(elsewhere):
        failed = handlers.calmly(lambda: found.extend(list_(search, trashed, shown + 1)))
    else:
        failed = handlers.calmly(lambda: found.extend(s for s in list_(search, trashed) if s.sid in own))
    answer = {
        "place": asked.get("place"),
        "count": asked.get("count"),
        "search": search,
        "trashed": trashed,
        "sessions": [vars(summary) for summary in found[:shown]],
        "more": len(found) > shown,
    }
    return {"gallery": answer} | (failed or {})


def entered(handlers: Handlers, seat: Seat | None, sid: object) -> tuple[Seat | None, Payload, Fields]:
    """The page turns to another session."""
    return handlers.taken(seat, lambda: handlers.studio.sessions.get(str(sid)))


def renamed(handlers: Handlers, seat: Seat | None, sid: object, name: object) -> Payload:
    """Another name for a session, the one that is shown or any other."""
    new = str(name or "")

    def rename() -> None:
        handlers.studio.sessions.rename(str(sid), new)

    if seat is not None and seat.sid == sid:
        return handlers.answered(seat, lambda session: rename()) | AGAIN
    return AGAIN | (handlers.calmly(rename) or {})


def duplicated(handlers: Handlers, sid: object) -> Payload:
    """A copy, which one goes on working beside."""
    made: list[str] = []
    failed = handlers.calmly(lambda: made.append(handlers.studio.sessions.duplicate(str(sid)).sid))
    return failed or {"gallery": {"again": True, "made": made[0]}}


def trashed(handlers: Handlers, seat: Seat | None, sid: object) -> tuple[Seat | None, Payload, Fields]:
    """A session goes into the trash; a page that shows it goes back to the start."""
    named: list[str] = []
    failed = handlers.calmly(lambda: named.append(handlers.studio.sessions.trash(str(sid))))
    if failed is not None:
        return seat, failed | AGAIN, handlers.kept_fields()
    shown = seat is not None and seat.sid == sid
    undo = {"text": say(text.UNDO), "does": "bringBack", "sent": {"sid": sid, "enter": shown}}
    payload = notice(text.in_trash(named[0]), "good", action=undo) | AGAIN
    if seat is None or not shown:
        return seat, payload, handlers.kept_fields()
    return replace(seat, sid=None), payload | {"sid": None, "view": None}, handlers.kept_fields()


def brought_back(
    handlers: Handlers, seat: Seat | None, sid: object, enter: object
) -> tuple[Seat | None, Payload, Fields]:
    """A session out of the trash; the page turns to it where it was shown when it went there."""
    restore = handlers.studio.sessions.restore
    if enter is True:
        taken, payload, fields = handlers.taken(seat, lambda: restore(str(sid)))
        return taken, payload | AGAIN, fields
    failed = handlers.calmly(lambda: restore(str(sid)))
    return seat, AGAIN | (failed or {}), handlers.kept_fields()


def looked(handlers: Handlers, seat: Seat | None, known: Mapping[str, Any], *values: Any) -> tuple[Payload, Fields]:
    """The session as another page left it. `values` stand in the panel and `known` has the two texts as this page was
    last told them: a text that differs was typed here, and is not written over."""

    def act_on(draft: Draft) -> Draft:
        page = handlers.draft(draft, values)
        typed = {part for part in ("subject", "background") if getattr(page, part) != known.get(part)}
        return replace(page, **{part: getattr(draft, part) for part in typed})

    return handlers.restored(seat, lambda session: act_on(session.view().draft), anyway=True, afresh=True)
