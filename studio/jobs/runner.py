"""The queue in front of one device and the worker thread that empties it.

One job runs at a time. A job is stopped by raising `Cancelled` out of its own progress callback, and this is the one
place that catches it. To the person a cancelled job is over at once; whatever it was computing unwinds behind that, its
late result is dropped, and the next job starts when the device is really free. One that does not come back from the
device, cancelled or not, has the device taken from under it where that can be done.

Where strangers share the device, visitors are served in turn: the first job of each comes before anybody's second,
however many somebody sent. That is fair queueing (Demers, Keshav and Shenker 1989) with all jobs taken to be of one
length: a job is of the round after that of its visitor's last one, or of the round that is served, if that is later.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from bisect import insort
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.contract import Picture
from pipelines.errors import PipelineError
from pipelines.pictures import thumbnail
from pipelines.progress import Cancelled, Progress
from studio.errors import Busy, UserError
from studio.jobs.job import Job, JobState
from studio.visitors import NOBODY

log = logging.getLogger(__name__)

EVENT_INTERVAL = 0.1
"""Seconds between two progress events; the first and last step of a stage are always told."""
PREVIEW_INTERVAL = 0.25
"""Seconds between two previews."""
PREVIEW_SIDE = 512
"""Longest side of a preview in pixels."""

SECONDS_TO_STEP = 900.0
"""How long a running job may be silent. A step of a large model on a CPU takes minutes, and so does loading one."""
SECONDS_TO_STOP = 20.0
"""How long a cancelled job may keep the device."""
STUCK = (
    "this turn made no step for {:.0f} s, so it was ended and the process that computes pictures was replaced; nothing "
    "that was kept is lost. Try a lower quality or a smaller picture"
)
STUCK_STOPPING = (
    "a turn that was cancelled did not stop, so the process that computes pictures was replaced; nothing that was kept "
    "is lost. Try again"
)

HANDED_BACK = (
    "the studio is being stopped, and this turn was still waiting: nothing of it was done. Press Run when it is back"
)
OVERTIME = (
    "this studio is shared, so a turn may run for {:.0f} s, and this one took longer; nothing that was kept is lost. "
    "Try a lower quality, fewer candidates or a smaller picture"
)

Work = Callable[[Progress], Any]
"""What a job does; called on the worker with the job's own progress callback."""


@dataclass
class _Entry:
    """A job with what belongs to it; guarded by the runner's lock."""

    job: Job
    work: Work
    deliver: Callable[[Any], None]
    changed: Callable[[Job], None]
    context: Context = field(default_factory=copy_context)
    """What was known of whoever asked; the work is done in it."""
    visitor: str = NOBODY
    round: int = 0
    """Of two jobs that wait, the one of the lower round comes first."""
    began: float = 0.0
    overtime: bool = False
    """It ran for longer than a job may."""
    stop: threading.Event = field(default_factory=threading.Event)
    delivering: bool = False
    """The result is being stored: too late to cancel."""
    stopped_at: float | None = None
    given_up: bool = False
    """It was too long on the device, which was taken from it."""
    preview: bytes | None = None
    told_at: float = -1.0
    previewed_at: float = -1.0


