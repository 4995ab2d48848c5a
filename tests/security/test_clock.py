"""Clocks that jump: nothing is deleted for good, and nothing counts as the newest, because one reading says so."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_png
from studio.app import Studio, build_studio
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.session.upkeep import Upkeep
from studio.settings import Settings
from studio.store.database import copies
from studio.store.files import Files
from studio.store.record import Record
from studio.store.recovery import DATABASE, KEPT_DAILY, back_up_between, back_up_daily
from studio.store.store import DAY, Store
from tests.studio.conftest import StandInEngine

START = 1.8e9
DAYS = 30


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = build_studio(Settings(data=tmp_path / "data", warm_up=False), StandInEngine())
    yield studio
    studio.close()


@pytest.fixture
def rounds(studio: Studio) -> Upkeep:
    made = Upkeep(studio.store, studio.sessions, DAYS)
    made.close()
    return made


def trashed(studio: Studio, at: float) -> str:
    """A session that went into the trash then."""
    session = studio.sessions.create(encode_png(np.zeros((16, 16, 3), np.uint8)), "dog")
    studio.sessions.trash(session.sid)
    studio.store.trash(session.sid, at)
    return session.sid


def is_there(studio: Studio, sid: str) -> bool:
    return sid in {s.sid for s in studio.sessions.list(trashed=True)}


@pytest.mark.parametrize(("jump", "rounds_of_it"), [(DAYS + 10, 1), (DAYS + 10, 24), (100_000, 1), (-400, 5)])
def test_a_clock_that_is_wrong_for_a_day_empties_no_trash(
    studio: Studio, rounds: Upkeep, jump: int, rounds_of_it: int
) -> None:
    for hour in (0, 1, 23, 25):
        rounds.once(START + hour * 3600)
    sid = trashed(studio, START + 2 * DAY)
    for hour in range(rounds_of_it):
        rounds.once(START + (2 + jump) * DAY + hour * 3600)
    assert is_there(studio, sid)
    for day in range(3, DAYS + 2):
        rounds.once(START + day * DAY)
        assert is_there(studio, sid), day
    for day in range(DAYS + 3, DAYS + 5):
        rounds.once(START + day * DAY)
    assert not is_there(studio, sid), "and when its time is over it goes"


def test_a_clock_that_is_wrong_for_days_empties_no_trash_either(studio: Studio, rounds: Upkeep) -> None:
    rounds.once(START)
    sid = trashed(studio, START)
    for day in range(DAYS - 2):
        rounds.once(START + (1000 + day) * DAY)
    assert is_there(studio, sid)


def test_whatever_the_clock_does_a_session_stays_for_as_many_days_as_were_promised(
    studio: Studio, rounds: Upkeep
) -> None:
    draw = random.Random(4)
    sid = trashed(studio, START)
    for number in range(DAYS):
        rounds.once(START + draw.choice([number, 1000 * number, -number, draw.uniform(-1e4, 1e4)]) * DAY)
        assert is_there(studio, sid), number


def test_a_start_with_a_wrong_clock_removes_no_picture_and_forgets_no_answer(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for day in (0, 1):
        store = Store(folder)
        store.sweep(START + day * DAY)
        store.remember(f"answer {day}", {"area": 0.5}, START + day * DAY)
        orphan = store.pictures.put(b"not in a row yet")
        os.utime(folder / "pictures" / f"{orphan}.png", (START + DAY, START + DAY))
        store.close()
    for jump in (400, -400):
        store = Store(folder)
        assert store.sweep(START + jump * DAY) == 0
        assert store.pictures.has(orphan) and store.remembered("answer 0", START) == {"area": 0.5}
        store.close()
    store = Store(folder)
    assert store.sweep(START + 4 * DAY) + store.sweep(START + 5 * DAY) == 1 and not store.pictures.has(orphan)
    store.close()


def revision(folder: Path) -> int:
    """Of the session, in the copy that takes the place of a lost database."""
    lost = Path(shutil.copytree(folder, folder.with_name("lost")))
    (lost / DATABASE).write_bytes(b"lost" * 1000)
    store = Store(lost)
    record = store.load("sid")
    store.close()
    shutil.rmtree(lost)
    return -1 if record is None else record.rev


def test_the_copy_made_last_is_the_newest_whatever_the_clock_said(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = Store(folder)
    store.save(whole := record_of(store), None)
    backups = folder / "backups"
    for copy in backups.iterdir():
        copy.rename(copy.with_name("studio-daily-20990101-000000.db"))  # as they were called, with a clock far ahead
    draw = random.Random(7)
    for rev in range(1, 15):
        store.save(whole := replace(whole, rev=rev), whole)
        now = START + draw.uniform(-1e4, 1e4) * DAY
        made = (back_up_daily if rev % 3 else back_up_between)(folder, Files(), now)
        if made is not None:
            assert copies(folder)[-1].path == made and revision(folder) == rev
    numbers = [copy.number for copy in copies(folder)]
    assert numbers == sorted(numbers) and len(numbers) <= KEPT_DAILY + 3 and 0 not in numbers
    store.close()


def record_of(store: Store) -> Record:
    digest = store.pictures.put(encode_png(np.zeros((16, 16, 3), np.uint8)))
    return Record("sid", "dog", 1.0, 16, 16, Tree.planted(Turn.original(digest)), {})
