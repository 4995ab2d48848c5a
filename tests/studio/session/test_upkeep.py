"""The rounds of a served studio: the trash is emptied of what is old, and nothing goes that anybody still uses."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from studio.app import Studio, build_studio
from studio.errors import UnknownSession
from studio.session.upkeep import Upkeep
from studio.settings import Settings
from studio.store.blobs import GRACE
from studio.store.store import DAY
from tests.studio.conftest import StandInEngine


def upkeep(studio: Studio, days: int) -> Upkeep:
    """One that only makes the rounds it is told to."""
    made = Upkeep(studio.store, studio.sessions, days)
    made.close()
    return made


def test_a_session_leaves_the_trash_for_good_when_its_time_is_over(studio: Studio, upload: bytes) -> None:
    old, kept = (studio.sessions.create(upload, name).sid for name in ("old", "kept"))
    studio.sessions.trash(old)
    rounds, now = upkeep(studio, 30), time.time()
    for day in range(1, 31):
        rounds.once(now + day * DAY)
    assert [s.sid for s in studio.sessions.list(trashed=True)] == [old]
    rounds.once(now + 32 * DAY)
    assert studio.sessions.list(trashed=True) == () and [s.sid for s in studio.sessions.list()] == [kept]
    with pytest.raises(UnknownSession, match="no such session"):
        studio.sessions.get(old)
    with pytest.raises(UnknownSession, match="the trash has no such session"):
        studio.sessions.restore(old)


def test_for_ever_is_for_ever_and_what_is_not_in_the_trash_stays(studio: Studio, upload: bytes) -> None:
    sid = studio.sessions.create(upload, "one").sid
    rounds = upkeep(studio, 1)
    for day in range(10):
        rounds.once(time.time() + 1000 * DAY + day * DAY)
    assert studio.sessions.get(sid).view().name == "one"
    studio.sessions.trash(sid)
    rounds = upkeep(studio, 0)
    for day in range(10):
        rounds.once(time.time() + 1000 * DAY + day * DAY)
    assert studio.sessions.restore(sid).view().name == "one"


def test_pictures_that_another_session_uses_stay_and_the_others_go_at_the_next_start(
    studio: Studio, settings: Settings, engine: StandInEngine, upload: bytes
) -> None:
    shared = studio.sessions.create(upload, "shared").sid
    other = studio.sessions.duplicate(shared).sid
    alone = studio.sessions.create_example("duck-on-the-beach").sid
    pictures = {sid: studio.sessions.get(sid).view().turns[0].picture for sid in (shared, alone)}
    for sid in (shared, alone):
        studio.sessions.trash(sid)
    rounds = upkeep(studio, 3)
    for day in range(6):
        rounds.once(time.time() + day * DAY)
    assert studio.pictures.has(pictures[alone]), "a running studio removes no file"
    studio.store.sweep(time.time() + 6 * DAY + GRACE)
    assert studio.pictures.get(pictures[shared]) and not studio.pictures.has(pictures[alone])
    studio.close()
    again = build_studio(settings, engine)
    assert again.sessions.get(other).picture_bytes(pictures[shared])
    again.close()


def test_the_thread_makes_a_round_and_a_failure_does_not_end_it(
    studio: Studio, upload: bytes, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError("no disk"), ValueError("a bug")]
    rounds: list[float] = []

    def back_up(now: float) -> None:
        rounds.append(now)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(studio.store, "back_up", back_up)
    running = Upkeep(studio.store, studio.sessions, 30, every=0.01)
    wait_until(lambda: len(rounds) > 3)
    running.close()
    assert not failures, "both were met, and rounds went on"
