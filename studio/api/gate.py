"""Stands in front of every route: answers the open ones only, to the studio's own pages only, with fixed headers, and
reads no more than the route takes.

Whoever opens a website lets its scripts send requests to a studio on the same machine. Browsers say in headers that
scripts cannot change where a request comes from (``Origin``, ``Sec-Fetch-Site``); a request from another site is
refused, and other ports of this machine are other sites. The addresses that are open are in `studio.api.open_routes`;
Gradio's ``file=``, which fetches whatever address it is given and answers it as this site's own, is not among them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.api import bodies
from studio.api.answers import refused
from studio.api.bodies import LARGEST_EVENT, EventShape
from studio.api.hosts import came_from_elsewhere
from studio.api.keys import NO_KEY, SECONDS, Keys
from studio.api.open_routes import OPEN, PLUG_INS, PROGRAMS, SIGN_IN, OpenRoute, Takes, find, methods_at
from studio.api.sign_in import account
from studio.api.visitors import Visitors
from studio.errors import BadBody
from studio.visitors import asked_by

NOT_OPEN = "The studio does not answer this address."
FOREIGN = (
    "The request comes from another site ({source:.80}); the studio answers its own page only. "
    "Open that page and do it there. Where a proxy stands in front, let it pass the Host header on."
)

NO_LENGTH = "The request must say how long it is (Content-Length)."
TOO_LARGE = "At most {most} are taken here; the request has {came}."
NOT_SO = "{path:.80} does not take {method}; it takes {methods}."
NOT_JSON = "A JSON object is taken here (Content-Type: application/json); the request says {came!r:.80}."
NOT_READ = "What was sent cannot be read: {why}. Reload the page and do it again."
SLOW = "The request did not arrive within {seconds:.0f} seconds. Do it again."
TOO_MANY_PICTURES = "Many pictures are being sent or changed at once already. Send it again when one of them is done."
TOO_MANY = "Too many pages of this studio are open at once. Close some, and reload this one."
MOST_LASTING = 400
"""Answers that go on at the same time, of all pages together: each has two at most, and holds a connection with each.
Where a process may have a thousand, some are left for everybody else."""
JSON = (Takes.JSON, Takes.JSON_OR_NOTHING, Takes.PICTURES)
LARGEST_JSON = 2**20
"""Bytes that a program may send, but for files."""
LARGEST_PICTURES = 32 * 2**20
"""The same where it may send pictures among it, in base64."""
MOST_PICTURES = 8
"""Requests with pictures in them that are answered at the same time: each holds what it was sent until then."""
EVENT_SECONDS = 60.0
"""Within which an event must have arrived."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: types are believed, a session's address is told to nobody, and no other site shows what is here."""
NOTHING_RUNS = "default-src 'none'; sandbox"
"""The policy of all that is no page: opened by itself, it may neither run nor load anything."""
PAGE = (
    "default-src 'none'; base-uri 'self'; form-action 'none'; connect-src 'self'; font-src 'self' data:; "
    "img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; manifest-src 'self'; "
    # Gradio compiles the scripts of `gr.HTML`, hence 'unsafe-eval'.
    "script-src 'self' 'unsafe-eval' {scripts}"
)
"""The policy of the page. Of scripts between its own lines it names each, so that none can be slipped in."""
NOWHERE = "'none'"
MODULE = b'<script type="module"'
INLINE_SCRIPT = re.compile(rb"<script(?:\s[^>]*)?>(.*?)</script", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class House:
    """What the gate knows of the studio behind it."""

    names: tuple[str, ...] = ()
    """Of a proxy, under which the page may be."""
    frames: tuple[str, ...] = ()
    """Sites that may show the page in a frame."""
    events: Mapping[int, EventShape] = field(default_factory=dict)
    """By the number that Gradio gives each."""
    largest_file: int = 0
    """Bytes that may be sent as one file."""
    keys: Keys | None = None
    """What whoever comes in must have."""
    private: bool = True
    """Whether only its own machine reaches the studio, as far as is known."""
    first: str = ""
    """Address of the script that the page runs before all others."""
    visitors: Visitors | None = None
    """Tells who asks, where strangers share the studio."""
    plug_ins: bool = False
    """Whether plug-ins of other programs are answered too."""
    signs_in: bool = False
    """Whether people sign in here."""


def guard(house: House) -> Middleware:
    """What an application is given to stand in front of all its routes."""
    return Middleware(Gate, house=house)


class Gate:
    """Lets pass what asks for an open route from the studio's own page, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house
        self.lasting = self.pictures = 0
        self.open = (*OPEN, *(PLUG_INS if house.plug_ins else ()), *(SIGN_IN if house.signs_in else ()))
        self.limits = {
            Takes.NOTHING: 0,
            Takes.FILE: house.largest_file,
            Takes.EVENT: LARGEST_EVENT,
            Takes.LASTING: LARGEST_EVENT,
            Takes.JSON: LARGEST_JSON,
            Takes.JSON_OR_NOTHING: LARGEST_JSON,
            Takes.PICTURES: LARGEST_PICTURES,
        }
        self.names = frozenset(name.lower() for name in house.names)
        self.first = house.first.encode()
        self.framed = f"; frame-ancestors {' '.join(house.frames) or NOWHERE}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.house.visitors is None or scope["type"] != "http":
            return await self._answer(scope, receive, send)
        peer, _ = scope.get("client") or ("", 0)
        with asked_by(self.house.visitors.of(Headers(scope=scope), peer, account(scope.get("session", {})))):
            return await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # no route speaks over web sockets
            return await send({"type": "websocket.close", "code": 1008})
        route = find(scope["method"], scope["path"], self.open)
        headers = Headers(scope=scope)
        if route is None:
            answered = methods_at(scope["path"], self.open) if scope["path"].startswith(PROGRAMS) else []
            if answered:
                words = NOT_SO.format(path=scope["path"], method=scope["method"], methods=", ".join(answered))
                return await self._refuse(scope, receive, send, 405, words)
            return await self._refuse(scope, receive, send, 404, NOT_OPEN)
        if (source := self.foreign(route, headers)) is not None:
            return await self._refuse(scope, receive, send, 403, FOREIGN.format(source=repr(source)))
        problem = await self.locked(route, headers) or self.oversized(route, headers)
        if problem is not None:
            return await self._refuse(scope, receive, send, *problem)
        if route.takes is Takes.PICTURES:
            if self.pictures >= MOST_PICTURES:
                return await self._refuse(scope, receive, send, 503, TOO_MANY_PICTURES)
            self.pictures += 1
            try:
                return await self._read(route, scope, receive, send)
            finally:
                self.pictures -= 1
        if route.takes not in (Takes.NOTHING, Takes.FILE):
            return await self._read(route, scope, receive, send)
        if route.is_page and scope["method"] == "GET":
            return await self.app(scope, receive, self._page(send))
        if not route.lasts:
            return await self.app(scope, receive, self._data(send))
        if self.lasting >= MOST_LASTING:
            return await self._refuse(scope, receive, send, 503, TOO_MANY)
        self.lasting += 1
        try:
            return await self.app(scope, receive, self._data(send))
        finally:
            self.lasting -= 1

    async def _read(self, route: OpenRoute, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body, whose length was found to be within its limit, and hands it on."""
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                sent = await _body(receive)
            event = await to_thread.run_sync(self.read, route, sent)
        except ClientDisconnect:
            return None
        except TimeoutError:
            return await self._refuse(scope, receive, send, 408, SLOW.format(seconds=EVENT_SECONDS))
        except BadBody as fault:
            words = f"{fault}." if route.is_for_programs else NOT_READ.format(why=fault)
            return await self._refuse(scope, receive, send, 400, words)
        return await self.app(_described(scope, event), _replayed(event, receive), self._data(send))

    def foreign(self, route: OpenRoute, headers: Headers) -> str | None:
        """The other site that a request comes from, in the browser's words; ``None`` for one from the studio's page.

        A link to the studio from elsewhere may be followed. What changes something must say where it comes from.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None:
            return None if self.is_own(origin, headers.get("host", "")) else origin
        if site in ("same-origin", "none"):
            return None if site == "same-origin" or not route.changes else site
        if route.changes and (site or not route.is_for_programs):  # a program says neither, and every browser does
            return site or "it does not say which"
        return None if site is None or headers.get("sec-fetch-mode") == "navigate" else site

    async def locked(self, route: OpenRoute, headers: Headers) -> tuple[int, str] | None:
        """Status and words for who has no key."""
        if self.house.keys is not None and self.house.keys.any:
            return None if route.needs_no_key else await self.house.keys.refusal(headers.get("authorization", ""))
        reached = not self.house.private or came_from_elsewhere(headers)
        return (401, NO_KEY) if route.is_for_programs and reached else None

    def read(self, route: OpenRoute, sent: bytes) -> bytes:
        """What of a body is handed on; raises `BadBody`."""
        if route.takes in JSON:
            empty = route.takes is Takes.JSON_OR_NOTHING and not sent.strip()
            return b"{}" if empty else json.dumps(bodies.read(sent)).encode()
        return bodies.event(sent, self.house.events, route.takes is Takes.LASTING)

    def oversized(self, route: OpenRoute, headers: Headers) -> tuple[int, str] | None:
        """Status and words for a body that is longer than `route` takes, does not say how long it is, or is no JSON."""
        if "transfer-encoding" in headers:
            return 411, NO_LENGTH
        most, came = self.limits[route.takes], int(headers.get("content-length", "0"))
        if came > most:
            return 413, TOO_LARGE.format(most=_size(most), came=_size(came))
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        needed = route.takes in JSON and (came or route.takes is not Takes.JSON_OR_NOTHING)
        wrong = needed and kind != "application/json"
        return (415, NOT_JSON.format(came=kind)) if wrong else None

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a page at `origin` is the one that the request's `host` serves, or that of a named proxy."""
        try:
            from_, to = urlsplit(origin), urlsplit(f"//{host}")
            standard = {"http": 80, "https": 443}.get(from_.scheme)
            if standard is None or not from_.hostname:
                return False
            port = from_.port or standard
            if from_.hostname == to.hostname and port == (to.port or standard):
                return True
            return port == standard and from_.hostname in self.names
        except ValueError:
            return False

    def _data(self, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._head(message, NOTHING_RUNS)
            await send(message)

        return answer

    def _page(self, send: Send) -> Send:
        """As `_data`, for the page: its policy names the scripts that it holds, so it is sent when it is whole."""
        starts: list[Message] = []
        body = bytearray()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                return starts.append(message)
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return None
            if self.house.first:  # modules run in the order in which they stand
                body[:] = body.replace(MODULE, b'<script type="module" src="%b"></script>%b' % (self.first, MODULE), 1)
                MutableHeaders(scope=starts[0])["Content-Length"] = str(len(body))
            digests = (hashlib.sha256(script).digest() for script in INLINE_SCRIPT.findall(body) if script)
            scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
            self._head(starts[0], PAGE.format(scripts=scripts))
            await send(starts[0])
            return await send({"type": "http.response.body", "body": bytes(body)})

        return answer

    def _head(self, start: Message, policy: str) -> None:
        headers = MutableHeaders(scope=start)
        for name, value in HEADERS.items():
            headers[name] = value
        headers["Content-Security-Policy"] = policy + self.framed

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
        programs = scope["path"].startswith(PROGRAMS)
        answer: Response = refused(status, words) if programs else PlainTextResponse(words, status_code=status)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer" if programs else 'Basic realm="Palimpsest", charset="UTF-8"'
        elif status == 405:
            answer.headers["Allow"] = ", ".join(methods_at(scope["path"], self.open))
        elif status == 429:
            answer.headers["Retry-After"] = str(math.ceil(SECONDS))
        await answer(scope, receive, self._data(send))


async def _body(receive: Receive) -> bytes:
    """All of a body, whose length was found to be within its limit."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _described(scope: Scope, body: bytes) -> Scope:
    """The request with `body` for its own."""
    told = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    kept = [(name, value) for name, value in scope["headers"] if name not in (b"content-type", b"content-length")]
    return {**scope, "headers": [*kept, *told]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives `body` first, and then what else there is to hear of the request."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _size(size: int) -> str:
    """``4 MB``; what is smaller than one, in bytes."""
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else f"{size:,} bytes"
