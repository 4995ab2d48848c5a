"""A negative text in a session: kept, run, stored with its turn; turns without one keep their ids."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import pytest

from pipelines.contract import Quality, Scope
from pipelines.errors import BadRequest
from studio.app import Studio
from studio.errors import NotReady
from studio.history.turn import TurnRequest, turn_id
from studio.session.checks import clean_draft
from studio.session.present import draft_of, used_up
from studio.session.view import FRESH
from studio.store.archive.session_file import read_archive, write_archive
from tests.studio.conftest import StandInEngine
from tests.studio.session.test_session import edited

ASKED = TurnRequest(
    model="toybox",
    weights="",
    method="sdedit",
    params={},
    quality=Quality.DRAFT,
    subject="a dog",
    background="",
    scope=Scope.BOTH,
    seed=7,
    mask=None,
    prompts={},
    feather=2.0,
)


def test_a_turn_without_one_has_the_id_that_it_always_had() -> None:
    assert "negative" not in ASKED.to_json()
    assert turn_id("p", ASKED, "d") == turn_id("p", dict(ASKED.to_json()), "d")
    assert ASKED.key("p") == "504474502b081704fda80f2a7d1a3293459260af996aa2ac6f30e57301f7eaab"


def test_a_turn_with_one_is_another_and_reads_back() -> None:
    away = replace(ASKED, negative="snow")
    assert away.key("p") != ASKED.key("p")
    assert TurnRequest.from_json(json.loads(json.dumps(away.to_json()))) == away
    assert TurnRequest.from_json(ASKED.to_json()).negative == ""


def test_it_goes_with_the_texts_of_its_turn_and_comes_back_with_them() -> None:
    """What no field shows must not steer the turns after it."""
    assert used_up(replace(FRESH, subject="a dog", negative="snow")) == FRESH
    assert draft_of(replace(ASKED, negative="snow"), FRESH, None).negative == "snow"


@pytest.mark.parametrize("said", [None, 5, "x" * 1_001, ["snow"]])
def test_what_is_no_text_is_refused(said: object) -> None:
    with pytest.raises((NotReady, BadRequest), match=r"the negative (must be a text|text may have 1000 characters)"):
        clean_draft(replace(FRESH, negative=said))  # type: ignore[arg-type]


@pytest.mark.parametrize("negative", ["", " snow "])
def test_it_is_run_and_travels_in_a_session_file(
    studio: Studio, upload: bytes, engine: StandInEngine, negative: str
) -> None:
    """A file without one is as older studios read it."""
    session = studio.sessions.create(upload, "a.png")
    edited(session, negative=negative)
    assert engine.requests[-1].negative == negative.strip()
    assert session.view().draft.negative == "" and session.view().turns[-1].negative == negative.strip()
    session.set_draft(replace(session.view().draft, negative=negative))
    file = io.BytesIO()
    write_archive(studio.sessions.record(session.sid), studio.store.pictures, file)
    told = json.loads(zipfile.ZipFile(file).read("session.json"))
    said = [turn["request"] for turn in told["turns"] if turn["request"]] + [told["draft"]]
    assert ["negative" in each for each in said] == [bool(negative)] * 2
    file.seek(0)
    again = studio.sessions.adopt_record(read_archive(file, studio.store.pictures))
    assert again.view().draft.negative == negative
    again.edit(again.view().current)
    assert again.view().draft.negative == negative.strip()
