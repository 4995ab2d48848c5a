"""The gallery: all sessions as tiles, the trash, and on the start page those that were saved last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.api.hosts import came_from_elsewhere
from studio.ui import gallery_handlers
from studio.ui.handlers import Fields, Handlers, Seat
from studio.ui.panel import EVENT, Shared, drawn


@dataclass(frozen=True)
class Gallery:
    """One component; its script draws everything in it."""

    rooms: gr.HTML


def build() -> Gallery:
    """The component, without handlers."""
    return Gallery(drawn("gallery", "gallery"))


def bind(panel: Gallery, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def seek(evt: gr.EventData, request: gr.Request) -> Any:
        return gallery_handlers.listed(handlers, evt._data, came_from_elsewhere(request.headers))

    def enter(seat: Seat | None, evt: gr.EventData) -> Fields:
        taken, payload, values = gallery_handlers.entered(handlers, seat, evt._data.get("sid"))
        return [taken, payload, *values]

    def rename(seat: Seat | None, evt: gr.EventData) -> Any:
        return gallery_handlers.renamed(handlers, seat, evt._data.get("sid"), evt._data.get("name"))

    def duplicate(evt: gr.EventData) -> Any:
        return gallery_handlers.duplicated(handlers, evt._data.get("sid"))

    def trash(seat: Seat | None, evt: gr.EventData) -> Fields:
        taken, payload, values = gallery_handlers.trashed(handlers, seat, evt._data.get("sid"))
        return [taken, payload, *values]

    def bring_back(seat: Seat | None, evt: gr.EventData) -> Fields:
        found = evt._data
        taken, payload, values = gallery_handlers.brought_back(handlers, seat, found.get("sid"), found.get("enter"))
        return [taken, payload, *values]

    rooms, seat, wire = panel.rooms, shared.seat, shared.wire
    # Every letter that is searched for may ask again, and no question is dropped: the page knows the last one's answer.
    rooms.seek_sessions(seek, [], [wire], trigger_mode="multiple", **EVENT)
    rooms.enter_session(enter, [seat], shared.opened, **EVENT).then(**shared.follow)
    rooms.rename_session(rename, [seat], [wire], trigger_mode="multiple", **EVENT)
    rooms.duplicate_session(duplicate, [], [wire], trigger_mode="multiple", **EVENT)
    rooms.trash_session(trash, [seat], shared.opened, trigger_mode="multiple", **EVENT)
    rooms.bring_back_session(bring_back, [seat], shared.opened, trigger_mode="multiple", **EVENT)
