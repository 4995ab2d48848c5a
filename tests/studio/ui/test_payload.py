"""What is sent of a session: everything once, and then only what is not as it was."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from studio.app import Studio
from studio.session.session import Session
from studio.ui.payload import whole
from tests.studio.ui.test_handlers import panel
from tests.studio.ui.test_timeline_handlers import Handlers, Seat, click, finished


def taken(held: dict[str, Any] | None, sent: dict[str, Any]) -> dict[str, Any]:
    """What a page that holds `held` makes of `sent`, as ``complete`` in ``store.js`` does."""
    if "since" not in sent:
        return sent
    assert held is not None and held["film"] == sent["since"]
    turns = {turn["id"]: turn for turn in held["turns"]}
    for patch in sent["turns"]:
        turns[patch["id"]] = {**turns.get(patch["id"], {}), **patch}
    for id in sent["gone"]:
        del turns[id]
    more = {"turns": list(turns.values()), "branches": sent.get("branches", held["branches"])}
    return {name: value for name, value in sent.items() if name not in ("since", "gone")} | more


def grown(studio: Studio, upload: bytes) -> tuple[Session, Handlers, Seat]:
    """A session of three turns."""
    handlers, seat = Handlers(studio), Seat(studio.sessions.create(upload, "stripes.png").sid, "tab")
    handlers.mark(seat, click(1, (10, 10)))
    for seed in range(3):
        handlers.run(seat, *panel(seed=seed))
        finished(handlers, seat)
        handlers.keep(seat, 0)
    return studio.sessions.get(seat.sid or ""), handlers, seat


def test_a_page_that_is_told_only_changes_holds_what_there_is(studio: Studio, upload: bytes) -> None:
    session, handlers, seat = grown(studio, upload)
    draw, trashed = random.Random(3), list[str]()

    def branch_off() -> None:
        session.jump(draw.choice([turn.id for turn in session.view().turns]))
        session.branch()

    def keep_one() -> None:
        handlers.run(seat, *panel(seed=draw.randrange(1000)))
        finished(handlers, seat)
        handlers.keep(seat, 0)

    def trash() -> None:
        if len(ids := [turn.id for turn in session.view().turns if turn.parent]) > 1:
            trashed.append(draw.choice(ids))
            session.trash(trashed[-1])

    def restore() -> None:
        if trashed:
            session.restore(trashed.pop())

    does: list[Callable[[], None]] = [session.undo, session.redo, branch_off, keep_one, trash, restore]
    last, held, added = None, None, 0
    for _ in range(60):
        draw.choice(does)()
        view = session.view()
        sent = json.loads(json.dumps(whole(view, last)["view"]))
        held, last = taken(held, sent), view
        added += "since" in sent
        assert held == json.loads(json.dumps(whole(view)["view"]))
    assert added > 40, "most changes are sent as what they add"


def test_what_did_not_change_is_not_sent(studio: Studio, upload: bytes) -> None:
    session, _, _ = grown(studio, upload)
    before = session.view()
    session.undo()
    sent = whole(session.view(), before)["view"]
    assert sent["turns"] == [] and sent["gone"] == [] and "branches" not in sent
    assert sent["since"] == before.film and sent["film"] == session.view().film
    session.jump(before.turns[0].id)
    session.branch()
    sent = whole(session.view(), before)["view"]
    assert sent["branches"] == session.view().branches
    assert all(set(turn) == {"id", "lane"} for turn in sent["turns"]), "where a turn stands is all that changed"


def test_another_session_is_sent_whole(studio: Studio, upload: bytes) -> None:
    session, handlers, seat = grown(studio, upload)
    other = studio.sessions.create_example("duck-on-the-beach")
    assert "since" not in whole(other.view(), session.view())["view"]
    handlers.answered(seat, lambda session: None)
    away, _, _ = handlers.taken(seat, lambda: other)
    assert away is not None and away.tab == seat.tab
    _, payload, _ = handlers.taken(away, lambda: session)
    assert len(payload["view"]["turns"]) == 4 and "since" not in payload["view"], "the page holds nothing of it by now"
