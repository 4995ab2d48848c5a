"""A sentence that a language model splits in a job of the session: what it found is shown and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.contract import Scope
from pipelines.instructions.contract import Asked, Split
from pipelines.progress import Progress
from studio.app import Studio, build_studio
from studio.errors import Busy, NotReady
from studio.jobs.job import JobState
from studio.session.session import Session
from studio.settings import Settings
from studio.ui.payload import is_live
from tests.pipelines.instructions.tiny import write_language_model
from tests.studio.conftest import StandInEngine

ASKED = "make the dog blue, then put it in a forest"


@pytest.fixture
def reading(settings: Settings, engine: StandInEngine, tmp_path: Path) -> Iterator[Studio]:
    """A studio with a real, tiny language model."""
    write_language_model(tmp_path / "tiny-llama")
    studio = build_studio(replace(settings, language_model=str(tmp_path / "tiny-llama"), device="cpu"), engine)
    yield studio
    studio.close()


def opened(studio: Studio, upload: bytes) -> Session:
    return studio.sessions.create(upload, "stripes.png")


def test_the_model_reads_on_the_worker_and_the_rules_answer_for_its_noise(
    reading: Studio, upload: bytes, wait_until: Callable[..., None]
) -> None:
    session = opened(reading, upload)
    before = session.view()
    job = session.split(ASKED, "", "")
    assert job.does == "split" and job.stages[0].name == "reading"
    wait_until(lambda: not is_live(session.view().job), 60.0)
    after = session.view()
    assert after.split is not None and after.split.job == job.id
    assert after.split.found.turns == (
        Asked("a blue dog", "", Scope.SUBJECT),
        Asked("", "in a forest", Scope.BACKGROUND),
    )
    assert after.split.found.note.startswith("the language model did not answer")
    assert (after.rev, after.turns, after.draft) == (before.rev, before.turns, before.draft), "nothing else changed"


def test_what_the_model_is_told_and_answers_arrives(
    studio: Studio, upload: bytes, wait_until: Callable[..., None]
) -> None:
    asked: list[tuple[str, str, str]] = []
    threads: list[threading.Thread] = []

    def splitter(words: str, subject: str, background: str, progress: Progress) -> Split:
        asked.append((words, subject, background))
        threads.append(threading.current_thread())
        return Split((Asked(subject, "", Scope.SUBJECT),), "tiny-llama")

    session = opened(studio, upload)
    session._services = replace(session._services, splitter=splitter)
    session.split("make it blue", "a dog", "in a forest")
    wait_until(lambda: session.view().split is not None)
    assert asked == [("make it blue", "a dog", "in a forest")] and threads[0].name == "jobs"


def test_it_is_cancelled_like_any_job_and_nothing_else_runs_beside_it(reading: Studio, upload: bytes) -> None:
    session = opened(reading, upload)
    session.split(ASKED, "", "")
    with pytest.raises(Busy):
        session.split(ASKED, "", "")
    session.cancel()
    job = session.view().job
    assert job is not None and job.state == JobState.CANCELLED and session.view().split is None


def test_without_a_model_it_says_how_to_get_one(studio: Studio, upload: bytes) -> None:
    with pytest.raises(NotReady, match="--language-model"):
        opened(studio, upload).split(ASKED, "", "")
