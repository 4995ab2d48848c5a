from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pipelines.errors import NumericalError
from pipelines.progress import Cancelled, Progress
from studio.errors import Busy, StorageFull
from studio.jobs.job import Job, JobState
from studio.jobs.runner import Runner

STAGES = ("first", "second")
PICTURE = np.zeros((8, 8, 3), np.uint8)


class Bench:
    """A runner with what it told and kept."""

    def __init__(self, **options: Any) -> None:
        self.kept: list[tuple[str, JobState]] = []
        self.runner = Runner(record=lambda job: self.kept.append((job.id, job.state)), **options)
        self.delivered: list[Any] = []
        self.events: list[Job] = []

    def submit(self, work: Callable[[Progress], Any], deliver: Callable[[Any], None] | None = None) -> Job:
        taken = self.delivered.append if deliver is None else deliver
        return self.runner.submit("session", "edit", STAGES, work, taken, self.events.append)

    def state(self, job: Job) -> JobState:
        found = self.runner.job(job.id)
        assert found is not None
        return found.state

    def end(self, job: Job, seconds: float = 5.0) -> Job:
        end = time.monotonic() + seconds
        while self.kept[-1:] != [(job.id, self.state(job))] or self.state(job) in (JobState.QUEUED, JobState.RUNNING):
            assert time.monotonic() < end, f"still {self.state(job)}"
            time.sleep(0.002)
        found = self.runner.job(job.id)
        assert found is not None
        return found


