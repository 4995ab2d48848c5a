"""``serve``: the studio in a browser."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import webbrowser
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from pipelines.contract import Quality
from pipelines.errors import BadParameter
from studio import logs
from studio.app import Studio, build_studio
from studio.cli.options import (
    DEFAULTS,
    Data,
    Device,
    LanguageModel,
    Model,
    Models,
    SegmenterName,
    changes_from,
    quality_named,
    settings_from,
)
from studio.cli.report import say
from studio.environment import check_address, give_memory_back, own_surroundings, without_proxies
from studio.session.keeping import Keeping
from studio.session.upkeep import Upkeep
from studio.settings import Gallery, Hosting, Settings, check_keys, is_loopback, is_site

LIMITS = asdict(Hosting())
"""By name, as they are where nothing else is said."""


def _sites(given: list[str]) -> list[str]:
    for site in given:
        if not is_site(site):
            raise typer.BadParameter(f"a site's address is needed, like https://huggingface.co; got {site!r}")
    return given


def serve(
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = DEFAULTS.port,
    host: Annotated[str, typer.Option(help="The address to listen at; others can reach only 0.0.0.0.")] = DEFAULTS.host,
    allow_host: Annotated[
        list[str],
        typer.Option(help="A name under which a proxy on this machine offers the studio; may be repeated."),
    ] = [],  # noqa: B006  typer copies it, here and below
    allow_frame: Annotated[
        list[str],
        typer.Option(
            help="A site that may show the page in a frame, like https://huggingface.co; may be repeated.",
            callback=_sites,
        ),
    ] = [],  # noqa: B006
    data: Data = DEFAULTS.data,
    model: Model = DEFAULTS.model,
    segmenter: SegmenterName = DEFAULTS.segmenter,
    language_model: LanguageModel = DEFAULTS.language_model,
    models: Models = [],  # noqa: B006
    device: Device = DEFAULTS.device,
    gallery: Annotated[
        Gallery,
        typer.Option(help="Whose sessions the page lists: all, or only those opened in the same browser (own)."),
    ] = DEFAULTS.gallery,
    trash_days: Annotated[
        int, typer.Option(help="Days that sessions stay in the trash; 0 keeps them for ever.", min=0, max=36_500)
    ] = DEFAULTS.trash_days,
    upload_limit: Annotated[
        int, typer.Option(help="The largest file that the page takes, in MB.", min=1, max=4_096)
    ] = DEFAULTS.upload_limit,
    cache_room: Annotated[
        int, typer.Option(help="MB of decoded pictures that are kept in memory.", min=1, max=1_000_000)
    ] = DEFAULTS.cache_room,
    auth: Annotated[
        str,
        typer.Option(
            help="Name and hashed password that whoever opens the page must know, as `password` prints them; also as "
            "PALIMPSEST_AUTH.",
            metavar="NAME:HASH",
            show_default=False,
        ),
    ] = DEFAULTS.password,
    token: Annotated[
        str,
        typer.Option(
            help="What programs must send, and people where there is no password; as PALIMPSEST_TOKEN it is not in the "
            "list of processes.",
            show_default=False,
        ),
    ] = DEFAULTS.token,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    warm_up: Annotated[bool, typer.Option(help="Load the model before it is asked for.")] = DEFAULTS.warm_up,
    device_process: Annotated[
        bool, typer.Option(help="Compute in a process of its own: when that crashes, the studio goes on.")
    ] = True,
    sdapi: Annotated[
        bool,
        typer.Option(
            "--sdapi",
            help="Answer plug-ins of Krita, GIMP, Photoshop and Blender too, which speak to /sdapi/v1.",
        ),
    ] = False,
    hosted: Annotated[
        bool,
        typer.Option(
            "--hosted",
            help="For strangers: everyone sees their own sessions only, has one turn at a time, within limits, and is "
            "forgotten after a day.",
        ),
    ] = False,
    limit: Annotated[
        list[str],
        typer.Option(
            help=f"One of the limits of --hosted: {', '.join(LIMITS)}; may be repeated.", metavar="NAME=VALUE"
        ),
    ] = [],  # noqa: B006
    proxies: Annotated[
        int | None,
        typer.Option(
            help="How many proxies in front add to X-Forwarded-For; by default one on the loopback address, else none.",
            min=0,
            show_default=False,
        ),
    ] = None,
    bucket: Annotated[
        Path | None,
        typer.Option(
            help="A folder that outlives the data folder, like a mounted bucket: sessions are written there as whole "
            "files when they rest, and read back at start.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    name_header: Annotated[
        str,
        typer.Option(help="The header in which a proxy that signs people in says who it is.", show_default=False),
    ] = "",
) -> None:
    """Open the studio in the browser."""
    own = settings_from(models, device, model, segmenter)
    settings = replace(
        own,
        host=host,
        port=port,
        allowed_hosts=(*own.allowed_hosts, *allow_host),
        frames=(*own.frames, *allow_frame),
        data=data,
        language_model=language_model,
        gallery=gallery,
        trash_days=trash_days,
        upload_limit=upload_limit,
        cache_room=cache_room,
        password=auth,
        token=token,
        warm_up=warm_up,
        device_process=device_process,
        sdapi=sdapi,
        bucket=bucket,
        hosting=hosting_from(limit) if hosted else None,
        name_header=name_header,
        proxies=proxies,
    )
    if limit and not hosted:
        raise typer.BadParameter("--limit says what strangers may; say --hosted with it")
    serve_settings(settings, browser)


def serve_settings(settings: Settings, browser: bool) -> None:
    """Serve the studio of these settings until it is stopped."""
    give_memory_back()
    logs.to_terminal()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    check_keys(settings.password, settings.token)
    tell_who_comes_in(settings)
    check_address(settings.host, settings.port)
    with own_surroundings() as ignored:
        if ignored:
            say(f"{', '.join(ignored)} do nothing here: what can be set is in `serve --help`.")
        _served(settings, browser)


def hosting_from(limits: list[str]) -> Hosting:
    """What strangers may, with the limits that were named."""
    named = changes_from(limits, "--limit", "job_seconds=60")
    for name, value in named.items():
        default = LIMITS.get(name)
        if default is None:
            raise BadParameter(f"there is no limit called {name!r:.80}; choose from {', '.join(LIMITS)}")
        if isinstance(default, Quality):
            named[name] = quality_named(str(value))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise BadParameter(f"the limit {name} must be a number above 0; got {value!r:.80}")
        elif isinstance(default, int):
            named[name] = math.ceil(value)
    return Hosting(**named)


def tell_who_comes_in(settings: Settings) -> None:
    """Where others may reach the studio, what they need for it, in a line."""
    where = settings.host if not is_loopback(settings.host) else ", ".join(settings.allowed_hosts)
    if settings.is_open:
        seen = "and see all its sessions" if settings.lists_all else "though not list the sessions of others"
        say(
            f"Anyone who can reach {where} can now use this studio, {seen}: there is no password. "
            "Say --auth or --token for one."
        )
    elif not settings.is_private:
        say(f"Whoever reaches {where} needs the {'password' if settings.password else 'token'}; let a proxy add TLS.")


def _served(settings: Settings, browser: bool) -> None:
    """Until Ctrl-C, or until it is asked to end: then the turn that runs is given some seconds to be done, those that
    wait are handed back, and what was done is kept."""
    with without_proxies():  # the page's library makes a client for them as it is imported
        from studio.ui.app import open_page  # it takes seconds to import, and no other command needs it

    asked_to_end = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    studio = build_studio(settings)
    try:
        keeping = None if settings.bucket is None else taken_in(settings.bucket, studio, settings)
        page = open_page(studio, settings)
    except BaseException:
        studio.close()
        raise
    logs.take_over("uvicorn")
    say(f"Palimpsest is open at {page.url}  (Ctrl-C stops it; sessions are kept in {settings.data})")
    upkeep = Upkeep(studio.store, studio.sessions, settings.trash_days, hosting=settings.hosting)
    if browser and has_desktop():
        webbrowser.open(page.url)
    try:
        while not asked_to_end.wait(1.0):  # Windows hears of Ctrl-C only in between
            pass
        say("Asked to end: the turn that runs is finished first, and those that wait are handed back.")
        studio.runner.drain((settings.hosting or Hosting()).stop_seconds)
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        upkeep.close()
        page.close()
        if keeping is not None:
            keeping.close()
        studio.close()
        signal.signal(signal.SIGTERM, before)


def taken_in(bucket: Path, studio: Studio, settings: Settings) -> Keeping:
    """What keeps sessions in the bucket, after those that are there were read back."""
    keeping = Keeping(bucket, studio.store)
    room = None if settings.hosting is None else settings.hosting.data_room
    if found := keeping.take_in(room):
        say(f"{found} sessions were read back from {bucket}")
    keeping.start()
    return keeping


def has_desktop() -> bool:
    """True where a browser can show itself: without a desktop one would open in this very terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
