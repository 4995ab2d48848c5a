"""A turn's picture as a PNG, JPEG, WebP, AVIF or TIFF file, with its recipe inside or with nothing but pixels.

What its colours are is always said, by the profile of the colour space that was chosen. What was clear in the file that
was opened, and 16 bits of it, come back as `pipelines.masters` has it.

The recipe is JSON: every request from the original to the turn. A PNG carries it as text (an ``iTXt`` chunk with the
keyword ``palimpsest``), a JPEG, WebP or AVIF as the comment of its EXIF data (tag ``UserComment``, in ASCII); a TIFF
has none. It never names the session, whose id is all that is needed to open it.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import ExifTags, Image

from pipelines.catalog import CATALOG
from pipelines.colour_spaces import ColourSpace, in_16_bits, in_space, profile
from pipelines.contract import Extent
from pipelines.errors import BadParameter
from pipelines.masters import Pixels, Step, decode_master, given_back, in_bits
from pipelines.pictures import FORMATS, LARGEST_FILE, decode
from studio.errors import UserError
from studio.history.frames import frames_along
from studio.history.turn import Turn, canonical_json
from studio.store.blobs import Blobs
from studio.store.record import Record

KEYWORD = "palimpsest"
RECIPE_VERSION = 1
ASCII = b"ASCII\0\0\0"
"""How EXIF says that a comment is ASCII."""
AFTER_HEADER = 33
"""Bytes of a PNG's signature and its first chunk, behind which a profile belongs."""
LARGEST_EXIF = 65_000
"""Bytes: a JPEG segment holds 65,533, of which the other fields need some."""


SIZE = re.compile(r"[1-9]\d{0,4}|(100|[1-9]?\d)%")
OWN_OPTIONS: dict[str, dict[str, Any]] = {"jpeg": {"subsampling": 0}, "avif": {"subsampling": "4:4:4", "speed": 8}}
"""At its usual speed of 6, an AVIF of twelve megapixels takes a core 8 s, at 8 it takes 2 and 2 % more bytes."""


class PictureFormat(StrEnum):
    """What a picture can be exported as."""

    PNG = "png"
    """The very pixels."""
    JPEG = "jpeg"
    """Always opaque: what is clear is white."""
    WEBP = "webp"
    AVIF = "avif"
    TIFF = "tiff"
    """The very pixels, for print."""


LOSSY = frozenset({PictureFormat.JPEG, PictureFormat.WEBP, PictureFormat.AVIF})
DEEP = frozenset({PictureFormat.PNG, PictureFormat.TIFF})
"""Those that may have 16 bits a channel."""


@dataclass(frozen=True)
class Finish:
    """How a picture is written. Raises `BadParameter` for what cannot be."""

    recipe: bool = True
    """Whether it carries its recipe, where its format has a place for it."""
    colours: ColourSpace = ColourSpace.SRGB
    size: str = "100%"
    """A share of the picture's own size, or the longer side in pixels; never enlarged."""
    quality: int = 95
    """Of `LOSSY` formats, 1 to 100; JPEG keeps colours at full resolution."""
    bits: int = 8
    """A channel, 8 or 16, of `DEEP` formats."""

    def __post_init__(self) -> None:
        if not SIZE.fullmatch(self.size) or not int(self.size.rstrip("%")):
            raise BadParameter(
                f'size is a share from 1% to 100%, like "50%", or the longer side in pixels, like "2000"; got '
                f"{self.size!r:.40}",
                "size",
            )
        if not 1 <= self.quality <= 100:
            raise BadParameter(f"quality must lie between 1 and 100; got {self.quality!r:.40}", "quality")
        if self.bits not in (8, 16):
            raise BadParameter(f"bits a channel are 8 or 16; got {self.bits!r:.40}", "bits")

    def side(self, extent: Extent) -> int:
        """The longer side of what is written of a picture of `extent`."""
        own = max(extent.width, extent.height)
        number = int(self.size.rstrip("%"))
        return min(own, max(1, round(own * number / 100)) if self.size.endswith("%") else number)


FULL = Finish()


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


def picture_file(record: Record, turn: str, pictures: Blobs, file_format: PictureFormat, finish: Finish) -> bytes:
    """The file of a turn's picture. Raises `UnknownTurn`, `StorageError`, and `RecipeTooLong` for a JPEG, WebP or AVIF
    without room for its recipe."""
    pixels = pixels_of(record, turn, pictures, finish.bits if file_format in DEEP else 8, file_format)
    return export_picture(pixels, file_format, recipe(record, turn) if finish.recipe else None, finish)


