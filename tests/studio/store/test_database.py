from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.errors import DamagedDatabase, NewerDatabase
from studio.store.database import MIGRATIONS, open_database, revisions
from studio.store.seals import is_sealed
from studio.store.tables import GalleryRow, SessionRow, TurnRow

NEXT = '''
"""A later version."""
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = "0003"
def upgrade():
    op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))
    op.drop_table("staged")
    {then}
'''


def later(tmp_path: Path, then: str = "pass") -> Path:
    """The migrations with one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9001_later.py").write_text(NEXT.format(then=then))
    return folder


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return [*tables, *connection.execute("SELECT version_num FROM alembic_version").fetchall()]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "studio.db"
    open_database(path).dispose()
    return path


def test_the_names_of_migrations_say_what_alembic_makes_of_them(tmp_path: Path) -> None:
    for folder in (MIGRATIONS, later(tmp_path)):
        config = Config()
        config.set_main_option("script_location", str(folder))
        walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
        assert list(revisions(folder)) == walked[::-1]


def test_the_journal_and_the_pragmas_are_in_force(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)  # as earlier studios left it
    engine = open_database(database)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_opening_again_changes_nothing_and_makes_no_backup(database: Path) -> None:
    before = database.read_bytes()
    open_database(database).dispose()
    assert database.read_bytes() == before and not (database.parent / "backups").exists()


def test_an_upgrade_makes_a_whole_backup_first(database: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO jobs (id, sid, kind, state, queued_at) VALUES ('j', 's', 'edit', 'done', 1)")
    open_database(database, later(tmp_path)).dispose()
    assert schema(database)[-1] == ("9001",)
    (copy,) = (tmp_path / "backups").iterdir()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM jobs").fetchall() == [("j",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0003",)]


def test_a_migration_that_fails_midway_changes_nothing(database: Path, tmp_path: Path) -> None:
    before = schema(database)
    with pytest.raises(ZeroDivisionError):
        open_database(database, later(tmp_path, then="1 / 0"))
    assert schema(database) == before


def test_a_newer_database_is_refused_and_left_as_it_is(database: Path, tmp_path: Path) -> None:
    open_database(database, later(tmp_path)).dispose()
    before = database.read_bytes()
    with pytest.raises(NewerDatabase, match=r"schema 9001; this one knows up to 0003.*Nothing was changed"):
        open_database(database)
    assert database.read_bytes() == before


def test_a_damaged_database_is_refused_and_left_as_it_is(database: Path) -> None:
    for damage in (b"not a database at all, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 4096):
        database.write_bytes(damage)
        with pytest.raises(DamagedDatabase, match="is damaged"):
            open_database(database)
        assert database.read_bytes() == damage


def test_a_database_of_the_first_version_keeps_all_it_held(tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(MIGRATIONS, first, ignore=shutil.ignore_patterns("__pycache__", "0002*", "0003*"))
    path = tmp_path / "studio.db"
    open_database(path, first).dispose()
    sessions = [(sid, name, 0, 1.0, 2.0, 48, 32, "main", "o", "{}", "[]") for sid, name in (("a", "ÄPFEL"), ("b", "b"))]
    asked = ['{"background":"in Snow","subject":"a \\u00fc dog"}', '{"background":"","subject":"a cat"}']
    turns = [(sid, "o", 0, None, "0", None, "{}", 1.0) for sid in "ab"]
    turns += [("a", str(i), i, "o", "1", request, "{}", 1.0) for i, request in enumerate(asked, 1)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO sessions VALUES ({', '.join('?' * 11)})", sessions)
        connection.executemany(f"INSERT INTO turns VALUES ({', '.join('?' * 8)})", turns)
    engine = open_database(path)
    with closing(sqlite3.connect(path)) as connection:
        held = {"a": "[3,0,0]", "b": "[1,0,0]"}
        assert [row[:-1] for row in connection.execute("SELECT * FROM sessions")] == [
            (*row, None, "[]", held[row[0]]) for row in sessions
        ]
        assert [row[:-1] for row in connection.execute("SELECT * FROM turns")] == turns
        assert [row[:-1] for row in connection.execute("SELECT * FROM gallery")] == [
            ("a", 2, "äpfel\na ü dog\nin snow\na cat\n"),
            ("b", 0, "b"),
        ]
    with Session(engine) as transaction:
        rows = [row for kind in (SessionRow, TurnRow, GalleryRow) for row in transaction.scalars(select(kind))]
    assert len(rows) == 8 and all(map(is_sealed, rows)), "what was there counts as what was written"
    engine.dispose()


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "studio.db"
    path.touch()
    open_database(path).dispose()
    assert schema(path)[-1] == ("0003",)
