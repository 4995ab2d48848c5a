"""Twenty session files, made before requests lost what was read off a picture: they open, with their ids.

``before/`` holds them with the ids that their turns had then. Among them are settings that there are no more, subjects
that were moved, branches, swapped and joined turns, references, masks from files, scribbles and another model.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from studio.app import Studio
from studio.history.turn import Turn
from studio.store.archive.session_file import read_archive, write_archive

BEFORE = Path(__file__).parent / "before"
IDS: dict[str, list[str]] = json.loads((BEFORE / "ids.json").read_text())


def file(name: str) -> Path:
    return BEFORE / f"{name}.palimpsest"


def test_there_are_twenty_with_everything_that_a_turn_may_hold() -> None:
    assert len(IDS) == 20 and sum(map(len, IDS.values())) > 90


@pytest.mark.parametrize("name", IDS)
def test_it_opens_with_the_ids_that_it_had(studio: Studio, name: str) -> None:
    record = read_archive(file(name), studio.pictures)
    turns = list(record.tree.turns.values())
    assert [turn.id for turn in turns] == IDS[name]
    for turn in turns:
        if turn.request is not None and turn.parent is not None:
            again = Turn.after(turn.parent, turn.request, turn.picture, turn.outcome)
            assert again.id == turn.id, "its request says the same as then"


@pytest.mark.parametrize("name", IDS)
def test_it_goes_out_and_comes_back_the_same(studio: Studio, name: str) -> None:
    record = read_archive(file(name), studio.pictures)
    once, twice = io.BytesIO(), io.BytesIO()
    write_archive(record, studio.pictures, once)
    again = read_archive(io.BytesIO(once.getvalue()), studio.pictures)
    assert list(again.tree.turns) == IDS[name]
    write_archive(again, studio.pictures, twice)
    assert once.getvalue() == twice.getvalue()


@pytest.mark.parametrize("name", IDS)
def test_every_turn_of_it_can_be_looked_at_and_changed(studio: Studio, name: str) -> None:
    session = studio.sessions.adopt_record(read_archive(file(name), studio.pictures))
    for turn in session.view().turns[1:]:
        session.edit(turn.id)
        view = session.view()
        assert (view.draft.subject, view.draft.background, view.draft.method) == (
            turn.subject,
            turn.background,
            turn.method,
        )
        session.leave()
