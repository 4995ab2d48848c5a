"""Where the studio keeps things and how it listens: one frozen value, read once at start."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.contract import Quality
from studio.errors import BadKey, DataFolderError

ASSETS = Path(__file__).resolve().parents[1] / "assets"


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataFolderError(
            f"{variable} must name folders; got {path!r:.80}, of a user that there is none of here. Give the whole path"
        ) from None


def default_data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The platform's folder for a user's application data, or ``PALIMPSEST_DATA``."""
    if given := environment.get("PALIMPSEST_DATA"):
        return _expanded(given, "PALIMPSEST_DATA")
    if sys.platform == "win32":
        base = Path(environment.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share"))
    return base / "palimpsest"


def default_model_folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The embedded models, then the folders in ``PALIMPSEST_MODELS`` (separated as in ``PATH``)."""
    extra = [_expanded(p, "PALIMPSEST_MODELS") for p in environment.get("PALIMPSEST_MODELS", "").split(os.pathsep) if p]
    return (ASSETS / "models", *extra)


def default_hosts(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The names in ``PALIMPSEST_HOSTS``, separated by commas."""
    return tuple(name.strip() for name in environment.get("PALIMPSEST_HOSTS", "").split(",") if name.strip())


def is_site(text: str) -> bool:
    """Whether `text` is the address of a site and nothing more, like ``https://huggingface.co``."""
    return re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", text) is not None


def default_frames(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The sites in ``PALIMPSEST_FRAMES``, separated by commas; what is no site's address lets nobody in."""
    return tuple(site for name in environment.get("PALIMPSEST_FRAMES", "").split(",") if is_site(site := name.strip()))


PASSWORD = re.compile(r"(?P<name>[^:\s]{1,64}):(?P<hash>scrypt\.[\w-]{22}\.[\w-]{43})")
"""A name and a hashed password, as `launch.py password` prints it."""
SHORTEST_TOKEN = 16
"""Characters."""


def check_keys(password: str, token: str) -> None:
    """Raise `BadKey` where a password or token is none, without repeating it; empty ones are fine."""
    if password and not PASSWORD.fullmatch(password):
        raise BadKey(
            "a password is given as its hash, so that nobody reads it off the list of processes; "
            "run `launch.py password`, and give what it prints to --auth, or as PALIMPSEST_AUTH"
        )
    if token and not (len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable() and " " not in token):
        raise BadKey(
            f"a token needs at least {SHORTEST_TOKEN} letters, digits or signs without blanks; "
            f"got one of {len(token)} characters. Take a longer one"
        )


class Gallery(StrEnum):
    """Whose sessions a page lists. A session's id is all that is needed to open it, so a list is a bunch of keys."""

    AUTO = "auto"
    """All where only this machine can reach the studio, else own: also on it, what came through a proxy."""
    ALL = "all"
    """Every session of the data folder."""
    OWN = "own"
    """Those that were opened in the same browser, which remembers their ids."""


def default_gallery(environment: Mapping[str, str] = os.environ) -> Gallery:
    """``PALIMPSEST_GALLERY``: ``all``, ``own`` or, as without it, ``auto``. A word that is none of these lists the
    fewest."""
    given = environment.get("PALIMPSEST_GALLERY", Gallery.AUTO).strip().lower()
    return Gallery(given) if given in list(Gallery) else Gallery.OWN


def is_loopback(host: str) -> bool:
    """True when only this machine can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Hosting:
    """What a studio that strangers share lets each of them have, and for how long it remembers; docs/hosting.md."""

    visitor_jobs: int = 1
    """Turns of one visitor that wait or run; visitors are served in turn."""
    visitor_sessions: int = 50
    """Sessions of one visitor; the one that was not used for longest makes room for another."""
    most_quality: Quality = Quality.STANDARD
    most_candidates: int = 2
    largest_side: int = 2048
    """Pixels; a longer picture is made smaller as it is opened."""
    job_seconds: float = 120.0
    """Seconds that one turn may run; the first of a model also loads it."""
    session_hours: float = 24.0
    """Hours without use after which a session is forgotten."""
    data_room: int = 10 * 2**30
    """Bytes of the data folder beyond which sessions are forgotten earlier, those first that were not used for
    longest."""
    stop_seconds: float = 20.0
    """Seconds that the running turn is given to be finished when the studio is told to stop."""


@dataclass(frozen=True)
class SignIn:
    """Where people sign in with an account of the hub, and what this studio is to it."""

    client_id: str
    client_secret: str = field(repr=False)
    provider: str
    """The hub's address."""
    address: str
    """The studio's own, under which the hub sends people back."""

    @classmethod
    def of_space(cls, environment: Mapping[str, str]) -> SignIn | None:
        """As a Space with ``hf_oauth: true`` is told of it; ``None`` for one without."""
        said = [environment.get(name, "").strip() for name in ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "SPACE_HOST")]
        if not all(said):
            return None
        host = said[2].partition(",")[0].strip()  # beside its own it may have other names
        provider = environment.get("OPENID_PROVIDER_URL", "").strip() or "https://huggingface.co"
        return cls(said[0], said[1], provider, f"https://{host}")


@dataclass(frozen=True)
class Settings:
    """What can be set for the whole studio. Everything has a default; the command line overrides field by field."""

    data: Path = field(default_factory=default_data_folder)
    model_folders: tuple[Path, ...] = field(default_factory=default_model_folders)
    """Folders with models in them that are only read."""
    examples: Path = ASSETS / "examples"
    model: str = "toybox"
    """The model a new session starts with, and the one that is warmed up."""
    segmenter: str = "toybox-segmenter"
    language_model: str = ""
    """Folder or hub name of the local language model that splits sentences into turns; without one, rules do."""
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 7860
    allowed_hosts: tuple[str, ...] = field(default_factory=default_hosts)
    """Names under which a proxy on this machine offers the studio; else one on the loopback address answers only those
    who ask for that address."""
    frames: tuple[str, ...] = field(default_factory=default_frames)
    """Sites that may show the page in a frame of theirs, as a hosted Space does; by default none."""
    upload_limit: int = 64
    """Largest uploaded file, in MB."""
    cache_room: int = 256
    """MB of decoded pictures that are kept in memory; the caches beside them go by it: in all at most one and a half
    times as much in the process that serves, and in the one that computes."""
    queue_limit: int = 32
    """Jobs that may wait for the device, all sessions together."""
    trash_days: int = 30
    """Days that a session stays in the trash of a served studio; 0 keeps it for ever."""
    gallery: Gallery = field(default_factory=default_gallery)
    password: str = field(default_factory=lambda: os.environ.get("PALIMPSEST_AUTH", ""), repr=False)
    """Name and hashed password that whoever opens the page must know; ``PALIMPSEST_AUTH``."""
    token: str = field(default_factory=lambda: os.environ.get("PALIMPSEST_TOKEN", ""), repr=False)
    """What programs must send, and people where there is no password; ``PALIMPSEST_TOKEN``."""
    warm_up: bool = True
    """Load the default model in the background after start, so that the first click and run are quick."""
    device_process: bool = False
    """Compute in a process of its own, which is replaced when it crashes; what serves pages should."""
    sdapi: bool = False
    """Whether plug-ins that speak to another program's ``/sdapi/v1`` are answered too."""
    bucket: Path | None = None
    """A folder, like a mounted bucket, into which whole session files are written and out of which they are read at
    start; ``None`` where the data folder lasts."""
    zero_gpu: bool = False
    """Whether the GPU is lent for single calls, as a Space on ZeroGPU has it (`studio.jobs.zero`)."""
    hosting: Hosting | None = None
    """What strangers may; ``None`` for a studio whose people know each other."""
    name_header: str = ""
    """The header in which a proxy that signs people in says who it is; empty where nobody signs in."""
    sign_in: SignIn | None = None
    """Where visitors may sign in; ``None`` where they cannot."""
    proxies: int | None = None
    """Proxies in front of the studio, each of which adds whom it heard to ``X-Forwarded-For``; ``None`` for one where
    the studio itself is on the loopback address, and for none elsewhere."""

    @classmethod
    def hosted(cls, **changes: Any) -> Settings:
        """The settings of a studio that strangers share, on every address of the machine; `changes` go before."""
        shared: dict[str, Any] = {
            "host": "0.0.0.0",  # noqa: S104  strangers are to reach it
            "gallery": Gallery.OWN,
            "hosting": Hosting(),
            "upload_limit": 32,
            "device_process": True,
        }
        return cls(**(shared | changes))

    @property
    def own_models(self) -> Path:
        """The folder for models that were pulled or added."""
        return self.data / "models"

    @property
    def all_model_folders(self) -> tuple[Path, ...]:
        """Where models are looked for; of two with one name the first is taken."""
        return (*self.model_folders, self.own_models)

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches the studio, as far as is known: a proxy that was not named may yet."""
        return is_loopback(self.host) and not self.allowed_hosts

    @property
    def is_open(self) -> bool:
        """Whether others reach the studio, and need to know nothing for it."""
        return not self.is_private and not self.password and not self.token

    @property
    def manages_models(self) -> bool:
        """Whether the page may pull and remove models: where nobody else can reach it, and no proxy is known of."""
        return self.hosting is None and self.is_private and self.lists_all

    @property
    def lists_all(self) -> bool:
        """Whether the gallery shows every session to everybody."""
        if self.hosting is not None:
            return False
        return self.gallery is Gallery.ALL or (self.gallery is Gallery.AUTO and self.is_private)

    @property
    def proxies_in_front(self) -> int:
        """How many proxies a request comes through."""
        return int(is_loopback(self.host)) if self.proxies is None else self.proxies