class Held:
    """Work that steps on and on until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.unwound = threading.Event()

    def __call__(self, progress: Progress) -> str:
        try:
            self.began.set()
            while not self.go.wait(0.002):
                progress("first", 1, 2)
            return "late"
        finally:
            self.unwound.set()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.runner.close()


def test_a_job_runs_and_its_result_is_delivered_before_it_is_done(bench: Bench) -> None:
    seen: list[JobState] = []
    job = bench.submit(lambda progress: 42, lambda result: seen.append(bench.state(job)))
    assert bench.end(job).state is JobState.DONE
    assert seen == [JobState.RUNNING]
    assert [state for _, state in bench.kept][-2:] == [JobState.RUNNING, JobState.DONE]


def test_progress_is_monotonic_ends_at_the_total_and_is_told_ten_times_a_second(bench: Bench) -> None:
    def work(progress: Progress) -> None:
        for stage in STAGES:
            for step in range(1, 61):
                time.sleep(0.005)
                progress(stage, step, 60)

    began = time.monotonic()
    bench.end(bench.submit(work))
    told = [(STAGES.index(e.stage), e.step) for e in bench.events if e.stage]
    assert told == sorted(told)
    for stage in range(2):
        assert (stage, 1) in told and (stage, 60) in told, "first and last steps are always told"
    assert len(bench.events) <= 10 * (time.monotonic() - began) + 6


def test_previews_are_jpeg_and_limited(bench: Bench) -> None:
    held: list[bytes | None] = []

    def work(progress: Progress) -> None:
        for step in range(1, 41):
            progress("first", step, 40, PICTURE)
        held.append(bench.runner.preview(job.id))

    job = bench.submit(work)
    assert bench.end(job).preview == 1
    assert held[0] is not None and held[0].startswith(b"\xff\xd8")
    assert bench.runner.preview(job.id) is None, "nothing is kept of a finished job's previews"


@pytest.mark.parametrize("at", [("first", 1), ("first", 7), ("first", 10), ("second", 1), ("second", 10)])
def test_f01_cancel_is_acknowledged_at_once_and_nothing_arrives_later(bench: Bench, at: tuple[str, int]) -> None:
    reached, go = threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        for stage in STAGES:
            for step in range(1, 11):
                if (stage, step) == at:
                    reached.set()
                    go.wait(5)
                progress(stage, step, 10)
        return "late"

    job = bench.submit(work)
    assert reached.wait(5)
    began = time.monotonic()
    bench.runner.cancel(job.id)
    assert time.monotonic() - began < 2 and bench.state(job) is JobState.CANCELLED, "the work holds for five"
    go.set()
    following = bench.submit(lambda progress: "next")
    assert bench.end(following).state is JobState.DONE
    assert bench.delivered == ["next"] and bench.state(job) is JobState.CANCELLED


def test_f02_cancelling_a_waiting_job_leaves_the_running_one(bench: Bench) -> None:
    held = Held()
    running = bench.submit(held)
    assert held.began.wait(5)
    waiting, last = bench.submit(lambda progress: "no"), bench.submit(lambda progress: "yes")
    assert [bench.runner.ahead(job.id) for job in (running, waiting, last)] == [0, 1, 2]
    bench.runner.cancel(waiting.id)
    assert bench.state(waiting) is JobState.CANCELLED and bench.state(running) is JobState.RUNNING
    assert bench.runner.ahead(last.id) == 1
    held.go.set()
    bench.end(last)
    assert bench.delivered == ["late", "yes"]


def test_f03_a_cancel_that_races_the_claim_hits_its_own_job_only(bench: Bench) -> None:
    for _ in range(200):
        ran: list[str] = []
        job = bench.submit(lambda progress, ran=ran: (progress("first", 1, 1), ran.append("first")))  # type: ignore[misc]
        other = bench.submit(lambda progress, ran=ran: ran.append("second"))  # type: ignore[misc]
        bench.runner.cancel(job.id)
        assert bench.end(other).state is JobState.DONE
        assert "second" in ran and bench.state(job) in (JobState.CANCELLED, JobState.DONE)
        assert dict(bench.kept)[job.id] is bench.state(job), "what is kept is the last state"


def test_f04_cancel_twice_after_the_end_or_of_nothing_is_nothing(bench: Bench) -> None:
    job = bench.submit(lambda progress: 1)
    bench.end(job)
    kept = list(bench.kept)
    for id in (job.id, job.id, "unknown"):
        bench.runner.cancel(id)
    assert bench.state(job) is JobState.DONE and bench.kept == kept


def test_f05_a_new_job_starts_after_a_cancelled_one_has_left_the_device(bench: Bench) -> None:
    held = Held()
    first = bench.submit(held)
    assert held.began.wait(5)
    bench.runner.cancel(first.id)
    overlapped = bench.submit(lambda progress: held.unwound.is_set())
    bench.end(overlapped)
    assert bench.delivered == [True]


def test_a_result_that_is_being_stored_is_not_cancelled(bench: Bench) -> None:
    storing, go = threading.Event(), threading.Event()

    def deliver(result: str) -> None:
        storing.set()
        go.wait(5)

    job = bench.submit(lambda progress: "whole", deliver)
    assert storing.wait(5)
    bench.runner.cancel(job.id)
    go.set()
    assert bench.end(job).state is JobState.DONE


@pytest.mark.parametrize("problem", [NumericalError("the loss became NaN"), StorageFull("there is no space left")])
def test_an_error_a_person_can_act_on_is_told_as_it_stands(bench: Bench, problem: Exception) -> None:
    def work(progress: Progress) -> None:
        raise problem

    job = bench.end(bench.submit(work))
    assert (job.state, job.error) == (JobState.FAILED, str(problem))


@pytest.mark.parametrize(
    "problem", [ValueError("/home/someone/secret"), SystemExit(3), KeyboardInterrupt(), MemoryError()]
)
def test_f06_a_bug_fails_the_job_with_a_code_and_the_next_one_runs(
    bench: Bench, caplog: pytest.LogCaptureFixture, problem: BaseException
) -> None:
    def work(progress: Progress) -> None:
        raise problem

    with caplog.at_level(logging.ERROR):
        job = bench.end(bench.submit(work))
    assert job.state is JobState.FAILED and job.error is not None
    code = job.error.split("(code ")[1].split(")")[0]
    assert f"error {code}" in caplog.text and "Traceback" in caplog.text
    assert "secret" not in job.error
    assert bench.end(bench.submit(lambda progress: 1)).state is JobState.DONE


def test_f06_a_failing_listener_record_or_delivery_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    runner = Runner(record=broken)
    ended = threading.Event()
    job = runner.submit("s", "edit", STAGES, lambda progress: progress("first", 1, 1), broken, broken)
    runner.submit("s", "edit", STAGES, lambda progress: ended.set(), lambda _: None)
    assert ended.wait(5)
    failed = runner.job(job.id)
    assert failed is not None and failed.state is JobState.FAILED
    runner.close()


def test_f10_a_full_queue_refuses_politely(bench: Bench) -> None:
    small = Bench(limit=2)
    held = Held()
    small.submit(held)
    assert held.began.wait(5)
    jobs = [small.submit(lambda progress: 1), small.submit(lambda progress: 2)]
    with pytest.raises(Busy, match="2 turns are waiting"):
        small.submit(lambda progress: 3)
    held.go.set()
    small.end(jobs[-1])
    assert small.delivered == ["late", 1, 2]
    small.runner.close()


def test_f11_closing_interrupts_what_runs_and_what_waits() -> None:
    bench = Bench()
    held = Held()
    running = bench.submit(held)
    assert held.began.wait(5)
    waiting = bench.submit(lambda progress: 1)
    bench.runner.close()
    assert bench.state(running) is bench.state(waiting) is JobState.INTERRUPTED
    assert held.unwound.is_set() and bench.delivered == []
    with pytest.raises(Busy, match="shutting down"):
        bench.submit(lambda progress: 1)


def test_what_stages_took_is_remembered_for_the_next_estimate() -> None:
    clock = [0.0]
    bench = Bench(clock=lambda: clock[0])
    reached, go = threading.Event(), threading.Event()

    def work(progress: Progress, wait: bool) -> None:
        clock[0] += 3
        progress("first", 1, 1)
        if wait:
            reached.set()
            go.wait(5)
        clock[0] += 40
        progress("second", 1, 1)

    bench.end(bench.submit(lambda progress: work(progress, False)))
    second = bench.submit(lambda progress: work(progress, True))
    assert reached.wait(5)
    assert bench.runner.seconds_left(second.id) == 40.0
    go.set()
    bench.end(second)
    bench.runner.forget(second.id)
    assert bench.runner.job(second.id) is None and bench.runner.seconds_left(second.id) is None
    bench.runner.close()


def test_a_stage_that_was_passed_over_keeps_what_it_took_before() -> None:
    """A turn whose layers were fitted before only samples; the next one that fits is estimated all the same."""
    clock = [0.0]
    bench = Bench(clock=lambda: clock[0])
    reached, go = threading.Event(), threading.Event()

    def work(progress: Progress, stages: dict[str, float], wait: bool = False) -> None:
        for stage, seconds in stages.items():
            clock[0] += seconds
            progress(stage, 1, 1)
            if wait and not reached.is_set():
                reached.set()
                go.wait(5)

    bench.end(bench.submit(lambda progress: work(progress, {"first": 3, "second": 40})))
    bench.end(bench.submit(lambda progress: work(progress, {"first": 5})))
    third = bench.submit(lambda progress: work(progress, {"first": 4, "second": 40}, wait=True))
    assert reached.wait(5)
    assert bench.runner.seconds_left(third.id) == 40.0
    go.set()
    bench.end(third)
    bench.runner.close()


def test_cancelled_is_not_swallowed_by_the_progress_callback(bench: Bench) -> None:
    held = Held()
    seen: list[type[BaseException]] = []

    def work(progress: Progress) -> None:
        try:
            held(progress)
        except BaseException as stop:
            seen.append(type(stop))
            raise

    job = bench.submit(work)
    assert held.began.wait(5)
    bench.runner.cancel(job.id)
    assert held.unwound.wait(5)
    bench.end(bench.submit(lambda progress: 1))
    assert seen == [Cancelled]
