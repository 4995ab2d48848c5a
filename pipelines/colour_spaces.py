"""The RGB colour spaces that pictures come in and are exported in, and their profiles. The studio works in sRGB.

A profile is written as the ICC's specification has it (ICC.1:2010, version 4: a matrix and a curve), from the numbers
that define the space, so none has to be shipped. This file imports no torch.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipelines.contract import Picture


class ColourSpace(StrEnum):
    """What the numbers of a picture stand for."""

    SRGB = "srgb"
    DISPLAY_P3 = "display-p3"
    """Of telephones and newer screens."""
    ADOBE_RGB = "adobe-rgb"
    """Of cameras and print."""


@dataclass(frozen=True)
class Definition:
    """Chromaticities ``(x, y)`` of the primaries under D65, and the curve from a value to light, as in IEC 61966-2-1:
    ``((a v + b)) ** g`` from `d` on, ``c v`` below."""

    name: str
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    curve: tuple[float, ...]
    """``g, a, b, c, d``, or ``g`` alone."""


SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
DEFINITIONS = {
    ColourSpace.SRGB: Definition("sRGB", (0.64, 0.33), (0.30, 0.60), (0.15, 0.06), SRGB_CURVE),
    ColourSpace.DISPLAY_P3: Definition("Display P3", (0.680, 0.320), (0.265, 0.690), (0.150, 0.060), SRGB_CURVE),
    ColourSpace.ADOBE_RGB: Definition("Adobe RGB (1998)", (0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (563 / 256,)),
}

D65 = 0.3127, 0.3290
D50 = np.array([0.9642, 1.0, 0.8249])
"""The white of every profile, XYZ."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From XYZ to the cones' responses, in which a white is adapted to another."""
ROWS = 256
"""Of a picture that are worked out at once: in floats, all of a large one would take a gigabyte."""
LIKE = 2
"""Levels that two profiles may differ by and still be the same space."""


@cache
def profile(space: ColourSpace) -> bytes:
    """The ICC profile of `space`: the same bytes each time."""
    defined = DEFINITIONS[space]
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ _xyz(*D65))) @ BRADFORD
    columns = adapted @ _from_light(defined)
    kind = 0 if len(defined.curve) == 1 else 3
    curve = b"para" + struct.pack(">IHH", 0, kind, 0) + _fixed(*defined.curve)
    tags = {
        b"desc": _text(defined.name),
        b"cprt": _text("No copyright"),
        b"wtpt": _point(D50),
        b"chad": b"sf32" + bytes(4) + _fixed(*adapted.ravel()),
        **{name: _point(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    return _assembled(tags)


def in_space(picture: Picture, space: ColourSpace) -> Picture:
    """`picture`, in sRGB, with its colours in the numbers of `space`."""
    if space is ColourSpace.SRGB:
        return picture
    return np.asarray(converted(Image.fromarray(picture), opened(profile(ColourSpace.SRGB)), space))


def in_16_bits(picture: NDArray[Any], space: ColourSpace, source: ColourSpace = ColourSpace.SRGB) -> NDArray[np.uint16]:
    """A picture ``(H, W, 3)`` of 8 or 16 bits in the numbers of `source`, in 16 bits a channel in those of `space`,
    worked out from the definitions: of eight, two dark levels of Adobe RGB are further apart than an eye takes for
    one."""
    most = np.iinfo(picture.dtype).max
    if space is source:
        return picture.astype(np.uint16) * np.uint16(65_535 // most)
    levels = _light(np.arange(most + 1) / most, DEFINITIONS[source]).astype(np.float32)
    across = np.linalg.solve(_from_light(DEFINITIONS[space]), _from_light(DEFINITIONS[source]))
    made = np.empty(picture.shape, np.uint16)
    for row in range(0, len(picture), ROWS):
        light = (levels[picture[row : row + ROWS]] @ across.T.astype(np.float32)).clip(0, 1)
        made[row : row + ROWS] = np.round(_values(light, DEFINITIONS[space]) * 65_535)
    return made


def converted(image: Image.Image, source: ImageCms.ImageCmsProfile, space: ColourSpace) -> Image.Image:
    """`image` from the profile `source` into `space`, in which colours beyond it are clipped. Raises
    `ImageCms.PyCMSError` for a profile that does not fit."""
    found = ImageCms.profileToProfile(image, source, opened(profile(space)), outputMode="RGB")
    assert found is not None  # None only when done in place
    return found


def opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    """A profile's bytes, read; raises `OSError` for what is none."""
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def space_of(profile: ImageCms.ImageCmsProfile) -> ColourSpace | None:
    """The space that an RGB profile is by what it does, whatever it is called; ``None`` for another one."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    for space in ColourSpace:
        moved = np.asarray(converted(Image.fromarray(colours), profile, space)).astype(int)
        if np.abs(moved - colours).max() <= LIKE:
            return space
    return None


def _from_light(defined: Definition) -> NDArray[np.float64]:
    """From linear red, green and blue to XYZ under D65."""
    primaries = np.stack([_xyz(*defined.red), _xyz(*defined.green), _xyz(*defined.blue)], axis=1)
    return np.asarray(primaries * np.linalg.solve(primaries, _xyz(*D65)))


def _light(values: NDArray[Any], defined: Definition) -> NDArray[Any]:
    """By `Definition.curve`, from 0 to 1."""
    g, *linear = defined.curve
    if not linear:
        return np.asarray(values**g)
    a, b, c, d = linear
    return np.where(values >= d, (a * values + b) ** g, c * values)


def _values(light: NDArray[Any], defined: Definition) -> NDArray[Any]:
    """The way back."""
    g, *linear = defined.curve
    if not linear:
        return np.asarray(light ** (1 / g))
    a, b, c, d = linear
    return np.where(light >= c * d, (light ** (1 / g) - b) / a, light / c)


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)


def _point(xyz: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*xyz)


def _text(text: str) -> bytes:
    """In one language, English."""
    written = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(written), 28) + written


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """Header, table and data; what is the same is there once."""
    places: dict[bytes, int] = {}
    at, body = 128 + 4 + 12 * len(tags), b""
    for data in tags.values():
        if data not in places:
            places[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
    table = b"".join(name + struct.pack(">II", places[data], len(data)) for name, data in tags.items())
    size = at + len(body)
    made = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x04200000, b"mntr", b"RGB ", b"XYZ ", made, b"acsp")
    header += bytes(28) + _fixed(*D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body
