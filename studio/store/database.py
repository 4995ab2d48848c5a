"""Opens the database: the safe journal for this SQLite, explicit transactions, migrations with a backup before.

SQLite before 3.51.3 can corrupt a database in WAL mode when a checkpoint resets the log at the wrong moment
(sqlite.org, "WAL-reset bug"); there the rollback journal is used. Python's driver does not start a transaction before
DDL by itself, so it is switched off and every transaction begins explicitly.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from studio.errors import DamagedDatabase, NewerDatabase, StorageError
from studio.store.faults import storing

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
WAL_IS_SAFE_FROM = (3, 51, 3)
BUSY_WAIT = 5_000
"""Milliseconds to wait for another connection's transaction."""


def journal_for(version: tuple[int, ...]) -> tuple[str, str]:
    """(journal mode, synchronous) that survive a power cut on this SQLite."""
    return ("WAL", "FULL") if version >= WAL_IS_SAFE_FROM else ("DELETE", "EXTRA")


def open_database(path: Path, migrations: Path = MIGRATIONS) -> Engine:
    """The engine of the database at `path`, made or upgraded to the newest schema.

    Raises `NewerDatabase` and leaves the file as it is when a newer studio wrote it; `DamagedDatabase` when it cannot
    be read. Before an upgrade a copy goes to ``backups`` beside it.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    have, want = _version(path), scripts.get_current_head()
    if have is not None and have not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerDatabase(
            f"the data folder was written by a newer studio (schema {have}; this one knows up to {want}). "
            "Nothing was changed. Use that version, or start this one with another folder (--data or PALIMPSEST_DATA)"
        )
    if have is not None and have != want:
        _back_up(path, have)
    engine = _engine(path)
    with storing(), engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return engine


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
    """The schema's version in the file; ``None`` for a database that is not there yet. Writes nothing."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
            rows: list[Any] = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    except sqlite3.OperationalError as problem:
        raise StorageError(f"the database of the data folder cannot be opened ({problem}); is it in use?") from problem
    except sqlite3.DatabaseError as problem:
        raise DamagedDatabase(
            f"the database {path.name} of the data folder is damaged ({problem}). Nothing was changed. Put back a copy "
            "from its backups folder, or move the file away: the pictures stay where they are"
        ) from problem
    return None if not rows else str(rows[0][0])


def _back_up(path: Path, version: str) -> Path:
    """A consistent copy made by SQLite itself, checked before anything is changed."""
    folder = path.parent / "backups"
    with storing():
        folder.mkdir(exist_ok=True)
    copy = folder / f"{path.stem}-{version}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        verdict = target.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise DamagedDatabase(f"the database {path.name} is damaged ({verdict}); it was not upgraded")
    log.info("the database was copied to %s before its upgrade", copy.name)
    return copy
