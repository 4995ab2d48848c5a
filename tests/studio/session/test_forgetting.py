"""What a studio that strangers share forgets, and when: with clocks that are moved by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.catalog import CATALOG
from pipelines.contract import Quality
from pipelines.pictures import decode, encode_png
from studio.app import Studio, build_studio
from studio.errors import OverLimit, UnknownSession
from studio.session.forgetting import HOUR, forget_unused
from studio.session.owners import Owners
from studio.session.session import Session
from studio.session.upkeep import Upkeep
from studio.session.view import FRESH
from studio.settings import Hosting, Settings
from studio.visitors import asked_by
from tests.studio.clock import Clock
from tests.studio.conftest import StandInEngine

DAY = 24 * HOUR


@dataclass
class Shared:
    """A studio that strangers share, with its clock."""

    studio: Studio
    clock: Clock

    @property
    def hosting(self) -> Hosting:
        found = self.studio.settings.hosting
        assert found is not None
        return found

    def opens(self, visitor: str, seed: int = 0, side: int = 64) -> Session:
        """A session of a picture that nobody else has."""
        picture = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
        with asked_by(visitor):
            return self.studio.sessions.create(encode_png(picture), f"{seed}.png")

    def sees(self, visitor: str, sid: str) -> bool:
        with asked_by(visitor):
            try:
                return self.studio.sessions.record(sid).sid == sid
            except UnknownSession:
                return False

    def forgets(self, later: float = 0.0) -> int:
        """A round of upkeep, `later` seconds from now by the wall's clock."""
        return forget_unused(self.studio.sessions, self.studio.store, self.hosting, time.time() + later)

    def files(self) -> set[str]:
        return {path.name for path in (self.studio.settings.data / "pictures").iterdir()}


def opened(settings: Settings, hosting: Hosting, engine: StandInEngine) -> Shared:
    studio = build_studio(replace(settings, hosting=hosting), engine)
    studio.sessions.owners = Owners(clock := Clock())
    return Shared(studio, clock)


@pytest.fixture
def shared(settings: Settings, engine: StandInEngine) -> Iterator[Shared]:
    shared = opened(settings, Hosting(), engine)
    yield shared
    engine.hold.set()
    shared.studio.close()


def test_a_session_that_nobody_used_for_a_day_is_gone_with_its_files(shared: Shared) -> None:
    old, used = shared.opens("a", 1), shared.opens("a", 2)
    before = shared.files()
    shared.clock.now = 23 * HOUR
    assert shared.forgets() == 0 and shared.sees("a", used.sid)
    shared.clock.now = 25 * HOUR
    assert shared.forgets(later=DAY) == 1
    assert not shared.sees("a", old.sid) and shared.sees("a", used.sid)
    gone = before - shared.files()
    assert len(gone) == 1 and old.view().turns[0].picture in next(iter(gone))
    with pytest.raises(UnknownSession, match="forgotten meanwhile"):
        old.rename("still in somebody's hands")
    assert shared.studio.store.load(old.sid) is None, "and it does not come back in part"


def test_the_trash_is_forgotten_alike(shared: Shared) -> None:
    session = shared.opens("a", 1)
    with asked_by("a"):
        shared.studio.sessions.trash(session.sid)
    shared.clock.now = 25 * HOUR
    assert shared.forgets() == 1 and shared.studio.store.summaries(trashed=True) == ()


def test_a_session_with_a_turn_under_way_stays(shared: Shared, engine: StandInEngine) -> None:
    session = shared.opens("a", 1)
    engine.hold_at = (CATALOG["sdedit"].stages[0], 1)
    session.set_draft(replace(FRESH, background="a forest", method="sdedit"))
    session.start()
    assert engine.reached.wait(10)
    shared.clock.now = 25 * HOUR
    assert shared.forgets() == 0 and shared.sees("a", session.sid)


def test_beyond_the_disks_room_those_go_first_that_were_not_used_for_longest(
    settings: Settings, engine: StandInEngine
) -> None:
    shared = opened(settings, Hosting(data_room=1), engine)
    room = shared.studio.store.size() + 600_000
    shared.studio.close()
    shared = opened(settings, Hosting(data_room=room), engine)
    sessions = []
    for seed in range(12):  # of some 120 KB each
        shared.clock.now += 100
        sessions.append(shared.opens(f"visitor {seed}", seed, side=200))
    shared.clock.now += 100
    assert shared.sees("visitor 0", sessions[0].sid), "used again"
    shared.clock.now += 100
    gone = shared.forgets(later=120)
    left = [session.sid for session in sessions if shared.sees("", session.sid)]
    assert shared.studio.store.size() <= room
    assert 0 < gone < 12 and len(left) == 12 - gone
    assert left == [session.sid for session in (sessions[0], *sessions[1 + gone :])]
    shared.studio.close()


