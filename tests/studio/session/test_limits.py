"""What a model or a method cannot do is said before anything runs, and what a person insists on is run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Box, Extent, Picture, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.instructions.contract import Asked
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import decode, encode_png
from pipelines.requests import LONGEST_ASPECT, LONGEST_TEXT
from studio.app import Studio, build_studio
from studio.errors import NotMadeFor, UnknownSession
from studio.session.session import Session
from studio.session.view import JobState
from studio.settings import Settings
from tests.studio.conftest import StandInEngine

CARD = {"title": "Toys", "pictures": {"made_for": "flat drawings", "smooth": 0.5}}


@pytest.fixture
def particular(model_folder: Path) -> Path:
    """The model's card says what pictures it was made for; the file's path, to change that."""
    card = model_folder / "toybox" / "card.json"
    card.write_text(json.dumps(CARD))
    return card


def grainy(width: int = 64, height: int = 48) -> Picture:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def flat(width: int = 64, height: int = 48) -> Picture:
    return np.full((height, width, 3), 90, np.uint8)


def ready(studio: Studio, picture: Picture) -> Session:
    session = studio.sessions.create(encode_png(picture), "it.png")
    session.set_draft(replace(session.view().draft, subject="a blue dog", background="", quality=Quality.DRAFT))
    session.set_prompts(MaskPrompts(clicks=(Click(20.0, 16.0),)))
    return session


def finished(session: Session) -> JobState:
    view = session.view()
    while view.job is not None and view.job.state in (JobState.QUEUED, JobState.RUNNING):
        view = session.wait(view.rev, 0.2)
    assert view.job is not None
    return view.job.state


def test_a_model_is_asked_about_before_it_runs_on_pictures_of_another_kind(
    studio: Studio, particular: Path, engine: StandInEngine
) -> None:
    session = ready(studio, grainy())
    before = session.view()
    for _ in range(2):  # nobody has answered yet
        with pytest.raises(NotMadeFor, match=r"Toys was made for flat drawings\. This looks like a photograph"):
            session.start()
    assert session.view() == before and engine.requests == []
    session.start(insists=True)
    assert finished(session) is JobState.DONE
    session.discard()
    session.start()  # and never again in this session
    assert finished(session) is JobState.DONE and session.view().draft.insisted


def test_the_answer_is_kept_with_the_session_and_no_other_gets_it(
    settings: Settings, particular: Path, engine: StandInEngine
) -> None:
    first = build_studio(settings, engine)
    session = ready(first, grainy())
    session.start(insists=True)
    finished(session)
    other = ready(first, grainy())
    first.close()
    again = build_studio(settings, engine)
    again.sessions.get(session.sid).start()
    assert finished(again.sessions.get(session.sid)) is JobState.DONE
    with pytest.raises(NotMadeFor):
        again.sessions.get(other.sid).start()
    again.close()


def test_several_turns_are_asked_about_once_too(studio: Studio, particular: Path) -> None:
    session = ready(studio, grainy())
    turns = [Asked("a blue dog", "", Scope.SUBJECT), Asked("", "at night", Scope.BACKGROUND)]
    with pytest.raises(NotMadeFor):
        session.run_all(turns)
    session.run_all(turns, insists=True)
    assert finished(session) is JobState.DONE and len(session.view().turns) == 3


def test_what_cannot_run_at_all_is_said_before_the_question(studio: Studio, particular: Path) -> None:
    session = ready(studio, grainy())
    session.set_draft(replace(session.view().draft, subject=""))
    with pytest.raises(BadRequest, match="say what the subject or the background becomes"):
        session.start()


def test_there_is_no_question_about_a_picture_of_its_own_kind_or_a_model_for_all(
    studio: Studio, particular: Path
) -> None:
    session = ready(studio, flat())
    session.start()
    assert finished(session) is JobState.DONE and not session.view().draft.insisted
    particular.write_text("{}")
    other = ready(studio, grainy())
    other.start()
    assert finished(other) is JobState.DONE


@pytest.mark.parametrize("vocabulary", [3, "dog", {"subject": 7}, [[]]])
def test_a_card_that_says_its_words_badly_is_told_with_the_limits_of_its_model(
    studio: Studio, model_folder: Path, vocabulary: object
) -> None:
    said = {"title": "Toys", "notes": "Draws toys only.", "vocabulary": vocabulary}
    (model_folder / "toybox" / "card.json").write_text(json.dumps(said))
    session = ready(studio, flat())
    limits, remark = session.view().notes
    assert limits == "Draws toys only."
    assert remark.startswith("The vocabulary in its card was left out: expected ") and remark.endswith(".")
    session.start()
    assert finished(session) is JobState.DONE


@pytest.mark.parametrize("part", ["subject", "background"])
def test_a_text_has_one_limit(studio: Studio, part: str) -> None:
    session = ready(studio, flat())
    session.set_draft(replace(session.view().draft, **{part: "x" * LONGEST_TEXT}))
    with pytest.raises(BadRequest, match=f"may have {LONGEST_TEXT} characters"):
        session.set_draft(replace(session.view().draft, **{part: "x" * (LONGEST_TEXT + 1)}))
    assert len(getattr(session.view().draft, part)) == LONGEST_TEXT


@pytest.mark.parametrize("which", ["subject", "background"])
@pytest.mark.parametrize(("width", "height"), [(1001, 250), (20, 81), (4097, 16)])
def test_a_reference_that_no_turn_can_follow_is_refused_when_it_is_given(
    studio: Studio, which: str, width: int, height: int
) -> None:
    session = ready(studio, flat())
    before = session.view()
    with pytest.raises(BadRequest, match=f"the {which} reference must be at most 4 times as long as wide"):
        session.set_reference(which, encode_png(flat(width, height)))
    assert session.view() == before


# ------------------------------------------------------------------------------------------------ pictures too long


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(1001, 250, Box(1, 0, 1001, 250)), (20, 100, Box(0, 7, 20, 87)), (300, 30, Box(200, 10, 220, 20 + 6))],
)
def test_a_part_of_a_picture_becomes_a_session(studio: Studio, width: int, height: int, box: Box) -> None:
    whole = grainy(width, height)
    session = studio.sessions.create(encode_png(whole), "panorama.png")
    cropped = studio.sessions.crop(session.sid, box)
    view = cropped.view()
    left, top, right, bottom = int(box.left), int(box.top), int(box.right), int(box.bottom)
    assert (view.width, view.height, view.name) == (right - left, bottom - top, "panorama.png")
    kept = decode(cropped.picture_bytes(view.turns[0].picture)).picture
    np.testing.assert_array_equal(kept, whole[top:bottom, left:right])
    assert max(view.width, view.height) <= LONGEST_ASPECT * min(view.width, view.height)
    assert f"Cropped from {width} x {height} to {view.width} x {view.height} pixels." in view.notes
    with pytest.raises(UnknownSession, match="in the trash"):
        studio.sessions.get(session.sid)
    assert studio.sessions.restore(session.sid).view().width == width, "the whole picture is not lost"


def test_a_session_with_turns_stays_where_it_is(studio: Studio) -> None:
    session = ready(studio, flat())
    session.start()
    finished(session)
    session.accept(0)
    cropped = studio.sessions.crop(session.sid, Box(0, 0, 32, 32))
    assert len(cropped.view().turns) == 1
    assert len(studio.sessions.get(session.sid).view().turns) == 2


@pytest.mark.parametrize(
    "box", [Box(0, 0, 1002, 250), Box(-1, 0, 500, 250), Box(5, 0, 5, 250), Box(9, 0, 5, 250), Box(0, 0, 1001, 250)]
)
def test_what_is_no_part_or_too_long_itself_is_refused_and_nothing_changes(studio: Studio, box: Box) -> None:
    session = studio.sessions.create(encode_png(flat(1001, 250)), "panorama.png")
    with pytest.raises(BadRequest):
        studio.sessions.crop(session.sid, box)
    assert [one.sid for one in studio.sessions.list()] == [session.sid]
    assert Extent(session.view().width, session.view().height) == Extent(1001, 250)
