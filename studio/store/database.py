"""Opens and copies the database: the safe journal for this SQLite, explicit transactions, a copy before a migration.

SQLite before 3.51.3 can corrupt a database in WAL mode when a checkpoint resets the log at the wrong moment
(sqlite.org, "WAL-reset bug"); there the rollback journal is used. Python's driver does not start a transaction before
DDL by itself, so it is switched off and every transaction begins explicitly.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from studio.errors import DamagedDatabase, NewerDatabase, StorageError
from studio.store.faults import storing
from studio.store.files import Files

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
"""Each file of its ``versions`` is named by its revision: ``0002_timeline.py``. So a database that is new enough, which
is nearly every one, is opened without loading Alembic."""
BACKUPS = "backups"
"""Folder of copies, beside the database."""
WAL_IS_SAFE_FROM = (3, 51, 3)
BUSY_WAIT = 5_000
"""Milliseconds to wait for another connection's transaction."""
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's codes for a file that is not as it should be; all others say that it cannot be reached, or not now."""


def journal_for(version: tuple[int, ...]) -> tuple[str, str]:
    """(journal mode, synchronous) that survive a power cut on this SQLite."""
    return ("WAL", "FULL") if version >= WAL_IS_SAFE_FROM else ("DELETE", "EXTRA")


def open_database(path: Path, migrations: Path = MIGRATIONS, files: Files | None = None) -> Engine:
    """The engine of the database at `path`, made or upgraded to the newest schema.

    Raises `NewerDatabase` and leaves the file as it is when a newer studio wrote it, `DamagedDatabase` when its pages
    are not as they should be, and `StorageError` when it cannot be reached, as when another program holds it. Before
    an upgrade a copy goes to `BACKUPS`.
    """
    have, known = _version(path), revisions(migrations)
    want = known[-1]
    if have is not None and have not in known:
        raise NewerDatabase(
            f"the data folder was written by a newer studio (schema {have}; this one knows up to {want}). "
            "Nothing was changed. Use that version, or start this one with another folder (--data or PALIMPSEST_DATA)"
        )
    if have is not None and have != want:
        copy = copy_database(path, f"{have}-{time.strftime('%Y%m%d-%H%M%S')}", files or Files())
        log.info("the database was copied to %s before its upgrade", copy.name)
    engine = _engine(path)
    if have != want:
        with storing(), engine.connect() as connection:
            _upgrade(connection, migrations)
    return engine


def copy_database(path: Path, label: str, files: Files) -> Path:
    """A consistent copy in `BACKUPS`, made by SQLite itself while others may write, and checked before it is named.

    Raises `DamagedDatabase` when what was copied does not pass the check, and `StorageError`.
    """
    copy = path.parent / BACKUPS / f"{path.stem}-{label}{path.suffix}"
    part = copy.with_name(f"{copy.name}.part")
    with storing():
        copy.parent.mkdir(exist_ok=True)
        for leftover in copy.parent.glob("*.part"):
            files.unlink(leftover)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            target.execute("PRAGMA journal_mode=OFF")  # a journal would outlive a crash and spoil the next copy
            source.backup(target)
            verdict = target.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damaged(path, verdict)
        with storing():
            files.rename(part, copy)
            files.fsync_dir(copy.parent)
    except sqlite3.Error as problem:
        raise StorageError(
            f"the database of the data folder could not be copied ({problem}); nothing was changed. "
            "Check that the disk is writable and has space, then try again"
        ) from problem
    finally:
        with suppress(OSError):
            files.unlink(part)
    return copy


def is_whole(path: Path, migrations: Path = MIGRATIONS) -> bool:
    """Whether the copy at `path` passes SQLite's integrity check and is of a schema that this studio knows."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return False
    return verdict == "ok" and [version in revisions(migrations) for (version,) in versions] == [True]


def revisions(migrations: Path = MIGRATIONS) -> tuple[str, ...]:
    """The versions of the schema that there are migrations for, the newest last."""
    return tuple(sorted(path.stem.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py")))


def _upgrade(connection: Connection, migrations: Path) -> None:
    from alembic import command  # a third of a second to import
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _engine(path: Path) -> Engine:
    journal, synchronous = journal_for(sqlite3.sqlite_version_info)
    log.info("SQLite %s: journal %s, synchronous %s", sqlite3.sqlite_version, journal, synchronous)
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # no implicit transactions: `begin` below is the only one
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA busy_timeout={BUSY_WAIT}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _version(path: Path) -> str | None:
    """The schema's version in the file; ``None`` for a database that is not there yet. Looks at every page, and
    writes nothing but what a process that died left to be rolled back."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_WAIT / 1000)) as connection:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
            rows: list[Any] = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    except sqlite3.DatabaseError as problem:
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise _damaged(path, problem) from problem
        raise StorageError(f"the database of the data folder cannot be opened ({problem}); is it in use?") from problem
    if verdict != "ok":
        raise _damaged(path, verdict)
    return None if not rows else str(rows[0][0])


def _damaged(path: Path, verdict: object) -> DamagedDatabase:
    return DamagedDatabase(
        f"the database {path.name} of the data folder is damaged ({verdict}). Nothing was changed. Put back a copy "
        "from its backups folder, or move the file away: the pictures stay where they are"
    )
