"""Strangers who share one device: whose turn it is, how much one may ask for, and how the queue ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest

from pipelines.progress import Progress
from studio.errors import Busy
from studio.jobs.job import Job, JobState
from studio.jobs.runner import Runner
from tests.studio.clock import Clock


@dataclass
class Line:
    """A runner, and the order in which it did what visitors asked for. The first job holds it until it is let go."""

    runner: Runner
    done: list[str] = field(default_factory=list)
    began: Event = field(default_factory=Event)
    go: Event = field(default_factory=Event)

    def hold(self, visitor: str) -> Job:
        def work(progress: Progress) -> str:
            self.began.set()
            while not self.go.wait(0.002):
                progress("only", 1, 2)
            return visitor

        job = self.ask(visitor, work)
        assert self.began.wait(5)
        return job

    def ask(self, visitor: str, work: Callable[[Progress], Any] | None = None) -> Job:
        does = work or (lambda progress: visitor)
        return self.runner.submit("session", "edit", ("only",), does, self.done.append, visitor=visitor)

    def ends(self, job: Job) -> Job:
        end = time.monotonic() + 10
        while (found := self.runner.job(job.id)) is None or not found.finished:
            assert time.monotonic() < end
            time.sleep(0.002)
        return found


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(Runner(limit=100))
    yield line
    line.go.set()
    line.runner.close()


def test_thirty_two_jobs_of_one_visitor_delay_another_by_the_one_that_runs(line: Line) -> None:
    line.hold("many")
    many = [line.ask("many") for _ in range(31)]
    one = line.ask("one")
    assert line.runner.ahead(one.id) == 1, "only what runs is before it"
    assert [line.runner.ahead(job.id) for job in many[:2]] == [2, 3]
    line.go.set()
    line.ends(many[-1])
    assert line.done[:3] == ["many", "one", "many"] and line.done.count("many") == 32


def test_visitors_are_served_in_turn_and_each_ones_jobs_in_order(line: Line) -> None:
    line.hold("a")
    jobs = [line.ask(visitor) for visitor in ("a", "a", "b", "b", "c", "a")]
    assert [line.runner.ahead(job.id) for job in jobs] == [3, 5, 1, 4, 2, 6]
    line.go.set()
    line.ends(jobs[-1])
    assert line.done == ["a", "b", "c", "a", "b", "a", "a"]


def test_whoever_comes_back_has_no_debt_and_no_credit(line: Line) -> None:
    for _ in range(3):
        line.ends(line.ask("a"))
    line.hold("b")
    assert line.runner.ahead(line.ask("c").id) == 1
    assert line.runner.ahead(line.ask("a").id) == 2, "what was served before is over"


def test_what_is_cancelled_while_it_waits_costs_no_place(line: Line) -> None:
    line.hold("b")
    for _ in range(5):
        line.runner.cancel(line.ask("a").id)
    mine, others = line.ask("a"), line.ask("c")
    assert (line.runner.ahead(mine.id), line.runner.ahead(others.id)) == (1, 2)


def test_without_visitors_it_is_first_come_first_served(line: Line) -> None:
    line.hold("")
    jobs = [line.ask("") for _ in range(4)]
    assert [line.runner.ahead(job.id) for job in jobs] == [1, 2, 3, 4]


def test_a_visitor_has_one_turn_at_a_time_and_is_told_when_to_come_again() -> None:
    clock = Clock()
    line = Line(Runner(most_each=1, clock=clock))
    running = line.hold("a")
    other = line.ask("b")
    for visitor in ("a", "b"):
        with pytest.raises(Busy, match="one turn under way at a time") as told:
            line.ask(visitor)
    assert told.value.seconds is None, "of what only waits nobody knows"
    line.runner.cancel(running.id)
    again = line.ask("a")
    line.go.set()
    line.ends(other)
    assert line.ends(again).state is JobState.DONE
    line.runner.close()


def test_a_turn_that_runs_for_too_long_is_ended_with_words() -> None:
    clock = Clock()
    line = Line(Runner(most_seconds=60, clock=clock))
    job = line.hold("a")
    clock.now = 61.0
    ended = line.ends(job)
    assert ended.state is JobState.FAILED and ended.error is not None and "may run for 60 s" in ended.error
    line.go.set()
    assert line.ends(line.ask("b")).state is JobState.DONE
    line.runner.close()


def test_told_to_stop_it_finishes_what_runs_and_hands_back_what_waits(line: Line) -> None:
    running, waiting = line.hold("a"), line.ask("b")
    ending = Thread(target=line.runner.drain, args=(10.0,))
    ending.start()
    handed_back = line.ends(waiting)
    assert handed_back.state is JobState.INTERRUPTED and "Press Run" in str(handed_back.error)
    with pytest.raises(Busy, match="shutting down"):
        line.ask("c")
    line.go.set()
    ending.join(10)
    assert line.ends(running).state is JobState.DONE and line.done == ["a"]


def test_what_is_not_done_in_time_is_interrupted(line: Line) -> None:
    running = line.hold("a")
    line.runner.drain(0.01)
    line.runner.close()
    assert line.ends(running).state is JobState.INTERRUPTED and line.done == []
