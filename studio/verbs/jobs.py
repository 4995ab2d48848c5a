"""A job that a verb began: where it is, what it says while it runs, and how to wait for it or stop it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from studio.app import Studio
from studio.errors import TurnFailed, UnknownJob, UserError
from studio.jobs.job import UNFINISHED, JobState
from studio.session.present import job_view
from studio.session.session import Session
from studio.session.view import JobView

LOOK_EVERY = 1.0
"""Seconds after which a job is looked at even if nothing was heard of it."""


class JobHandle:
    """One job of one session. Methods may come from any thread."""

    def __init__(self, studio: Studio, id: str) -> None:
        """The job called `id`; raises `UnknownJob`."""
        self.id = id
        self._studio = studio
        self.sid = self._owner()

    def view(self) -> JobView:
        """As it is now. Raises `UnknownJob` once its session has begun another one."""
        job = self._studio.runner.job(self.id)
        if job is None:
            raise _unknown()
        return job_view(job, self._studio.runner)

    def events(self) -> Iterator[JobView]:
        """The job after each of its steps; the last one is over."""
        session = self._session()
        last: JobView | None = None
        while True:
            rev = session.view().rev
            now = self.view()
            if now != last:
                yield now
                last = now
            if now.state not in UNFINISHED:
                return
            session.wait(rev, LOOK_EVERY)

    def wait(self, seconds: float | None = None) -> JobView:
        """The job as soon as it is over, or after `seconds` as it is then."""
        end = None if seconds is None else time.monotonic() + seconds
        session = self._session()
        while True:
            rev = session.view().rev
            now = self.view()
            left = LOOK_EVERY if end is None else min(LOOK_EVERY, end - time.monotonic())
            if now.state not in UNFINISHED or left <= 0:
                return now
            session.wait(rev, left)

    def done(self) -> JobView:
        """Wait until it is done; raises `TurnFailed` with the reason where it came to nothing."""
        view = self.wait()
        if view.state is not JobState.DONE:
            raise TurnFailed(view.error or f"the job was {view.state}; start it once more")
        return view

    def cancel(self) -> JobView:
        """Stop it; one that is over stays as it is."""
        self._studio.runner.cancel(self.id)
        return self.view()

    def _owner(self) -> str:
        job = self._studio.runner.job(self.id)
        if job is None or self._studio.sessions.is_anothers(job.owner):
            raise _unknown()
        return job.owner

    def _session(self) -> Session:
        return self._studio.sessions.get(self.sid)


def _unknown() -> UserError:
    return UnknownJob("there is no such job, or its session has begun another one since; look at the session itself")
