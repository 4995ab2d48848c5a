"""Which pages have one session open, what each was last shown, and what each changed.

A page that acts on what another page has changed meanwhile would overwrite it unseen, so it is shown the newest first.
What the studio does by itself (a mask made anew, a finished job) is no page's change and stops nobody.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from studio.session.view import SessionView

MOST_TABS = 64
"""Of one session; the one heard of longest ago is forgotten."""
QUIET_AFTER = 3600.0
"""Seconds without a word after which a page counts as closed, should its farewell have been lost."""


@dataclass
class _Tab:
    shown: int = -1
    """Revision of the view it was last sent."""
    view: SessionView | None = None
    """That view."""
    changed: int = -1
    """Revision that its own last change made."""
    heard: float = 0.0


class Tabs:
    """Of one session. May be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tabs: OrderedDict[str, _Tab] = OrderedDict()

    def shown(self, tab: str, view: SessionView) -> SessionView | None:
        """`tab` is about to be sent `view`; gives the one that it was sent before."""
        with self._lock:
            known = self._known(tab)
            before = known.view
            if view.rev >= known.shown:  # answers may overtake each other
                known.shown, known.view = view.rev, view
            return before

    def changed(self, tab: str, rev: int) -> None:
        """What `tab` did made revision `rev`."""
        with self._lock:
            self._known(tab).changed = rev

    def is_behind(self, tab: str) -> bool:
        """Whether another page changed something after what `tab` was last shown."""
        with self._lock:
            mine = self._known(tab).shown
            return any(other.changed > mine for name, other in self._tabs.items() if name != tab)

    def closed(self, tab: str) -> None:
        with self._lock:
            # Its changes stay known to those that have not seen them.
            if tab in self._tabs:
                self._tabs[tab].heard = float("-inf")

    def others(self, tab: str) -> int:
        """How many other pages have the session open."""
        with self._lock:
            now = self._clock()
            return sum(now - known.heard < QUIET_AFTER for name, known in self._tabs.items() if name != tab)

    def _known(self, tab: str) -> _Tab:
        known = self._tabs.setdefault(tab, _Tab())
        known.heard = self._clock()
        self._tabs.move_to_end(tab)
        while len(self._tabs) > MOST_TABS:
            self._tabs.popitem(last=False)
        return known
