"""Who asks: refuses requests that name another host than this one, and knows those that came through a proxy.

A studio on the loopback address is for its own machine only.

Any website can give its own name the address 127.0.0.1 after it was opened ("DNS rebinding"); the browser then lets its
scripts talk to a server there as if it were theirs. The name stays in the request's Host header, which scripts cannot
change, so a request with a foreign one is not answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.settings import is_loopback

FORWARDED = ("forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip")
"""Headers by which a proxy says for whom it asks; so do all that begin with ``x-forwarded-``."""


def came_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a request to a studio on the loopback address was sent by somebody else: it came through a proxy, or it
    asks for the studio under a public name. Names of `headers` are in any case."""
    for name, value in headers.items():
        name = name.lower()
        if name in FORWARDED or name.startswith("x-forwarded-") or (name == "host" and not is_loopback(host_of(value))):
            return True
    return False


def host_of(named: str) -> str:
    """The name in a Host header, without its port; empty where there is none."""
    try:
        return (urlsplit(f"//{named}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def guard(allowed: tuple[str, ...]) -> Middleware:
    """What an application is given to stand in front of all its routes."""
    return Middleware(KnownHosts, allowed=allowed)


class KnownHosts:
    """Lets pass what asks for the loopback address, ``localhost`` or one of `allowed`, a proxy's names."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...] = ()) -> None:
        self.app = app
        self.allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # the server's own start and end
            return await self.app(scope, receive, send)
        named = b",".join(value for name, value in scope["headers"] if name == b"host").decode("latin-1")
        if self.knows(named):
            return await self.app(scope, receive, send)
        refusal = PlainTextResponse(
            f"This studio answers its own machine only, at 127.0.0.1 or localhost; the request named {named!r:.80}. "
            "If that is a proxy's name, start the studio with --allow-host and the name.",
            status_code=403,
        )
        return await refusal(scope, receive, send)

    def knows(self, named: str) -> bool:
        """Whether `named`, a Host header, is one of the names of this studio."""
        host = host_of(named)
        return is_loopback(host) or host in self.allowed
