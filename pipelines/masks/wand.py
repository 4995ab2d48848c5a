"""What has the colour of a place: the magic wand. No torch here."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipelines.contract import Box, Mask, Picture, Point

AROUND = 1
"""Pixels to each side of the place whose mean is its colour: one pixel alone may be noise."""


def alike(picture: Picture, at: Point, tolerance: float, everywhere: bool = False, within: Box | None = None) -> Mask:
    """``(H, W) bool``: where the colour is no further from that `at` the point than `tolerance` (colour difference of
    CIELAB, CIE 1976: 2 is just seen, 100 lies between black and white).

    Only what hangs together with the point, by edges or corners, unless `everywhere`; and only within the box `within`,
    where one is given. Nothing where the point lies beyond the picture or the box.
    """
    height, width = picture.shape[:2]
    found = np.zeros((height, width), np.bool_)
    box = within or Box(0, 0, width, height)
    left, top = max(0, math.floor(box.left)), max(0, math.floor(box.top))
    right, bottom = min(width, math.ceil(box.right)), min(height, math.ceil(box.bottom))
    x, y = math.floor(min(at.x, width - 1)), math.floor(min(at.y, height - 1))
    if not (left <= x < right and top <= y < bottom):
        return found
    window = slice(top, bottom), slice(left, right)
    lab = cv2.cvtColor(np.ascontiguousarray(picture[window]), cv2.COLOR_RGB2LAB)
    x, y = x - left, y - top
    piece = lab[max(0, y - AROUND) : y + AROUND + 1, max(0, x - AROUND) : x + AROUND + 1]
    colour = piece.reshape(-1, 3).astype(np.float64).mean(0)
    units = (100 / 255, 1.0, 1.0)  # eight bits hold L* from 0 to 100 and a*, b* as they are
    squares = [
        cv2.LUT(channel, ((np.arange(256) - level) * unit).astype(np.float32) ** 2)
        for channel, level, unit in zip(cv2.split(lab), colour, units, strict=True)
    ]
    near = (squares[0] + squares[1] + squares[2] <= np.float32(tolerance) ** 2).astype(np.uint8)
    near[y, x] = 1  # the mean of its surroundings may be another colour than its own
    if not everywhere:
        cv2.floodFill(near, None, (x, y), 2, flags=8)
        near = (near == 2).astype(np.uint8)
    found[window] = near > 0
    return found