def pixels_of(record: Record, turn: str, pictures: Blobs, bits: int, file_format: PictureFormat) -> Pixels:
    """The picture of `turn` in so many bits, and as clear as its master was where `file_format` can be that."""
    line = [record.tree[id] for id in record.tree.line(turn)]
    if line[0].outcome.master is None or file_format is PictureFormat.JPEG:
        return in_bits(decode(pictures.get(line[-1].picture)).picture, bits)
    master = decode_master(pictures.get(line[0].outcome.master))
    framed = list(zip(line, frames_along(line, Extent(record.width, record.height)), strict=True))
    if master.shape[2] == 3:  # what lies between matters for what is clear alone
        framed = [framed[0], framed[-1]]
    steps = [Step(decode(pictures.get(one.picture)).picture, frame, _recolours(one)) for one, frame in framed]
    return given_back(master, steps, bits)


def _recolours(turn: Turn) -> bool:
    entry = None if turn.request is None else CATALOG.get(turn.request.method)
    return entry is not None and entry.recolours


def export_picture(
    pixels: Pixels, file_format: PictureFormat, metadata: Mapping[str, Any] | None, finish: Finish = FULL
) -> bytes:
    """The file of `pixels`, in sRGB, finished as said, with `metadata`, or with no metadata of any kind for ``None``.

    Raises `RecipeTooLong` for a JPEG, WebP or AVIF whose recipe does not fit: long brush strokes do that.
    """
    text = None if metadata is None else canonical_json(metadata)
    pixels = _within(pixels, finish.side(Extent(pixels.shape[1], pixels.shape[0])))
    pixels, about = _coloured(pixels, finish.colours), profile(finish.colours)
    match file_format:
        case PictureFormat.PNG:
            return _png(pixels, about, text)
        case PictureFormat.TIFF:
            buffer = io.BytesIO()
            tifffile.imwrite(
                buffer,
                pixels,
                photometric="rgb",
                extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
                iccprofile=about,
                compression="adobe_deflate",
                predictor=True,
                metadata=None,
                software=False,
            )
            return buffer.getvalue()
    options: dict[str, Any] = {"icc_profile": about, "quality": finish.quality}
    if text is not None:
        options["exif"] = exif = _exif(text)
        if file_format is PictureFormat.JPEG and len(exif) > LARGEST_EXIF:
            raise RecipeTooLong(
                f"a JPEG holds about {LARGEST_EXIF >> 10} KB of recipe; this one's has "
                f"{len(exif) >> 10} KB. Export it as PNG or WebP, or as JPEG without metadata"
            )
    options |= OWN_OPTIONS.get(file_format, {})
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format.upper(), **options)
    return buffer.getvalue()


def _within(pixels: Pixels, side: int) -> Pixels:
    """Made smaller, until the longer side has so many pixels: means of those covered, each by as much as it is seen."""
    height, width = pixels.shape[:2]
    scale = side / max(width, height)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if pixels.shape[2] == 3:
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    most = np.iinfo(pixels.dtype).max
    seen = pixels[..., 3:].astype(np.float32) / most
    colour = cv2.resize(pixels[..., :3] * seen, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)[..., None]
    straight = np.where(alpha > 0, colour / np.maximum(alpha, 1 / most), most)
    return np.round(np.dstack([straight, alpha * most])).clip(0, most).astype(pixels.dtype)


def _coloured(pixels: Pixels, space: ColourSpace) -> Pixels:
    if space is ColourSpace.SRGB:
        return pixels
    colour = np.ascontiguousarray(pixels[..., :3])
    moved = in_16_bits(colour, space) if pixels.dtype == np.uint16 else in_space(colour, space)
    return np.dstack([moved, pixels[..., 3:]])


def _png(pixels: Pixels, about: bytes, text: str | None) -> bytes:
    """Pillow packs 8 bits better than OpenCV, and has no colours of 16."""
    buffer = io.BytesIO()
    if pixels.dtype == np.uint8:
        Image.fromarray(pixels).save(buffer, "PNG")
        plain = buffer.getvalue()
    else:
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        plain = cv2.imencode(".png", cv2.cvtColor(pixels, order))[1].tobytes()
    said = _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(about))
    if text is not None:
        said += _chunk(b"iTXt", KEYWORD.encode() + bytes(5) + text.encode())
    return plain[:AFTER_HEADER] + said + plain[AFTER_HEADER:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def read_recipe(data: bytes) -> Mapping[str, Any] | None:
    """The recipe in a PNG, JPEG, WebP or AVIF file; ``None`` when there is none that can be read.

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
