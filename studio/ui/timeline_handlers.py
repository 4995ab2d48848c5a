"""What the film's menus and buttons do: plain functions from a seat and what the page sent to a message for the page.

Like `handlers.Handlers`, which they are built on, they need no browser. What the page sends is a mapping of ids and
numbers; ids that mean nothing are refused by the session in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pipelines.contract import Scope
from studio.errors import WrongTurns
from studio.session.session import Session
from studio.session.view import OrdersView
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.payload import Payload

Sent = Mapping[str, Any]


class TimelineHandlers:
    """Those of one studio, for each event of the film by its name."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def moved(self, name: str, seat: Seat | None, sent: Sent) -> tuple[Payload, Fields]:
        """One of `MOVES`: the panel's fields are filled for where it led."""
        payload, fields = self._handlers.moved(seat, lambda session: MOVES[name](session, sent))
        if name == "edit":
            payload["settling"] = False  # the mask is the one the turn was made with
        return payload, fields

    def started(self, name: str, seat: Seat | None, sent: Sent) -> Payload:
        """One of `JOBS`."""
        return self._handlers.answered(seat, lambda session: JOBS[name](session, sent))

    def changed(self, name: str, seat: Seat | None, sent: Sent) -> Payload:
        """One of `CHANGES`."""
        return self._handlers.answered(seat, lambda session: CHANGES[name](session, sent))

    def arrived(self, seat: Seat | None) -> tuple[Payload, Fields]:
        """A replay is over: the panel is filled again, for its texts may be used up."""
        return self._handlers.restored(seat, lambda session: None, anyway=True)

    def orders(self, seat: Seat | None, sent: Sent) -> Payload:
        """Whether the order of the last turns matters, pair by pair, as far as it is known."""
        found: list[OrdersView] = []
        payload = self._handlers.answered(seat, lambda session: found.append(session.orders(_count(sent))), anyway=True)
        return payload | ({"orders": asdict(found[0])} if found else {})


def _jump(session: Session, sent: Sent) -> None:
    session.jump(_id(sent, "turn"))
    session.dismiss()  # a comparison in the stage would hide where one went


def _branch(session: Session, sent: Sent) -> None:
    session.jump(_id(sent, "turn"))
    session.branch()


def _id(sent: Sent, name: str) -> str:
    return str(sent.get(name, ""))


def _ids(sent: Sent, name: str) -> list[str]:
    ids = sent.get(name)
    return [str(id) for id in ids] if isinstance(ids, list) else []


def _count(sent: Sent) -> int:
    count = sent.get("count")
    return count if isinstance(count, int) else 0


def _track(sent: Sent) -> Scope:
    track = sent.get("track")
    if track not in (Scope.SUBJECT, Scope.BACKGROUND):
        raise WrongTurns("one part can be taken back at a time; choose the subject or the background")
    return Scope(track)


MOVES: dict[str, Callable[[Session, Sent], object]] = {
    "jump": _jump,
    "edit": lambda session, sent: session.edit(_id(sent, "turn")),
    "leave": lambda session, sent: session.leave(),
    "branch": _branch,
    "adopt": lambda session, sent: session.adopt(),
    "trash": lambda session, sent: session.trash(_id(sent, "turn")),
}
"""These go elsewhere in the timeline."""
JOBS: dict[str, Callable[[Session, Sent], object]] = {
    "cherry_pick": lambda session, sent: session.cherry_pick(_id(sent, "turn"), _id(sent, "onto")),
    "squash": lambda session, sent: session.squash(_id(sent, "first"), _id(sent, "last")),
    "revert": lambda session, sent: session.revert(_track(sent)),
    "combine": lambda session, sent: session.combine(_id(sent, "subject_of"), _id(sent, "background_of")),
    "redo_from_original": lambda session, sent: session.redo_from_original(),
    "swap": lambda session, sent: session.swap(_id(sent, "first"), _id(sent, "second")),
    "measure": lambda session, sent: session.measure(_count(sent)),
}
"""These start a job."""
CHANGES: dict[str, Callable[[Session, Sent], object]] = {
    "restore": lambda session, sent: session.restore(_id(sent, "turn")),
    "bring_back": lambda session, sent: session.bring_back(_ids(sent, "pictures")),
    "rename_branch": lambda session, sent: session.rename_branch(_id(sent, "old"), _id(sent, "new")),
    "dismiss": lambda session, sent: session.dismiss(),
}
"""These do neither."""
