"""Gives out the studio's pictures by session and digest, always as an image and never as anything else.

The files are not put under Gradio's ``allowed_paths``: those are served inline whatever they contain. A session id is
128 random bits and works as the key to its pictures; a digest outside the session is not found, like an unknown one.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from fastapi import HTTPException, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pipelines.pictures import decode, thumbnail
from studio.app import Studio
from studio.errors import UserError

LARGEST_THUMBNAIL = 1024
"""Pixels a side."""
KEEP = "private, max-age=31536000, immutable"
"""A digest names one picture for ever."""


def routes(studio: Studio, examples: Path) -> list[BaseRoute]:
    """The studio's own routes."""

    @functools.lru_cache(maxsize=512)
    def small(data: bytes, side: int) -> bytes:
        return thumbnail(decode(data).picture, side)

    def sized(data: bytes, side: int | None, name: str | None = None) -> Response:
        if side is None:
            return _image(data, "image/png", name)
        return _image(small(data, max(16, min(side, LARGEST_THUMBNAIL))), "image/jpeg", name)

    def picture(sid: str, digest: str, side: int | None = None, download: str | None = None) -> Response:
        """A picture of a session as PNG, or as a JPEG of at most `side` pixels."""
        data = _found(lambda: studio.sessions.get(sid).picture_bytes(digest))
        return sized(data, side, download)

    def preview(sid: str, number: int) -> Response:  # noqa: ARG001  part of the address
        """The latest picture of the running job; `number` only keeps browsers from showing an older one."""
        data = _found(lambda: studio.sessions.get(sid).preview() or b"")
        if not data:
            return Response(status_code=204)  # the run ended since the page heard of this preview: no error
        return _image(data, "image/jpeg", keep="no-store")

    def example(example_id: str, side: int | None = None) -> Response:
        """The picture of an example."""
        file = examples / f"{example_id}.png"
        if not re.fullmatch(r"[a-z0-9-]+", example_id) or not file.is_file():
            raise HTTPException(404)
        return sized(file.read_bytes(), side)

    def health() -> JSONResponse:
        """Answers as soon as the page can be used."""
        return JSONResponse({"status": "ok"})

    return [
        APIRoute("/studio/picture/{sid}/{digest}.png", picture, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/preview/{sid}/{number}.jpg", preview, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/example/{example_id}.png", example, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/health", health, methods=["GET"], include_in_schema=False),
    ]


def _found(read: Callable[[], bytes]) -> bytes:
    """What `read` gives; everything a person could act on becomes the same 404, so that ids cannot be probed."""
    try:
        return read()
    except UserError:
        raise HTTPException(404) from None


def _image(data: bytes, kind: str, name: str | None = None, keep: str = KEEP) -> Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": keep}
    if name is not None:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(_file_name(name))}"
    return Response(data, media_type=kind, headers=headers)


def _file_name(name: str) -> str:
    """`name` with what file systems and headers do not take replaced."""
    kept = (c if c.isalnum() or c in " .-_()" else "-" for c in unicodedata.normalize("NFC", name))
    return "".join(kept).strip(" .")[:120] or "picture.png"
