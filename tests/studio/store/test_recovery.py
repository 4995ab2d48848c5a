from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.pictures import encode_mask, encode_png
from studio.errors import DamagedDatabase, NewerDatabase, StorageError
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.store import database
from studio.store.database import is_whole, open_database
from studio.store.files import Files
from studio.store.record import Record
from studio.store.recovery import DATABASE, KEPT_BETWEEN, KEPT_DAILY, back_up_daily
from studio.store.store import MOST_RECOVERED, Store

DAY = 24 * 3600.0


def png(level: int) -> bytes:
    return encode_png(np.full((32, 48, 3), level, np.uint8))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def page_lost(path: Path) -> None:
    """The root page of the turns is overwritten; all others, and the header, are as they were."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'turns'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "header": lambda path: path.write_bytes(b"not a database " + path.read_bytes()[15:]),
    "schema": lambda path: path.write_bytes(path.read_bytes().replace(b"CREATE TABLE turns", b"CREATE TABLE turn(")),
    "page": page_lost,
    "cut short": cut_short,
    "emptied": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}
READABLE = ("header", "schema")
"""After these, the rows themselves are whole."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with the sessions ``old``, which is in today's copy, and ``new``, which is not."""
    folder = tmp_path / "data"
    store = Store(folder)
    for level, sid in enumerate(("old", "new")):
        tree = Tree.planted(Turn.original(store.pictures.put(png(level)), 1.0))
        store.save(Record(sid, sid, 1.0, 48, 32, tree, {"draft": {}}), None)
        if sid == "old":
            for copy in (folder / "backups").iterdir():
                copy.unlink()
            assert back_up_daily(folder, Files()) is not None
    store.close()
    return folder


def everything(folder: Path) -> dict[Path, bytes]:
    """All files, but for those that say who holds the folder."""
    held = ("studio.lock", "studio.pid")
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in held}


