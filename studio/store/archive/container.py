"""The ZIP around a session: what may stand in it, and entries whose bytes are counted while they are read."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from studio.store.archive.schema import BadArchive

LARGEST_ARCHIVE = 2**30
"""Bytes of the file, and of its entries together once unpacked."""
MOST_ENTRIES = 20_000
MOST_RATIO = 100
"""Unpacked bytes for a packed one. Our own files are not packed: a PNG is so already."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The same for every entry, so that the same session gives the same bytes."""


def new_entry(name: str) -> zipfile.ZipInfo:
    """How an entry of that name is written: a plain file, the same on every system and at every time."""
    entry = zipfile.ZipInfo(name, ZIP_DATE)
    entry.create_system = 3  # as on Unix, wherever it is written
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


@contextmanager
def reading() -> Iterator[None]:
    """Around calls of the ZIP library, which trips over strangers' files in a dozen ways."""
    try:
        yield
    except BadArchive:
        raise
    except Exception as problem:
        raise BadArchive("this is not a whole session file: it is damaged or cut short; export it again") from problem


class Entries:
    """The entries of a ZIP, their names and kinds checked at once, their bytes counted while they are read."""

    def __init__(self, source: BinaryIO) -> None:
        with reading():
            _check_directory(source)
            self._zip = zipfile.ZipFile(source)
            self._infos: dict[str, zipfile.ZipInfo] = {}
            for info in self._zip.infolist():
                _check_entry(info)
                if info.filename in self._infos:
                    raise BadArchive(f"the session file has two entries of the name {info.filename!r:.100}")
                self._infos[info.filename] = info

    def check(self, needed: Iterable[str]) -> None:
        """Raise `BadArchive` unless the pictures are those of the digests `needed`, none less and none more."""
        wanted = {"session.json", *(f"pictures/{digest}.png" for digest in needed)}
        if missing := wanted - self._infos.keys():
            raise BadArchive(f"the session file lacks {len(missing)} of its pictures; export the session again")
        if extra := self._infos.keys() - wanted:
            raise BadArchive(f"the session file has {len(extra)} pictures that no turn names")

    def head(self, name: str, size: int) -> bytes:
        """The first `size` bytes of an entry, or all where there are fewer."""
        with reading(), self._zip.open(self._info(name)) as entry:
            return entry.read(size)

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of an entry; `BadArchive` as soon as there are more than `limit`, or too many for its size."""
        info = self._info(name)
        buffer = io.BytesIO()
        with reading(), self._zip.open(info) as entry:
            while chunk := entry.read(2**16):
                buffer.write(chunk)
                if buffer.tell() > limit:
                    raise BadArchive(f"the entry {name!r:.100} of the session file is larger than {limit >> 20} MB")
                if buffer.tell() > MOST_RATIO * max(info.compress_size, 1):
                    raise BadArchive(f"the entry {name!r:.100} of the session file unpacks to far more than it holds")
        return buffer.getvalue()

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._infos:
            raise BadArchive(f"the session file has no entry {name!r:.100}; export the session again")
        return self._infos[name]


def _check_directory(source: BinaryIO) -> None:
    """Look at the end of the ZIP before the library reads its directory, which it does whole and into memory."""
    size = source.seek(0, io.SEEK_END)
    if size > LARGEST_ARCHIVE:
        raise BadArchive(f"a session file has at most {LARGEST_ARCHIVE >> 20} MB; this one has {size >> 20} MB")
    source.seek(0)
    start = source.read(4)
    source.seek(max(size - 42, 0))
    tail = source.read(42)
    if start != b"PK\3\4" or len(tail) < 42 or tail[20:24] != b"PK\5\6":
        raise BadArchive("this is not a session file (.palimpsest); choose one that the studio exported")
    entries, directory, comment = struct.unpack("<10xHL4xH", tail[20:])
    if tail[:4] == b"PK\6\7" or entries > MOST_ENTRIES or directory > 256 * MOST_ENTRIES:
        raise BadArchive(f"a session file has at most {MOST_ENTRIES} entries; this one has more")
    if comment:
        raise BadArchive("a session file has no comment; this one has been changed by another program")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name, mode = info.orig_filename, info.external_attr >> 16
    if name != "session.json" and not re.fullmatch(r"pictures/[0-9a-f]{64}\.png", name):
        raise BadArchive(
            f"the session file has an entry {name!r:.100}; only session.json and pictures/<SHA-256>.png belong there"
        )
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.is_dir():
        raise BadArchive(f"the entry {name!r:.100} of the session file is no plain file")
    if info.flag_bits & 0x2041:  # encrypted, strongly so, or with a masked directory
        raise BadArchive(f"the entry {name!r:.100} of the session file is encrypted; export the session again")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadArchive(f"the entry {name!r:.100} of the session file is packed in a way that is not read")
