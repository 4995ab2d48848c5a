"""What an opened file had more of than the picture that turns work on, transparency and 16 bits a channel, kept beside
the original and given back in exports.

The rule. A pixel that is the very one that was opened, and where it lay or moved by whole pixels (a crop, an extended
canvas), is the file's own in all its bits. What was clear stays clear until a turn draws there: turns that change
colours alone (`Method.recolours`) leave all of it clear, and what is cropped, resized or turned takes it along. A
half-clear edge is clear for as long as the clear place nearest to it; where its colour was changed, that is unmixed
from the colour it lies on. All else is opaque. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Extent, Mask, Picture
from pipelines.frames import Frame, Moves
from pipelines.masks.carry import carried_picture
from pipelines.pictures import QUICKLY

Pixels = NDArray[Any]
"""``(H, W, 3 or 4) uint8 or uint16``: sRGB, and straight alpha where there are four."""


def encode_master(master: Pixels) -> bytes:
    """A PNG with these pixels and nothing else."""
    order = cv2.COLOR_RGBA2BGRA if master.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(master, order), QUICKLY)[1].tobytes()


def decode_master(data: bytes) -> Pixels:
    """What `encode_master` was given."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, "a master is looked at when it comes in"
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB))


@dataclass(frozen=True, eq=False)
class Step:
    """One picture on the way from the original to what is exported, and its frame."""

    picture: Picture
    frame: Frame
    recolours: bool = False
    """Whether the turn that made it changed colours alone."""


def given_back(master: Pixels, steps: Sequence[Step], bits: int) -> Pixels:
    """The picture of the last step in 8 or 16 bits a channel, with what `master` has of the first one."""
    first, last = steps[0], steps[-1]
    moves, extent = first.frame.to(last.frame), last.frame.extent
    whole = (moves.a, moves.b, moves.d, moves.e) == (1, 0, 0, 1) and moves.c % 1 == moves.f % 1 == 0
    pixels = in_bits(last.picture, bits)
    alpha = _alpha_along(master[..., 3], steps) if master.shape[2] == 4 else None
    same = np.zeros(last.picture.shape[:2], np.bool_)
    if whole:
        beyond = carried_picture(np.full(first.picture.shape[:2], 255, np.uint8), moves, extent) > 0
        same = beyond & (carried_picture(first.picture, moves, extent) == last.picture).all(-1)
        own = in_bits(carried_picture(master[..., :3], moves, extent), bits)
        pixels = np.where(same[..., None], own, pixels)
    if alpha is None:
        return pixels
    alpha = in_bits(alpha, bits)
    most = np.iinfo(alpha.dtype).max
    rim = (alpha > 0) & (alpha < most) & ~same
    if rim.any():
        pixels[rim] = _unmixed(in_bits(last.picture, bits), alpha, rim)
    pixels[alpha == 0] = most
    return np.dstack([pixels, alpha])


def in_bits(levels: Pixels, bits: int) -> Pixels:
    """The same in so many bits: 8 are each 257 of 16, which go back to the nearest."""
    if levels.dtype == np.uint8:
        return levels if bits == 8 else levels.astype(np.uint16) * np.uint16(257)
    return levels if bits == 16 else ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _alpha_along(alpha: NDArray[Any], steps: Sequence[Step]) -> NDArray[Any]:
    """That of the last picture, from that of the first."""
    for before, now in pairwise(steps):
        if before.frame != now.frame:
            alpha = _carried(alpha, before.frame.to(now.frame), now.frame.extent)
        elif not now.recolours:
            alpha = _still_clear(alpha, (before.picture == now.picture).all(-1))
    return alpha


def _carried(alpha: NDArray[Any], moves: Moves, extent: Extent) -> NDArray[Any]:
    """As it lies in a picture of `extent`; opaque beyond it, where something was drawn."""
    to, size = np.array(moves.of_pixels), (extent.width, extent.height)
    there = cv2.warpAffine(np.ones(alpha.shape, np.uint8), to, size, flags=cv2.INTER_NEAREST)
    smooth = cv2.INTER_AREA if moves.scale < 1 else cv2.INTER_LINEAR
    carried = cv2.warpAffine(alpha, to, size, flags=smooth, borderMode=cv2.BORDER_REPLICATE)
    return np.where(there > 0, carried, np.iinfo(alpha.dtype).max)


def _still_clear(alpha: NDArray[Any], unchanged: Mask) -> NDArray[Any]:
    """What is left of it where the other pixels were drawn anew."""
    most, clear = np.iinfo(alpha.dtype).max, alpha == 0
    kept = unchanged.copy()
    if clear.any() and not unchanged[alpha < most].all():
        kept |= (unchanged & clear).ravel()[_nearest(clear)] & ~clear
    return np.where(kept, alpha, most)


def _unmixed(picture: Pixels, alpha: NDArray[Any], rim: Mask) -> NDArray[Any]:
    """The colours of `rim` that, as clear as `alpha` says, over the clear place nearest to them give `picture`."""
    clear, most = alpha == 0, np.iinfo(picture.dtype).max
    below = picture.reshape(-1, 3)[_nearest(clear)[rim]].astype(np.float64) if clear.any() else float(most)
    share = alpha[rim][:, None] / most
    colours = (picture[rim] - (1 - share) * below) / share
    return np.round(colours).clip(0, most).astype(picture.dtype)


def _nearest(clear: Mask) -> NDArray[np.intp]:
    """Of every pixel, the number of the pixel of `clear` that lies nearest."""
    _, labels = cv2.distanceTransformWithLabels(
        (~clear).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    numbers = np.zeros(int(labels.max()) + 1, np.intp)
    numbers[labels[clear]] = np.flatnonzero(clear)
    return np.asarray(numbers[labels])