def test_after_a_start_days_are_counted_by_a_clock_that_may_not_jump(settings: Settings, engine: StandInEngine) -> None:
    first = opened(settings, Hosting(), engine)
    sid = first.opens("a", 1).sid
    first.studio.close()
    again = opened(settings, Hosting(), engine)
    assert again.forgets(later=400 * DAY) == 0, "the clock jumped: no day before is known that long ago"
    assert again.forgets(later=402 * DAY) == 1 and not again.sees("a", sid)
    again.studio.close()


def test_no_copy_of_the_database_outlives_its_sessions(shared: Shared) -> None:
    upkeep = Upkeep(shared.studio.store, shared.studio.sessions, 0, hosting=shared.hosting)
    upkeep.once(time.time())
    upkeep.close()
    folder = shared.studio.settings.data / "backups"
    assert not folder.exists() or not list(folder.iterdir())


def test_a_session_is_nothing_to_anybody_else(shared: Shared) -> None:
    mine = shared.opens("a", 1)
    sessions = shared.studio.sessions
    assert shared.sees("a", mine.sid) and shared.sees("", mine.sid) and not shared.sees("b", mine.sid)
    with asked_by("b"):
        assert sessions.list() == () and sessions.is_anothers(mine.sid)
        for act in (sessions.get, sessions.record, sessions.duplicate, sessions.trash, sessions.restore):
            with pytest.raises(UnknownSession):
                act(mine.sid)
        with pytest.raises(UnknownSession):
            sessions.rename(mine.sid, "mine now")
    with asked_by("a"):
        assert [summary.sid for summary in sessions.list()] == [mine.sid]
        sessions.trash(mine.sid)
    with asked_by("b"), pytest.raises(UnknownSession):
        sessions.restore(mine.sid)


def test_after_a_start_whoever_has_the_key_first_has_the_session(settings: Settings, engine: StandInEngine) -> None:
    first = opened(settings, Hosting(), engine)
    sid = first.opens("a", 1).sid
    first.studio.close()
    again = opened(settings, Hosting(), engine)
    assert again.sees("another address", sid) and not again.sees("a", sid)
    again.studio.close()


def test_too_many_sessions_of_one_visitor_make_room_among_themselves(settings: Settings, engine: StandInEngine) -> None:
    shared = opened(settings, Hosting(visitor_sessions=3), engine)
    other, mine = shared.opens("b", 100), []
    for seed in range(5):
        shared.clock.now += 1
        mine.append(shared.opens("a", seed).sid)
    assert [shared.sees("a", sid) for sid in mine] == [False, False, True, True, True]
    assert shared.sees("b", other.sid)
    shared.studio.close()


def test_limits_are_told_before_anything_is_queued(settings: Settings, engine: StandInEngine) -> None:
    shared = opened(settings, Hosting(largest_side=48), engine)
    session = shared.opens("a", 1)
    assert (session.view().width, session.view().height) == (48, 48)
    assert any("Made smaller, from 64 x 64 to 48 x 48" in note for note in session.view().notes)
    for draft, said in (
        (replace(FRESH, background="a forest", method="sdedit", quality=Quality.EXACT), "draft, standard; got exact"),
        (replace(FRESH, background="a forest", method="sdedit", candidates=3), "2 candidates at most; got 3"),
    ):
        session.set_draft(draft)
        with pytest.raises(OverLimit, match=said):
            session.start()
    assert session.view().job is None and engine.requests == []
    whole = decode(encode_png(np.zeros((60, 60, 3), np.uint8))).picture
    session.set_reference("background", encode_png(whole))
    reference = session.view().draft.background_reference
    assert reference is not None and decode(session.picture_bytes(reference)).picture.shape == (48, 48, 3)
    shared.studio.close()


def test_a_session_file_of_a_larger_picture_is_refused(
    settings: Settings, engine: StandInEngine, tmp_path: Path
) -> None:
    shared = opened(settings, Hosting(largest_side=48), engine)
    record = shared.studio.store.load(shared.opens("a", 1).sid)
    assert record is not None
    with pytest.raises(OverLimit, match="48 pixels a side at most; the session's has 64 x 64"):
        shared.studio.sessions.adopt_record(replace(record, sid="0" * 32, width=64, height=64))
    shared.studio.close()


def test_a_new_session_begins_at_what_is_allowed(settings: Settings, engine: StandInEngine) -> None:
    shared = opened(settings, Hosting(most_quality=Quality.DRAFT), engine)
    assert shared.opens("a", 1).view().draft.quality is Quality.DRAFT
    shared.studio.close()
