"""What the film's menus and buttons do, without a browser, on the stand-in engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from studio.app import Studio
from studio.session.session import Session
from studio.ui.handlers import PLAIN_FIELDS, Handlers, Seat
from studio.ui.timeline_handlers import TimelineHandlers
from tests.studio.ui.test_handlers import click, panel


@pytest.fixture
def handlers(studio: Studio) -> Handlers:
    return Handlers(studio)


@pytest.fixture
def does(handlers: Handlers) -> TimelineHandlers:
    return TimelineHandlers(handlers)


@pytest.fixture
def seat(handlers: Handlers, upload: bytes) -> Seat:
    """A session with three turns: subject, background, subject."""
    seat = Seat(handlers.studio.sessions.create(upload, "stripes.png").sid, "tab")
    handlers.mark(seat, click(1, (10, 10)))
    for seed, (scope, subject, background) in enumerate(
        [("subject", "a blue dog", ""), ("background", "", "in a forest"), ("subject", "a red dog", "")]
    ):
        handlers.run(seat, *panel(scope=scope, subject=subject, background=background, seed=seed))
        finished(handlers, seat)
        handlers.keep(seat, 0)
    return seat


def finished(handlers: Handlers, seat: Seat) -> dict[str, Any]:
    """The whole view once nothing runs."""

    async def last() -> None:
        async for _ in handlers.follow(seat):
            pass

    asyncio.run(last())
    view: dict[str, Any] = handlers.answered(seat, lambda session: None, afresh=True)["view"]
    return view


def session(handlers: Handlers, seat: Seat) -> Session:
    return handlers.studio.sessions.get(seat.sid or "")


def line(view: dict[str, Any]) -> list[str]:
    """Ids along the branch one stands on."""
    return [t["id"] for t in sorted(view["turns"], key=lambda t: t["number"]) if t["lane"] == 0]


def test_an_earlier_turn_is_changed_and_the_later_ones_follow(
    handlers: Handlers, does: TimelineHandlers, seat: Seat
) -> None:
    view = finished(handlers, seat)
    first, second, third = line(view)[1:]
    payload, fields = does.moved("edit", seat, {"turn": second})
    assert payload["view"]["editing"]["turn"] == second and payload["view"]["editing"]["stale"] == (third,)
    assert payload["view"]["current"] == first and not payload["settling"]
    assert fields[1 + PLAIN_FIELDS.index("background")] == "in a forest"
    handlers.run(seat, *panel(scope="background", subject="", background="in the snow", seed=1))
    view = finished(handlers, seat)
    assert view["editing"] is None and len(view["turns"]) == 6 and len(view["branches"]) == 2
    _, fields = does.arrived(seat)
    assert fields[1 + PLAIN_FIELDS.index("background")]["value"] == "", "the words are used up"


def test_leaving_a_turn_as_it_was_goes_back_to_it(handlers: Handlers, does: TimelineHandlers, seat: Seat) -> None:
    second = line(finished(handlers, seat))[2]
    does.moved("edit", seat, {"turn": second})
    payload, fields = does.moved("leave", seat, {})
    assert payload["view"]["editing"] is None and payload["view"]["current"] == second
    assert fields[1 + PLAIN_FIELDS.index("background")] == ""


def test_two_turns_are_swapped_compared_and_adopted(handlers: Handlers, does: TimelineHandlers, seat: Seat) -> None:
    first, second, _ = line(finished(handlers, seat))[1:]
    does.started("swap", seat, {"first": first, "second": second})
    view = finished(handlers, seat)
    assert (view["swap"]["first"], view["swap"]["second"]) == (first, second)
    known = does.orders(seat, {"count": 3})["orders"]
    assert [c["first"] for c in known["cells"] if c["consistency"]] == [first]
    payload, _ = does.moved("adopt", seat, {})
    view = finished(handlers, seat)
    made = line(view)
    assert payload["view"]["swap"] is None and payload["view"]["current"] == made[-1] and second not in made
    labels = {t["id"]: t["label"] for t in view["turns"]}
    assert [labels[id] for id in made[1:]] == ["in a forest", "a blue dog"]


def test_going_elsewhere_puts_the_comparison_away(handlers: Handlers, does: TimelineHandlers, seat: Seat) -> None:
    first, second, third = line(finished(handlers, seat))[1:]
    for away in ("jump", "dismiss"):
        does.moved("jump", seat, {"turn": third})
        does.started("swap", seat, {"first": first, "second": second})
        assert finished(handlers, seat)["swap"] is not None
        payload = does.moved("jump", seat, {"turn": first})[0] if away == "jump" else does.changed(away, seat, {})
        assert payload["view"]["swap"] is None


def test_all_orders_are_measured(handlers: Handlers, does: TimelineHandlers, seat: Seat) -> None:
    finished(handlers, seat)
    does.started("measure", seat, {"count": 3})
    finished(handlers, seat)
    cells = does.orders(seat, {"count": 3})["orders"]["cells"]
    assert len(cells) == 3 and all(c["consistency"] for c in cells)


@pytest.mark.parametrize(
    ("name", "sent", "labels"),
    [
        (
            "cherry_pick",
            lambda a, b, c: {"turn": b, "onto": c},
            ["a blue dog", "in a forest", "a red dog", "in a forest"],
        ),
        ("squash", lambda a, b, c: {"first": a, "last": b}, ["a blue dog, in a forest"]),
        ("revert", lambda a, b, c: {"track": "subject"}, ["in a forest"]),
        ("combine", lambda a, b, c: {"subject_of": a, "background_of": c}, ["a blue dog", "in a forest"]),
        ("redo_from_original", lambda a, b, c: {}, ["a red dog, in a forest"]),
    ],
)
def test_what_replays(
    handlers: Handlers, does: TimelineHandlers, seat: Seat, name: str, sent: Any, labels: list[str]
) -> None:
    payload = does.started(name, seat, sent(*line(finished(handlers, seat))[1:]))
    assert payload["view"]["job"]["does"] == "replay"
    view = finished(handlers, seat)
    by_id = {t["id"]: t["label"] for t in view["turns"]}
    assert [by_id[id] for id in line(view)[1 : 1 + len(labels)]] == labels
    assert view["current"] == line(view)[len(labels)], "one stands on what was made"


def test_branches_are_made_and_named_and_turns_come_back_from_the_trash(
    handlers: Handlers, does: TimelineHandlers, seat: Seat
) -> None:
    _, second, third = line(finished(handlers, seat))[1:]
    payload, _ = does.moved("branch", seat, {"turn": second})
    assert payload["view"]["branch"] == "branch 2" and payload["view"]["current"] == second
    payload = does.changed("rename_branch", seat, {"old": "branch 2", "new": "winter <b>"})
    assert dict(payload["view"]["branches"])["winter <b>"] == second
    payload, _ = does.moved("trash", seat, {"turn": third})
    assert [t["turn"] for t in payload["view"]["trash"]] == [third]
    payload = does.changed("restore", seat, {"turn": third})
    assert payload["view"]["trash"] == () and third in [t["id"] for t in finished(handlers, seat)["turns"]]


@pytest.mark.parametrize("sent", [{}, {"turn": "nobody"}, {"turn": 7}, {"turn": ["x"]}, {"turn": None}])
def test_unknown_ids_change_nothing(
    handlers: Handlers, does: TimelineHandlers, seat: Seat, sent: dict[str, Any]
) -> None:
    before = session(handlers, seat).view()
    answers = [does.moved(name, seat, sent)[0] for name in ("jump", "edit", "branch", "trash")]
    answers += [
        does.started(name, seat, sent) for name in ("cherry_pick", "squash", "swap", "combine", "revert", "measure")
    ]
    answers += [does.changed(name, seat, sent) for name in ("restore", "rename_branch")]
    answers.append(does.orders(seat, sent))
    assert all(a["notice"]["tone"] == "bad" and "wrong inside" not in a["notice"]["text"] for a in answers)
    after = session(handlers, seat).view()
    for part in ("turns", "current", "branches", "editing", "swap", "trash", "draft"):
        assert getattr(after, part) == getattr(before, part), part


def test_what_was_discarded_is_brought_back_by_the_notice_that_told_it(
    handlers: Handlers, does: TimelineHandlers, seat: Seat
) -> None:
    assert "notice" not in handlers.discard(seat), "there was nothing to discard"
    handlers.run(seat, *panel(scope="subject", subject="a green dog", background="", candidates=2))
    staged = finished(handlers, seat)["staged"]
    told = handlers.discard(seat)
    assert told["notice"] == {"text": "2 candidates are in the trash.", "tone": "note"}
    assert told["view"]["staged"] == () and told["action"]["does"] == "stageAgain"
    assert does.changed("bring_back", seat, told["action"]["sent"])["view"]["staged"] == staged
    for sent in ({}, {"pictures": "all"}, {"pictures": [None, 3]}):
        assert "too long ago" in does.changed("bring_back", seat, sent)["notice"]["text"]