def listed(store: Store) -> dict[str, str]:
    return {summary.name: summary.picture for summary in store.summaries()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_h08_a_lost_database_is_put_aside_its_copy_takes_over_and_later_pictures_become_sessions(
    folder: Path, damage: str
) -> None:
    mask = Store(folder)
    digest = mask.pictures.put(encode_mask(np.eye(32, 48, dtype=bool)))
    cut = mask.pictures.put(png(7))
    mask.close()
    (folder / "pictures" / f"{cut}.png").write_bytes(png(7)[:-20])
    path = folder / DATABASE
    (folder / f"{DATABASE}-journal").write_bytes(b"not a journal")
    DAMAGES[damage](path)
    broken = path.read_bytes() if path.exists() else None

    store = Store(folder)
    old, new = store.load("old"), store.load("new")
    assert old is not None and old.name == "old"
    names, read = listed(store), damage in READABLE
    assert (new is not None) == read
    later = "new" if read else "recovered 1"
    assert set(names) == {"old", later} and store.pictures.get(names[later]) == png(1)
    (recovered,) = (store.load(s.sid) for s in store.summaries() if s.name != "old")
    assert recovered is not None and not recovered.damage and (recovered.width, recovered.height) == (48, 32)
    assert store.notice is not None and re.search(
        r"The copy of 2\d{3}-\d\d-\d\d \d\d:\d\d took its place", store.notice
    )
    told = "2 sessions could be read and are as they were" if read else "sessions now: recovered 1."
    assert told in store.notice and str(folder) not in store.notice
    (aside,) = (folder / "recovered").iterdir()
    assert (aside / "note.txt").read_text() == store.notice
    kept = {file.name for file in aside.iterdir()}
    journal = set() if damage == "page" else {f"{DATABASE}-journal"}  # which the damage itself opened the database for
    assert kept == {"note.txt"} | journal | ({DATABASE} if broken is not None else set())
    assert broken is None or (aside / DATABASE).read_bytes() == broken
    assert not (folder / f"{DATABASE}-journal").exists()

    for file in (folder / "pictures").iterdir():
        os.utime(file, (0, 0))
    assert store.sweep() == 0 and store.pictures.has(digest), "who repairs the old database finds its files"
    store.close()
    again = Store(folder)
    assert again.notice is None and listed(again) == names
    again.close()


def test_without_a_copy_the_newest_pictures_are_the_sessions(folder: Path) -> None:
    for copy in (folder / "backups").iterdir():
        copy.unlink()
    store = Store(folder)
    for level in range(2, MOST_RECOVERED + 10):
        path = folder / "pictures" / f"{store.pictures.put(png(level))}.png"
        os.utime(path, (1e6 + level, 1e6 + level))
    store.close()
    for path in (folder / "backups").iterdir():
        path.write_bytes(b"no copy either")
    cut_short(folder / DATABASE)
    store = Store(folder)
    assert store.notice is not None and "There was no copy of it" in store.notice
    assert f"recovered 1 to recovered {MOST_RECOVERED}." in store.notice
    names = listed(store)
    assert list(names) == [f"recovered {number}" for number in range(1, MOST_RECOVERED + 1)], "as they were made"
    assert store.pictures.get(names["recovered 3"]) == png(MOST_RECOVERED + 9)
    store.close()


def test_the_newest_copy_that_is_whole_and_not_of_a_newer_studio_is_taken(folder: Path) -> None:
    backups = folder / "backups"
    (good,) = backups.iterdir()
    newer, broken = (backups / f"studio-daily-2099010{day}-000000.db" for day in (1, 2))
    newer.write_bytes(good.read_bytes())
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    broken.write_bytes(good.read_bytes())
    page_lost(broken)
    (backups / "studio-daily-99999999-999999.db").write_bytes(b"")
    (backups / "mine.db").write_bytes(b"")
    assert [is_whole(copy) for copy in (good, newer, broken)] == [True, False, False]
    cut_short(folder / DATABASE)
    store = Store(folder)
    assert set(listed(store)) == {"old", "recovered 1"}
    store.close()


def test_h09_a_database_that_is_in_use_or_newer_is_not_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_WAIT", 50)
    before = everything(folder)
    with closing(sqlite3.connect(folder / DATABASE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="is it in use"):
            Store(folder)
        other.rollback()
    assert everything(folder) == before
    with closing(sqlite3.connect(folder / DATABASE)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.execute("PRAGMA user_version = 9999")
    before = everything(folder)
    with pytest.raises(NewerDatabase):
        Store(folder)
    assert everything(folder) == before


def test_a_database_that_cannot_be_put_aside_is_refused_and_stays(folder: Path) -> None:
    class NothingMoves(Files):
        def rename(self, old: Path, new: Path) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    cut_short(folder / DATABASE)
    before = everything(folder)
    with pytest.raises(DamagedDatabase, match=r"could not be put aside \(Read-only file system\)"):
        Store(folder, NothingMoves())
    assert {path: data for path, data in everything(folder).items() if data} == before
    store = Store(folder)
    assert set(listed(store)) == {"old", "recovered 1"}
    store.close()


def test_h12_a_copy_a_day_while_somebody_writes_the_last_seven_kept(
    folder: Path, faulty: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(folder)
    record = store.load("new")
    assert record is not None
    start = time.time()
    for day in range(1, 10):
        record, old = replace(record, rev=day), record
        store.save(record, old)
        copy = back_up_daily(folder, Files(), start + day * DAY)
        assert copy is not None and is_whole(copy)
        engine = open_database(copy)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT rev FROM sessions WHERE sid = 'new'").scalar() == day
        engine.dispose()
        assert back_up_daily(folder, Files(), start + day * DAY) is None
    kept = sorted(path.name for path in (folder / "backups").iterdir())
    assert len(kept) == KEPT_DAILY and kept[-1] == copy.name
    with caplog.at_level(logging.WARNING):
        assert back_up_daily(folder, faulty(1), start + 10 * DAY) is None
    assert "was not made" in caplog.text and sorted(path.name for path in (folder / "backups").iterdir()) == kept
    store.close()


def test_a_running_studio_copies_again_after_many_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.store.store.CHANGES_A_COPY", 5)
    store = Store(folder)
    record = store.load("new")
    assert record is not None and store.back_up() is None, "today's copy was made at the start"
    backups, start = folder / "backups", time.time()
    for day in range(1, KEPT_BETWEEN + 3):
        for change in range(4):
            record, old = replace(record, rev=1000 * day + change), record
            store.save(record, old)
        assert store.back_up(start + day) is None
        record, old = replace(record, rev=1000 * day + 999), record
        store.save(record, old)
        copy = store.back_up(start + day)
        assert copy is not None and is_whole(copy) and "between" in copy.name
    kinds = [path.name.split("-")[1] for path in backups.iterdir()]
    assert kinds.count("between") == KEPT_BETWEEN and kinds.count("daily") == 1
    store.close()
    (folder / DATABASE).write_bytes(b"damaged" * 1000)
    again = Store(folder)
    found = again.load("new")
    assert found is not None and found.rev == record.rev, "the newest copy of either kind takes its place"
    again.close()


def test_a_database_that_is_damaged_while_it_is_used_is_told_and_recovered_by_the_next_start(folder: Path) -> None:
    store = Store(folder)
    store.engine.dispose()  # what it holds of the file in memory would be right
    page_lost(folder / DATABASE)
    with pytest.raises(StorageError, match=r"is damaged .*start it again"):
        store.load("old")
    store.close()
    again = Store(folder)
    assert again.notice is not None and again.load("old") is not None
    again.close()
