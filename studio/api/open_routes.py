"""The list of every address that the served studio answers, each with the reason why it is open.

Gradio brings some seventy routes along, and a new version may bring others. What is not listed here is not answered
(`studio.api.gate`), whatever Gradio would do with it; ``tests/security`` compares the list with what a launched server
answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.routing import compile_path

PROGRAMS = ("/api/v1/", "/mcp", "/sdapi/v1/")
"""How the addresses begin that are for programs."""


class Takes(StrEnum):
    """What may be in the body of a request."""

    NOTHING = "nothing"
    EVENT = "an event"
    LASTING = "an event that lasts"
    FILE = "a file"
    JSON = "a JSON object"
    JSON_OR_NOTHING = "a JSON object, or nothing"
    PICTURES = "a JSON object with pictures in it"


@dataclass(frozen=True)
class OpenRoute:
    """One address that is answered, for one method."""

    method: str
    path: str
    """As FastAPI writes it: ``{name}`` is one part of the path, ``{name:path}`` all the rest."""
    reason: str
    takes: Takes = Takes.NOTHING
    needs_no_key: bool = False
    """Whether it is answered to everybody, also where a password or token is set."""
    lasts: bool = False
    """Whether an answer goes on until the page is closed."""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", compile_path(self.path)[0])

    @property
    def is_page(self) -> bool:
        """True for what browsers show as a page; all else is data."""
        return self.path == "/"

    @property
    def is_for_programs(self) -> bool:
        """True for what is no page's: whoever asks need be no browser, and must have the key where others reach it."""
        return self.path.startswith(PROGRAMS)

    @property
    def changes(self) -> bool:
        """True where a request may change something."""
        return self.method not in ("GET", "HEAD")


