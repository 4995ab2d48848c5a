"""What is sent to the page: a session's view as plain JSON, or only the part that moves while a job runs.

There is one message shape for all handlers, and one place in the page that takes it (``assets/js/store.js``).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from studio.session.view import JobState, JobView, SessionView, TurnView

Payload = dict[str, Any]

LIVE = (JobState.QUEUED, JobState.RUNNING)


def is_live(job: JobView | None) -> bool:
    """True while there is something to follow."""
    return job is not None and job.state in LIVE


def whole(view: SessionView, last: SessionView | None = None, **more: Any) -> Payload:
    """Everything the page draws of a session.

    Of the film, which may have a thousand turns, only what is not as in `last`, the view that the page was sent before.
    ``since`` names the film that this adds to: a page that holds another one asks for the whole (``store.js``).
    """
    plain = asdict(replace(view, turns=(), branches=()))
    del plain["branches"]
    film = None if last is None or last.sid != view.sid else _film_since(last, view)
    if film is None:
        film = {"turns": [_plain(turn) for turn in view.turns], "branches": view.branches}
    return {"sid": view.sid, "view": plain | film, **more}


def _film_since(last: SessionView, view: SessionView) -> dict[str, Any] | None:
    """What of turns and branches is new or another; ``None`` where turns stand in another order than before."""
    before = {turn.id: turn for turn in last.turns}
    ids = [turn.id for turn in view.turns]
    kept, new = [id for id in ids if id in before], {id: None for id in ids if id not in before}
    gone = before.keys() - kept
    if ids != [*kept, *new] or kept != [id for id in before if id not in gone]:
        return None
    turns = [_plain(turn) if turn.id in new else _patch(before[turn.id], turn) for turn in view.turns]
    film = {"since": last.film, "turns": [turn for turn in turns if len(turn) > 1], "gone": sorted(gone)}
    return film if view.branches == last.branches else film | {"branches": view.branches}


def _plain(turn: TurnView) -> dict[str, Any]:
    """Plain but for its frame already: `asdict` would copy each of its values."""
    return {**vars(turn), "frame": vars(turn.frame)}


def _patch(before: TurnView, now: TurnView) -> dict[str, Any]:
    """The fields of `now` that are not as before, and the id."""
    old = _plain(before)
    return {name: value for name, value in _plain(now).items() if name == "id" or old[name] != value}


def tick(view: SessionView) -> Payload:
    """A running job's progress and nothing else: a long timeline is not sent four times a second."""
    return {"sid": view.sid, "tick": {"rev": view.rev, "job": asdict(view.job) if view.job else None}}


def notice(words: str, tone: str = "bad", lang: str = "", **more: Any) -> Payload:
    """A line for the person, without a new view; `lang` where its language is not the page's."""
    return {"notice": {"text": words, "tone": tone} | ({"lang": lang} if lang else {}), **more}
