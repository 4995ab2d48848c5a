"""Whole session files in a folder that outlives the data folder: when they are written, and what is read back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.masks.prompts import Click, MaskPrompts
from studio.app import Studio, build_studio
from studio.errors import DataFolderError, UnknownSession
from studio.session.keeping import Keeping
from studio.settings import Settings
from tests.studio.conftest import StandInEngine


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def keeping(bucket: Path, studio: Studio) -> Keeping:
    """One that only makes the rounds it is told to."""
    return Keeping(bucket, studio.store)


@pytest.fixture
def anew(settings: Settings, tmp_path: Path) -> Iterator[Studio]:
    """A studio after a Space was built anew: nothing is left of its data folder."""
    studio = build_studio(replace(settings, data=tmp_path / "anew"), StandInEngine())
    yield studio
    studio.close()


def files(bucket: Path) -> list[str]:
    return sorted(path.name for path in bucket.iterdir())


def test_a_session_is_written_when_it_rests_and_comes_back_under_its_own_id(
    keeping: Keeping, studio: Studio, bucket: Path, upload: bytes, anew: Studio
) -> None:
    session = studio.sessions.create(upload, "duck.png")
    session.set_prompts(MaskPrompts(clicks=(Click(10, 10),)))
    assert keeping.once() == 0, "it may be in use"
    session.branch("night")
    assert keeping.once() == 0, "it is"
    assert keeping.once() == 1 and keeping.once() == 0
    (name,) = files(bucket)
    assert name.startswith(session.sid) and not (bucket / "palimpsest.db").exists()
    session.rename("A blue duck")
    assert [keeping.once(), keeping.once()] == [0, 1]
    (again,) = files(bucket)
    assert again > name, "the older file is gone"

    assert Keeping(bucket, anew.store).take_in() == 1
    was, now = (each.sessions.record(session.sid) for each in (studio, anew))
    assert (now.name, now.tree, now.width) == ("A blue duck", was.tree, was.width)
    assert round(now.saved_at, 2) == round(was.saved_at, 2), "it is as old as it is, when what is old is forgotten"
    view = anew.sessions.get(session.sid).view()
    assert view.branch == "night" and anew.pictures.get(view.turns[0].picture)


def test_what_was_changed_last_is_written_at_the_end(bucket: Path, studio: Studio, upload: bytes, anew: Studio) -> None:
    keeping = Keeping(bucket, studio.store)
    keeping.start()
    session = studio.sessions.create(upload, "duck.png")
    keeping.close()
    assert len(files(bucket)) == 1
    assert Keeping(bucket, anew.store).take_in() == 1 and anew.sessions.get(session.sid)
    assert Keeping(bucket, anew.store).take_in() == 0, "what is there already stays as it is"


def test_what_is_gone_or_in_the_trash_is_not_kept(
    keeping: Keeping, studio: Studio, bucket: Path, upload: bytes
) -> None:
    gone, trashed, kept = (studio.sessions.create(upload, name).sid for name in "abc")
    assert keeping.once(rested=False) == 3
    studio.sessions.trash(trashed)
    studio.sessions.forget(frozenset([gone]))
    assert keeping.once() == 0 and [name.partition("-")[0] for name in files(bucket)] == [kept]
    studio.sessions.restore(trashed)
    keeping.once(rested=False)
    assert {name.partition("-")[0] for name in files(bucket)} == {kept, trashed}


def test_of_two_states_the_newest_that_is_whole_is_taken(
    keeping: Keeping, studio: Studio, bucket: Path, upload: bytes, anew: Studio, settings: Settings, tmp_path: Path
) -> None:
    session = studio.sessions.create(upload, "duck.png")
    keeping.once(rested=False)
    (whole,) = bucket.iterdir()
    torn = bucket / f"{session.sid}-{10**15}.palimpsest"
    torn.write_bytes(whole.read_bytes()[:-40])  # the machine went while it was written
    (bucket / "notes.txt").write_text("somebody else's")
    (bucket / f"{'0' * 32}-1.palimpsest").write_bytes(b"no session file")
    assert Keeping(bucket, anew.store).take_in() == 1
    assert anew.sessions.record(session.sid).name == "duck.png"
    assert {"notes.txt", torn.name} <= set(files(bucket)), "and what is not whole is left for a person"
    short = build_studio(replace(settings, data=tmp_path / "short"), StandInEngine())
    try:
        assert Keeping(bucket, short.store).take_in(room=10) == 0
        with pytest.raises(UnknownSession):
            short.sessions.get(session.sid)
        assert files(bucket) == ["notes.txt"], "what there is no room for is forgotten"
    finally:
        short.close()


def test_a_bucket_that_is_full_loses_nothing_of_before(
    keeping: Keeping, studio: Studio, bucket: Path, upload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = studio.sessions.create(upload, "duck.png")
    keeping.once(rested=False)
    before = files(bucket)
    session.rename("A blue duck")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert keeping.once(rested=False) == 0
    assert files(bucket) == before
    assert keeping.once(rested=False) == 1 and files(bucket) != before


def test_a_folder_that_cannot_be_written_to_is_said_at_once(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="--bucket"):
        Keeping(tmp_path / "file" / "bucket", studio.store)
