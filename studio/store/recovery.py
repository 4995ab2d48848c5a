"""Copies of the database, one a day and more where much is changed, and what happens when it cannot be read or is gone.

It is put aside into a folder of its own, side files first (a journal that stayed behind would be played into the next
database), and the newest copy that is whole takes its place. A mark lies in that folder until all is done: where a
start finds one, a recovery was cut short before anybody could work, and it is done again from the beginning. Nothing
is deleted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from sqlalchemy import Engine

from studio.errors import DamagedDatabase, UserError
from studio.store.database import BACKUPS, copy_database, is_whole, open_database
from studio.store.faults import storing
from studio.store.files import Files

log = logging.getLogger(__name__)

DATABASE = "studio.db"
ASIDE = "recovered"
MARK = "unfinished"
KEPT_DAILY = 7
"""Copies."""
KEPT_BETWEEN = 3
"""Copies that were made between two daily ones."""
STAMPED = f"*-{'[0-9]' * 8}-{'[0-9]' * 6}.db"
"""Names of copies: they end with the local time."""
CHUNK = 1 << 20
"""Bytes."""


@dataclass(frozen=True)
class Recovery:
    """One that is under way: the database is readable again, the pictures are not gone through yet."""

    folder: Path
    """Where the old database lies, if there was one."""
    copy: Path | None
    """What took its place; ``None`` where there was no copy and the database began anew."""

    def note(self, sessions: int) -> str:
        """What happened, in words for the person; `sessions` were made of pictures that no row names."""
        copied = "There was no copy of it, so the list of sessions began anew."
        if self.copy is not None:
            day, clock = self.copy.stem[-15:-7], self.copy.stem[-6:]
            made = f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}"
            copied = f"The copy of {made} took its place; what was done later is not in it."
        pictures = "It names every picture there is."
        if sessions:
            names = "recovered 1" if sessions == 1 else f"recovered 1 to recovered {sessions}"
            pictures = f"The newest of the pictures that it does not name are sessions now: {names}."
        return (
            f"The database of the data folder could not be read, or was gone. {copied} {pictures} Nothing was deleted: "
            f"what was found is in {ASIDE}/{self.folder.name} of the data folder, and as long as the folder {ASIDE} is "
            "there no picture is cleared away."
        )

    def finish(self, sessions: int, files: Files) -> str:
        """Leave a note of what happened, give it, and take away the mark."""
        note = self.note(sessions)
        with storing():
            _write(self.folder / "note.txt", [note.encode()], files)
            files.unlink(self.folder / MARK)
            files.fsync_dir(self.folder)
        return note


def open_or_recover(folder: Path, files: Files) -> tuple[Engine, Recovery | None]:
    """The engine of the database in the data folder, and what had to be done for it; finish that.

    Raises what `open_database` does: a database that is in use or newer is not damaged, and stays. `DamagedDatabase`
    when one that is cannot be put aside.
    """
    path = folder / DATABASE
    with storing():
        aside = _unfinished(folder)
        if aside is None and not _gone(path):
            try:
                return open_database(path, files=files), None
            except DamagedDatabase as problem:
                log.error("%s", problem)
    try:
        aside = _begun(folder, files) if aside is None else aside
        _put_aside(path, aside, files)
    except OSError as problem:
        raise DamagedDatabase(
            f"the database of the data folder is damaged and could not be put aside ({problem.strerror}). Nothing was "
            "lost. Check that the disk is there and writable, then start again"
        ) from problem
    with storing():
        copy = _restored(path, files)
    return open_database(path, files=files), Recovery(aside, copy)


def was_recovered(folder: Path) -> bool:
    """Whether an old database was put aside that somebody may still repair: it names files that no row names."""
    return any((folder / ASIDE).glob("*"))


def back_up_daily(folder: Path, files: Files, now: float | None = None) -> Path | None:
    """Copy the database unless that was done today, and keep the newest `KEPT_DAILY` copies; gives the new one.

    That it cannot be done stops nobody from working: it is logged, and the older copies stay.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() if now is None else now))
    made = sorted((folder / BACKUPS).glob(f"*-daily{STAMPED[1:]}"))
    if any(path.stem[-15:-7] == stamp[:8] for path in made):
        return None
    return _copied(folder, "daily", stamp, KEPT_DAILY, files)


def back_up_between(folder: Path, files: Files, now: float | None = None) -> Path | None:
    """Copy the database now, and keep the newest `KEPT_BETWEEN` of such copies beside the daily ones."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() if now is None else now))
    return _copied(folder, "between", stamp, KEPT_BETWEEN, files)


def _copied(folder: Path, kind: str, stamp: str, kept: int, files: Files) -> Path | None:
    try:
        copy = copy_database(folder / DATABASE, f"{kind}-{stamp}", files)
        with storing():
            for old in sorted((folder / BACKUPS).glob(f"*-{kind}{STAMPED[1:]}"))[:-kept]:
                files.unlink(old)
    except UserError as problem:
        log.warning("a copy of the database was not made: %s", problem)
        return None
    return copy


def _gone(path: Path) -> bool:
    """Whether there is no database although there was one: every session has a picture."""
    there = path.exists() and path.stat().st_size > 0
    return not there and any((path.parent / "pictures").glob("*.png"))


def _unfinished(folder: Path) -> Path | None:
    return next((mark.parent for mark in (folder / ASIDE).glob(f"*/{MARK}")), None)


def _begun(folder: Path, files: Files) -> Path:
    root = folder / ASIDE
    root.mkdir(exist_ok=True)
    files.fsync_dir(folder)
    aside = _free(root / time.strftime("%Y%m%d-%H%M%S"))
    aside.mkdir()
    files.fsync_dir(root)
    files.create(aside / MARK).close()
    files.fsync_dir(aside)
    return aside


def _put_aside(path: Path, aside: Path, files: Files) -> None:
    sides = [path.with_name(path.name + side) for side in ("-wal", "-shm", "-journal")]
    for file in (*sides, path):
        if file.exists():
            files.rename(file, _free(aside / file.name))
    files.fsync_dir(aside)
    files.fsync_dir(path.parent)


def _restored(path: Path, files: Files) -> Path | None:
    """Put the newest whole copy at `path`."""
    for copy in sorted((path.parent / BACKUPS).glob(STAMPED), key=lambda copy: copy.stem[-15:], reverse=True):
        if is_whole(copy):
            with copy.open("rb") as source:
                _write(path, iter(lambda: source.read(CHUNK), b""), files)
            return copy
    return None


def _write(path: Path, chunks: Iterable[bytes], files: Files) -> None:
    """`path` is there when it is whole and on the disk, not before."""
    part = path.with_name(f"{path.name}.part")
    files.unlink(part)
    with files.create(part) as handle:
        for chunk in chunks:
            files.write(handle, chunk)
        files.fsync(handle)
    files.rename(part, path)
    files.fsync_dir(path.parent)


def _free(path: Path) -> Path:
    """`path`, or one beside it that is not taken."""
    others = (path.with_name(f"{number}-{path.name}") for number in count(2))
    return next(free for free in chain([path], others) if not free.exists())
