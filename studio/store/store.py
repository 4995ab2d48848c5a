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
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, text
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import Session as Transaction

from studio.errors import DamagedFile, DamagedSession, UnknownSession
from studio.history.tree import Tree
from studio.history.turn import Turn, canonical_json
from studio.store import rows, salvage
from studio.store.blobs import Blobs
from studio.store.database import copies, is_whole
from studio.store.faults import storing
from studio.store.files import Files
from studio.store.lock import FolderLock
from studio.store.record import FittedLayers, JobNote, Record, Summary
from studio.store.recovery import (
    DATABASE,
    Recovery,
    Taken,
    back_up_between,
    back_up_daily,
    open_or_recover,
    was_recovered,
)
from studio.store.seals import change, fits, is_sealed, mark_damaged, sealed
from studio.store.tables import BranchRow, DayRow, GalleryRow, JobRow, MemoRow, SessionRow, StagedRow, TurnRow
from studio.store.whole import SessionRows, number, read, shown_name

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
OLDER = "as a copy of the database had it: what came later could not be read when the database was lost"
IN_PART = "read from a damaged database: some of it is lost"
LONGEST_SEARCH = 200
"""Characters that are read of what is searched for."""


class Store:
    """The data folder: ``studio.db`` with its ``backups/``, ``pictures/``, ``fitted/``, and ``recovered/`` where a
    database was lost. One process holds it at a time."""

    def __init__(
        self, folder: Path, files: Files | None = None, copied: bool = True, fitted_room: int | None = None
    ) -> None:
        """Raises a `DataFolderError` or `StorageError` if the folder cannot be used; nothing of it is lost then.

        Without `copied` no copies of the database are made, which would know of sessions that were to be forgotten.
        Fitted layers take `fitted_room` bytes at most, by default `FITTED_ROOM`.
        """
        self._copied, self._fitted_room = copied, FITTED_ROOM if fitted_room is None else fitted_room
        files = files or Files()
        self.folder = folder
        self._files = files
        self._changes = 0  # since the last copy
        self.damaged: frozenset[str] = frozenset()
        """Ids of the sessions that this start found to be damaged. While there are any, what their rows may have named
        is kept: every picture, and the copies of the database there are."""
        self.notice: str | None = None
        """What the person must be told about this start: what was lost, and what was done."""
        with storing():
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            self._lock = FolderLock(folder)
            undo.callback(self._lock.release)
            opened = open_or_recover(folder, files)
            self.engine: Engine = opened.engine
            undo.callback(self.engine.dispose)
            self.pictures = Blobs(folder / "pictures", ".png", files)
            self.fitted = Blobs(folder / "fitted", ".safetensors", files)
            told = [opened.notice]
            if opened.recovery is not None:
                told.append(opened.recovery.finish(self._take_over(opened.recovery), files))
            self.damaged = self._look_through()
            if self.damaged and (healed := self._heal()):
                told.append(healed)
                self.damaged = self._look_through()
            self.back_up()
            self.notice = " ".join(line for line in told if line) or None
            if self.notice:
                log.error("%s", self.notice)
            undo.pop_all()

    def back_up(self, now: float | None = None) -> Path | None:
        """Copy the database if that was not done today, or much was changed since; gives the copy. May be called while
        others read and write."""
        if not self._copied:
            return None
        copy = back_up_daily(self.folder, self._files, now, bool(self.damaged))
        if copy is None and self._changes >= CHANGES_A_COPY:
            copy = back_up_between(self.folder, self._files, now, bool(self.damaged))
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
            known_as = transaction.execute(select(SessionRow.trashed_at).where(SessionRow.sid == new.sid)).first()
            if known_as is None and old is not None:
                raise UnknownSession("this session was forgotten meanwhile; open another one, or start with a picture")
            row = rows.session_row(new, None if known_as is None else known_as.trashed_at)
            transaction.execute(upsert(SessionRow).values(row).on_conflict_do_update(index_elements=["sid"], set_=row))
            known = 0 if old is None else len(old.tree.turns)
            if turns := list(islice(new.tree.turns.values(), known, None)):
                found = [rows.turn_row(new.sid, known + i, turn) for i, turn in enumerate(turns)]
                transaction.execute(insert(TurnRow), found)
            if old is None or list(old.tree.branches.items()) != list(new.tree.branches.items()):
                transaction.execute(delete(BranchRow).where(BranchRow.sid == new.sid))
                tips = enumerate(new.tree.branches.items())
                found = [rows.branch_row(new.sid, i, name, tip) for i, (name, tip) in tips]
                transaction.execute(insert(BranchRow), found)
            if old is None or old.name != new.name or old.tree.visible != new.tree.visible:
                _list(transaction, new)
            if old is None or old.staged != new.staged:
                transaction.execute(delete(StagedRow).where(StagedRow.sid == new.sid))
                if new.staged:
                    found = [rows.staged_row(new.sid, i, staged) for i, staged in enumerate(new.staged)]
                    transaction.execute(insert(StagedRow), found)
        self._changes += 1

    def trash(self, sid: str, at: float | None) -> None:
        """Put the session `sid` into the trash at that time, or with ``None`` take it out.

        One that is damaged says so of itself from now on, and can leave the trash for good as others do.
        """
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            if (row := transaction.get(SessionRow, sid)) is not None:
                if not is_sealed(row):
                    mark_damaged(row)
                change(row, trashed_at=at)

    def count_day(self, now: float | None = None) -> float:
        """Note that a studio was open on that day; gives a time that has passed for sure.

        Clocks jump. What is deleted for good because it is old is deleted by that time: the first reading of the day
        before this one on which a studio was open, unless the clock went back since; 0 on the first day.
        """
        now = time.time() if now is None else now
        today = time.strftime("%Y-%m-%d", time.gmtime(now))
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            before = select(DayRow.at).where(DayRow.date != today).order_by(text("rowid desc")).limit(1)
            last = transaction.scalar(before)
            if transaction.get(DayRow, today) is None:
                transaction.add(DayRow(date=today, at=now))
        return min(now, number(last))

    def purge(self, days: int, now: float | None = None) -> frozenset[str]:
        """Forget the sessions that were in the trash for `days` days, on each of which a studio was open; gives their
        ids. Files that no other row names are removed by the next start's `sweep`: while the studio runs, one may be on
        its way into a row. A row that is damaged may say another time than was saved, so its session stays."""
        before = self.count_day(now) - days * DAY
        old = select(SessionRow).where(SessionRow.trashed_at < before)
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            counted = sorted(map(number, transaction.scalars(select(DayRow.at))))
            sids = frozenset(
                row.sid
                for row in transaction.scalars(old)
                if is_sealed(row) and len(counted) - bisect_right(counted, number(row.trashed_at)) >= days
            )
            transaction.execute(delete(JobRow).where(JobRow.sid.in_(sids)))
            transaction.execute(delete(SessionRow).where(SessionRow.sid.in_(sids)))  # all else of it goes with it
        return sids

    def forget(self, sids: Collection[str]) -> None:
        """Delete sessions for good; `tidy` removes the files that were theirs alone."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(delete(JobRow).where(JobRow.sid.in_(sids)))
            transaction.execute(delete(SessionRow).where(SessionRow.sid.in_(sids)))  # all else of it goes with it

    def tidy(self, unused: float, grace: float, now: float | None = None) -> int:
        """While the studio runs, remove the files that no row names and that are older than `grace` seconds: by then
        what was on its way into a row is there. Answers that were not asked for in `unused` seconds are forgotten; what
        they name goes with the next call, for somebody may just have been given them. Gives the number of files."""
        now = time.time() if now is None else now
        used = self._named()
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(delete(MemoRow).where(MemoRow.used_at < now - unused))
        return sum(blobs.sweep(used, now, grace) for blobs in (self.pictures, self.fitted))

    def size(self) -> int:
        """Bytes of the data folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def save_job(self, note: JobNote) -> None:
        row = sealed(JobRow, vars(note))
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(upsert(JobRow).values(row).on_conflict_do_update(index_elements=["id"], set_=row))

    def interrupt_jobs(self, now: float) -> int:
        """Called once at start: whatever was queued or running when the last studio stopped was interrupted."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            jobs = transaction.scalars(select(JobRow).where(JobRow.state.in_(("queued", "running")))).all()
            for job in jobs:
                change(job, state="interrupted", finished_at=now)
        return len(jobs)

    def remember(self, key: str, value: Mapping[str, Any], now: float | None = None) -> None:
        """Keep what came of the computation that `key` names, for all sessions. Files it names must be stored before.

        An answer that is there already is replaced: its files may have been lost.
        """
        used_at = time.time() if now is None else now
        row = sealed(MemoRow, {"key": key, "value": canonical_json(value), "used_at": used_at})
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(upsert(MemoRow).values(row).on_conflict_do_update(index_elements=["key"], set_=row))

    def keep_fitted(self, key: str, data: bytes) -> str:
        """Keep fitted layers under the `key` of what they were fitted to, and give their digest. They can be fitted
        again, so those used longest ago go when there are more than there is room for, whatever turn names them."""
        digest = self.fitted.put(data)
        self.fitted.touch(digest)
        self.remember(key, {"fitted": digest})
        self.fitted.trim(self._fitted_room)
        return digest

    def sweep(self, now: float | None = None) -> int:
        """Called once at start: forget answers unused for `REMEMBERED`, then remove leftovers of a crash and old
        files that no row names. Gives the number of files removed."""
        sure = self.count_day(now)
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(delete(MemoRow).where(MemoRow.used_at < sure - REMEMBERED))
        used = self._named()
        if self.damaged or was_recovered(self.folder):
            files = (path for kind in ("pictures", "fitted") for path in (self.folder / kind).iterdir())
            used.update(path.stem for path in files if path.suffix != ".part")
        return self.pictures.sweep(used, sure) + self.fitted.sweep(used, sure) + self.fitted.trim(self._fitted_room)

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
                        named.update(re.findall(r"[0-9a-f]{64}", str(column)))
        return named

    def _look_through(self) -> frozenset[str]:
        """Look at the seals of all rows; gives the ids of the sessions that are damaged. What lists say is derived from
        the sessions, and made again where it is damaged."""
        damaged: set[Any] = set()
        parts = (TurnRow, BranchRow, StagedRow)
        there = {kind: Counter[Any]() for kind in parts}
        with storing(), Transaction(self.engine) as transaction:
            for kind in parts:
                for row in transaction.execute(select(kind.__table__)):
                    there[kind][row.sid] += 1
                    if not fits(kind, row._asdict()):
                        damaged.add(row.sid)
            for row in transaction.execute(select(SessionRow.__table__)):
                held = rows.counts(*(there[kind][row.sid] for kind in parts))
                if row.holds != held or not fits(SessionRow, row._asdict()):
                    damaged.add(row.sid)
            listed = transaction.execute(select(GalleryRow.__table__))
            unlisted = set(transaction.scalars(select(SessionRow.sid)))
            unlisted.difference_update(row.sid for row in listed if fits(GalleryRow, row._asdict()))
        for sid in unlisted:
            self._list_again(sid)
        if damaged:
            log.error("%d sessions are damaged: rows of theirs are not what was written", len(damaged))
        return frozenset(sid for sid in damaged if isinstance(sid, str))

    def _list_again(self, sid: str) -> None:
        try:
            record = self.load(sid)
        except DamagedSession:
            return
        if record is not None:
            with storing(), Transaction(self.engine) as transaction, transaction.begin():
                _list(transaction, record)

    def _take_over(self, recovery: Recovery) -> Taken:
        """Into the database that took its place, what can be read of the old one. A session that cannot be read whole
        stays as the copy has it, with a note, and what is left of it is put beside that."""
        copied = {summary.sid for trashed in (False, True) for summary in self.summaries(trashed=trashed)}
        whole, partly = 0, []
        if recovery.database.exists():
            with salvage.opened(recovery.database, self.folder / DATABASE) as old:
                for answer in salvage.answers(old):
                    self.remember(answer.key, json.loads(answer.value), answer.used_at)
                for found in salvage.sessions(old, self._size_of):
                    record, known = found.record, self._load_whole(found.record.sid)
                    if known is not None and (
                        known.rev >= record.rev if not record.damage else known.rev == record.rev
                    ):
                        self.trash(record.sid, found.trashed_at)
                    elif not record.damage:
                        self._replace(found)
                    else:
                        partly.append(self._keep_part(found, known))
                        continue
                    whole += 1
                    copied.discard(record.sid)
        for sid in copied:
            if (known := self._load_whole(sid)) is not None:
                self.save(replace(known, notes=(*known.notes, OLDER)), known)
        return Taken(whole, tuple(partly), self._take_in_lost_pictures())

    def _replace(self, found: salvage.Found) -> None:
        """A session as `found`, in the place of the one there."""
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            transaction.execute(delete(SessionRow).where(SessionRow.sid == found.record.sid))
        self.save(found.record, None)
        self.trash(found.record.sid, found.trashed_at)

    def _keep_part(self, found: salvage.Found, known: Record | None) -> str:
        """What is left of a session, beside the older one of the same id, unless that has it all; gives its name."""
        part = replace(found.record, damage="", notes=(*found.record.notes, IN_PART))
        if known is None:
            self._replace(replace(found, record=part))
        elif not part.tree.turns.keys() <= known.tree.turns.keys():
            self.save(replace(part, sid=secrets.token_hex(16), name=f"{part.name} (recovered)"), None)
        return part.name if known is None else known.name

    def _load_whole(self, sid: str) -> Record | None:
        try:
            record = self.load(sid)
        except DamagedSession:
            return None
        return None if record is None or record.damage else record

    def _heal(self) -> str | None:
        """Put sessions that are damaged back from the newest copy of the database that has them as they were, which it
        has if they were not changed since; gives what was done, in words."""
        with storing(), Transaction(self.engine) as transaction:
            damaged = {sid: row for sid in self.damaged if (row := transaction.get(SessionRow, sid)) is not None}
        healed = []
        for copy in reversed(copies(self.folder)):
            if not damaged or not is_whole(copy.path):
                continue
            with salvage.opened(copy.path, self.folder / DATABASE) as old:
                for found in salvage.sessions(old, self._size_of, damaged.keys()):
                    row = damaged[found.record.sid]
                    if not found.record.damage and found.record.rev == row.rev:
                        known = row.trashed_at if is_sealed(row) else row.trashed_at and time.time()
                        self._replace(replace(found, trashed_at=known))
                        del damaged[found.record.sid]
                        healed.append(found.record.name)
        if not healed:
            return None
        return (
            "Something was not what was saved: the disk is failing, or another program wrote to the database. These "
            f"sessions were damaged by that and were put back as they were, from a copy: {', '.join(healed)}."
        )

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
        """The session `sid`, or ``None``; as far as it is whole, with a report in `Record.damage`.

        Raises `DamagedSession` when nothing of it can be shown.
        """
        with storing(), Transaction(self.engine) as transaction:
            row = transaction.get(SessionRow, sid)
            if row is None:
                return None
            turns = transaction.scalars(select(TurnRow).where(TurnRow.sid == sid).order_by(TurnRow.seq))
            branches = transaction.scalars(select(BranchRow).where(BranchRow.sid == sid).order_by(BranchRow.position))
            staged = transaction.scalars(select(StagedRow).where(StagedRow.sid == sid).order_by(StagedRow.position))
            return read(SessionRows(row, turns.all(), branches.all(), staged.all()), self._size_of)

    def _size_of(self, digest: str) -> tuple[int, int] | None:
        return _extent_in_colour(self.folder / "pictures" / f"{digest}.png")

    def remembered(self, key: str, now: float | None = None) -> dict[str, Any] | None:
        """What `remember` was given under `key`, as it reads back from JSON; ``None`` when that is not known, or is
        damaged: it can be computed again.

        That it was used is noted once a day, so that asking costs no write.
        """
        now = time.time() if now is None else now
        with storing(), Transaction(self.engine) as transaction, transaction.begin():
            row = transaction.get(MemoRow, key)
            if row is None or not is_sealed(row):
                return None
            if now - row.used_at > DAY:
                change(row, used_at=now)
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
            .outerjoin(GalleryRow, GalleryRow.sid == SessionRow.sid)
            .outerjoin(TurnRow, (TurnRow.sid == SessionRow.sid) & (TurnRow.id == SessionRow.current))
            .where(SessionRow.trashed_at.is_not(None) if trashed else SessionRow.trashed_at.is_(None))
            .where(*(func.instr(GalleryRow.words, word) > 0 for word in rows.folded(search[:LONGEST_SEARCH]).split()))
            .order_by(at.desc())
            .limit(limit)
            .offset(offset)
        )
        with storing(), Transaction(self.engine) as transaction:
            found = transaction.execute(query).all()
        return tuple(self._summary(*row) for row in found if isinstance(row.sid, str))

    def _summary(self, sid: str, name: Any, saved_at: Any, turns: Any, picture: Any) -> Summary:
        """Of a damaged session, what a list can show of it."""
        picture = picture if isinstance(picture, str) else self.cover(sid) or ""
        return Summary(sid, shown_name(name), number(saved_at), int(number(turns)), picture, sid in self.damaged)

    def cover(self, sid: str) -> str | None:
        """Digest of the picture that stands for the session `sid` in a list, trashed or not; ``None`` without one. That
        is the one stood on, or where that is damaged any other."""
        query = (
            select(TurnRow.picture)
            .join(SessionRow, SessionRow.sid == TurnRow.sid)
            .where(SessionRow.sid == sid)
            .order_by(SessionRow.current != TurnRow.id, TurnRow.seq)
            .limit(1)
        )
        with storing(), Transaction(self.engine) as transaction:
            found: Any = transaction.scalar(query)
            return found if isinstance(found, str) else None

    def trashed(self) -> frozenset[str]:
        """Ids of the sessions in the trash."""
        with storing(), Transaction(self.engine) as transaction:
            return frozenset(transaction.scalars(select(SessionRow.sid).where(SessionRow.trashed_at.is_not(None))))

    def last_job(self, sid: str) -> JobNote | None:
        query = select(JobRow).where(JobRow.sid == sid).order_by(text("rowid desc")).limit(1)
        with storing(), Transaction(self.engine) as transaction:
            row = transaction.scalar(query)
            return (
                None
                if row is None or not is_sealed(row)
                else JobNote(**{f: getattr(row, f) for f in JobNote.__dataclass_fields__})
            )


def _extent_in_colour(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG of RGB; ``None`` for everything else. Only its header is read."""
    try:
        with path.open("rb") as file:
            header = file.read(26)
    except OSError:
        return None
    if len(header) < 26 or header[:8] != b"\x89PNG\r\n\x1a\n" or header[25] != 2:
        return None
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def _list(transaction: Transaction, record: Record) -> None:
    row = rows.gallery_row(record)
    transaction.execute(upsert(GalleryRow).values(row).on_conflict_do_update(index_elements=["sid"], set_=row))
