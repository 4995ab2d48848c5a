"""What is sent to the page: a session's view as plain JSON, or only the part that moves while a job runs.

There is one message shape for all handlers, and one place in the page that takes it (``assets/js/store.js``).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from studio.session.view import JobState, JobView, SessionView

Payload = dict[str, Any]

LIVE = (JobState.QUEUED, JobState.RUNNING)


def is_live(job: JobView | None) -> bool:
    """True while there is something to follow."""
    return job is not None and job.state in LIVE


def whole(view: SessionView, **more: Any) -> Payload:
    """Everything the page draws of a session."""
    # Turns are plain already, and there may be a thousand: `asdict` would copy each of their values.
    plain = asdict(replace(view, turns=())) | {"turns": [dict(vars(turn)) for turn in view.turns]}
    return {"sid": view.sid, "view": plain, **more}


def tick(view: SessionView) -> Payload:
    """A running job's progress and nothing else: a long timeline is not sent four times a second."""
    return {"sid": view.sid, "tick": {"rev": view.rev, "job": asdict(view.job) if view.job else None}}


def notice(words: str, tone: str = "bad", **more: Any) -> Payload:
    """A line for the person, without a new view."""
    return {"notice": {"text": words, "tone": tone}, **more}
