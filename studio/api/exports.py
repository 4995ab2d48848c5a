"""Gives out turns and sessions as files, made when they are asked for: picture, layers, animation, session file.

Every answer is a file to be saved, of the type that its address names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, BinaryIO

from fastapi import HTTPException, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pipelines.colour_spaces import ColourSpace
from studio.api.answers import NOT_KEPT, file_name, found, headers
from studio.app import Studio
from studio.exports.kinds import ENDINGS, MEDIA_TYPES, ExportKind, together
from studio.exports.layers import openraster, psd, turn_layers
from studio.exports.pictures import Finish, PictureFormat, picture_file
from studio.exports.strip import LinePictures, StripFormat, animated_strip
from studio.store.archive.session_file import write_archive
from studio.store.record import Record

ARCHIVE = ZIP = "application/zip"
SECONDS_A_TURN, LONGEST = 1.2, 12.0
"""Seconds of the animation for each of its pictures, and of all of it."""
CHUNK = 2**18
"""Bytes."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".heic", ".heif")
"""What the name of a session that was made from a file may end with."""


PLAIN = Finish(recipe=False)


@dataclass(frozen=True)
class Export:
    """One kind of file that is made of a turn."""

    media_type: str
    called: str
    """What follows the session's name; ``{turn}`` becomes ``turn 3``."""
    make: Callable[[Studio, Record, str], bytes]


def _picture(file_format: PictureFormat, finish: Finish) -> Callable[[Studio, Record, str], bytes]:
    return lambda studio, record, turn: picture_file(record, turn, studio.pictures, file_format, finish)


def _strip(file_format: StripFormat) -> Callable[[Studio, Record, str], bytes]:
    def make(studio: Studio, record: Record, turn: str) -> bytes:
        line = LinePictures(record, turn, studio.pictures)
        return animated_strip(line, min(LONGEST, SECONDS_A_TURN * len(line)), file_format)

    return make


EXPORTS = {
    "recipe.png": Export("image/png", " - {turn}.png", _picture(PictureFormat.PNG, Finish())),
    "plain.png": Export("image/png", " - {turn}.png", _picture(PictureFormat.PNG, PLAIN)),
    "plain.jpg": Export("image/jpeg", " - {turn}.jpg", _picture(PictureFormat.JPEG, PLAIN)),
    "plain.webp": Export("image/webp", " - {turn}.webp", _picture(PictureFormat.WEBP, PLAIN)),
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

    def finished(
        sid: str,
        turn: str,
        formats: Annotated[list[PictureFormat], Query(min_length=1)],
        size: str,
        quality: int,
        colours: ColourSpace,
        bits: int,
        recipe: bool,
    ) -> Response:
        """A turn's picture, finished as said, in one format or, as a ZIP, in several."""
        record = found(lambda: studio.sessions.record(sid))
        finish = found(lambda: Finish(recipe, colours, size, quality, bits))
        called = f"{_stem(record.name)} - {found(lambda: _called(record, turn))}"

        def made() -> dict[str, bytes]:
            return {
                file_name(called + ENDINGS[ExportKind(one)][0]): picture_file(
                    record, turn, studio.pictures, one, finish
                )
                for one in formats
            }

        files = found(made)
        if len(files) > 1:
            return Response(together(files), media_type=ZIP, headers=headers(f"{called}.zip", NOT_KEPT))
        ((name, data),) = files.items()
        return Response(data, media_type=MEDIA_TYPES[ExportKind(formats[0])], headers=headers(name, NOT_KEPT))

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
        APIRoute("/studio/export/{sid}/{turn}/finished", finished, methods=["GET"], include_in_schema=False),
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
