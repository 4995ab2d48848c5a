"""Whole session files in a folder that outlives the data folder, as a Space's mounted bucket does.

Such a mount is no disk: what was written is there once the file was closed, locks and renames promise nothing, and
reading may lag behind. So a database must never lie on one, and nothing is ever changed there: each state of a session
is a file of its own, which is written under a new name before the one before it is removed, and of several the newest
that is whole is taken.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

from pipelines.errors import PipelineError
from studio.errors import DataFolderError, UserError
from studio.store.archive.session_file import read_archive, write_archive
from studio.store.store import Store

log = logging.getLogger(__name__)

EVERY = 20.0
"""Seconds between two rounds: a session that was saved in neither of two rests."""
NAME = re.compile(r"(?P<sid>[0-9a-f]{32})-(?P<saved>[0-9]{1,16})\.palimpsest")
"""A session's id, and when it was saved, in milliseconds since 1970."""


class Keeping:
    """A thread that writes each session that rests, until it is closed; then all that were changed since."""

    def __init__(self, folder: Path, store: Store, every: float = EVERY) -> None:
        """Makes `folder` where it is missing. Raises `DataFolderError` where nothing can be written there."""
        self._folder = folder
        self._store = store
        self._every = every
        self._written: dict[str, int] = {}
        """By id, the state that is there."""
        self._seen: dict[str, int] = {}
        """By id, the state of the round before."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="keeping", daemon=True)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".written-{time.time_ns()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise DataFolderError(
                f"session files cannot be kept in {folder} ({error.strerror or error}); mount it so that it can be "
                "written to, or name another folder with --bucket"
            ) from None

    def start(self) -> None:
        self._thread.start()

    def take_in(self, room: int | None = None) -> int:
        """Read back what is there and the store has not, the newest first; gives the number of sessions. What is beyond
        `room` bytes is forgotten, as it would be if it were taken in; files that are not whole are passed over, and
        left where they are."""
        known = {one.sid for trashed in (False, True) for one in self._store.summaries(trashed=trashed)}
        taken, size = 0, 0
        for path, sid, saved in sorted(self._files(), key=lambda file: file[2], reverse=True):
            if sid in known:
                continue
            try:
                size += path.stat().st_size
                if room is not None and size > room:
                    log.warning("%s is forgotten: the data folder has no room for it", path.name)
                    path.unlink()
                    continue
                record = read_archive(path, self._store.pictures)
                self._store.save(replace(record, sid=sid, saved_at=saved / 1000), None)
            except (UserError, PipelineError, OSError) as problem:
                log.warning("%s is passed over: %s", path.name, problem)
                continue
            known.add(sid)
            self._written[sid] = saved
            taken += 1
        return taken

    def once(self, rested: bool = True) -> int:
        """One round: write the sessions that were changed, of those only that rest where `rested` says so, and remove
        what is of none any more; gives the number of files written. A session in the trash is not kept."""
        now = {one.sid: round(one.saved_at * 1000) for one in self._store.summaries() if not one.damaged}
        due = [
            sid
            for sid, saved in now.items()
            if self._written.get(sid) != saved and (not rested or self._seen.get(sid) == saved)
        ]
        self._seen = now
        written = sum(self._write(sid) for sid in due)
        gone = self._written.keys() - now.keys() - self._store.damaged
        for path, sid, saved in self._files():
            if sid in gone or saved < self._written.get(sid, 0):
                path.unlink(missing_ok=True)
        for sid in gone:
            del self._written[sid]
        return written

    def close(self) -> None:
        """Writes what was changed and is not there yet."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._round(rested=False)

    def _write(self, sid: str) -> bool:
        record = self._store.load(sid)
        if record is None or record.damage:
            return False
        saved = round(record.saved_at * 1000)
        path = self._folder / f"{sid}-{saved}.palimpsest"
        try:
            with path.open("wb") as file:
                write_archive(record, self._store.pictures, file)
                file.flush()
                os.fsync(file.fileno())
        except (UserError, OSError) as problem:  # the other ones are kept all the same
            path.unlink(missing_ok=True)
            log.warning("the session %s… could not be kept: %s", sid[:6], problem)
            return False
        self._written[sid] = saved
        return True

    def _files(self) -> list[tuple[Path, str, int]]:
        """The session files there, with id and state."""
        found = ((path, NAME.fullmatch(path.name)) for path in self._folder.iterdir())
        return [(path, name["sid"], int(name["saved"])) for path, name in found if name]

    def _round(self, rested: bool) -> None:
        try:
            self.once(rested)
        except Exception:
            log.exception("a round of keeping sessions failed; the next one follows")

    def _loop(self) -> None:
        while not self._closed.wait(self._every):
            self._round(rested=True)
