"""All sessions of the data folder: made from an upload, an example or a copy, found by their id, put into the trash.

An id is 128 random bits of our own and is all that is needed to open its session, so it is never shown to others.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from pipelines import pictures as codec
from pipelines.contract import Box, Extent, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.masks.prompts import MaskPrompts
from pipelines.masters import Pixels, decode_master, encode_master
from pipelines.models.folders import find_models, is_coarse
from pipelines.requests import check_picture
from studio.errors import DamagedSession, OverLimit, UnknownExample, UnknownSession
from studio.history.frames import frames
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.session.checks import allowed_qualities, stored_draft
from studio.session.owners import Owners
from studio.session.selection import Selection, Selections
from studio.session.services import Services
from studio.session.session import Session, panel
from studio.session.view import FRESH, Draft
from studio.store.archive.session_file import read_archive
from studio.store.record import Record, Summary
from studio.visitors import asking

KEPT_OPEN = 64
"""Sessions held in memory; others are read again when asked for."""
LONGEST_NAME = 120
"""Characters."""
UNREADABLE = "damaged"
"""The name of a session of which nothing can be read."""
SMALLER = "Made smaller, from {} x {} to {} x {} pixels: this studio is shared."
CLEAR_AGAIN = "PNG, WebP, AVIF and TIFF exports give its transparency back."
FINE_AGAIN = "PNG and TIFF exports in 16 bits give back those of what no turn changed."
NO_MASTER = "Its transparency and its 16 bits are not kept for exports: they take more than 64 MB."
COPY = " copy"
"""What follows the name of a copy."""

SessionSummary = Summary


class ExampleKind(StrEnum):
    """What an example is."""

    PICTURE = "picture"
    """For the embedded model."""
    PHOTOGRAPH = "photograph"
    """For the turns that need no model."""
    SESSION = "session"
    """Turns that were made: ``<id>.palimpsest``, of which `Example.picture` is a strip."""


@dataclass(frozen=True)
class Example:
    """A picture that comes with the studio, and a turn that works on it; or a whole session."""

    id: str
    title: str
    subject: str
    background: str
    scope: Scope
    clicks: tuple[tuple[float, float], ...]
    """(x, y) on the subject, in pixels."""
    picture: Path
    model: str = ""
    """The one that its turn is for; empty for whichever the studio begins with. So is the method."""
    method: str = ""
    kind: ExampleKind = ExampleKind.PICTURE


def read_example(path: Path) -> Example:
    """The example that ``<id>.json`` describes; its picture is ``<id>.png``, or named from there."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Example(
        id=path.stem,
        title=data["title"],
        subject=data["subject"],
        background=data["background"],
        scope=Scope(data["scope"]),
        clicks=tuple((float(x), float(y)) for x, y in data["clicks"]),
        picture=path.parent / data.get("picture", f"{path.stem}.png"),
        model=data.get("model", ""),
        method=data.get("method", ""),
        kind=ExampleKind(data.get("kind", ExampleKind.PICTURE)),
    )


