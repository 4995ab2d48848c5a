from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from pipelines.contract import Quality
from pipelines.masks.prompts import Click, MaskPrompts
from studio.app import Studio, build_studio
from studio.errors import UnknownSession
from studio.session.session import Session
from studio.session.sessions import LONGEST_NAME
from studio.session.view import JobState
from studio.settings import Settings


@pytest.fixture
def session(studio: Studio, upload: bytes) -> Session:
    return studio.sessions.create(upload, "dog.png")


def started(session: Session, subject: str) -> None:
    session.set_draft(replace(session.view().draft, subject=subject, quality=Quality.DRAFT))
    session.set_prompts(MaskPrompts(clicks=(Click(20.0, 16.0),)))
    session.start()


def names(studio: Studio, *search: str, **options: Any) -> list[str]:
    return [summary.name for summary in studio.sessions.list(*search, **options)]


def test_a_new_name_is_cleaned_and_makes_a_revision(studio: Studio, session: Session) -> None:
    before = session.view()
    studio.sessions.rename(session.sid, "  dogs / forest\x07\u202e\ud800 <b>\n")
    view = session.view()
    assert (view.name, view.rev) == ("dogs / forest <b>", before.rev + 1)
    assert names(studio, "FOREST") == [view.name] and names(studio, "png") == []
    studio.sessions.rename(session.sid, "\t")
    assert session.view().name == "untitled"
    studio.sessions.rename(session.sid, "x" * 10_000)
    assert session.view().name == "x" * LONGEST_NAME
    with pytest.raises(UnknownSession):
        studio.sessions.rename("f" * 32, "dog")


def test_a_copy_has_the_same_turns_and_draft_and_goes_its_own_way(
    studio: Studio, session: Session, wait_until: Any
) -> None:
    started(session, "a red dog")
    wait_until(lambda: session.view().staged)
    session.accept(0)
    started(session, "a blue dog")
    wait_until(lambda: session.view().staged)
    copy = studio.sessions.duplicate(session.sid)
    view, own = session.view(), copy.view()
    assert re.fullmatch("[0-9a-f]{32}", copy.sid) and copy.sid != session.sid
    assert (own.name, own.rev, own.staged, own.job) == ("dog.png copy", 0, (), None)
    assert (own.turns, own.current, own.draft, own.mask) == (view.turns, view.current, view.draft, view.mask)
    assert copy.picture_bytes(own.turns[-1].picture) == session.picture_bytes(view.turns[-1].picture)
    copy.undo()
    studio.sessions.rename(copy.sid, "x" * LONGEST_NAME)
    assert session.view() == view
    assert studio.sessions.duplicate(copy.sid).view().name == "x" * (LONGEST_NAME - 5) + " copy"
    with pytest.raises(UnknownSession, match="no such session"):
        studio.sessions.duplicate("f" * 32)


def test_a_record_made_elsewhere_is_saved_and_opened(studio: Studio, session: Session) -> None:
    record = studio.sessions.record(session.sid)
    assert record == studio.store.load(session.sid)
    adopted = studio.sessions.adopt_record(replace(record, sid="e" * 32, name="imported"))
    assert adopted is studio.sessions.get("e" * 32) and studio.store.load("e" * 32) == replace(
        record, sid="e" * 32, name="imported"
    )


def test_the_trash_hides_a_session_until_it_is_restored_as_it_was(
    studio: Studio, session: Session, settings: Settings, engine: Any, upload: bytes
) -> None:
    other = studio.sessions.create(upload, "cat.png")
    session.set_draft(replace(session.view().draft, subject="a red dog"))
    view, sid = session.view(), session.sid
    studio.sessions.trash(sid)
    assert names(studio) == ["cat.png"] and names(studio, trashed=True) == ["dog.png"]
    for refused in (studio.sessions.get, studio.sessions.record, studio.sessions.trash, studio.sessions.duplicate):
        with pytest.raises(UnknownSession, match="is in the trash"):
            refused(sid)
    with pytest.raises(UnknownSession, match="trash has no such session"):
        studio.sessions.restore(other.sid)
    with pytest.raises(UnknownSession, match="no such session"):
        studio.sessions.trash("f" * 32)
    studio.close()
    again = build_studio(settings, engine)
    with pytest.raises(UnknownSession, match="is in the trash"):
        again.sessions.get(sid)
    restored = again.sessions.restore(sid)
    assert restored.view() == view and names(again, trashed=True) == [] and set(names(again)) == {"cat.png", "dog.png"}
    again.close()


def test_a_job_that_ends_in_the_trash_is_there_after_restoring_and_there_is_one_session_object(
    studio: Studio, session: Session, engine: Any, wait_until: Any
) -> None:
    engine.hold_at = ("guidance", 2)
    started(session, "a red dog")
    assert engine.reached.wait(5)
    studio.sessions.trash(session.sid)
    engine.hold.set()
    wait_until(lambda: session.view().staged)
    assert studio.store.trashed() == {session.sid}
    assert studio.sessions.restore(session.sid) is session
    assert (job := session.view().job) is not None and job.state is JobState.DONE


def test_a_recovered_picture_is_a_session_like_one_just_made(
    studio: Studio, session: Session, settings: Settings, engine: Any, upload: bytes, wait_until: Any
) -> None:
    picture = session.picture_bytes(session.view().turns[0].picture)
    studio.close()
    (settings.data / "studio.db").unlink()
    for copy in (settings.data / "backups").iterdir():
        copy.unlink()
    again = build_studio(settings, engine)
    assert again.store.notice is not None and "recovered 1." in again.store.notice
    (summary,) = again.sessions.list()
    assert again.sessions.record(summary.sid).panel["draft"]["model"] == settings.model
    recovered = again.sessions.get(summary.sid)
    view = recovered.view()
    assert (view.name, view.width, view.height, view.draft.model) == ("recovered 1", 48, 32, settings.model)
    assert recovered.picture_bytes(view.turns[0].picture) == picture
    assert "found in the data folder" in view.notes[0]
    started(recovered, "a red dog")
    wait_until(lambda: recovered.view().staged)
    recovered.accept(0)
    assert len(again.sessions.duplicate(summary.sid).view().turns) == 2
    again.close()
