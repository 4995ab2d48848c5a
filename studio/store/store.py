"""Sessions, turns, staged candidates and jobs in the database; each save is one transaction.

What is written are the values of `studio.history`; the panel (draft and mask steps) is JSON that only the session
reads. Pictures go to their folder first and rows after, so a row never names a file that is not there.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import Session as Transaction

from studio.errors import DamagedFile
from studio.history.tree import Trashed, Tree
from studio.history.turn import Turn, canonical_json
from studio.store import rows
from studio.store.blobs import Blobs
from studio.store.faults import storing
from studio.store.files import Files
from studio.store.lock import FolderLock
from studio.store.record import FittedLayers, JobNote, Record, Summary
from studio.store.recovery import back_up_between, back_up_daily, open_or_recover, was_recovered
from studio.store.tables import BranchRow, GalleryRow, JobRow, MemoRow, SessionRow, StagedRow, TurnRow

log = logging.getLogger(__name__)

DAY = 24 * 3600.0
"""Seconds."""
REMEMBERED = 30 * DAY
"""Seconds that the answer of a computation is kept without being asked for."""
CHANGES_A_COPY = 500
"""Changes to sessions after which the database is copied again, though it was today."""
FITTED_ROOM = 8 * 2**30
"""Bytes that fitted layers may take."""
MOST_RECOVERED = 50
"""Pictures that become sessions when the database was lost."""
LONGEST_SEARCH = 200
"""Characters that are read of what is searched for."""


class Store:
    """The data folder: ``studio.db`` with its ``backups/``, ``pictures/``, ``fitted/``, and ``recovered/`` where a
    database was lost. One process holds it at a time."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        """Raises a `DataFolderError` or `StorageError` if the folder cannot be used; nothing of it is lost then."""
        files = files or Files()
        self.folder = folder
        self._files = files
        self._changes = 0  # since the last copy
        self.notice: str | None = None
        """What the person must be told about this start: the database was lost, and what was done."""
        with storing():
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            self._lock = FolderLock(folder)
            undo.callback(self._lock.release)
            self.engine, recovery = open_or_recover(folder, files)
            undo.callback(self.engine.dispose)
            self.pictures = Blobs(folder / "pictures", ".png", files)
            self.fitted = Blobs(folder / "fitted", ".safetensors", files)
            if recovery is not None:
                self.notice = recovery.finish(self._take_in_lost_pictures(), files)
                log.error("%s", self.notice)
            back_up_daily(folder, files)
            undo.pop_all()

    def back_up(self, now: float | None = None) -> Path | None:
        """Copy the database if that was not done today, or much was changed since; gives the copy. May be called while
        others read and write."""
        copy = back_up_daily(self.folder, self._files, now)
        if copy is None and self._changes >= CHANGES_A_COPY:
            copy = back_up_between(self.folder, self._files, now)
        if copy is not None:
            self._changes = 0
        return copy

    def close(self) -> None:
        self.engine.dispose()
        self._lock.release()

    # Writing

    def save(self, new: Record, old: Record | None) -> None:
        """Write what changed from `old` (``None`` for a new session) to `new`: all of it or nothing."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            row = {
                "sid": new.sid,
                "name": new.name,
                "rev": new.rev,
                "created_at": new.created_at,
                "saved_at": new.saved_at,
                "width": new.width,
                "height": new.height,
                "branch": new.tree.branch,
                "current": new.tree.current,
                "panel": canonical_json(new.panel),
                "notes": canonical_json(new.notes),
                "trash": canonical_json([[t.cut, list(t.branches.items())] for t in new.tree.trashed]),
            }
            transaction.execute(upsert(SessionRow).values(row).on_conflict_do_update(index_elements=["sid"], set_=row))
            known = 0 if old is None else len(old.tree.turns)
            if turns := list(islice(new.tree.turns.values(), known, None)):
                found = [rows.turn_row(new.sid, known + i, turn) for i, turn in enumerate(turns)]
                transaction.execute(insert(TurnRow), found)
            if old is None or list(old.tree.branches.items()) != list(new.tree.branches.items()):
                transaction.execute(delete(BranchRow).where(BranchRow.sid == new.sid))
                tips = enumerate(new.tree.branches.items())
                found = [{"sid": new.sid, "name": name, "position": i, "tip": tip} for i, (name, tip) in tips]
                transaction.execute(insert(BranchRow), found)
            if old is None or old.name != new.name or old.tree.visible != new.tree.visible:
                listed = rows.gallery_row(new)
                transaction.execute(
                    upsert(GalleryRow).values(listed).on_conflict_do_update(index_elements=["sid"], set_=listed)
                )
            if old is None or old.staged != new.staged:
                transaction.execute(delete(StagedRow).where(StagedRow.sid == new.sid))
                if new.staged:
                    found = [rows.staged_row(new.sid, i, staged) for i, staged in enumerate(new.staged)]
                    transaction.execute(insert(StagedRow), found)
        self._changes += 1

    def trash(self, sid: str, at: float | None) -> None:
        """Put the session `sid` into the trash at that time, or with ``None`` take it out."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(update(SessionRow).where(SessionRow.sid == sid).values(trashed_at=at))

    def purge(self, before: float) -> frozenset[str]:
        """Forget the sessions that went into the trash before that time; gives their ids. Files that no other row
        names are removed by the next start's `sweep`: while the studio runs, one may be on its way into a row."""
        old = select(SessionRow.sid).where(SessionRow.trashed_at < before)
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            sids = frozenset(transaction.scalars(old))
            transaction.execute(delete(JobRow).where(JobRow.sid.in_(sids)))
            transaction.execute(delete(SessionRow).where(SessionRow.sid.in_(sids)))  # all else of it goes with it
        return sids

    def save_job(self, note: JobNote) -> None:
        row = dict(vars(note))
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(upsert(JobRow).values(row).on_conflict_do_update(index_elements=["id"], set_=row))

    def interrupt_jobs(self, now: float) -> int:
        """Called once at start: whatever was queued or running when the last studio stopped was interrupted."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            open_states = JobRow.state.in_(("queued", "running"))
            count = transaction.scalar(select(func.count()).select_from(JobRow).where(open_states)) or 0
            transaction.execute(update(JobRow).where(open_states).values(state="interrupted", finished_at=now))
        return count

    def remember(self, key: str, value: Mapping[str, Any], now: float | None = None) -> None:
        """Keep what came of the computation that `key` names, for all sessions. Files it names must be stored before.

        An answer that is there already is replaced: its files may have been lost.
        """
        row = {"key": key, "value": canonical_json(value), "used_at": time.time() if now is None else now}
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(upsert(MemoRow).values(row).on_conflict_do_update(index_elements=["key"], set_=row))

    def keep_fitted(self, key: str, data: bytes) -> str:
        """Keep fitted layers under the `key` of what they were fitted to, and give their digest. They can be fitted
        again, so those used longest ago go when there are more than `FITTED_ROOM`, whatever turn names them."""
        digest = self.fitted.put(data)
        self.fitted.touch(digest)
        self.remember(key, {"fitted": digest})
        self.fitted.trim(FITTED_ROOM)
        return digest

    def sweep(self, now: float | None = None) -> int:
        """Called once at start: forget answers unused for `REMEMBERED`, then remove leftovers of a crash and old
        files that no row names. Gives the number of files removed."""
        now = time.time() if now is None else now
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(delete(MemoRow).where(MemoRow.used_at < now - REMEMBERED))
        used = self._named()
        if was_recovered(self.folder):
            files = (path for kind in ("pictures", "fitted") for path in (self.folder / kind).iterdir())
            used.update(path.stem for path in files if path.suffix != ".part")
        return self.pictures.sweep(used, now) + self.fitted.sweep(used, now) + self.fitted.trim(FITTED_ROOM)

    def _named(self) -> set[str]:
        """Digests of all files that rows name."""
        named: set[str] = set()
        with storing(), Transaction(self.engine) as transaction:
            for query in (
                select(SessionRow.panel),
                select(TurnRow.picture, TurnRow.request, TurnRow.outcome),
                select(StagedRow.picture, StagedRow.request, StagedRow.outcome),
                select(MemoRow.value),
            ):
                for row in transaction.execute(query):
                    for column in row:
                        named.update(re.findall(r"[0-9a-f]{64}", column or ""))
        return named

    def _take_in_lost_pictures(self) -> int:
        """Make sessions of the newest pictures that no row names; gives their number. Which of them were turns of one
        session cannot be known, so each becomes an original. Masks, which are grey, are left where they are."""
        with storing():
            named = self._named()
            lost = [path for path in (self.folder / "pictures").glob("*.png") if path.stem not in named]
            lost.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            taken = 0
            for path in lost:
                extent = _extent_in_colour(path)
                if extent is None or not self._is_whole(path.stem):
                    continue
                made, taken = path.stat().st_mtime, taken + 1
                record = Record(
                    sid=secrets.token_hex(16),
                    name=f"recovered {taken}",
                    created_at=made,
                    width=extent[0],
                    height=extent[1],
                    tree=Tree.planted(Turn.original(path.stem, made)),
                    panel={},
                    notes=("found in the data folder when its database had been lost",),
                    saved_at=made,
                )
                self.save(record, None)
                if taken == MOST_RECOVERED:
                    break
        return taken

    def _is_whole(self, digest: str) -> bool:
        try:
            return bool(self.pictures.get(digest))
        except DamagedFile:
            return False

    # Reading

    def load(self, sid: str) -> Record | None:
        """The session `sid`, or ``None``."""
        with storing(), Transaction(self.engine) as transaction:
            row = transaction.get(SessionRow, sid)
            if row is None:
                return None
            turns = transaction.scalars(select(TurnRow).where(TurnRow.sid == sid).order_by(TurnRow.seq))
            branches = transaction.scalars(select(BranchRow).where(BranchRow.sid == sid).order_by(BranchRow.position))
            tree = Tree(
                turns={t.id: rows.turn(t) for t in turns},
                branches={b.name: b.tip for b in branches},
                branch=row.branch,
                current=row.current,
                trashed=tuple(Trashed(cut, dict(branches)) for cut, branches in json.loads(row.trash)),
            )
            staged = transaction.scalars(select(StagedRow).where(StagedRow.sid == sid).order_by(StagedRow.position))
            return Record(
                sid=row.sid,
                name=row.name,
                created_at=row.created_at,
                width=row.width,
                height=row.height,
                tree=tree,
                panel=json.loads(row.panel),
                notes=tuple(json.loads(row.notes)),
                staged=tuple(rows.staged(s) for s in staged),
                rev=row.rev,
                saved_at=row.saved_at,
            )

    def remembered(self, key: str, now: float | None = None) -> dict[str, Any] | None:
        """What `remember` was given under `key`, as it reads back from JSON; ``None`` when that is not known.

        That it was used is noted once a day, so that asking costs no write.
        """
        now = time.time() if now is None else now
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            row = transaction.get(MemoRow, key)
            if row is None:
                return None
            if now - row.used_at > DAY:
                row.used_at = now
            value: dict[str, Any] = json.loads(row.value)
            return value

    def fitted_before(self, key: str) -> FittedLayers | None:
        """The layers kept under `key`; ``None`` where they are not there any more, or are damaged."""
        found = self.remembered(key)
        return None if found is None else self.fitted_layers(found["fitted"])

    def fitted_layers(self, digest: str) -> FittedLayers | None:
        """The layers of that digest; ``None`` where they are not there any more, or are damaged."""
        if not self.fitted.has(digest):
            return None
        try:
            data = self.fitted.get(digest)
        except DamagedFile:
            return None
        self.fitted.touch(digest)
        return FittedLayers(digest, data)

    def summaries(
        self, search: str = "", trashed: bool = False, limit: int | None = None, offset: int = 0
    ) -> tuple[Summary, ...]:
        """The sessions, the one saved last first, or those in the trash, the one trashed last first.

        Only those in whose name and turns' texts every word of `search` occurs, in capitals or not. At most `limit`
        of them, after the first `offset`.
        """
        at = SessionRow.trashed_at if trashed else SessionRow.saved_at
        query = (
            select(SessionRow.sid, SessionRow.name, SessionRow.saved_at, GalleryRow.turns, TurnRow.picture)
            .join(GalleryRow, GalleryRow.sid == SessionRow.sid)
            .join(TurnRow, (TurnRow.sid == SessionRow.sid) & (TurnRow.id == SessionRow.current))
            .where(SessionRow.trashed_at.is_not(None) if trashed else SessionRow.trashed_at.is_(None))
            .where(*(func.instr(GalleryRow.words, word) > 0 for word in rows.folded(search[:LONGEST_SEARCH]).split()))
            .order_by(at.desc())
            .limit(limit)
            .offset(offset)
        )
        with storing(), Transaction(self.engine) as transaction:
            return tuple(Summary(*row) for row in transaction.execute(query))

    def cover(self, sid: str) -> str | None:
        """Digest of the picture that stands for the session `sid` in a list, trashed or not; ``None`` without one."""
        query = select(TurnRow.picture).join(
            SessionRow, (SessionRow.sid == TurnRow.sid) & (SessionRow.current == TurnRow.id)
        )
        with storing(), Transaction(self.engine) as transaction:
            return transaction.scalar(query.where(SessionRow.sid == sid))

    def trashed(self) -> frozenset[str]:
        """Ids of the sessions in the trash."""
        with storing(), Transaction(self.engine) as transaction:
            return frozenset(transaction.scalars(select(SessionRow.sid).where(SessionRow.trashed_at.is_not(None))))

    def last_job(self, sid: str) -> JobNote | None:
        query = select(JobRow).where(JobRow.sid == sid).order_by(JobRow.queued_at.desc(), text("rowid desc")).limit(1)
        with storing(), Transaction(self.engine) as transaction:
            row = transaction.scalar(query)
            return None if row is None else JobNote(**{f: getattr(row, f) for f in JobNote.__dataclass_fields__})


def _extent_in_colour(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG of RGB; ``None`` for everything else. Only its header is read."""
    with path.open("rb") as file:
        header = file.read(26)
    if len(header) < 26 or header[:8] != b"\x89PNG\r\n\x1a\n" or header[25] != 2:
        return None
    width, height = struct.unpack(">II", header[16:24])
    return width, height
