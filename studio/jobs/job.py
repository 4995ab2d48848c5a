"""What a job is, as a value: its state, where it is, and how long it will still take. Times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life; only the first two are not final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the server stopped while it ran


UNFINISHED = frozenset({JobState.QUEUED, JobState.RUNNING})


@dataclass(frozen=True)
class Job:
    """One piece of work of one session. A frozen snapshot: the runner makes a new one at every change.

    ``..._at`` are seconds since 1970; `entered` and `seen` are readings of the runner's clock, which never jumps.
    """

    id: str
    owner: str
    """The session it belongs to."""
    kind: str
    """Jobs of one kind take about the same time; "edit layered draft" and the like."""
    stages: tuple[str, ...]
    """Names of the stages it is known to have, in order."""
    state: JobState = JobState.QUEUED
    queued_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    stage: str = ""
    step: int = 0
    total: int = 0
    entered: float = 0.0
    """When the current stage began: with the job, or with the last step of the stage before."""
    seen: float = 0.0
    """When the last step ended."""
    took: Mapping[str, float] = field(default_factory=dict)
    """Seconds spent in every stage so far."""
    preview: int = 0
    """Number of previews made."""
    error: str | None = None
    """What the person is told when it failed."""

    @property
    def finished(self) -> bool:
        return self.state not in UNFINISHED

    def started(self, now: float, clock: float) -> Job:
        return replace(self, state=JobState.RUNNING, started_at=now, entered=clock, seen=clock)

    def stepped(self, stage: str, step: int, total: int, clock: float) -> Job:
        """After step `step` of `total` of `stage`. A stage that was not announced is taken into the list."""
        stages = self.stages
        if stage not in stages:
            at = stages.index(self.stage) + 1 if self.stage in stages else 0
            stages = (*stages[:at], stage, *stages[at:])
        entered = self.entered if stage == self.stage else self.seen
        took = {**self.took, stage: clock - entered}
        return replace(self, stages=stages, stage=stage, step=step, total=total, entered=entered, seen=clock, took=took)

    def fractions(self) -> tuple[tuple[str, float], ...]:
        """(stage, share done in [0, 1]) in order; a stage that was passed over counts as done."""
        if self.state is JobState.DONE:
            return tuple((name, 1.0) for name in self.stages)
        reached = self.stages.index(self.stage) if self.stage in self.stages else -1
        here = min(1.0, self.step / self.total) if self.total else 0.0
        return tuple(
            (name, 1.0 if i < reached else here if i == reached else 0.0) for i, name in enumerate(self.stages)
        )

    def seconds_left(self, clock: float, learned: Mapping[str, float]) -> float | None:
        """Time left: this stage at the speed of its steps so far, later stages as long as they took last time.

        A later stage that never ran here is taken to be as long as the mean of those known; ``None`` before the first
        step, when nothing is known.
        """
        if self.state is not JobState.RUNNING or self.step == 0:
            return None
        here = self.took[self.stage] * self.total / self.step
        left = here - self.took[self.stage] - (clock - self.seen)
        known = [here, *(seconds for name, seconds in self.took.items() if name != self.stage)]
        usual = sum(known) / len(known)
        later = self.stages[self.stages.index(self.stage) + 1 :]
        return max(left, 0.0) + sum(learned.get(name, usual) for name in later)
