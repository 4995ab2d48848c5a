"""Arranges the panels on one page and serves it. Importing this loads no torch: the engine is built by its worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.api import assistants, exports, gate, hosts, languages, pictures, scripts, sdapi, sign_in, v1
from studio.api.bodies import EventShape
from studio.api.keys import Keys
from studio.api.uploads import Uploads
from studio.api.visitors import Visitors
from studio.app import Studio
from studio.environment import check_address, without_proxies
from studio.errors import AddressRefused
from studio.settings import Settings, is_loopback
from studio.ui import assets, gallery, models, stage, text, timeline, topbar, turn_panel, wire
from studio.ui.handlers import Handlers
from studio.ui.language import say, speaking, wanted
from studio.ui.panel import EVENT, QUEUED, Shared
from studio.ui.spoken import Spoken
from studio.ui.theme import studio_theme
from studio.verbs.studio import OpenStudio

STORAGE_KEY = "palimpsest"
STORAGE_SALT = "names the last session of this browser"
"""Not a secret: Gradio prints it in its own configuration. It must only be the same after a restart."""

LOOKS_EVERY = 0.05
"""Seconds after which the queue looks whether a page wants to follow its run."""
NEVER_USED = 5.0

MOST_PAGES = 500
"""Pages of which Gradio remembers what stands in them, a third of a megabyte each; the longest unused is forgotten, and
is told to reload. Without a bound whoever calls himself a new page ten thousand times takes three gigabytes."""


@dataclass(frozen=True)
class Arranged:
    """Everything on the page, from top to bottom; nothing of it is bound yet."""

    seat: gr.State
    shown: gr.State
    stored: gr.BrowserState
    line: gr.HTML
    bar: topbar.TopBar
    looks: stage.Stage
    panel: turn_panel.TurnPanel
    film: timeline.Timeline
    rooms: gallery.Gallery
    dialog: models.Models


def arrange(studio: Studio, handlers: Handlers) -> Arranged:
    """The components, within `gr.Blocks`, in the language that is spoken."""
    seat, shown = gr.State(None), gr.State(None)
    stored = gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SALT)
    line = wire.build()
    with gr.Column(elem_id="studio"):
        bar = topbar.build()
        looks = stage.build()
        panel = turn_panel.build(handlers.models(), handlers.qualities(), handlers.most_candidates)
        film = timeline.build()
        rooms = gallery.build()
        dialog = models.build()
        if studio.settings.sign_in is not None:
            gr.HTML(say(text.SIGN_IN, address=studio.settings.sign_in.address), elem_id="sign-in")
    return Arranged(seat, shown, stored, line, bar, looks, panel, film, rooms, dialog)


def build_page(studio: Studio, uploads: Uploads) -> gr.Blocks:
    """The page, not yet served."""
    handlers = Handlers(studio, uploads)
    page = Spoken(lambda: arrange(studio, handlers), title=text.TITLE, analytics_enabled=False, fill_width=True)
    with page:
        on_page = arrange(studio, handlers)
        seat, line, panel = on_page.seat, on_page.line, on_page.panel
        ends: dict[str, Any] = {"inputs": [seat], "outputs": [line]}
        # Following is the one event that lasts, so it is queued, and nobody's following waits for another's.
        follow = EVENT | ends | {"fn": handlers.follow, "queue": True, "concurrency_limit": None}
        bound = EVENT | (QUEUED if studio.settings.zero_gpu else {})
        settle = EVENT | ends | {"fn": handlers.settled, "inputs": [seat, on_page.shown]}
        shared = Shared(handlers, seat, line, panel.fields, panel.holding, on_page.shown, follow, settle, bound)
        topbar.bind(on_page.bar, handlers, shared, panel.values)
        stage.bind(on_page.looks, handlers, shared, panel.values)
        turn_panel.bind(panel, handlers, shared)
        timeline.bind(on_page.film, handlers, shared)
        gallery.bind(on_page.rooms, handlers, shared)
        models.bind(on_page.dialog, handlers, shared, panel.model)

        # What a browser remembers may be of any version, or spoilt; a page must come up all the same.
        remembered: dict[str, Any] = {"values": [on_page.stored], "holding": [Any], "seated": False}
        boots = shared.on(page.load, handlers.boot, shared.opened, with_request=True, **remembered)
        boots.then(**follow)
        seat.change(lambda now: {"sid": now.sid} if now and now.sid else gr.skip(), [seat], [on_page.stored], **EVENT)
        page.unload(handlers.left)
    page.queue(api_open=False, max_size=128)
    look_less_often(page)
    return page


def look_less_often(page: gr.Blocks) -> None:
    """Gradio's queue asks a thousand times a second whether an event came, and a hundred times whether one has progress
    of Gradio's own to tell, which none here has: a tenth of a core, for nothing (``python -m tests.browser.idle``).
    """
    page._queue.sleep_when_free = LOOKS_EVERY
    page._queue.progress_update_sleep_when_free = NEVER_USED


@dataclass(frozen=True)
class OpenPage:
    """A page that is being served."""

    url: str
    page: gr.Blocks
    uploads: Uploads

    def close(self) -> None:
        self.page.close(verbose=False)
        self.uploads.close()


def open_page(studio: Studio, settings: Settings) -> OpenPage:
    """Serves the page and returns at once.

    Our own routes go in front of Gradio's.
    """
    uploads = Uploads(settings.upload_limit * 2**20)
    page = build_page(studio, uploads)
    guard = [hosts.guard(settings.allowed_hosts)] if is_loopback(settings.host) else []
    house = gate.House(
        names=settings.allowed_hosts,
        frames=settings.frames,
        events={fn._id: EventShape(len(fn.inputs), queued=fn.queue) for fn in page.fns.values() if fn.fn},
        largest_file=uploads.limit,
        keys=Keys(settings),
        private=settings.is_private,
        first=assets.address("storage"),
        visitors=None if settings.hosting is None else Visitors(settings),
        plug_ins=settings.sdapi,
        signs_in=settings.sign_in is not None,
    )
    if settings.sign_in is not None:
        guard.append(sign_in.guard(settings.sign_in))
    guard += [gate.guard(house), languages.guard(lambda headers: speaking(wanted(headers)))]
    try:
        with without_proxies():
            app, url, _ = page.launch(
                prevent_thread_lock=True,
                server_name=settings.host,
                server_port=settings.port or None,  # without one Gradio takes the first that is free
                quiet=True,
                show_error=False,
                share=False,
                inline=False,
                inbrowser=False,
                app_kwargs={"middleware": guard},
                ssr_mode=False,
                state_session_capacity=MOST_PAGES,
                run_history=False,
                footer_links=[],
                _frontend=False,  # or it gives up where a busy machine takes more than three seconds for the page
                theme=studio_theme(),
                head=assets.head(),
                favicon_path=assets.ASSETS / "icon.svg",
            )
    except OSError as error:  # somebody was quicker, since it was looked at
        check_address(settings.host, settings.port)
        raise AddressRefused(
            f"the page could not be opened at {settings.host}:{settings.port} ({error}); name another --port"
        ) from None
    verbs = OpenStudio(studio)
    app.router.routes[:0] = [
        *pictures.routes(studio, settings.examples),
        *exports.routes(studio),
        *uploads.routes(),
        *v1.routes(verbs, uploads),
        *assistants.routes(verbs, uploads),
        *(sdapi.routes(verbs) if settings.sdapi else ()),
        *(sign_in.routes(settings.sign_in) if settings.sign_in is not None else ()),
        *scripts.routes(assets.SCRIPTS, assets.VERSION),
    ]
    return OpenPage(url.rstrip("/"), page, uploads)
