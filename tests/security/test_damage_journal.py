"""A journal beside the database: one's own undoes what a crash cut short, any other would destroy what is good."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_png
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.store.record import Record
from studio.store.recovery import DATABASE
from studio.store.store import Store

NAMES = [f"{number}: " + "long enough to need many pages " * 20 for number in range(60)]
JOURNAL, WAL = f"{DATABASE}-journal", f"{DATABASE}-wal"


def filled(folder: Path, names: list[str], level: int = 0) -> Path:
    """A data folder with a session of each name."""
    store = Store(folder)
    digest = store.pictures.put(encode_png(np.full((16, 16, 3), level, np.uint8)))
    for number, name in enumerate(names):
        tree = Tree.planted(Turn.original(digest))
        store.save(Record(f"sid {number}", name, 1.0, 16, 16, tree, {}, rev=1), None)
    store.close()
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("whole") / "data", NAMES)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


@contextmanager
def cut_short(folder: Path, statement: str, into: Path, mode: str = "DELETE") -> Iterator[None]:
    """`into` is the folder as a power cut leaves it in the middle of a transaction that is larger than the cache."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA cache_size=5")
        connection.execute("BEGIN")
        connection.execute(statement)
        shutil.copytree(folder, into)
        connection.execute("ROLLBACK")
    yield


def names(folder: Path) -> tuple[list[str], str | None]:
    """Of all sessions that are whole, and what is told of the start."""
    store = Store(folder)
    try:
        records = [store.load(f"sid {number}") for number in range(len(NAMES))]
        return [record.name for record in records if record is not None and not record.damage], store.notice
    finally:
        store.close()


def as_sqlite_reads_it(folder: Path) -> list[object]:
    """What a database library makes of the files as they lie there, in the same form."""
    try:
        with closing(sqlite3.connect(folder / DATABASE)) as connection:
            if connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                return ["damaged"]
            return [name for (name,) in connection.execute("SELECT name FROM sessions ORDER BY rowid")]
    except sqlite3.DatabaseError as problem:
        return [str(problem)]


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(f"{folder.name} as SQLite reads it")))


REWRITE = "UPDATE sessions SET name = replace(name, 'long', 'short'), panel = printf('%.*c', 3000, 'x')"
GROW = "INSERT INTO memo SELECT 'key ' || rowid, printf('%.*c', 9000, 'x'), 1.0, '' FROM sessions"


@pytest.mark.parametrize("statement", [REWRITE, GROW, "CREATE TABLE other AS SELECT * FROM sessions"])
def test_its_own_journal_is_played_back(folder: Path, tmp_path: Path, statement: str) -> None:
    cut = tmp_path / "cut"
    with cut_short(folder, statement, cut):
        assert (cut / JOURNAL).stat().st_size > 512
    (cut / JOURNAL).rename(tmp_path / "journal")
    assert as_sqlite_reads_it(copied(cut)) != NAMES or statement != REWRITE, "pages were written before the cut"
    (tmp_path / "journal").rename(cut / JOURNAL)
    assert names(cut) == (NAMES, None)
    assert not (cut / JOURNAL).exists() and not (cut / "recovered").exists()


def foreign(folder: Path, tmp_path: Path) -> Path:
    """The hot journal of another studio's database."""
    other = filled(tmp_path / "other", [name.replace("long", "LONG") for name in NAMES], 1)
    with cut_short(other, REWRITE, tmp_path / "cut"):
        return shutil.copy(tmp_path / "cut" / JOURNAL, folder / JOURNAL)


def of_before(folder: Path, tmp_path: Path) -> Path:
    """The database's own hot journal from before it was put back from a copy."""
    (copy,) = (folder / "backups").iterdir()
    copy.unlink()
    Store(folder).close()
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("UPDATE sessions SET saved_at = 7.0")
    with cut_short(folder, REWRITE, tmp_path / "cut"):
        (copy,) = (folder / "backups").iterdir()
        shutil.copy(copy, folder / DATABASE)
        return shutil.copy(tmp_path / "cut" / JOURNAL, folder / JOURNAL)


def of_next_to_nothing(folder: Path, tmp_path: Path) -> Path:
    """The same, with one change between the copy and the crash."""
    (copy,) = (folder / "backups").iterdir()
    copy.unlink()
    Store(folder).close()
    with cut_short(folder, REWRITE, tmp_path / "cut"):
        (copy,) = (folder / "backups").iterdir()
        shutil.copy(copy, folder / DATABASE)
        return shutil.copy(tmp_path / "cut" / JOURNAL, folder / JOURNAL)


def write_ahead(folder: Path, tmp_path: Path) -> Path:
    """The log of another database that keeps one."""
    other = filled(tmp_path / "other", [name.replace("long", "LONG") for name in NAMES], 1)
    with closing(sqlite3.connect(other / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        with connection:
            connection.execute(REWRITE)
        shutil.copy(other / WAL, folder / WAL)
    return folder / WAL


def garbage(folder: Path, tmp_path: Path) -> Path:
    (folder / JOURNAL).write_bytes(b"notes of mine" * 1000)
    return folder / JOURNAL


STRANGERS: dict[str, tuple[Callable[[Path, Path], Path], bool]] = {
    "another studio's": (foreign, True),
    "of the database before it was put back": (of_before, False),
    "of the database one change before it was put back": (of_next_to_nothing, False),
    "a write-ahead log": (write_ahead, True),
    "no journal at all": (garbage, False),
}
"""How it comes to lie there, and whether SQLite would play it."""


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_journal_that_is_not_its_own_is_put_aside_and_told(folder: Path, tmp_path: Path, stranger: str) -> None:
    make, destroys = STRANGERS[stranger]
    file = make(folder, tmp_path)
    held = file.read_bytes()
    assert (as_sqlite_reads_it(copied(folder)) != NAMES) or not destroys, "what would happen otherwise"
    found, notice = names(folder)
    assert found == NAMES
    assert notice is not None and file.name in notice and "not its own" in notice and "Nothing was deleted" in notice
    (aside,) = (folder / "recovered").iterdir()
    assert (aside / file.name).read_bytes() == held and (aside / "note.txt").read_text() == notice
    assert names(folder) == (NAMES, None)


def test_a_journal_that_was_only_begun_and_one_without_a_database_are_a_start_like_any_other(
    folder: Path, tmp_path: Path
) -> None:
    for begun in (
        b"",
        bytes(512) + b"not to be relied on yet",
    ):
        (folder / JOURNAL).write_bytes(begun)
        assert as_sqlite_reads_it(copied(folder)) == NAMES
        shutil.rmtree(folder.with_name(f"{folder.name} as SQLite reads it"))
        assert names(folder) == (NAMES, None)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / JOURNAL).write_bytes(b"left behind" * 100)
    found, notice = names(fresh)
    assert found == [] and notice is not None and "not its own" in notice


def test_a_log_that_an_earlier_studio_left_is_read(folder: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        with connection:
            connection.execute("UPDATE alembic_version SET version_num = version_num")
        shutil.copytree(folder, tmp_path / "cut")
    assert (tmp_path / "cut" / WAL).stat().st_size > 0
    assert names(tmp_path / "cut") == (NAMES, None)
    assert not (tmp_path / "cut" / WAL).exists()