class Runner:
    """Runs jobs one after the other: visitors in turn, and each one's in the order they came."""

    def __init__(
        self,
        record: Callable[[Job], None] = lambda _: None,
        limit: int = 32,
        clock: Callable[[], float] = time.monotonic,
        replace_device: Callable[[str], None] | None = None,
        to_step: float = SECONDS_TO_STEP,
        to_stop: float = SECONDS_TO_STOP,
        most_each: int | None = None,
        most_seconds: float | None = None,
    ) -> None:
        """`record` is told of every change of state, to keep it; `limit` jobs may wait, `most_each` of one visitor wait
        or run, each for `most_seconds` seconds.

        `replace_device` ends what runs on the device, with a reason for the person, so that the job's call fails: of a
        job without a step for `to_step` seconds, and of a cancelled one that is there `to_stop` seconds later.
        """
        self._record = record
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._woken = threading.Condition(self._lock)
        self._most_each, self._most_seconds = most_each, most_seconds
        self._waiting: list[_Entry] = []
        self._round = 0
        """Of the job that was begun last."""
        self._begun: dict[str, int] = {}
        """The round of the job of each visitor that was begun last, where that is not over."""
        self._entries: dict[str, _Entry] = {}
        self._running: _Entry | None = None
        self._learned: dict[str, dict[str, float]] = {}
        self._closed = self._draining = False
        self._worker = threading.Thread(target=self._loop, name="jobs", daemon=True)
        self._worker.start()
        if replace_device is not None:
            watch = (replace_device, to_step, to_stop)
            threading.Thread(target=self._watch, args=watch, name="watchdog", daemon=True).start()

    def submit(
        self,
        owner: str,
        kind: str,
        stages: tuple[str, ...],
        work: Work,
        deliver: Callable[[Any], None],
        changed: Callable[[Job], None] = lambda _: None,
        visitor: str = NOBODY,
    ) -> Job:
        """Queue `work`; `deliver` gets its result on the worker thread before the job counts as done.

        The work finds the context variables of whoever called this. `changed` is told of states and, at most ten times
        a second, of steps; it must not wait for the runner.
        Raises `Busy` when the queue is full, or `visitor` has as many jobs as one may.
        """
        job = Job(f"job-{secrets.token_hex(8)}", owner, kind, stages, queued_at=time.time())
        entry = _Entry(job, work, deliver, changed, visitor=visitor)
        with self._lock:
            if self._closed or self._draining:
                raise Busy("the studio is shutting down; start it again, then press Run")
            if len(self._waiting) >= self._limit:
                raise Busy(f"{self._limit} turns are waiting for the device already; try again when some are done")
            self._refuse_many(visitor)
            rounds = [self._begun.get(visitor, -1), *(e.round for e in self._waiting if e.visitor == visitor)]
            entry.round = max(self._round, max(rounds) + 1)
            insort(self._waiting, entry, key=lambda waiting: waiting.round)
            self._entries[job.id] = entry
            self._woken.notify_all()
        self._keep(entry)
        return job

    def _refuse_many(self, visitor: str) -> None:
        """Under the lock."""
        if self._most_each is None:
            return
        running = self._running
        mine = [entry for entry in self._waiting if entry.visitor == visitor]
        if running is not None and running.visitor == visitor and not running.job.finished:
            mine.append(running)
        if len(mine) >= self._most_each:
            many = "one turn" if self._most_each == 1 else f"{self._most_each} turns"
            problem = Busy(
                f"each visitor has {many} under way at a time here, so that everybody's turn comes; wait for it, or "
                "cancel it in the session where it runs"
            )
            if running is not None and running in mine:
                problem.seconds = running.job.seconds_left(self._clock(), self._learned.get(running.job.kind, {}))
            raise problem

    def cancel(self, id: str) -> None:
        """Stop the job `id` at once if it waits or runs; a job that is over, or unknown, is left as it is."""
        with self._lock:
            entry = self._entries.get(id)
            if entry is None or entry.job.finished or entry.delivering:
                return
            entry.stop.set()
            entry.stopped_at = self._clock()
            self._woken.notify_all()
            if entry in self._waiting:
                self._waiting.remove(entry)
            self._finish(entry, JobState.CANCELLED)
        self._announce(entry)

    def job(self, id: str) -> Job | None:
        """The job as it stands; ``None`` when it is unknown or was forgotten."""
        with self._lock:
            entry = self._entries.get(id)
            return None if entry is None else entry.job

    def ahead(self, id: str) -> int:
        """Jobs that the device does before this one; 0 when it does not wait."""
        with self._lock:
            for place, entry in enumerate(self._waiting):
                if entry.job.id == id:
                    return place + (self._running is not None)
            return 0

    def seconds_left(self, id: str) -> float | None:
        """Estimate for a running job."""
        with self._lock:
            entry = self._entries.get(id)
            if entry is None:
                return None
            return entry.job.seconds_left(self._clock(), self._learned.get(entry.job.kind, {}))

    def preview(self, id: str) -> bytes | None:
        """The newest preview as JPEG."""
        with self._lock:
            entry = self._entries.get(id)
            return None if entry is None else entry.preview

    def forget(self, id: str) -> None:
        """Drop what is kept of a job that is over."""
        with self._lock:
            if (entry := self._entries.get(id)) is not None and entry.job.finished:
                del self._entries[id]

    def drain(self, seconds: float) -> None:
        """Take no further job, hand back those that wait, and give the one that runs up to `seconds` to be done."""
        with self._lock:
            self._draining = True
            handed_back, self._waiting = self._waiting, []
            for entry in handed_back:
                entry.stop.set()
                self._finish(entry, JobState.INTERRUPTED, HANDED_BACK)
        for entry in handed_back:
            self._announce(entry)
        with self._lock:
            self._woken.wait_for(lambda: self._running is None, seconds)

    def close(self, timeout: float = 10.0) -> None:
        """Interrupt what runs and what waits, and wait up to `timeout` seconds for the worker."""
        with self._lock:
            self._closed = True
            open_entries = [e for e in self._entries.values() if not e.job.finished and not e.delivering]
            self._waiting.clear()
            for entry in open_entries:
                entry.stop.set()
                self._finish(entry, JobState.INTERRUPTED)
            self._woken.notify_all()
        for entry in open_entries:
            self._announce(entry)
        self._worker.join(timeout)

    def _loop(self) -> None:
        while (entry := self._take()) is not None:
            try:
                self._run(entry)
            except BaseException:  # nothing may end the worker: the next job has to run
                log.exception("the runner failed around %s", entry.job.id)
            finally:
                with self._lock:
                    self._running = None
                    self._woken.notify_all()

    def _take(self) -> _Entry | None:
        """The next job, marked as running, or ``None`` when the runner is closed."""
        with self._lock:
            while not self._waiting and not self._closed:
                self._woken.wait()
            if self._closed:
                return None
            entry = self._waiting.pop(0)
            self._running = entry
            self._round = entry.round
            self._begun = {visitor: last for visitor, last in self._begun.items() if last >= self._round}
            self._begun[entry.visitor] = entry.round
            entry.began = self._clock()
            entry.job = entry.job.started(time.time(), entry.began)
            self._woken.notify_all()
            return entry

    def _watch(self, replace_device: Callable[[str], None], to_step: float, to_stop: float) -> None:
        """The watchdog's thread. It sleeps until the next job could be too long on the device."""
        while (overdue := self._overdue(to_step, to_stop)) is not None:
            try:
                replace_device(overdue)
            except Exception:
                log.exception("the device could not be replaced")

    def _overdue(self, to_step: float, to_stop: float) -> str | None:
        """Wait until a job is too long on the device: what the person is told. ``None`` when the runner is closed."""
        with self._lock:
            while not self._closed:
                entry, left = self._running, None
                if entry is not None and not entry.delivering and not entry.given_up:
                    stopped = entry.stopped_at
                    end = entry.job.seen + to_step if stopped is None else stopped + to_stop
                    left = end - self._clock()
                    if left <= 0:
                        entry.given_up = True
                        return STUCK.format(to_step) if stopped is None else STUCK_STOPPING
                self._woken.wait(left)
        return None

    def _run(self, entry: _Entry) -> None:
        self._announce(entry)
        state, error = JobState.DONE, None
        try:
            result = entry.context.run(entry.work, self._progress(entry))
            with self._lock:
                if entry.job.finished:
                    return
                entry.delivering = True
            entry.deliver(result)
        except Cancelled:
            state = JobState.CANCELLED
            if entry.overtime:
                state, error = JobState.FAILED, OVERTIME.format(self._most_seconds)
        except (PipelineError, UserError) as problem:
            state, error = JobState.FAILED, str(problem)
        except BaseException as problem:  # noqa: BLE001 - whatever it was, it is told and the next job runs
            state, error = JobState.FAILED, _unexpected(entry.job, problem)
        with self._lock:
            if entry.job.finished:
                return
            self._finish(entry, state, error)
            if state is JobState.DONE:
                # a stage that was passed over this time keeps what it took before
                self._learned[entry.job.kind] = {**self._learned.get(entry.job.kind, {}), **entry.job.took}
        self._announce(entry)

    def _finish(self, entry: _Entry, state: JobState, error: str | None = None) -> None:
        """Under the lock."""
        entry.job = replace(entry.job, state=state, error=error, finished_at=time.time())
        entry.preview, entry.context = None, Context()  # a request's connection and headers are not kept

    def _progress(self, entry: _Entry) -> Progress:
        def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
            if entry.stop.is_set():
                raise Cancelled
            clock = self._clock()
            if self._most_seconds is not None and clock - entry.began > self._most_seconds:
                entry.overtime = True
                raise Cancelled
            picture = None
            if preview is not None and (entry.preview is None or clock - entry.previewed_at >= PREVIEW_INTERVAL):
                picture = thumbnail(preview, PREVIEW_SIDE)
            with self._lock:
                if entry.job.finished:
                    raise Cancelled
                edge = stage != entry.job.stage or step >= total
                job = entry.job.stepped(stage, step, total, clock)
                if picture is not None:
                    entry.preview, entry.previewed_at = picture, clock
                    job = replace(job, preview=job.preview + 1)
                entry.job = job
                tell = edge or clock - entry.told_at >= EVENT_INTERVAL
                if tell:
                    entry.told_at = clock
            if tell:
                self._tell(entry, job)

        return progress

    def _announce(self, entry: _Entry) -> None:
        """A change of state: kept first, then told."""
        self._keep(entry)
        self._tell(entry, entry.job)

    def _keep(self, entry: _Entry) -> None:
        """Record the state as it is by now: two threads may come here, and the last one must not write an older one."""
        with self._recording:
            try:
                self._record(entry.job)
            except Exception:
                log.exception("the state %s of %s could not be kept", entry.job.state, entry.job.id)

    def _tell(self, entry: _Entry, job: Job) -> None:
        try:
            entry.changed(job)
        except Exception:
            log.exception("a listener of %s failed", job.id)


def _unexpected(job: Job, problem: BaseException) -> str:
    """Log a bug with its traceback and give the words for the person, with a code that finds it in the log."""
    code = secrets.token_hex(3)
    log.error("error %s in %s (%s)", code, job.id, job.kind, exc_info=problem)
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return (
            f"there was not enough memory for this turn (code {code}); nothing was changed. Ask for fewer candidates, "
            "a lower quality or use a smaller picture"
        )
    return (
        f"something in the studio broke while this turn ran (code {code}); nothing was changed. Try again; if it comes "
        "back, report the code together with the server's log"
    )
