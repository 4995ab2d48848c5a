"""What makes a pasted part look like its surroundings: their colour at the seam, and their grain. No torch here.

An autoencoder brings a picture back a little paler, warmer or darker, and smooth. Where its pixels lie among those of
the photograph itself the one is seen as a patch, the other as plastic.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Extent, Mask, Picture

MATCHED_AT = 384
"""Pixels of the longer side at which colours are compared: an offset is smooth."""
REACH = 0.04
"""Of the longer side: how far from the seam they are."""
SMOOTH = 0.01
"""Of the longer side: sigma of what is no offset but detail."""
LIKE = 4.0
"""Levels: what differs by so much, beyond what is usual, counts a quarter; what shows something else counts nothing."""

BLOCK = 16
"""Pixels a side, of half the picture's, in which grain is measured."""
LEAST = 64
"""Places without which no grain can be told."""
NEARLY_BLACK, NEARLY_WHITE = 4, 251
"""Levels at which grain is cut off."""

Floats = NDArray[np.float32]


def offset_at_seam(made: Picture, original: Picture, region: Mask) -> Floats:
    """What is to be added to `made`, ``(H, W, 3)`` in levels, so that it meets `original` outside of `region`.

    Near `region` both show the same, but for the shift of colour that is looked for: their difference there, smoothed,
    is continued through `region` as a membrane would be, which is what Poisson blending adds (Perez et al., "Poisson
    Image Editing", 2003, section 2: the correction of eq. 4 solves Laplace's equation). Places where they show
    different things are left out by a weight that falls with the difference (Geman and McClure, 1987). Nothing where
    nothing is kept.
    """
    own = Extent.of(made)
    limit = Extent(MATCHED_AT, MATCHED_AT)
    extent = own.fitted_inside(limit) if max(made.shape) > MATCHED_AT else own
    size = (extent.width, extent.height)
    a, b = (cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) for part in (original, made))
    kept = cv2.resize((~region).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    away = cv2.distanceTransform(kept.astype(np.uint8), cv2.DIST_L2, 5)
    ring = kept & (away <= max(2.0, REACH * max(size)))
    if not ring.any() or ring.all():
        return np.zeros(made.shape, np.float32)
    difference = a - b
    amount = np.abs(difference).mean(-1)
    usual = float(np.median(amount[ring]))
    weight = np.where(ring, 1 / (1 + np.square(np.maximum(amount - usual, 0) / LIKE)) ** 2, 0).astype(np.float32)
    sigma = max(1.0, SMOOTH * max(size))
    total = cv2.GaussianBlur(difference * weight[..., None], (0, 0), sigma)
    weight = cv2.GaussianBlur(weight, (0, 0), sigma)
    near = np.minimum(weight, 1)
    offset = continued(total * (near / np.maximum(weight, 1e-6))[..., None], near)
    return np.asarray(cv2.resize(offset, made.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def continued(total: Floats, weight: Floats) -> Floats:
    """A smooth continuation of values to where they have no weight: `total` ``(H, W, C)`` is the values times their
    `weight` ``(H, W)`` in [0, 1] (pull and push, Gortler et al., "The Lumigraph", 1996, section 3.4.2)."""
    height, width = weight.shape
    if max(height, width) == 1:
        return np.asarray(total / np.maximum(weight, 1e-6)[..., None], np.float32)
    half = (-(-width // 2), -(-height // 2))
    pulled, much = (4 * cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (total, weight))
    full = np.minimum(much, 1)
    coarse = continued((pulled * (full / np.maximum(much, 1e-6))[..., None]).astype(np.float32), full)
    pushed = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    return np.asarray(total + (1 - weight)[..., None] * pushed, np.float32)


def grain_of(picture: Picture, part: Mask) -> Floats | None:
    """The standard deviation of the noise in `part` of `picture`, in levels: of red, green and blue, and of their mean,
    ``(4,) float32``; ``None`` where too little of it can be seen.

    The median of the finest diagonal details over 0.6745 (Donoho and Johnstone, "Ideal spatial adaptation by wavelet
    shrinkage", 1994, section 3.1.1; Haar's wavelet), block by block, and of the blocks the lower quartile: where there
    is texture, details are no noise.
    """
    height, width = (side // 2 * 2 for side in part.shape)
    corners = [slice(k, height, 2) for k in (0, 1)], [slice(k, width, 2) for k in (0, 1)]
    dark, bright = picture.min(-1), picture.max(-1)
    usable = part & (dark > NEARLY_BLACK) & (bright < NEARLY_WHITE)
    seen = np.logical_and.reduce([usable[y, x] for y in corners[0] for x in corners[1]])
    if np.count_nonzero(seen) < LEAST:
        return None
    a, b, c, d = (picture[y, x].astype(np.float32) for y in corners[0] for x in corners[1])
    detail = (a - b - c + d) / 2
    detail = np.abs(np.dstack([detail, detail.mean(-1)]))
    rows, columns = seen.shape[0] // BLOCK, seen.shape[1] // BLOCK
    spreads = [
        np.median(detail[block][seen[block]], axis=0)
        for y in range(rows)
        for x in range(columns)
        for block in [(slice(y * BLOCK, (y + 1) * BLOCK), slice(x * BLOCK, (x + 1) * BLOCK))]
        if 2 * np.count_nonzero(seen[block]) >= BLOCK**2
    ]
    found = np.quantile(spreads, 0.25, axis=0) if len(spreads) >= 4 else np.median(detail[seen], axis=0)
    return np.asarray(found / 0.6745, np.float32)


def grain_like(original: Picture, made: Picture, region: Mask, seed: int) -> Floats:
    """Noise ``(H, W, 3)`` in levels that `made` lacks in `region` beside `original` around it; drawn from `seed`.

    Normal, white, and as alike in the three channels as it is there: the variance of their mean tells how much of it
    they share.
    """
    theirs, ours = grain_of(original, ~region), grain_of(made, region)
    if theirs is None:
        return np.zeros(made.shape, np.float32)
    variance = np.maximum(np.square(theirs) - (0 if ours is None else np.square(ours)), 0)
    own, mean = variance[:3], float(variance[3])
    shared = float(np.clip((9 * mean - own.sum()) / 6, 0, own.min()))  # var(mean) = (sum of own + 6 shared) / 9
    draws = np.random.default_rng(seed)
    alike = draws.standard_normal((*region.shape, 1), np.float32) * np.float32(np.sqrt(shared))
    return alike + draws.standard_normal((*region.shape, 3), np.float32) * np.sqrt(own - np.float32(shared))
