"""All sessions of the data folder: made from an upload or an example, found by their id.

An id is 128 random bits of our own and is all that is needed to open its session, so it is never shown to others.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from pipelines import pictures as codec
from pipelines.contract import Extent, Scope
from studio.errors import UnknownExample, UnknownSession
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.session.selection import Selections
from studio.session.services import Services
from studio.session.session import Session, panel
from studio.session.view import Draft
from studio.store.store import Record, Summary

KEPT_OPEN = 64
"""Sessions held in memory; others are read again when asked for."""
LONGEST_NAME = 120
"""Characters."""

SessionSummary = Summary


@dataclass(frozen=True)
class Example:
    """A picture that comes with the studio, and a turn that works on it."""

    id: str
    title: str
    subject: str
    background: str
    scope: Scope
    clicks: tuple[tuple[float, float], ...]
    """(x, y) on the subject, in pixels."""
    picture: Path


class Sessions:
    """There is one `Session` object of a session, whoever asks for it."""

    def __init__(self, services: Services, examples: Path, model: str) -> None:
        """`examples` is the folder of ``<id>.png`` with ``<id>.json``; `model` is what a new session starts with."""
        self._services = services
        self._examples = examples
        self._model = model
        self._lock = threading.Lock()
        self._alive: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._recent: OrderedDict[str, Session] = OrderedDict()

    def create(self, data: bytes, name: str) -> Session:
        """A new session of an uploaded file. `BadPicture` passes through; nothing is stored then."""
        return self._create(data, name, Draft(model=self._model))

    def create_example(self, example_id: str) -> Session:
        """A new session of an example, its texts filled in; the subject is left to be clicked."""
        example = next((e for e in self.examples() if e.id == example_id), None)
        if example is None:
            raise UnknownExample(f"there is no example {example_id!r:.80}; reload the page to see those there are")
        draft = Draft(subject=example.subject, background=example.background, scope=example.scope, model=self._model)
        return self._create(example.picture.read_bytes(), example.title, draft)

    def examples(self) -> tuple[Example, ...]:
        """By title."""
        found = []
        for path in self._examples.glob("*.json"):
            data = json.loads(path.read_text(encoding="utf-8"))
            found.append(
                Example(
                    id=path.stem,
                    title=data["title"],
                    subject=data["subject"],
                    background=data["background"],
                    scope=Scope(data["scope"]),
                    clicks=tuple((float(x), float(y)) for x, y in data["clicks"]),
                    picture=path.with_suffix(".png"),
                )
            )
        return tuple(sorted(found, key=lambda example: example.title))

    def get(self, sid: str) -> Session:
        """The session `sid`; `UnknownSession` when there is none."""
        with self._lock:
            session = self._alive.get(sid)
            if session is None:
                record = self._services.store.load(sid)
                if record is None:
                    raise UnknownSession("there is no such session; open another one, or start with a picture")
                session = Session(record, self._services)
            return self._hold(session)

    def open(self) -> tuple[Session, ...]:
        """Those in memory."""
        with self._lock:
            return tuple(self._alive.values())

    def list(self) -> tuple[SessionSummary, ...]:
        """All sessions, the one saved last first."""
        return self._services.store.summaries()

    def _create(self, data: bytes, name: str, draft: Draft) -> Session:
        decoded = codec.decode(data)
        extent = Extent.of(decoded.picture)
        digest = self._services.store.pictures.put(codec.encode_png(decoded.picture))
        now = time.time()
        record = Record(
            sid=secrets.token_hex(16),
            name=_clean_name(name),
            created_at=now,
            width=extent.width,
            height=extent.height,
            tree=Tree.planted(Turn.original(digest, now)),
            panel=panel(draft, Selections()),
            notes=decoded.notes,
            saved_at=now,
        )
        self._services.store.save(record, None)
        with self._lock:
            return self._hold(Session(record, self._services))

    def _hold(self, session: Session) -> Session:
        """Under the lock: remember `session` as the one used last."""
        self._alive[session.sid] = session
        self._recent[session.sid] = session
        self._recent.move_to_end(session.sid)
        while len(self._recent) > KEPT_OPEN:
            self._recent.popitem(last=False)
        return session


def _clean_name(name: str) -> str:
    """A file's name without folders, control characters and half surrogates."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(c for c in last if c.isprintable()).encode("utf-8", "replace").decode()
    return printable.strip()[:LONGEST_NAME] or "untitled"
