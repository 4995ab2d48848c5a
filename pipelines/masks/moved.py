"""A subject's layer, moved: where it is then, and what is seen in the place that it leaves. No torch here."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pipelines.contract import Extent, Mask, Motion, Picture
from pipelines.masks.refine import grown

FILLED_AT = 512
"""Longest side in pixels at which a hole is filled from its surroundings: the filling is smooth, and its time grows
with the hole's area."""
BLEED = 3
"""Pixels around the hole that are not filled from either: they may still show the subject's rim or shadow."""


def bounds(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around `mask`, which must not be empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def with_room(motion: Motion, mask: Mask) -> Motion:
    """`motion` as far as the subject at `mask` (not empty) stays inside the picture."""
    rows, height = bounds(mask)[0], mask.shape[0]
    return replace(motion, raised=min(max(motion.raised, (rows.stop - height) / height), rows.start / height))


def moved_mask(mask: Mask, motion: Motion | None) -> Mask:
    """Where the subject at `mask` is once it was moved, as far as there is room; `mask` itself where it was not, or is
    empty."""
    if motion is None or not mask.any():
        return mask
    rows, columns = bounds(mask)
    up = round(with_room(motion, mask).raised * mask.shape[0])
    there = np.zeros_like(mask)
    there[rows.start - up : rows.stop - up, columns] = mask[rows, columns][:: -1 if motion.turned_over else 1]
    return there


def both_places(mask: Mask, motion: Motion | None) -> Mask:
    """Where the subject at `mask` was, and where it is once it was moved."""
    return mask | moved_mask(mask, motion)


def moved_subject(picture: Picture, mask: Mask, motion: Motion) -> tuple[Picture, Picture]:
    """`picture` with the subject at `mask` (not empty) moved, and without it."""
    plate, order = filled_from_around(picture, mask), -1 if motion.turned_over else 1
    moved = plate.copy()
    from_rows, columns = bounds(mask)
    to_rows, _ = bounds(moved_mask(mask, motion))
    cut = mask[from_rows, columns][::order]
    moved[to_rows, columns][cut] = picture[from_rows, columns][::order][cut]
    return moved, plate


def filled_from_around(picture: Picture, hole: Mask) -> Picture:
    """`picture` with `hole` filled from what surrounds it (Telea 2004, "An Image Inpainting Technique Based on the Fast
    Marching Method")."""
    extent = own = Extent.of(picture)
    if max(own.width, own.height) > FILLED_AT:
        extent = own.fitted_inside(Extent(FILLED_AT, FILLED_AT))
    levels = np.where(hole, np.uint8(255), np.uint8(0))
    covered = cv2.resize(levels, (extent.width, extent.height), interpolation=cv2.INTER_AREA) > 0
    unknown = grown(covered, BLEED)
    if unknown.all():  # nothing left to go by
        return picture
    small = cv2.resize(picture, (extent.width, extent.height), interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(small, unknown.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return np.asarray(cv2.resize(filled, (own.width, own.height), interpolation=cv2.INTER_CUBIC), np.uint8)
