"""The gallery: all sessions as tiles, the trash, and on the start page those that were saved last."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from studio.api.hosts import came_from_elsewhere
from studio.ui import gallery_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import Named, Sought


@dataclass(frozen=True)
class Gallery:
    """One component; its script draws everything in it."""

    rooms: gr.HTML


def build() -> Gallery:
    """The component, without handlers."""
    events = ("enter_session", "rename_session", "duplicate_session", "trash_session", "bring_back_session")
    return Gallery(drawn("gallery", "gallery", "seek_sessions", *events))


def bind(panel: Gallery, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""
    rooms, on = panel.rooms, shared.on

    def seek(seat: Seat | None, sought: Sought, request: gr.Request) -> Payload:  # noqa: ARG001  a list needs no session
        return gallery_handlers.listed(handlers, sought.model_dump(), came_from_elsewhere(request.headers))

    def enter(seat: Seat | None, one: Named) -> tuple[Seat | None, Payload, Fields]:
        return gallery_handlers.entered(handlers, seat, one.sid)

    def rename(seat: Seat | None, one: Named) -> Payload:
        return gallery_handlers.renamed(handlers, seat, one.sid, one.name)

    def duplicate(seat: Seat | None, one: Named) -> Payload:  # noqa: ARG001  the page stays where it is
        return gallery_handlers.duplicated(handlers, one.sid)

    def trash(seat: Seat | None, one: Named) -> tuple[Seat | None, Payload, Fields]:
        return gallery_handlers.trashed(handlers, seat, one.sid)

    def bring_back(seat: Seat | None, one: Named) -> tuple[Seat | None, Payload, Fields]:
        return gallery_handlers.brought_back(handlers, seat, one.sid, one.enter)

    # Every letter that is searched for may ask again, and no question is dropped: the page knows the last one's answer.
    on(rooms.seek_sessions, seek, hears=Sought, with_request=True, trigger_mode="multiple")
    on(rooms.enter_session, enter, shared.opened, hears=Named).then(**shared.follow)
    on(rooms.rename_session, rename, hears=Named, trigger_mode="multiple")
    on(rooms.duplicate_session, duplicate, hears=Named, trigger_mode="multiple")
    on(rooms.trash_session, trash, shared.opened, hears=Named, trigger_mode="multiple")
    on(rooms.bring_back_session, bring_back, shared.opened, hears=Named, trigger_mode="multiple")
