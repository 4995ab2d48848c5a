"""A session that is damaged: looked at, exported, copied and trashed, and never saved over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from studio.app import Studio, build_studio
from studio.errors import DamagedSession, UnknownSession
from studio.session.session import Session
from studio.session.upkeep import Upkeep
from studio.settings import Settings
from studio.store.store import DAY, Store
from studio.ui import gallery_handlers
from studio.ui.handlers import Handlers
from tests.studio.conftest import StandInEngine, until

LAST = "UPDATE turns SET request = replace(request, 'a blue', 'a pink') WHERE seq = 3"
ORIGINAL = "UPDATE turns SET picture = 'x' WHERE seq = 0"


@pytest.fixture
def sid(settings: Settings, engine: StandInEngine, upload: bytes) -> str:
    """A session of three turns, and one of none beside it."""
    studio = build_studio(settings, engine)
    studio.sessions.create(upload, "beside.png")
    session = studio.sessions.create(upload, "dog.png")
    session.set_prompts(MaskPrompts(clicks=(Click(20.0, 16.0),)))
    for subject in ("a red dog", "a green dog", "a blue dog"):
        draft = replace(session.view().draft, subject=subject, quality=Quality.DRAFT, scope=Scope.SUBJECT)
        session.set_draft(draft)
        session.start()
        until(lambda: bool(session.view().staged))
        session.accept(0)
    studio.close()
    return session.sid


@pytest.fixture
def damaged(settings: Settings, engine: StandInEngine, sid: str) -> Iterator[Callable[[str], Studio]]:
    """Opens a studio after somebody wrote that to its database."""
    opened: list[Studio] = []

    def make(edit: str) -> Studio:
        with closing(sqlite3.connect(settings.data / "studio.db")) as connection, connection:
            connection.execute(f"{edit} AND sid = '{sid}'")
        opened.append(build_studio(settings, engine))
        return opened[0]

    yield make
    for studio in opened:
        studio.close()


def rows(data: Path) -> list[Any]:
    with closing(sqlite3.connect(data / "studio.db")) as connection:
        return [
            connection.execute(f"SELECT * FROM {t}").fetchall() for t in ("sessions", "turns", "branches", "staged")
        ]


def purged(studio: Studio) -> int:
    """How many sessions are gone when the trash is kept for three days and these have passed."""
    return sum(studio.sessions.purge(3, time.time() + day * DAY) for day in range(6))


def test_what_is_whole_is_shown_and_nothing_of_it_can_be_changed(
    damaged: Callable[[str], Studio], settings: Settings, sid: str, upload: bytes
) -> None:
    studio = damaged(LAST)
    session = studio.sessions.get(sid)
    view = session.view()
    assert [turn.subject for turn in view.turns] == ["", "a red dog", "a green dog"]
    assert "of 4 turns 3 are whole" in view.damage and "Nothing was deleted" in view.damage
    before = rows(settings.data)
    session.jump(view.turns[1].id)
    session.undo()
    assert session.view().current == view.turns[0].id and session.view().rev > view.rev
    session.redo()
    assert session.picture_bytes(session.view().turns[1].picture)
    refused: list[Callable[[Session], object]] = [
        lambda s: s.rename("cat"),
        lambda s: s.set_draft(replace(view.draft, subject="a cat")),
        lambda s: s.set_prompts(MaskPrompts(clicks=(Click(3.0, 3.0),))),
        lambda s: s.upload_mask(upload),
        lambda s: s.set_reference("background", upload),
        lambda s: s.start(),
        lambda s: s.more_seeds(),
        lambda s: s.try_methods(["layered"]),
        lambda s: s.branch("mine"),
        lambda s: s.trash(view.turns[1].id),
        lambda s: s.cherry_pick(view.turns[2].id, view.turns[0].id),
        lambda s: s.edit(view.turns[1].id),
    ]
    for refuse in refused:
        shown = session.view()
        with pytest.raises(DamagedSession, match="Duplicate it to go on"):
            refuse(session)
        assert session.view() == shown
    assert rows(settings.data) == before
    assert studio.sessions.get(studio.sessions.list()[1].sid).view().damage == ""


def test_a_copy_of_what_is_whole_is_a_session_like_any_other(damaged: Callable[[str], Studio], sid: str) -> None:
    studio = damaged(LAST)
    copy = studio.sessions.duplicate(sid)
    view = copy.view()
    assert (view.damage, len(view.turns), view.name) == ("", 3, "dog.png copy")
    copy.rename("dog again")
    assert {s.name: s.damaged for s in studio.sessions.list()} == {
        "beside.png": False,
        "dog.png": True,
        "dog again": False,
    }
    loaded = studio.store.load(copy.sid)
    assert loaded is not None and not loaded.damage


def test_the_page_says_it_and_goes_on(damaged: Callable[[str], Studio], sid: str) -> None:
    handlers = Handlers(damaged("UPDATE sessions SET name = 'cat' WHERE true"))
    seat, payload, _ = gallery_handlers.entered(handlers, None, sid)
    assert seat is not None and seat.sid == sid
    assert "not what was saved" in payload["notice"]["text"] == payload["view"]["damage"]
    assert "the turn in preparation is gone" in payload["notice"]["text"]
    assert len(payload["view"]["turns"]) == 4 and payload["view"]["draft"]["subject"] == ""
    assert "Duplicate it" in gallery_handlers.renamed(handlers, seat, sid, "dog")["notice"]["text"]
    listed = gallery_handlers.listed(handlers, {})["gallery"]["sessions"]
    assert {s["name"]: s["damaged"] for s in listed} == {"beside.png": False, "cat": True}


def test_one_of_which_nothing_can_be_shown_is_listed_and_can_be_trashed_for_good(
    damaged: Callable[[str], Studio], sid: str
) -> None:
    studio = damaged(ORIGINAL)
    handlers = Handlers(studio)
    _, payload, _ = gallery_handlers.entered(handlers, None, sid)
    assert "its original is not what was saved" in payload["notice"]["text"]
    (listed,) = (s for s in studio.sessions.list() if s.sid == sid)
    assert listed.damaged and listed.name == "dog.png"
    with pytest.raises(DamagedSession):
        studio.sessions.get(sid)
    gallery_handlers.trashed(handlers, None, sid)
    assert [s.sid for s in studio.sessions.list(trashed=True)] == [sid]
    with pytest.raises(UnknownSession):
        studio.sessions.get(sid)
    assert purged(studio) == 1


def test_pictures_and_copies_stay_while_something_is_damaged(
    damaged: Callable[[str], Studio], settings: Settings, sid: str
) -> None:
    picture = "picture = (SELECT picture FROM turns WHERE seq = 0)"
    studio = damaged(f"UPDATE turns SET {picture} WHERE seq = 3")
    with closing(sqlite3.connect(settings.data / "studio.db")) as connection, connection:
        connection.execute("DELETE FROM memo")
    before = sorted(file.name for file in (settings.data / "pictures").iterdir())
    assert [studio.store.sweep(now=1e10 + day * DAY) for day in range(4)] == [0] * 4
    rounds = Upkeep(studio.store, studio.sessions, 30)
    rounds.close()
    for day in range(20):
        studio.store.back_up(1e9 + day * 86400.0)
    assert len(list((settings.data / "backups").iterdir())) > 20
    assert sorted(file.name for file in (settings.data / "pictures").iterdir()) == before
    studio.sessions.trash(sid)
    assert purged(studio) == 1
    studio.close()
    store = Store(settings.data)
    assert not store.damaged and store.sweep(now=1e11) > 0, "once it is gone, so is what was kept for it"
    store.close()
