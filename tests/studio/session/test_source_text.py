"""What a picture shows, for methods that go by it: said, or known from the turns before; other turns keep their ids."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import pytest

from pipelines.contract import Quality, Scope
from pipelines.errors import BadRequest
from studio.app import Studio
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.session.checks import clean_draft
from studio.session.computing import known_source
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
    assert "source" not in ASKED.to_json()
    assert ASKED.key("p") == "504474502b081704fda80f2a7d1a3293459260af996aa2ac6f30e57301f7eaab"
    said = replace(ASKED, source="a cat")
    assert said.key("p") != ASKED.key("p") and TurnRequest.from_json(json.loads(json.dumps(said.to_json()))) == said


def test_it_goes_with_its_turn_and_comes_back_with_it() -> None:
    assert used_up(replace(FRESH, subject="a dog", source="a cat")) == FRESH
    assert draft_of(replace(ASKED, source="a cat"), FRESH, None).source == "a cat"
    with pytest.raises(BadRequest, match="the source text may have 1000 characters"):
        clean_draft(replace(FRESH, source="x" * 1_001))


def line(*turns: tuple[str, str, str]) -> list[Turn]:
    made = [Turn.original("0")]
    for method, subject, background in turns:
        asked = replace(ASKED, method=method, subject=subject, background=background)
        made.append(Turn.after(made[-1].id, asked, str(len(made)), Outcome()))
    return made


@pytest.mark.parametrize(
    ("turns", "known"),
    [
        ([], ""),
        ([("sdedit", "a dog", "")], "a dog"),
        (
            [("sdedit", "a dog", "in a forest"), ("layered", "a big red dog", "")],
            "a big red dog in a forest",
        ),
        ([("sdedit", "a dog", ""), ("inpaint", "", "on a beach")], "a dog on a beach"),
        ([("sdedit", "a dog", ""), ("instruct", "make it blue", "")], "a dog"),
    ],
)
def test_the_turns_before_say_what_the_picture_shows(turns: list[tuple[str, str, str]], known: str) -> None:
    assert known_source(line(*turns)) == known


@pytest.mark.parametrize(("method", "said"), [("prompt-to-prompt", True), ("sdedit", False)])
def test_it_is_run_where_the_method_goes_by_it_and_travels_in_a_session_file(
    studio: Studio, upload: bytes, engine: StandInEngine, method: str, said: bool
) -> None:
    session = studio.sessions.create(upload, "a.png")
    edited(session, method=method, changes={}, subject="a dog", background="in a forest")
    assert engine.requests[-1].source == ""
    edited(session, method=method, changes={}, subject="a bird", background="", source="")
    assert engine.requests[-1].source == ("a dog in a forest" if said else "")
    assert session.view().turns[-1].id and "source" not in tip(session.sid, studio)
    edited(session, method=method, changes={}, subject="a cat", source=" a big bird ")
    assert engine.requests[-1].source == ("a big bird" if said else "")
    assert tip(session.sid, studio).get("source") == ("a big bird" if said else None)
    session.set_draft(replace(session.view().draft, source="a cat"))
    file = io.BytesIO()
    write_archive(studio.sessions.record(session.sid), studio.store.pictures, file)
    told = json.loads(zipfile.ZipFile(file).read("session.json"))
    assert told["draft"]["source"] == "a cat"
    file.seek(0)
    again = studio.sessions.adopt_record(read_archive(file, studio.store.pictures))
    assert again.view().draft.source == "a cat"


def tip(sid: str, studio: Studio) -> dict[str, object]:
    tree = studio.sessions.record(sid).tree
    request = tree[tree.current].request
    assert request is not None
    return request.to_json()
