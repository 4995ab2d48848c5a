"""Signing in with an account of the hub, where a Space offers it (``hf_oauth: true``): OpenID Connect, by Authlib.

What stays of it is a signed cookie with the account's id, by which `studio.api.visitors` tells its visitor: no token,
no name and no picture is asked for or kept. In a frame whose browser keeps no cookies of other sites it does nothing,
so the page's link leads to the Space's own address.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from fastapi.routing import APIRoute
from httpx2 import HTTPError
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import BaseRoute

from studio.settings import SignIn

log = logging.getLogger(__name__)

LOGIN, CALLBACK, LOGOUT = "/login/huggingface", "/login/callback", "/logout"
WHO = "who"
"""Under which the cookie has the account's id."""
SECONDS = 14 * 24 * 3600
"""For which somebody stays signed in."""
CAME_TO_NOTHING = "The sign-in came to nothing ({why}). Go back to the studio and try it once more, or go on without."


def guard(sign_in: SignIn) -> Middleware:
    """What reads and writes the cookie; must stand in front of whatever asks who somebody is."""
    secret = hashlib.sha256(b"palimpsest sign-in " + sign_in.client_secret.encode()).hexdigest()
    return Middleware(SessionMiddleware, secret_key=secret, max_age=SECONDS, same_site="none", https_only=True)


def account(cookie: Mapping[str, Any]) -> str:
    """The id of the account that is signed in, of what the cookie holds; empty where none is."""
    found = cookie.get(WHO, "")
    return found if isinstance(found, str) else ""


def routes(sign_in: SignIn) -> list[BaseRoute]:
    """Going to the hub, coming back, and leaving."""
    oauth = OAuth()
    oauth.register(
        name="hub",
        client_id=sign_in.client_id,
        client_secret=sign_in.client_secret,
        client_kwargs={"scope": "openid"},
        server_metadata_url=f"{sign_in.provider.rstrip('/')}/.well-known/openid-configuration",
    )

    async def login(request: Request) -> Response:
        """To the hub."""
        try:
            found: Response = await oauth.hub.authorize_redirect(request, f"{sign_in.address}{CALLBACK}")
        except (OAuthError, HTTPError, RuntimeError) as problem:
            return refused(problem)
        return found

    async def back(request: Request) -> Response:
        """Back from it, with what proves who somebody is."""
        try:
            token = await oauth.hub.authorize_access_token(request)
            who = str(token["userinfo"]["sub"])
        except (OAuthError, HTTPError, KeyError, RuntimeError, ValueError) as problem:
            return refused(problem)
        request.session.clear()
        request.session[WHO] = who
        return RedirectResponse("/", 303)

    async def leave(request: Request) -> Response:
        """Nobody is signed in here any more."""
        request.session.clear()
        return RedirectResponse("/", 303)

    def refused(problem: Exception) -> Response:
        log.warning("a sign-in came to nothing: %s", problem)
        return PlainTextResponse(
            CAME_TO_NOTHING.format(why=getattr(problem, "error", "") or type(problem).__name__), 400
        )

    return [
        APIRoute(LOGIN, login, methods=["GET"], include_in_schema=False),
        APIRoute(CALLBACK, back, methods=["GET"], include_in_schema=False),
        APIRoute(LOGOUT, leave, methods=["GET"], include_in_schema=False),
    ]
