"""What is seen in the place of a subject that is taken away. No torch here."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.contract import Extent, Mask, Picture
from pipelines.masks.refine import grown

FILLED_AT = 512
"""Longest side in pixels at which a hole is filled from its surroundings: the filling is smooth, and its time grows
with the hole's area."""
BLEED = 3
"""Pixels around the hole that are not filled from either: they may still show the subject's rim or shadow."""


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
