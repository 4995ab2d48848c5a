"""What the instruction's buttons do: a sentence becomes turns, and turns become the panel's texts or a job."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from pipelines.contract import Scope
from pipelines.instructions.contract import MOST_TURNS, Asked
from pipelines.instructions.split import split_by_rules
from studio.errors import NotReady
from studio.session.session import Session
from studio.session.view import Draft, SessionView
from studio.ui import text
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.payload import Payload


def split_up(handlers: Handlers, seat: Seat | None, words: object, count: object) -> Payload:
    """The turns in `words`, for the page to show; nothing of the session changes. `count` comes back.

    A language model reads them in a job, which is named instead; the view shows what came of it.
    """
    answers: list[Payload] = []

    def act(session: Session) -> None:
        told, before = str(words or ""), last_texts(session.view())
        if handlers.studio.services.splitter is None:
            answers.append({"split": {"count": count, **asdict(split_by_rules(told, *before))}})
        else:
            answers.append({"splitting": {"count": count, "job": session.split(told, *before).id}})

    payload = handlers.answered(seat, act, anyway=True)
    return payload | (answers[0] if answers else {})


def used(handlers: Handlers, seat: Seat | None, turns: object) -> tuple[Payload, Fields]:
    """The first of the turns goes into the panel."""

    def act(session: Session) -> Draft:
        asked, before = asked_from(turns)[0], session.view().draft
        session.set_draft(replace(before, **vars(asked)))
        return before

    return handlers.restored(seat, act)


def run_all(handlers: Handlers, seat: Seat | None, turns: object, *values: Any, insists: bool = False) -> Payload:
    """All turns one after another, with the panel's settings as they stand; `insists` as in `Handlers.run`."""

    def act(session: Session) -> None:
        asked = asked_from(turns)
        session.set_draft(handlers.draft(session.view().draft, values))
        session.run_all(asked, insists)

    return handlers.asking(seat, act, "run_turns")


def last_texts(view: SessionView) -> tuple[str, str]:
    """Subject and background as the line one stands on said them last; empty where it never did."""
    turns = {turn.id: turn for turn in view.turns}
    found = {Scope.SUBJECT: "", Scope.BACKGROUND: ""}
    here = turns.get(view.current)
    while here is not None:
        for part, said in ((Scope.SUBJECT, here.subject), (Scope.BACKGROUND, here.background)):
            if here.scope in (part, Scope.BOTH):
                found[part] = found[part] or said
        here = None if here.parent is None else turns.get(here.parent)
    return found[Scope.SUBJECT], found[Scope.BACKGROUND]


def asked_from(turns: object) -> list[Asked]:
    """What a page sent, which may be anything; raises `NotReady` for what is no list of turns."""
    if not isinstance(turns, list) or not 0 < len(turns) <= MOST_TURNS:
        raise NotReady(text.NO_TURNS.format(most=MOST_TURNS))
    asked = []
    for turn in turns:
        told = turn if isinstance(turn, dict) else {}
        texts = [told.get("subject"), told.get("background")]
        if told.get("scope") not in list(Scope) or not all(isinstance(said, str) for said in texts):
            raise NotReady(text.NO_TURNS.format(most=MOST_TURNS))
        scope = Scope(told["scope"])
        subject, background = (
            "" if scope is other else str(said).strip()
            for other, said in zip((Scope.BACKGROUND, Scope.SUBJECT), texts, strict=True)
        )
        asked.append(Asked(subject, background, scope))
    return asked
