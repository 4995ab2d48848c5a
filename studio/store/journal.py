"""Whether a journal that lies beside the database is the database's own.

SQLite plays whatever journal it finds into the file it is named after: after a crash that is right, and where somebody
put another file into the database's place, or another journal beside it, it destroys that file. A rollback journal
holds the pages as they were before a transaction, with the first one's counter of changes and our own mark in it, so
it tells. See sqlite.org/fileformat.html, "The Rollback Journal" and "The Database Header".
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

SIDES = ("-journal", "-wal", "-shm")
MAGIC = bytes.fromhex("d9d505f920a163d7")
UNCOUNTED = 0xFFFFFFFF
LARGEST = 65536
"""Bytes of a page or a sector."""
HEADER = 100
"""Bytes at the start of a database."""


def strangers(database: Path) -> list[Path]:
    """The files beside `database` that SQLite would play into it, or read with it, and that are not its own."""
    header = _header(database)
    sides = [side for ending in SIDES if (side := database.with_name(database.name + ending)).exists()]
    own = _in_wal_mode(header)
    return [side for side in sides if not (_is_own(side, header) if side.name.endswith("-journal") else own)]


def _header(database: Path) -> bytes:
    try:
        with database.open("rb") as file:
            return file.read(HEADER)
    except FileNotFoundError:
        return b""


def _in_wal_mode(header: bytes) -> bool:
    """Whether the database was left by a studio that kept a write-ahead log."""
    return header[18:20] == b"\2\2"


def _is_own(journal: Path, header: bytes) -> bool:
    with journal.open("rb") as file:
        if file.read(1) in (b"", b"\0"):
            return True  # a transaction began, and the database was not written to: SQLite plays no such journal
    if len(header) < HEADER:
        return False
    (short,) = struct.unpack_from(">H", header, 16)
    counter, pages = struct.unpack_from(">2I", header, 24)
    with journal.open("rb") as file:
        magic, *_, before, _, page_size = struct.unpack(">8s5I", file.read(28).ljust(28, b"\0"))
        if magic != MAGIC or page_size != (LARGEST if short == 1 else short):
            return False
        first = _first_page(file, journal.stat().st_size)
    if first is None:  # what was changed so far is not in the first page
        return bool(before == pages)
    (then,) = struct.unpack_from(">I", first, 24)
    return first[68:72] == header[68:72] and counter in (then, (then + 1) & 0xFFFFFFFF)


def _first_page(file: BinaryIO, size: int) -> bytes | None:
    """The database's first page as the journal has it."""
    at = 0
    while at + 28 <= size:
        file.seek(at)
        magic, count, _, _, sector, page_size = struct.unpack(">8s5I", file.read(28))
        if magic != MAGIC or not (0 < sector <= LARGEST and 0 < page_size <= LARGEST):
            return None
        at += sector
        record = page_size + 8
        most = max(size - at, 0) // record
        for _ in range(most if count == UNCOUNTED else min(count, most)):
            file.seek(at)
            if file.read(4) == b"\0\0\0\1":
                return file.read(page_size)
            at += record
        at = -(-at // sector) * sector
    return None
