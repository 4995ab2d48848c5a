"""Gives out turns and sessions as files, made when they are asked for: picture, layers, animation, session file.

Every answer is a file to be saved, of the type that its address names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from fastapi import HTTPException, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pipelines.colour_spaces import ColourSpace
from pipelines.pictures import decode
from studio.api.answers import NOT_KEPT, found, headers
from studio.app import Studio
from studio.exports.layers import openraster, psd, turn_layers
from studio.exports.pictures import PictureFormat, export_fine, export_picture, recipe
from studio.exports.strip import LinePictures, StripFormat, animated_strip
from studio.store.archive.session_file import write_archive
from studio.store.record import Record

ARCHIVE = "application/zip"
SECONDS_A_TURN, LONGEST = 1.2, 12.0
"""Seconds of the animation for each of its pictures, and of all of it."""
CHUNK = 2**18
"""Bytes."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff")
"""What the name of a session that was made from a file may end with."""


@dataclass(frozen=True)
class Export:
    """One kind of file that is made of a turn."""

    media_type: str
    called: str
    """What follows the session's name; ``{turn}`` becomes ``turn 3``."""
    make: Callable[[Studio, Record, str], bytes]


def _picture(
    file_format: PictureFormat, with_recipe: bool, colours: ColourSpace = ColourSpace.SRGB
) -> Callable[[Studio, Record, str], bytes]:
    def make(studio: Studio, record: Record, turn: str) -> bytes:
        picture = decode(studio.pictures.get(record.tree[turn].picture)).picture
        return export_picture(picture, file_format, recipe(record, turn) if with_recipe else None, colours)

    return make


def _strip(file_format: StripFormat) -> Callable[[Studio, Record, str], bytes]:
    def make(studio: Studio, record: Record, turn: str) -> bytes:
        line = LinePictures(record, turn, studio.pictures)
        return animated_strip(line, min(LONGEST, SECONDS_A_TURN * len(line)), file_format)

    return make


EXPORTS = {
    "recipe.png": Export("image/png", " - {turn}.png", _picture(PictureFormat.PNG, True)),
    "plain.png": Export("image/png", " - {turn}.png", _picture(PictureFormat.PNG, False)),
    "plain.jpg": Export("image/jpeg", " - {turn}.jpg", _picture(PictureFormat.JPEG, False)),
    "display-p3.png": Export(
        "image/png", " - {turn} Display P3.png", _picture(PictureFormat.PNG, False, ColourSpace.DISPLAY_P3)
    ),
    "adobe-rgb.jpg": Export(
        "image/jpeg", " - {turn} Adobe RGB.jpg", _picture(PictureFormat.JPEG, False, ColourSpace.ADOBE_RGB)
    ),
    "adobe-rgb.png": Export(
        "image/png",
        " - {turn} Adobe RGB.png",
        lambda studio, record, turn: export_fine(
            decode(studio.pictures.get(record.tree[turn].picture)).picture, ColourSpace.ADOBE_RGB
        ),
    ),
    "plain.webp": Export("image/webp", " - {turn}.webp", _picture(PictureFormat.WEBP, False)),
    "layers.ora": Export(
        "image/openraster",
        " - {turn} layers.ora",
        lambda studio, record, turn: _layered(openraster, studio, record, turn),
    ),
    "layers.psd": Export(
        "image/vnd.adobe.photoshop",
        " - {turn} layers.psd",
        lambda studio, record, turn: _layered(psd, studio, record, turn),
    ),
    "strip.webp": Export("image/webp", " - before to after.webp", _strip(StripFormat.WEBP)),
    "strip.gif": Export("image/gif", " - before to after.gif", _strip(StripFormat.GIF)),
}
"""By the last part of the address."""


def _layered(write: Callable[..., bytes], studio: Studio, record: Record, turn: str) -> bytes:
    picture, layers = turn_layers(record.tree, turn, studio.pictures)
    return write(layers, picture)


def routes(studio: Studio) -> list[BaseRoute]:
    """The routes of all downloads but that of the bare picture."""

    def export(sid: str, turn: str, kind: str) -> Response:
        """A turn of a session as one of `EXPORTS`."""
        wanted = EXPORTS.get(kind)
        if wanted is None:
            raise HTTPException(404)
        record = found(lambda: studio.sessions.record(sid))
        data = found(lambda: wanted.make(studio, record, turn))
        name = _stem(record.name) + wanted.called.format(turn=_called(record, turn))
        return Response(data, media_type=wanted.media_type, headers=headers(name, NOT_KEPT))

    def session(sid: str) -> Response:
        """The whole session as one file."""
        record = found(lambda: studio.sessions.record(sid))
        file = tempfile.TemporaryFile()  # noqa: SIM115  closed when it was sent
        try:
            found(lambda: write_archive(record, studio.pictures, file))
        except BaseException:
            file.close()
            raise
        size = str(file.tell())
        name = f"{_stem(record.name)}.palimpsest"
        return StreamingResponse(
            _chunks(file), media_type=ARCHIVE, headers={**headers(name, NOT_KEPT), "Content-Length": size}
        )

    return [
        APIRoute("/studio/export/{sid}/{turn}/{kind}", export, methods=["GET"], include_in_schema=False),
        APIRoute("/studio/session/{sid}.palimpsest", session, methods=["GET"], include_in_schema=False),
    ]


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


def _stem(name: str) -> str:
    """A session's name without the ending of the picture that it was made from."""
    path = PurePath(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in PICTURES and path.stem else name


def _called(record: Record, turn: str) -> str:
    number = len(record.tree.line(turn)) - 1
    return f"turn {number}" if number else "original"