OPEN = (
    OpenRoute("GET", "/", "the page"),
    OpenRoute("HEAD", "/", "Gradio asks itself whether it is there, before it says that it is", needs_no_key=True),
    OpenRoute("GET", "/assets/{path:path}", "Gradio's scripts and styles, as they are installed"),
    OpenRoute("GET", "/static/{path:path}", "the page's fonts, out of the installed Gradio"),
    OpenRoute("GET", "/theme.css", "the page's colours and sizes"),
    OpenRoute("GET", "/favicon.ico", "the icon of the page's tab"),
    OpenRoute("GET", "/manifest.json", "the page names it; title and icon"),
    OpenRoute(
        "GET",
        "/gradio_api/startup-events",
        "Gradio calls it once itself; afterwards it does nothing",
        needs_no_key=True,
    ),
    OpenRoute("GET", "/gradio_api/app_id", "a page whose connection was lost asks whether the studio is the same one"),
    OpenRoute("GET", "/gradio_api/heartbeat/{session_hash}", "tells when a page was closed", lasts=True),
    OpenRoute("POST", "/gradio_api/run/predict", "every button of the page", Takes.EVENT),
    OpenRoute("POST", "/gradio_api/queue/join", "a page begins to follow its running job", Takes.LASTING),
    OpenRoute("GET", "/gradio_api/queue/data", "the messages of the job that it follows", lasts=True),
    OpenRoute("POST", "/studio/upload", "a picture, mask or session file that a person chose", Takes.FILE),
    OpenRoute("GET", "/studio/picture/{sid}/{digest}.png", "a picture of a session whose id one knows"),
    OpenRoute("GET", "/studio/mask/{sid}/{digest}.png", "a mask of a session whose id one knows, small"),
    OpenRoute("GET", "/studio/cover/{sid}/{digest}.jpg", "the picture of a session in the gallery"),
    OpenRoute("GET", "/studio/preview/{sid}/{number}.jpg", "the picture of the running job"),
    OpenRoute("GET", "/studio/example/{example_id}.png", "the example pictures"),
    OpenRoute("GET", "/studio/script/{asked}/{name}.js", "the page's own scripts, as modules"),
    OpenRoute("GET", "/studio/health", "tells a supervisor that the page can be used", needs_no_key=True),
    OpenRoute("GET", "/studio/export/{sid}/{turn}/finished", "a turn's picture in a size, quality and formats"),
    OpenRoute("GET", "/studio/export/{sid}/{turn}/{kind}", "a turn as a file"),
    OpenRoute("GET", "/studio/session/{sid}.palimpsest", "a session as a file"),
    # For programs: docs/api.md, docs/openapi.json.
    OpenRoute("GET", "/api/v1/openapi.json", "what all of these take and answer"),
    OpenRoute("GET", "/api/v1/models", "the models and LoRA files there are"),
    OpenRoute("GET", "/api/v1/methods", "the methods with their settings"),
    OpenRoute("GET", "/api/v1/examples", "the example pictures there are"),
    OpenRoute("POST", "/api/v1/uploads", "a picture, mask or session file", Takes.FILE),
    OpenRoute("GET", "/api/v1/sessions", "the sessions, where the gallery shows all to everybody"),
    OpenRoute("POST", "/api/v1/sessions", "a new session", Takes.JSON),
    OpenRoute("GET", "/api/v1/sessions/{sid}", "a session whose id one knows"),
    OpenRoute("PATCH", "/api/v1/sessions/{sid}", "another name for it", Takes.JSON),
    OpenRoute("DELETE", "/api/v1/sessions/{sid}", "puts it into the trash"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/restore", "brings it back from there"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/copy", "a copy of it"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/mask", "says what the subject is", Takes.JSON),
    OpenRoute("GET", "/api/v1/sessions/{sid}/masks", "the masks that were saved"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/masks", "saves the one there is", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/masks/use", "selects a saved one", Takes.JSON),
    OpenRoute("DELETE", "/api/v1/sessions/{sid}/masks/{name:path}", "forgets one"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/turns", "begins a turn", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/keep", "a finished candidate becomes a turn", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/discard", "no candidate does"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/go", "stands on a turn", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/branch", "a new branch", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/swap", "begins two turns in the other order", Takes.JSON),
    OpenRoute("POST", "/api/v1/sessions/{sid}/adopt", "lays the other order down as a branch"),
    OpenRoute("POST", "/api/v1/sessions/{sid}/attention", "begins to find what the model looks at", Takes.JSON),
    OpenRoute("GET", "/api/v1/sessions/{sid}/compare", "two turns in numbers"),
    OpenRoute("GET", "/api/v1/sessions/{sid}/pictures/{digest}", "a picture or mask of a session"),
    OpenRoute("GET", "/api/v1/sessions/{sid}/turns/{turn}/{kind}", "a turn, or all of it, as a file"),
    OpenRoute("GET", "/api/v1/jobs/{id}", "where a job is"),
    OpenRoute("GET", "/api/v1/jobs/{id}/events", "the same after each step until it is over", lasts=True),
    OpenRoute("DELETE", "/api/v1/jobs/{id}", "stops a job"),
    OpenRoute("POST", "/mcp", "assistants, by the Model Context Protocol", Takes.JSON),
)


LISTS = (
    "sd-models loras samplers schedulers upscalers latent-upscale-modes hypernetworks face-restorers prompt-styles "
    "sd-vae embeddings scripts"
)
PLUG_INS = (
    # Only with --sdapi: docs/api.md.
    *(OpenRoute("GET", f"/sdapi/v1/{name}", "plug-ins ask for it before they can be used") for name in LISTS.split()),
    OpenRoute("GET", "/controlnet/model_list", "the same; there are none"),
    OpenRoute("GET", "/controlnet/module_list", "the same; there are none"),
    OpenRoute("GET", "/queue/status", "by which a plug-in tells that somebody is there"),
    OpenRoute("GET", "/sdapi/v1/options", "the model that the client's turns run on"),
    OpenRoute("POST", "/sdapi/v1/options", "another one", Takes.JSON_OR_NOTHING),
    OpenRoute("POST", "/sdapi/v1/img2img", "a turn, and its pictures when it is done", Takes.PICTURES),
    OpenRoute("POST", "/sdapi/v1/txt2img", "says that no picture is made of a text alone", Takes.JSON_OR_NOTHING),
    OpenRoute("GET", "/sdapi/v1/progress", "where the client's turn is"),
    OpenRoute("POST", "/sdapi/v1/interrupt", "stops it", Takes.JSON_OR_NOTHING),
    OpenRoute("POST", "/sdapi/v1/png-info", "what a picture's file says of how it was made", Takes.PICTURES),
)
"""What is answered besides where plug-ins of other programs are served."""


SIGN_IN = (
    OpenRoute("GET", "/login/huggingface", "sends somebody to the hub to sign in"),
    OpenRoute("GET", "/login/callback", "where the hub sends them back"),
    OpenRoute("GET", "/logout", "nobody is signed in any more"),
)
"""What is answered besides where people sign in with an account of the hub."""


def methods_at(path: str, open_: tuple[OpenRoute, ...] = OPEN) -> list[str]:
    """The methods that are answered at `path`."""
    return [route.method for route in open_ if route.pattern.match(path)]


def find(method: str, path: str, open_: tuple[OpenRoute, ...] = OPEN) -> OpenRoute | None:
    """The open route that answers `method` at `path`, which is decoded once, as servers hand it on."""
    return next((route for route in open_ if route.method == method and route.pattern.match(path)), None)
