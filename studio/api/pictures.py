"""Gives out the studio's pictures by session and digest, always as an image and never as anything else.

The files are not put under Gradio's ``allowed_paths``: those are served inline whatever they contain. A session id is
128 random bits and works as the key to its pictures; a digest outside the session is not found, like an unknown one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from fastapi import HTTPException, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pipelines.cache import Cache
from pipelines.contract import Picture
from pipelines.pictures import decode, digest, small_mask, thumbnail
from studio.api.answers import KEEP, NOT_KEPT, found, headers
from studio.app import Studio
from studio.session.sessions import read_example

LARGEST_THUMBNAIL = 1024
"""Pixels a side."""
COVER = 320
"""Pixels a side of a session's picture in a list."""


def routes(studio: Studio, examples: Path) -> list[BaseRoute]:
    """The studio's own routes."""

    room = studio.settings.cache_room * 2**20 // 8  # at first 32 MB: some thousand thumbnails
    kept: Cache[tuple[str, int], bytes] = Cache(room, len)
    making = Lock()

    def small(name: str, side: int, pixels: Callable[[], Picture]) -> bytes:
        def make() -> bytes:
            with making:  # one at a time: of the largest pictures each takes 250 MB meanwhile
                return thumbnail(pixels(), side)

        return kept.get((name, side), make)

    def sized(
        data: bytes, name: str, side: int | None, pixels: Callable[[], Picture], called: str | None = None
    ) -> Response:
        if side is None:
            return _image(data, "image/png", called)
        return _image(small(name, max(16, min(side, LARGEST_THUMBNAIL)), pixels), "image/jpeg", called)

    def picture(sid: str, digest: str, side: int | None = None, download: str | None = None) -> Response:
        """A picture of a session as PNG, or as a JPEG of at most `side` pixels."""
        data = found(lambda: studio.sessions.get(sid).picture_bytes(digest))
        # What was just opened or made is there as pixels.
        return sized(data, digest, side, lambda: studio.services.pixels(digest), download)

    def mask(sid: str, digest: str, side: int) -> Response:
        """A mask of a session, of `side` pixels on its longer side or somewhat more."""
        data = found(lambda: studio.sessions.get(sid).picture_bytes(digest))
        return _image(kept.get((f"mask {digest}", side), lambda: small_mask(data, max(16, side))), "image/png")

    def cover(sid: str, digest: str) -> Response:
        """What stands for a session in a list, also for one in the trash; `digest` only tells browsers when it is
        another picture."""
        now = None if studio.sessions.is_anothers(sid) else studio.store.cover(sid)
        if now is None:
            raise HTTPException(404)
        data = found(lambda: studio.pictures.get(now))
        return _image(
            small(now, COVER, lambda: decode(data).picture), "image/jpeg", keep=KEEP if digest == now else NOT_KEPT
        )

    def preview(sid: str, number: int) -> Response:  # noqa: ARG001  part of the address
        """The latest picture of the running job; `number` only keeps browsers from showing an older one."""
        data = found(lambda: studio.sessions.get(sid).preview() or b"")
        if not data:
            return Response(status_code=204)  # the run ended since the page heard of this preview: no error
        return _image(data, "image/jpeg", keep=NOT_KEPT)

    def example(example_id: str, side: int | None = None) -> Response:
        """The picture of an example."""
        file = examples / f"{example_id}.json"
        if not re.fullmatch(r"[a-z0-9-]+", example_id) or not file.is_file():
            raise HTTPException(404)
        data = read_example(file).picture.read_bytes()
        return sized(data, digest(data), side, lambda: decode(data).picture)

    def health() -> JSONResponse:
        """Answers as soon as the page can be used."""
        return JSONResponse({"status": "ok"})

    return [
        APIRoute("/studio/picture/{sid}/{digest}.png", picture, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/mask/{sid}/{digest}.png", mask, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/cover/{sid}/{digest}.jpg", cover, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/preview/{sid}/{number}.jpg", preview, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/example/{example_id}.png", example, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/health", health, methods=["GET"], include_in_schema=False),
    ]


def _image(data: bytes, kind: str, name: str | None = None, keep: str = KEEP) -> Response:
    return Response(data, media_type=kind, headers=headers(name, keep))
