"""What a studio that strangers share forgets: sessions that nobody used for a day, and earlier where the disk is short.

Time without use is counted while the studio runs; only of sessions that nobody had before them since its start is it
read off the wall's clock, and then as `Store.count_day` trusts that: one that jumps forgets nothing.
"""

from __future__ import annotations

import logging
import math

from studio.session.sessions import Sessions
from studio.settings import Hosting
from studio.store.store import Store

log = logging.getLogger(__name__)

HOUR = 3600.0
GRACE = 600.0
"""Seconds that a file nobody names is kept while the studio runs."""
ON_ITS_WAY = 30.0
"""The same where room is needed."""
QUIET = 60.0
"""Seconds without use before which no session goes: its files would stay, as they are too young."""
SHARE = 10
"""Where room is needed, one in so many sessions goes at a time."""


def forget_unused(sessions: Sessions, store: Store, hosting: Hosting, now: float) -> int:
    """One round; gives the number of sessions that are gone. `now` is the wall's clock, in seconds since 1970."""
    found = _by_idleness(sessions, store, now)
    old = frozenset(sid for sid, idle in found if idle > hosting.session_hours * HOUR)
    gone = sessions.forget(old)
    store.tidy(hosting.session_hours * HOUR, GRACE, now)
    left = [sid for sid, idle in found if sid not in old and idle > QUIET]
    while left and store.size() > hosting.data_room:
        some = math.ceil(len(left) / SHARE)
        gone += sessions.forget(frozenset(left[:some]))
        del left[:some]
        for _ in range(2):  # answers go with the first call, and what they named with the second
            store.tidy(0, ON_ITS_WAY, now)
        log.warning("the data folder is full: sessions were forgotten before their time")
    return gone


def _by_idleness(sessions: Sessions, store: Store, now: float) -> list[tuple[str, float]]:
    """Ids with seconds without use, the longest first."""
    sure = store.count_day(now)
    assert sessions.owners is not None
    found = []
    for trashed in (False, True):
        for summary in store.summaries(trashed=trashed):
            idle = sessions.owners.idle(summary.sid)
            found.append((summary.sid, sure - summary.saved_at if idle is None else idle))
    return sorted(found, key=lambda each: each[1], reverse=True)
