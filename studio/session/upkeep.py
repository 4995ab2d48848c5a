"""What is done now and then while the studio is served: the database is copied, and what is old leaves the trash.

Only a served studio does it: a command that opens the data folder for a moment does not know how long its owner wants
the trash to be kept.
"""

from __future__ import annotations

import logging
import threading
import time

from studio.session.forgetting import forget_unused
from studio.session.sessions import Sessions
from studio.settings import Hosting
from studio.store.store import Store

log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between two rounds."""
OFTEN = 300.0
"""The same where strangers share the studio."""


class Upkeep:
    """A thread that makes its rounds until it is closed."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        trash_days: int,
        every: float | None = None,
        hosting: Hosting | None = None,
    ) -> None:
        """Sessions stay in the trash for `trash_days` days on which a studio was open; 0 keeps them for ever. With
        `hosting` all of them, in the trash or not, are forgotten as that says."""
        self._hosting = hosting
        self._store = store
        self._sessions = sessions
        self._trash_days = trash_days
        self._every = every or (EVERY if hosting is None else OFTEN)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="upkeep", daemon=True)
        self._thread.start()

    def once(self, now: float) -> None:
        """One round: first the copy, so that what is removed after it is still in there."""
        if self._hosting is not None:
            forgotten = forget_unused(self._sessions, self._store, self._hosting, now)
            if forgotten:
                log.info("%d sessions that nobody used are forgotten", forgotten)
            return
        self._store.back_up(now)
        self._store.count_day(now)
        gone = self._sessions.purge(self._trash_days, now) if self._trash_days else 0
        if gone:
            log.info("%d sessions were in the trash for more than %d days and are gone", gone, self._trash_days)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._closed.is_set():
            try:
                self.once(time.time())
            except Exception:
                log.exception("a round of upkeep failed; the next one follows")
            self._closed.wait(self._every)
