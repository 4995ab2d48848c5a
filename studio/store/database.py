"""Opens and copies the database: a safe journal, explicit transactions, a copy before a migration.

The journal is a rollback journal: of that one can be told whether it belongs to the database (`studio.store.journal`),
and SQLite before 3.51.3 can corrupt a database that has a write-ahead log (sqlite.org, "WAL-reset bug"). Python's
driver does not start a transaction before DDL by itself, so it is switched off and every transaction begins explicitly.
"""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from studio.errors import DamagedDatabase, NewerDatabase, StorageError
from studio.store.faults import storing
from studio.store.files import Files
from studio.store.tables import Base

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
"""Each file of its ``versions`` is named by its revision: ``0002_timeline.py``. So a database that is new enough, which
is nearly every one, is opened without loading Alembic."""
BACKUPS = "backups"
"""Folder of copies, beside the database."""
BUSY_WAIT = 5_000
"""Milliseconds to wait for another connection's transaction."""
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLite's codes for a file that is not as it should be, the last one for a table or column that is not there; all
others say that it cannot be reached, or not now."""
COPY = re.compile(r"[^-]+-(?P<kind>\w+)(-(?P<number>\d{6}))?-(?P<stamp>\d{8}-\d{6})\.db")
"""Names of copies: ``studio-daily-000012-20250131-235959.db``."""
SCHEMA = dict(Base.metadata.tables)


@dataclass(frozen=True)
class Copy:
    """A copy of the database."""

    path: Path
    number: int
    """Counts up with every copy: clocks jump, this does not. 0 for those from before copies were numbered."""
    stamp: str
    """The local time at which it was made: ``20250131-235959``."""
    kind: str


def copies(folder: Path) -> list[Copy]:
    """The copies in `BACKUPS` of that data folder, the oldest first."""
    named = ((path, COPY.fullmatch(path.name)) for path in (folder / BACKUPS).glob("*.db"))
    found = [Copy(path, int(m["number"] or 0), m["stamp"], m["kind"]) for path, m in named if m]
    return sorted(found, key=lambda copy: (copy.number, copy.stamp))


def open_database(path: Path, migrations: Path = MIGRATIONS, files: Files | None = None) -> Engine:
    """The engine of the database at `path`, made or upgraded to the newest schema.

    Raises `NewerDatabase` and leaves the file as it is when a newer studio wrote it, `DamagedDatabase` when its pages
    are not as they should be, and `StorageError` when it cannot be reached, as when another program holds it. Before
    an upgrade a copy goes to `BACKUPS`.
    """
    have, known = _version(path), revisions(migrations)
    want = known[-1]
    if have is not None and have not in known:
        if not have.isdigit() or have < want:
            raise _damaged(path, f"it says of itself that its version is {have!r:.80}")
        raise NewerDatabase(
            f"the data folder was written by a newer studio (schema {have}; this one knows up to {want}). "
            "Nothing was changed. Use that version, or start this one with another folder (--data or PALIMPSEST_DATA)"
        )
    if have is not None and have != want:
        copy = copy_database(path, have, files or Files())
        log.info("the database was copied to %s before its upgrade", copy.name)
    engine = _engine(path)
    if have != want:
        with storing(), engine.connect() as connection:
            _upgrade(connection, migrations)
    with storing(), engine.begin() as connection:
        if not connection.exec_driver_sql("PRAGMA application_id").scalar():
            connection.exec_driver_sql(_mark())
    return engine


def copy_database(path: Path, kind: str, files: Files, now: float | None = None) -> Path:
    """A consistent copy in `BACKUPS`, made by SQLite itself while others may write, and checked before it is named.

    `kind` is a word for its name. Raises `DamagedDatabase` when what was copied does not pass the check, and
    `StorageError`.
    """
    number = max((copy.number for copy in copies(path.parent)), default=0) + 1
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    copy = path.parent / BACKUPS / f"{path.stem}-{kind}-{number:06}-{stamp}{path.suffix}"
    part = copy.with_name(f"{copy.name}.part")
    with storing():
        copy.parent.mkdir(exist_ok=True)
        for leftover in copy.parent.glob("*.part"):
            files.unlink(leftover)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            target.execute("PRAGMA journal_mode=OFF")  # a journal would outlive a crash and spoil the next copy
            source.backup(target)
            target.execute(_mark())
            target.commit()
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
    """Whether the copy at `path` passes all checks and is of a schema that this studio knows."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
            return _checked(connection, path) in revisions(migrations)
    except (sqlite3.Error, UnicodeDecodeError, DamagedDatabase):
        return False


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


def readable(data: bytes) -> str:
    """Text of the database, damaged or not: bytes that are no UTF-8 become halves of surrogate pairs."""
    return data.decode("utf-8", "surrogateescape")


def _mark() -> str:
    """Makes a database another one than every other: see `studio.store.journal`."""
    return f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}"


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # no implicit transactions: `begin` below is the only one
        connection.text_factory = readable
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=EXTRA")
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
            return _checked(connection, path)
    except UnicodeDecodeError as problem:  # of SQLite's message, which quotes the schema
        raise _damaged(path, "its schema is not text") from problem
    except sqlite3.DatabaseError as problem:
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise _damaged(path, problem) from problem
        raise StorageError(f"the database of the data folder cannot be opened ({problem}); is it in use?") from problem


def _checked(connection: sqlite3.Connection, path: Path) -> str | None:
    """The schema's version. Raises `DamagedDatabase` for pages that do not hang together, and for a schema or a version
    of it that is not what was written: SQLite does not look at that."""
    connection.text_factory = readable
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(path, verdict)
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in tables and not number and not tables & SCHEMA.keys():
        return None
    if "alembic_version" not in tables:
        raise _damaged(path, "it does not say its version")
    versions = [version for (version,) in connection.execute("SELECT version_num FROM alembic_version")]
    if not versions and not number:
        return None  # a first start was cut short
    if len(versions) != 1 or (number and versions != [f"{number:04}"]):
        raise _damaged(path, f"it says of itself that its version is {number} and {versions!r:.80}")
    if versions[0] == revisions()[-1] and (strange := _strange_tables(connection)):
        raise _damaged(path, f"its schema is not what was written: {', '.join(strange)}")
    return str(versions[0])


def _strange_tables(connection: sqlite3.Connection) -> list[str]:
    """The tables whose columns or references are not those of `studio.store.tables`."""
    strange = []
    for name, table in SCHEMA.items():
        columns = [(c.name, str(c.type), int(not c.nullable)) for c in table.columns]
        found = connection.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', [name])
        refers = {
            (fk.column.table.name, fk.parent.name, fk.column.name, fk.ondelete or "NO ACTION")
            for fk in table.foreign_keys
        }
        pointed = connection.execute('SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list(?)', [name])
        if sorted(found.fetchall()) != sorted(columns) or set(pointed.fetchall()) != refers:
            strange.append(name)
    return strange


def _damaged(path: Path, verdict: object) -> DamagedDatabase:
    return DamagedDatabase(
        f"the database {path.name} of the data folder is damaged ({verdict}). Nothing was changed. Put back a copy "
        "from its backups folder, or move the file away: the pictures stay where they are"
    )
