"""Answers each request in the language that its headers ask for: which that is, `studio.ui.language` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

Speaking = Callable[[Mapping[str, str]], AbstractContextManager[None]]
"""From a request's headers to what its answer is made within."""


def guard(speaking: Speaking) -> Middleware:
    """What an application is given to stand in front of its routes."""
    return Middleware(Interpreter, speaking=speaking)


class Interpreter:
    """Lets everything pass, within what `speaking` gives for it."""

    def __init__(self, app: ASGIApp, speaking: Speaking) -> None:
        self.app, self.speaking = app, speaking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with self.speaking(Headers(scope=scope)):
            return await self.app(scope, receive, send)
