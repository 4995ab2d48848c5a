"""Reads sessions out of a database file that is damaged, or of a copy, without changing it.

A damaged file is read in a copy whose header and schema are made like those of a whole database; pages that SQLite
cannot read are left out, with whatever rows stood in them, and indexes are not asked. What of a session is whole, its
seals say.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Integer, create_engine, literal_column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from studio.errors import DamagedSession
from studio.store.database import readable
from studio.store.record import Record
from studio.store.seals import is_sealed
from studio.store.tables import BranchRow, MemoRow, Sealed, SessionRow, StagedRow, TurnRow
from studio.store.whole import SessionRows, Size, number, read

OWN = 24
"""Where the header says how many changes, pages and free pages there are, in 16 bytes; told nothing, SQLite counts."""
VALID_FOR = 92
"""Where it says for which count of changes that holds, in 4."""
INTERIOR = 5
"""The kind of a page of a table that has others below it."""
rowid = literal_column("rowid", Integer)

R = TypeVar("R", bound=Sealed)


@dataclass(frozen=True)
class Found:
    """A session of another database."""

    record: Record
    """As far as it is whole."""
    trashed_at: float | None
    """Seconds since 1970; ``None`` for one that was not in the trash. Where that time is not known, now."""


@contextmanager
def opened(path: Path, like: Path) -> Iterator[Connection]:
    """A connection to a copy of the database at `path`, mended after that at `like`, which is whole and of today's
    schema. Reading from it may raise `DBAPIError` all the same."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        copy = Path(folder) / "copy.db"
        shutil.copyfile(path, copy)
        _mend(copy, like)
        engine = create_engine("sqlite://", creator=lambda: _reader(copy), poolclass=NullPool)
        with engine.connect() as connection:
            yield connection


def sessions(
    connection: Connection, size_of: Callable[[str], Size | None], wanted: Collection[str] | None = None
) -> Iterator[Found]:
    """The sessions, or the `wanted` of them, of which something can be read and shown."""
    kinds = (SessionRow, TurnRow, BranchRow, StagedRow)
    places = {kind: _by_session(connection, kind) for kind in kinds}
    for sid in dict.fromkeys(sid for found in places.values() for sid in found):
        if wanted is not None and sid not in wanted:
            continue
        own = [*_rows(connection, SessionRow, places[SessionRow][sid]), SessionRow(sid=sid)][0]
        turns = sorted(_rows(connection, TurnRow, places[TurnRow][sid]), key=lambda row: number(row.seq))
        branches = sorted(_rows(connection, BranchRow, places[BranchRow][sid]), key=lambda row: number(row.position))
        staged = sorted(_rows(connection, StagedRow, places[StagedRow][sid]), key=lambda row: number(row.position))
        try:
            record = read(SessionRows(own, turns, branches, staged), size_of)
        except DamagedSession:
            continue
        yield Found(record, own.trashed_at if is_sealed(own) else own.trashed_at and time.time())


def answers(connection: Connection) -> Iterator[MemoRow]:
    """What was computed once, as far as it is whole."""
    with suppress(DBAPIError):
        places = list(connection.execute(select(rowid).select_from(MemoRow).order_by(rowid)).scalars())
        yield from (row for row in _rows(connection, MemoRow, places) if is_sealed(row))


def _by_session(connection: Connection, kind: type[R]) -> dict[Any, list[int]]:
    """Where the rows of each session stand: from both ends, as far as SQLite gets."""
    found: dict[int, Any] = {}
    for order in (rowid.asc(), rowid.desc()):
        with suppress(DBAPIError):
            for place, sid in connection.execute(select(rowid, kind.__table__.c.sid).order_by(order)):
                if place in found:
                    break
                found[place] = sid
    places: dict[Any, list[int]] = defaultdict(list)
    for place in sorted(found):
        if isinstance(found[place], str):
            places[found[place]].append(place)
    return places


def _rows(connection: Connection, kind: type[R], places: Iterable[int]) -> Iterator[R]:
    table = kind.__table__
    for place in places:
        with suppress(DBAPIError):
            yield kind(**connection.execute(select(table).where(rowid == place)).mappings().one())


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    connection.text_factory = readable
    return connection


def _mend(copy: Path, like: Path) -> None:
    """Write the header and the pages of the schema as those of `like`. It is a copy of the same database or went
    through the same migrations, so that its tables begin at the same pages."""
    whole = like.read_bytes()
    (short,) = struct.unpack_from(">H", whole, 16)
    size = 65536 if short == 1 else short
    with copy.open("r+b") as file:
        for number in _schema_pages(whole, size):
            file.seek((number - 1) * size)
            file.write(whole[(number - 1) * size : number * size])
        file.seek(OWN)
        file.write(bytes(16))
        file.seek(VALID_FOR)
        file.write(b"\xff" * 4)


def _schema_pages(database: bytes, size: int) -> list[int]:
    """The pages of the first table, which is the schema: sqlite.org/fileformat.html, "B-tree Pages"."""
    pages = [1]
    for each in pages:
        at = 100 if each == 1 else 0
        page = database[(each - 1) * size : each * size]
        kind, _, cells = struct.unpack_from(">BHH", page, at)
        if kind == INTERIOR:
            places = struct.unpack_from(f">{cells}H", page, at + 12)
            pages += [*struct.unpack_from(">I", page, at + 8), *(struct.unpack_from(">I", page, c)[0] for c in places)]
    return pages
