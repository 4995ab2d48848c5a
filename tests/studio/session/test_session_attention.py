"""What the model looks at, as a session has it: beside the timeline, of one picture, and in no file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadRequest
from studio.app import Studio
from studio.errors import NotReady
from studio.exports.kinds import ExportKind, exported
from studio.jobs.job import JobState
from studio.session.session import Session
from tests.studio.conftest import StandInEngine


@pytest.fixture
def session(studio: Studio, upload: bytes) -> Session:
    return studio.sessions.create(upload, "stripes.png")


def says(session: Session, **texts: str) -> None:
    session.set_draft(replace(session.view().draft, **texts))


def done(session: Session, wait_until: Callable[..., None]) -> None:
    wait_until(lambda: session.view().job is not None and session.view().job.state is JobState.DONE)


def test_the_texts_of_the_turn_and_of_the_picture_are_looked_for(
    session: Session, studio: Studio, wait_until: Callable[..., None]
) -> None:
    says(session, subject="a dog", background="in snow", source="a cat")
    job = session.attend()
    assert job.does == "attention" and [stage.name for stage in job.stages] == ["look"]
    done(session, wait_until)
    seen = session.view().attention
    assert seen is not None
    assert [(text.of, text.text) for text in seen.texts] == [("turn", "a dog in snow"), ("picture", "a cat")]
    assert [word.word for word in seen.texts[0].words] == ["a", "dog", "in", "snow"]
    shown = np.asarray(Image.open(io.BytesIO(session.picture_bytes(seen.texts[1].words[1].map))))
    assert shown.shape == (4, 4, 3) and shown[0, 1].tolist() == [255] * 3 and shown[0, 0].tolist() == [0] * 3
    record = studio.sessions.record(session.sid)
    assert len(record.tree.turns) == 1 and not record.staged
    with_it = exported(record, record.tree.current, studio.pictures, ExportKind.PSD)
    session.attend("a hat", ["hat"])
    done(session, wait_until)
    seen = session.view().attention
    assert seen is not None and [(text.of, [w.word for w in text.words]) for text in seen.texts] == [("text", ["hat"])]
    assert exported(record, record.tree.current, studio.pictures, ExportKind.PSD) == with_it


def test_the_layer_is_of_the_picture_it_was_made_of(session: Session, wait_until: Callable[..., None]) -> None:
    says(session, subject="a dog", method="sdedit")
    session.attend()
    done(session, wait_until)
    assert session.view().attention is not None
    session.start()
    wait_until(lambda: bool(session.view().staged))
    session.accept(0)
    assert session.view().attention is None
    session.undo()
    assert session.view().attention is not None


def test_without_words_or_a_model_it_is_refused(session: Session) -> None:
    with pytest.raises(NotReady, match="no word to look for"):
        session.attend()
    with pytest.raises(BadRequest, match="text"):
        session.attend("a" * 3000)
    assert session.view().job is None


def test_a_look_can_be_cancelled(session: Session, engine: StandInEngine, wait_until: Callable[..., None]) -> None:
    engine.hold_at = ("look", 2)
    session.attend("a cat")
    assert engine.reached.wait(10)
    session.cancel()
    wait_until(lambda: session.view().job is not None and session.view().job.state is JobState.CANCELLED)
    assert session.view().attention is None