class Sessions:
    """There is one `Session` object of a session, whoever asks for it."""

    def __init__(self, services: Services, examples: Path, model: str, owners: Owners | None = None) -> None:
        """`examples` is the folder of what `read_example` reads; `model` is what a new session starts with.
        `owners` tells whose each is, where visitors are strangers to each other."""
        self._services = services
        self._examples = examples
        self._model = model
        self._lock = threading.Lock()
        self._alive: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._recent: OrderedDict[str, Session] = OrderedDict()
        self._trashed = set(services.store.trashed())
        self.owners = owners

    def create(self, data: bytes, name: str) -> Session:
        """A new session of an uploaded file. `BadPicture` passes through; nothing is stored then."""
        return self._create(data, _file_name(name), self._draft())

    def crop(self, sid: str, box: Box) -> Session:
        """A new session of a part of the picture that the session `sid` began with.

        The old one goes into the trash where it holds nothing else. `box` is in whole pixels of that picture; raises
        `BadRequest` for one that is no part of it, or that could not be edited.
        """
        record = self.record(sid)
        original = record.tree[record.tree.line(record.tree.current)[0]]
        whole, fine = self._services.pixels(original.picture), original.outcome.master
        left, top, right, bottom = (round(edge) for edge in astuple(box))
        if not (0 <= left < right <= record.width and 0 <= top < bottom <= record.height):
            raise BadRequest(
                f"a part of the picture lies within its {record.width} x {record.height} pixels; "
                f"got {left}, {top} to {right}, {bottom}"
            )
        part = np.ascontiguousarray(whole[top:bottom, left:right])
        check_picture(part, "the part")
        note = f"Cropped from {record.width} x {record.height} to {right - left} x {bottom - top} pixels."
        master = None if fine is None else decode_master(self._services.store.pictures.get(fine))
        master = None if master is None else master[top:bottom, left:right]
        notes = (*record.notes, note)
        cropped = self._plant(part, record.name, stored_draft(record.panel["draft"])[0], notes, master)
        if len(record.tree.turns) == 1:
            self.trash(sid)
        return cropped

    def create_example(self, example_id: str, say: Callable[[str], str] = str) -> Session:
        """A new session of an example, called by its title as `say` says it, its texts filled in; the subject is left
        to be clicked. Of one that is a session, a copy."""
        example = next((e for e in self.examples() if e.id == example_id), None)
        if example is None:
            raise UnknownExample(f"there is no example {example_id!r:.80}; reload the page to see those there are")
        usual = self._draft()
        if example.kind is ExampleKind.SESSION:
            record = read_archive(example.picture.with_suffix(".palimpsest"), self._services.store.pictures)
            return self.adopt_record(replace(record, name=say(example.title), created_at=time.time()))
        draft = replace(
            usual,
            subject=example.subject,
            background=example.background,
            scope=example.scope,
            model=example.model or usual.model,
            method=example.method or usual.method,
        )
        return self._create(example.picture.read_bytes(), say(example.title), draft)

    def examples(self) -> tuple[Example, ...]:
        """By title; one that is for a model that is not here is left out."""
        models = find_models(self._services.model_folders)
        found = map(read_example, self._examples.glob("*.json"))
        return tuple(sorted((e for e in found if e.model in {"", *models}), key=lambda example: example.title))

    def get(self, sid: str) -> Session:
        """The session `sid`; `UnknownSession` when there is none, or when it is in the trash."""
        with self._lock:
            self._refuse_closed(sid)
            session = self._alive.get(sid)
            if session is None:
                session = Session(self._record(sid), self._services)
            return self._hold(session)

    def record(self, sid: str) -> Record:
        """What is saved of the session `sid`, which is all of it; raises what `get` does."""
        with self._lock:
            self._refuse_closed(sid)
            record = self._record(sid)
            self._use(sid)
            return record

    def is_anothers(self, sid: str) -> bool:
        """Whether it is nothing to whoever asks, for it belongs to another visitor."""
        return self.owners is not None and self.owners.is_anothers(sid, asking())

    def open(self) -> tuple[Session, ...]:
        """Those in memory."""
        with self._lock:
            return tuple(self._alive.values())

    def list(
        self, search: str = "", trashed: bool = False, limit: int | None = None, offset: int = 0
    ) -> tuple[SessionSummary, ...]:
        """The sessions, or those in the trash, newest first: see `Store.summaries`. Those of other visitors are not
        among them."""
        if self.owners is None:
            return self._services.store.summaries(search, trashed, limit, offset)
        found = self._services.store.summaries(search, trashed)
        mine = [summary for summary in found if not self.is_anothers(summary.sid)]
        return tuple(mine[offset : None if limit is None else offset + limit])

    def rename(self, sid: str, name: str) -> None:
        """Call the session something else."""
        self.get(sid).rename(_clean_name(name))

    def duplicate(self, sid: str) -> Session:
        """A copy of the session's timeline and draft under a new id; what is staged or running stays behind.

        Of one that is damaged, the copy is what is whole of it, and a session like any other.
        """
        record = self.record(sid)
        now, name = time.time(), f"{record.name[: LONGEST_NAME - len(COPY)]}{COPY}"
        return self.adopt_record(
            replace(record, sid=_new_sid(), name=name, created_at=now, saved_at=now, staged=(), rev=0, damage="")
        )

    def adopt_record(self, record: Record) -> Session:
        """Save a session that was made elsewhere, under an id that is new here, and open it.

        Raises `OverLimit` for one of a larger picture than strangers may have here.
        """
        hosting = self._services.hosting
        for frame in frames(record.tree.turns.values(), Extent(record.width, record.height)).values():
            width, height = frame.extent.width, frame.extent.height
            if hosting is not None and max(width, height) > hosting.largest_side:
                raise OverLimit(
                    f"this studio is shared, so a picture may have {hosting.largest_side} pixels a side at most; the "
                    f"session's has {width} x {height}. Open it in a studio of your own"
                )
        self._services.store.save(record, None)
        with self._lock:
            session = self._hold(Session(record, self._services))
        if self.owners is not None and hosting is not None and (mine := self.owners.of(asking())):
            self.forget(frozenset(mine[: max(len(mine) - hosting.visitor_sessions, 0)]))
        return session

    def forget(self, sids: frozenset[str]) -> int:
        """Delete these sessions for good, but for those of which a turn is under way; gives their number."""
        with self._lock:
            busy = {sid for sid in sids if (session := self._alive.get(sid)) is not None and session.is_busy}
            gone = sids - busy
            self._services.store.forget(gone)
            for sid in gone:
                self._alive.pop(sid, None)
                self._recent.pop(sid, None)
            self._trashed -= gone
        if self.owners is not None:
            self.owners.forget(gone)
        return len(gone)

    def trash(self, sid: str) -> str:
        """Take the session out of sight until `restore`; gives its name. A job that is under way ends there unseen."""
        with self._lock:
            self._refuse_closed(sid)
            try:
                name = self._record(sid).name
            except DamagedSession:
                name = UNREADABLE
            self._services.store.trash(sid, time.time())
            self._trashed.add(sid)
            self._recent.pop(sid, None)
        return name

    def restore(self, sid: str) -> Session:
        """Bring the session back from the trash as it was."""
        with self._lock:
            if sid not in self._trashed or self.is_anothers(sid):
                raise UnknownSession("the trash has no such session; reload the page to see those it has")
            self._services.store.trash(sid, None)
            self._trashed.remove(sid)
        return self.get(sid)

    def purge(self, days: int, now: float | None = None) -> int:
        """Forget for good the sessions that were in the trash for so many days; gives their number."""
        with self._lock:
            gone = self._services.store.purge(days, now)
            self._trashed -= gone
        return len(gone)

    def _create(self, data: bytes, name: str, draft: Draft) -> Session:
        decoded = codec.decode(data)
        picture, notes, master = decoded.picture, decoded.notes, decoded.master
        if self._services.hosting is not None:
            picture = codec.within(picture, self._services.hosting.largest_side)
            if picture is not decoded.picture:
                (height, width), whole = picture.shape[:2], decoded.picture.shape
                notes, master = (*notes, SMALLER.format(whole[1], whole[0], width, height)), None
        return self._plant(picture, name, draft, notes, master)

    def _plant(
        self, picture: Picture, name: str, draft: Draft, notes: tuple[str, ...], master: Pixels | None
    ) -> Session:
        extent = Extent.of(picture)
        digest = self._services.keep(picture)
        packed = None if master is None else encode_master(master)
        if packed is not None and len(packed) > codec.LARGEST_FILE:
            packed, notes = None, (*notes, NO_MASTER)
        elif master is not None:
            clear, fine = master.shape[2] == 4, master.dtype == np.uint16
            notes = (*notes, *[CLEAR_AGAIN] * clear, *[FINE_AGAIN] * fine)
        kept = None if packed is None else self._services.store.pictures.put(packed)
        now = time.time()
        record = Record(
            sid=_new_sid(),
            name=_clean_name(name),
            created_at=now,
            width=extent.width,
            height=extent.height,
            tree=Tree.planted(Turn.original(digest, now, kept)),
            panel=panel(draft, self._unmarked()),
            notes=notes,
            saved_at=now,
        )
        return self.adopt_record(record)

    def _record(self, sid: str) -> Record:
        record = self._services.store.load(sid)
        if record is None:
            raise UnknownSession("there is no such session; open another one, or start with a picture")
        return record if record.panel else replace(record, panel=panel(self._draft(), self._unmarked()))

    def _draft(self) -> Draft:
        """What a new session begins with: the usual quality, or the best that is allowed."""
        allowed = allowed_qualities(self._services.hosting)
        draft = replace(FRESH, model=self._model)
        return draft if draft.quality in allowed else replace(draft, quality=allowed[-1])

    def _unmarked(self) -> Selections:
        """Nothing selected yet; edges are snapped to where the segmenter's own are coarse."""
        card = find_models(self._services.model_folders).get(self._services.segmenter)
        return Selections(Selection(MaskPrompts(snap=card is not None and is_coarse(card))))

    def _refuse_closed(self, sid: str) -> None:
        if self.is_anothers(sid):
            raise UnknownSession("there is no such session; open another one, or start with a picture")
        if sid in self._trashed:
            raise UnknownSession("this session is in the trash; take it out of there to open it, or open another one")

    def _hold(self, session: Session) -> Session:
        """Under the lock: remember `session` as the one used last."""
        self._use(session.sid)
        self._alive[session.sid] = session
        self._recent[session.sid] = session
        self._recent.move_to_end(session.sid)
        while len(self._recent) > KEPT_OPEN:
            self._recent.popitem(last=False)
        return session

    def _use(self, sid: str) -> None:
        if self.owners is not None:
            self.owners.use(sid, asking())


def _new_sid() -> str:
    return secrets.token_hex(16)


def _file_name(name: str) -> str:
    """Without folders."""
    return re.split(r"[/\\]", name)[-1]


def _clean_name(name: str) -> str:
    """Without control characters and half surrogates."""
    return "".join(c for c in name if c.isprintable()).strip()[:LONGEST_NAME] or "untitled"
