"""Whose each session is, where strangers share the studio, and when it was used last. In memory only.

Whoever makes a session, or is the first to name its id after a start, is its owner; to all others it is a session that
there is none of. An id is a key that nobody guesses, so the first to name it had it before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from studio.visitors import NOBODY


class Owners:
    """May be asked from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and never jumps."""
        self._clock = clock
        self._lock = Lock()
        self._owners: dict[str, str] = {}
        self._used: dict[str, float] = {}

    def use(self, sid: str, visitor: str) -> None:
        """`visitor` has the session before them; it becomes theirs where it is nobody's."""
        with self._lock:
            self._used[sid] = self._clock()
            if visitor != NOBODY:
                self._owners.setdefault(sid, visitor)

    def is_anothers(self, sid: str, visitor: str) -> bool:
        """Whether the session belongs to somebody else than `visitor`; the studio itself may see all."""
        with self._lock:
            return visitor != NOBODY and self._owners.get(sid, visitor) != visitor

    def of(self, visitor: str) -> tuple[str, ...]:
        """The sessions of `visitor`, that which was not used for longest first."""
        with self._lock:
            mine = (sid for sid, owner in self._owners.items() if owner == visitor)
            return tuple(sorted(mine, key=lambda sid: self._used[sid]))

    def idle(self, sid: str) -> float | None:
        """Seconds since somebody had the session before them; ``None`` where nobody had since the start."""
        with self._lock:
            used = self._used.get(sid)
            return None if used is None else self._clock() - used

    def forget(self, sids: frozenset[str]) -> None:
        with self._lock:
            for sid in sids:
                self._owners.pop(sid, None)
                self._used.pop(sid, None)
