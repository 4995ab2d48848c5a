"""Draws the edge of a coarse mask along the edges of its picture: GrabCut (Rother et al., SIGGRAPH 2004) near the edge.

A segmenter that sees a small picture knows the subject, but not where each of its pixels ends. Within a band on either
side of its mask's edge the colours decide; farther in and farther out the mask stands. No torch here.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture

BAND = 1 / 32
"""Of the picture's longer side: how far the edge may move inwards or outwards."""
SEEN = 320
"""Pixels of the longer side at which the subject and its surroundings are looked at, at most."""
CORE = 0.6
"""Of the mask's greatest depth: what lies deeper stays subject however thin the subject is."""
AGREEMENT = 0.5
"""IoU with the mask below which the cut has found another thing, and the mask stays as it was."""


def snapped(mask: Mask, picture: Picture) -> Mask:
    """A new ``(H, W) bool`` whose edge follows that of `picture`; the same mask and picture give the same answer."""
    assert mask.shape == picture.shape[:2], (mask.shape, picture.shape)
    if mask.all() or not mask.any():
        return mask.copy()
    band = max(2.0, BAND * max(mask.shape))
    window = _surroundings(mask, math.ceil(3 * band))
    height, width = mask[window].shape
    scale = min(1.0, SEEN / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    seen = cv2.resize(picture[window], size, interpolation=cv2.INTER_AREA)
    coarse = _resized(mask[window], size, cv2.INTER_AREA)
    if coarse.all() or not coarse.any():
        return mask.copy()
    cut = _cut(seen, coarse, band * scale)
    if (cut & coarse).sum() < AGREEMENT * (cut | coarse).sum():
        return mask.copy()
    found = np.zeros_like(mask)
    found[window] = _resized(cut, (width, height), cv2.INTER_LINEAR)
    return found


def _cut(picture: NDArray[np.uint8], mask: Mask, band: float) -> Mask:
    """One round of GrabCut: the colours of the mask and of what surrounds it, then the cheapest edge in the band."""
    depth, distance = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (mask, ~mask))
    labels = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[depth > min(band, CORE * float(depth.max()))] = cv2.GC_FGD
    labels[distance > band] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # its first guess of the colours is drawn
    models = np.zeros((2, 1, 65))
    cv2.grabCut(picture, labels, None, models[0], models[1], 1, cv2.GC_INIT_WITH_MASK)
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _surroundings(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The smallest window that holds the mask and `margin` pixels on every side, as far as the picture goes."""
    spans = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    rows, columns = (slice(max(0, int(at[0]) - margin), int(at[-1]) + 1 + margin) for at in spans)
    return rows, columns


def _resized(mask: Mask, size: tuple[int, int], interpolation: int) -> Mask:
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=interpolation) > 0.5)
