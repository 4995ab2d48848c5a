"""Stands in front of every route: answers the open ones only, to the studio's own pages only, with fixed headers.

Whoever opens a website lets its scripts send requests to a studio on the same machine. Browsers say in headers that
scripts cannot change where a request comes from (``Origin``, ``Sec-Fetch-Site``); a request from another site is
refused, and other ports of this machine are other sites. The addresses that are open are in `studio.api.open_routes`;
Gradio's ``file=``, which fetches whatever address it is given and answers it as this site's own, is not among them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.api.open_routes import OpenRoute, find

NOT_OPEN = "The studio does not answer this address."
FOREIGN = (
    "The request comes from another site ({source:.80}); the studio answers its own page only. "
    "Open that page and do it there. Where a proxy stands in front, let it pass the Host header on."
)

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
INLINE_SCRIPT = re.compile(rb"<script(?:\s[^>]*)?>(.*?)</script", re.DOTALL | re.IGNORECASE)


def guard(names: Iterable[str], frames: Iterable[str], scripts: Iterable[str] = ()) -> Middleware:
    """What an application is given to stand in front of all its routes.

    `names` are those of a proxy, under which the studio's page may be; `frames` the sites that may show it in a frame;
    `scripts` the texts of those that the page adds to itself when it has loaded.
    """
    return Middleware(Gate, names=tuple(names), frames=tuple(frames), scripts=tuple(scripts))


class Gate:
    """Lets pass what asks for an open route from the studio's own page, and gives every answer its headers."""

    def __init__(
        self,
        app: ASGIApp,
        names: tuple[str, ...] = (),
        frames: tuple[str, ...] = (),
        scripts: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names)
        self.added = [script.encode() for script in scripts]
        self.framed = f"; frame-ancestors {' '.join(frames) or NOWHERE}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # no route speaks over web sockets
            return await send({"type": "websocket.close", "code": 1008})
        route = find(scope["method"], scope["path"])
        headers = Headers(scope=scope)
        if route is None:
            return await self._refuse(scope, receive, send, 404, NOT_OPEN)
        if (source := self.foreign(route, headers)) is not None:
            return await self._refuse(scope, receive, send, 403, FOREIGN.format(source=repr(source)))
        if route.is_page and scope["method"] == "GET":
            return await self.app(scope, receive, self._page(send))
        return await self.app(scope, receive, self._data(send))

    def foreign(self, route: OpenRoute, headers: Headers) -> str | None:
        """The other site that a request comes from, in the browser's words; ``None`` for one from the studio's page.

        A link to the studio from elsewhere may be followed. What changes something must say where it comes from.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None:
            return None if self.is_own(origin, headers.get("host", "")) else origin
        if site in ("same-origin", "none"):
            return None if site == "same-origin" or not route.changes else site
        if route.changes:
            return site or "it does not say which"
        return None if site is None or headers.get("sec-fetch-mode") == "navigate" else site

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
            found = [*INLINE_SCRIPT.findall(body), *self.added]
            digests = (hashlib.sha256(script).digest() for script in found if script)
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
        await PlainTextResponse(words, status_code=status)(scope, receive, self._data(send))
