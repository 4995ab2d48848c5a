"""What the page is told while a person types, and before it runs what a model was not made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.pictures import encode_png
from pipelines.requests import LONGEST_ASPECT, LONGEST_TEXT
from studio.app import Studio
from studio.ui import hint_handlers, instruction_handlers
from studio.ui.handlers import Handlers, Seat
from tests.studio.conftest import StandInEngine
from tests.studio.ui.test_handlers import click, panel

CARD = {
    "title": "Toys",
    "vocabulary": {"subject": [["dog", "puppy"]], "colour": ["blue"], "background": [["in a forest", "forest"]]},
    "pictures": {"made_for": "flat drawings", "smooth": 0.5},
}


@pytest.fixture
def handlers(studio: Studio, model_folder: Path) -> Handlers:
    (model_folder / "toybox" / "card.json").write_text(json.dumps(CARD))
    return Handlers(studio)


def seat_of(studio: Studio, picture: Any) -> Seat:
    return Seat(studio.sessions.create(encode_png(picture), "it.png").sid, "tab")


@pytest.fixture
def seat(studio: Studio) -> Seat:
    return seat_of(studio, np.full((32, 48, 3), 90, np.uint8))


@pytest.fixture
def photograph(studio: Studio) -> Seat:
    return seat_of(studio, np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8))


def test_the_texts_are_answered_and_nothing_else_happens(handlers: Handlers, seat: Seat, engine: StandInEngine) -> None:
    before = handlers.answered(seat, lambda session: None)["view"]
    sent = {"subject": "a blaue dog", "background": "no trees", "scope": "both", "count": 4}
    payload = hint_handlers.hinted(handlers, seat, sent)
    assert set(payload) == {"hints"} and payload["hints"]["count"] == 4
    kinds = [(hint["kind"], hint["part"], hint["spans"]) for hint in payload["hints"]["found"]]
    assert kinds == [("unknown", "subject", ((2, 7),)), ("negation", "background", ((0, 8),))]
    fix = payload["hints"]["found"][0]["fixes"][0]
    assert fix == {"label": "blue", "subject": "a blue dog", "background": None, "instruction": None}
    json.dumps(payload)
    assert handlers.answered(seat, lambda session: None)["view"]["rev"] == before["rev"]
    assert engine.requests == [] and engine.segmented == 0


def test_what_the_line_said_last_is_what_it_means(handlers: Handlers, seat: Seat) -> None:
    handlers.mark(seat, click(1, (20, 10)))
    handlers.run(seat, *panel(subject="a small dog", scope="subject"))
    session = handlers.found(seat)
    assert session is not None
    while not session.view().staged:
        session.wait(session.view().rev, 0.2)
    handlers.keep(seat, 0)
    (hint,) = hint_handlers.hinted(handlers, seat, {"subject": "make it blue", "scope": "subject"})["hints"]["found"]
    assert hint["fixes"][0]["subject"] == "a small blue dog"


def test_a_part_that_stays_is_not_spoken_of(handlers: Handlers, seat: Seat) -> None:
    sent = {"subject": "no hat", "background": "no trees", "scope": "background"}
    found = hint_handlers.hinted(handlers, seat, sent)["hints"]["found"]
    assert [hint["part"] for hint in found] == ["background"]


strange = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.dictionaries(st.sampled_from(["subject", "background", "scope", "count", "else"]), strange))
def test_whatever_a_page_sends_is_answered(handlers: Handlers, seat: Seat, sent: dict[str, Any]) -> None:
    payload = hint_handlers.hinted(handlers, seat, sent)
    assert payload["hints"]["count"] == sent.get("count") and isinstance(payload["hints"]["found"], list)


def test_a_page_without_a_session_is_told_nothing(handlers: Handlers) -> None:
    for seat in (None, Seat(None, "tab"), Seat("0" * 32, "tab")):
        assert hint_handlers.hinted(handlers, seat, {"subject": "no hat", "count": 1})["hints"]["found"] == []


@pytest.mark.parametrize("spoilt", ["[1]", "{", '{"vocabulary": 3}', '{"pictures": []}', "{}"])
def test_a_card_that_is_spoilt_takes_no_hint_away_that_needs_none(
    handlers: Handlers, seat: Seat, model_folder: Path, spoilt: str
) -> None:
    (model_folder / "toybox" / "card.json").write_text(spoilt)
    (hint,) = hint_handlers.hinted(handlers, seat, {"subject": "a blaue dog, no hat", "scope": "both"})["hints"][
        "found"
    ]
    assert hint["kind"] == "negation"


def test_a_photograph_is_asked_about_and_run_when_a_person_insists(handlers: Handlers, photograph: Seat) -> None:
    handlers.mark(photograph, click(1, (20, 10)))
    asked = handlers.run(photograph, *panel())
    assert asked["confirm"]["does"] == "run" and "Toys was made for flat drawings" in asked["confirm"]["text"]
    assert asked["view"]["job"] is None and "notice" not in asked
    assert asked["view"]["draft"]["subject"] == "a blue dog", "what was typed is kept"
    run = handlers.run(photograph, *panel(), insists=True)
    assert "confirm" not in run and run["view"]["job"]["state"] in ("queued", "running")


def test_several_turns_on_a_photograph_are_asked_about_as_well(handlers: Handlers, photograph: Seat) -> None:
    handlers.mark(photograph, click(1, (20, 10)))
    turns = [{"subject": "a blue dog", "background": "", "scope": "subject"}] * 2
    asked = instruction_handlers.run_all(handlers, photograph, turns, *panel())
    assert asked["confirm"]["does"] == "run_turns" and asked["view"]["job"] is None
    run = instruction_handlers.run_all(handlers, photograph, turns, *panel(), insists=True)
    assert "confirm" not in run and run["view"]["job"] is not None


def test_a_drawing_is_not_asked_about(handlers: Handlers, seat: Seat) -> None:
    handlers.mark(seat, click(1, (20, 10)))
    assert "confirm" not in handlers.run(seat, *panel())


def test_a_part_of_a_long_picture_is_what_the_page_turns_to(handlers: Handlers, studio: Studio) -> None:
    seat = seat_of(studio, np.zeros((50, 400, 3), np.uint8))
    taken, payload, fields = hint_handlers.cropped(handlers, seat, {"left": 10, "top": 0, "right": 210, "bottom": 50})
    assert taken is not None and taken.sid != seat.sid and "notice" not in payload
    assert (payload["view"]["width"], payload["view"]["height"]) == (200, 50)
    assert len(fields) == len(handlers.kept_fields())


@pytest.mark.parametrize("edge", [None, "10", 1.5, True, [1], 2**70, -1])
def test_a_part_that_is_none_leaves_the_page_where_it_is(handlers: Handlers, studio: Studio, edge: object) -> None:
    seat = seat_of(studio, np.zeros((50, 400, 3), np.uint8))
    sent = {"left": edge, "top": 0, "right": 210, "bottom": 50}
    taken, payload, _ = hint_handlers.cropped(handlers, seat, sent)
    assert taken == seat and payload["notice"]["tone"] == "bad"
    assert "part" in payload["notice"]["text"]
    assert hint_handlers.cropped(handlers, None, sent)[1]["notice"]


def test_the_page_is_told_the_limits_of_the_command(handlers: Handlers) -> None:
    about = handlers.about()
    assert (about["longest_text"], about["longest_aspect"]) == (LONGEST_TEXT, LONGEST_ASPECT)
