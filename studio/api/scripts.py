"""Gives out the page's scripts, as the modules that they are."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import HTTPException, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from studio.api.answers import headers

FOLDER = "studio/script"
"""Below the page."""


def routes(scripts: Mapping[str, bytes], version: str) -> list[BaseRoute]:
    """The route of `scripts`, which are named ``<name>.js``; of another version than this there are none."""

    async def script(asked: str, name: str) -> Response:
        """One module. Those that it imports are beside it."""
        text = scripts.get(f"{name}.js")
        if text is None or asked != version:
            raise HTTPException(404)
        return Response(text, media_type="text/javascript; charset=utf-8", headers=headers())

    return [APIRoute(f"/{FOLDER}/{{asked}}/{{name}}.js", script, methods=["GET"])]
