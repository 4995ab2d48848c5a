"""A turn's picture as a PNG, JPEG or WebP file, with its recipe inside or with nothing but pixels.

What its colours are is always said, by the profile of the colour space that was chosen.

The recipe is JSON: every request from the original to the turn. A PNG carries it as text (an ``iTXt`` chunk with the
keyword ``palimpsest``), a JPEG or WebP as the comment of its EXIF data (tag ``UserComment``, in ASCII). It never names
the session, whose id is all that is needed to open it.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from pipelines.colour_spaces import ColourSpace, in_16_bits, in_space, profile
from pipelines.contract import Picture
from pipelines.pictures import FORMATS, LARGEST_FILE
from studio.errors import UserError
from studio.history.turn import canonical_json
from studio.store.record import Record

KEYWORD = "palimpsest"
RECIPE_VERSION = 1
QUALITY = 95
"""Of JPEG and WebP, which are lossy; JPEG keeps colours at full resolution."""
ASCII = b"ASCII\0\0\0"
"""How EXIF says that a comment is ASCII."""
AFTER_HEADER = 33
"""Bytes of a PNG's signature and its first chunk, behind which a profile belongs."""
LARGEST_EXIF = 65_000
"""Bytes: a JPEG segment holds 65,533, of which the other fields need some."""


class PictureFormat(StrEnum):
    """What a picture can be exported as."""

    PNG = "png"
    """The very pixels, in sRGB."""
    JPEG = "jpeg"
    WEBP = "webp"


class RecipeTooLong(UserError):
    """A JPEG has no room for the recipe."""


def recipe(record: Record, turn_id: str) -> dict[str, Any]:
    """How the picture of a turn came to be: each turn from the original to it with its whole request, the model and
    the checksum of its weights among it. Raises `UnknownTurn`."""
    turns = [record.tree[id] for id in record.tree.line(turn_id)]
    return {
        "version": RECIPE_VERSION,
        "width": record.width,
        "height": record.height,
        "turns": [
            {
                "id": turn.id,
                "picture": turn.picture,
                "request": None if turn.request is None else turn.request.to_json(),
            }
            for turn in turns
        ],
    }


def export_picture(
    picture: Picture,
    file_format: PictureFormat,
    metadata: Mapping[str, Any] | None,
    colours: ColourSpace = ColourSpace.SRGB,
) -> bytes:
    """The file of `picture` ``(H, W, 3) uint8`` in sRGB, its colours as `colours` has them, with `metadata`, or with no
    metadata of any kind for ``None``.

    Raises `RecipeTooLong` for a JPEG whose recipe does not fit: long brush strokes do that.
    """
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3, (picture.dtype, picture.shape)
    text = None if metadata is None else canonical_json(metadata)
    options: dict[str, Any] = {"icc_profile": profile(colours)}
    if file_format is PictureFormat.PNG:
        if text is not None:
            options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt(KEYWORD, text)
    else:
        options["quality"] = QUALITY
        if text is not None:
            options["exif"] = _exif(text)
        if file_format is PictureFormat.JPEG:
            options["subsampling"] = 0
            if text is not None and len(options["exif"]) > LARGEST_EXIF:
                raise RecipeTooLong(
                    f"a JPEG holds about {LARGEST_EXIF >> 10} KB of recipe; this one's has "
                    f"{len(options['exif']) >> 10} KB. Export it as PNG or WebP, or as JPEG without metadata"
                )
    buffer = io.BytesIO()
    Image.fromarray(in_space(picture, colours)).save(buffer, file_format.upper(), **options)
    return buffer.getvalue()


def export_fine(picture: Picture, colours: ColourSpace) -> bytes:
    """A PNG of 16 bits a channel, with the profile of `colours` and nothing else beside its pixels."""
    fine = in_16_bits(picture, colours)
    _, packed = cv2.imencode(".png", cv2.cvtColor(fine, cv2.COLOR_RGB2BGR))
    plain, body = packed.tobytes(), b"iCCPICC\0\0" + zlib.compress(profile(colours))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return plain[:AFTER_HEADER] + chunk + plain[AFTER_HEADER:]


def read_recipe(data: bytes) -> Mapping[str, Any] | None:
    """The recipe in a PNG, JPEG or WebP file; ``None`` when there is none that can be read.

    It is what the file says: nothing of it has been checked but that it is a JSON object of this version.
    """
    if len(data) > LARGEST_FILE:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.format == "PNG":
                text = image.info.get(KEYWORD, "")
            else:
                comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
                text = comment.removeprefix(ASCII).decode("ascii")
        found = json.loads(text)
    except Exception:  # noqa: BLE001  whatever is wrong with a stranger's file, it holds no recipe
        return None
    known = isinstance(found, dict) and found.get("version") == RECIPE_VERSION
    return found if known else None


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = ASCII + text.encode("ascii")
    return exif.tobytes()
