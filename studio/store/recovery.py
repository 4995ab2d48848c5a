"""Copies of the database, one a day and more where much is changed, and what happens when it cannot be read or is gone.

It is put aside into a folder of its own, side files first (a journal that stayed behind would be played into the next
database), and the newest copy that is whole takes its place; the store then takes over what can still be read of the
old one. A mark lies in that folder until all is done: where a start finds one, a recovery was cut short before anybody
could work, and it is done again from the beginning. A journal that is not the database's own is put aside before SQLite
sees it. Nothing is deleted.
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
from studio.store.database import Copy, copies, copy_database, is_whole, open_database
from studio.store.faults import storing
from studio.store.files import Files
from studio.store.journal import SIDES, strangers

log = logging.getLogger(__name__)

DATABASE = "studio.db"
ASIDE = "recovered"
MARK = "unfinished"
NOTE = "note.txt"
KEPT_DAILY = 7
"""Copies."""
KEPT_BETWEEN = 3
"""Copies that were made between two daily ones."""
KEPT_OF_DAMAGED = 30
"""Copies of either kind while something in the database is damaged: an old one may be all there is of it."""
CHUNK = 1 << 20
"""Bytes."""


@dataclass(frozen=True)
class Taken:
    """What was made of the old database and of the pictures."""

    sessions: int = 0
    """Those that were read from it, whole."""
    partly: tuple[str, ...] = ()
    """Names of those of which a part was read."""
    pictures: int = 0
    """Sessions that were made of pictures which no row names."""


@dataclass(frozen=True)
class Recovery:
    """One that is under way: the database is readable again, the old one and the pictures are not gone through yet."""

    folder: Path
    """Where the old database lies, if there was one."""
    copy: Copy | None
    """What took its place; ``None`` where there was no copy and the database began anew."""

    @property
    def database(self) -> Path:
        """The old database; it need not be there."""
        return self.folder / DATABASE

    def note(self, taken: Taken) -> str:
        """What happened, in words for the person."""
        copied = "There was no copy of it, so the list of sessions began anew."
        if self.copy is not None:
            day, clock = self.copy.stamp.split("-")
            made = f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}"
            copied = f"The copy of {made} took its place."
        read = "Nothing could be read of what came later."
        if taken.sessions or taken.partly:
            read = f"Of the damaged one, {taken.sessions} sessions could be read and are as they were."
        if taken.partly:
            read += f" Not whole: {', '.join(taken.partly)}."
        pictures = "It names every picture there is."
        if taken.pictures:
            names = "recovered 1" if taken.pictures == 1 else f"recovered 1 to recovered {taken.pictures}"
            pictures = f"The newest of the pictures that it does not name are sessions now: {names}."
        return (
            f"The database of the data folder could not be read, or was gone. {copied} {read} {pictures} "
            f"{_nothing_deleted(self.folder)}"
        )

    def finish(self, taken: Taken, files: Files) -> str:
        """Leave a note of what happened, give it, and take away the mark."""
        note = self.note(taken)
        with storing():
            _write(self.folder / NOTE, [note.encode()], files)
            files.unlink(self.folder / MARK)
            files.fsync_dir(self.folder)
        return note


@dataclass(frozen=True)
class Opened:
    """The database of a data folder, and what was done for it."""

    engine: Engine
    recovery: Recovery | None = None
    """To be finished."""
    notice: str | None = None
    """Of a journal that was put aside, in words for the person."""


def open_or_recover(folder: Path, files: Files) -> Opened:
    """Open the database in the data folder, whatever must be done for it.

    Raises what `open_database` does: a database that is in use or newer is not damaged, and stays. `DamagedDatabase`
    when one that is cannot be put aside.
    """
    path = folder / DATABASE
    with storing():
        aside = _unfinished(folder)
        if aside is None and not _gone(path):
            aside = _put_strangers_aside(path, files)
            try:
                engine = open_database(path, files=files)
            except DamagedDatabase as problem:
                log.error("%s", problem)
            else:
                return Opened(engine, notice=None if aside is None else _told_of_strangers(aside, files))
    try:
        aside = _begun(folder, aside, files)
        _move([path.with_name(path.name + side) for side in SIDES] + [path], aside, files)
    except OSError as problem:
        raise DamagedDatabase(
            f"the database of the data folder is damaged and could not be put aside ({problem.strerror}). Nothing was "
            "lost. Check that the disk is there and writable, then start again"
        ) from problem
    with storing():
        copy = _restored(path, files)
    return Opened(open_database(path, files=files), Recovery(aside, copy))


def was_recovered(folder: Path) -> bool:
    """Whether an old database was put aside that somebody may still repair: it names files that no row names."""
    return any((folder / ASIDE).glob("*"))


def back_up_daily(folder: Path, files: Files, now: float | None = None, damaged: bool = False) -> Path | None:
    """Copy the database unless that was done today, and keep the newest `KEPT_DAILY` copies, more of a `damaged` one;
    gives the new one.

    That it cannot be done stops nobody from working: it is logged, and the older copies stay.
    """
    today = time.strftime("%Y%m%d", time.localtime(now))
    if any(copy.kind == "daily" and copy.stamp[:8] == today for copy in copies(folder)):
        return None
    return _copied(folder, "daily", now, KEPT_OF_DAMAGED if damaged else KEPT_DAILY, files)


def back_up_between(folder: Path, files: Files, now: float | None = None, damaged: bool = False) -> Path | None:
    """Copy the database now, and keep the newest `KEPT_BETWEEN` of such copies beside the daily ones, more of a
    `damaged` one."""
    return _copied(folder, "between", now, KEPT_OF_DAMAGED if damaged else KEPT_BETWEEN, files)


def _copied(folder: Path, kind: str, now: float | None, kept: int, files: Files) -> Path | None:
    try:
        copy = copy_database(folder / DATABASE, kind, files, now)
        with storing():
            for old in [copy for copy in copies(folder) if copy.kind == kind][:-kept]:
                files.unlink(old.path)
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


def _begun(folder: Path, aside: Path | None, files: Files) -> Path:
    """A folder with the mark in it: `aside`, where there is one already."""
    aside = _new_folder(folder, files) if aside is None else aside
    if not (aside / MARK).exists():
        files.create(aside / MARK).close()
        files.fsync_dir(aside)
    return aside


def _new_folder(folder: Path, files: Files) -> Path:
    """One more of `ASIDE`."""
    root = folder / ASIDE
    root.mkdir(exist_ok=True)
    files.fsync_dir(folder)
    aside = _free(root / time.strftime("%Y%m%d-%H%M%S"))
    aside.mkdir()
    files.fsync_dir(root)
    return aside


def _put_strangers_aside(path: Path, files: Files) -> Path | None:
    """Move journals that are not the database's own into a folder, and give that."""
    found = strangers(path)
    if not found:
        return None
    aside = _new_folder(path.parent, files)
    _move(found, aside, files)
    return aside


def _told_of_strangers(aside: Path, files: Files) -> str:
    """What was done with them, for the person."""
    names = " and ".join(sorted(file.name for file in aside.iterdir()))
    note = (
        f"Beside the database of the data folder lay {names}, which is not its own: SQLite would have played it into "
        f"that, and destroyed it. The database is as it was. {_nothing_deleted(aside)}"
    )
    _write(aside / NOTE, [note.encode()], files)
    return note


def _move(found: Iterable[Path], aside: Path, files: Files) -> None:
    """In that order, those that are there."""
    for file in found:
        if file.exists():
            files.rename(file, _free(aside / file.name))
            files.fsync_dir(file.parent)
    files.fsync_dir(aside)


def _nothing_deleted(aside: Path) -> str:
    return (
        f"Nothing was deleted: what was found is in {ASIDE}/{aside.name} of the data folder, and as long as the folder "
        f"{ASIDE} is there no picture is cleared away."
    )


def _restored(path: Path, files: Files) -> Copy | None:
    """Put the newest whole copy at `path`."""
    for copy in reversed(copies(path.parent)):
        if is_whole(copy.path):
            with copy.path.open("rb") as source:
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
