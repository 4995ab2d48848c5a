"""From a mask to how transparent each pixel at its edge is (hair, fur), and to the subject's own colours there.

The alpha minimises the matting Laplacian of Levin et al. ("A Closed-Form Solution to Natural Image Matting", TPAMI
2008) within a band on both sides of the mask's edge. Times a vector that Laplacian is what a guided filter takes away
(He et al., "Fast Matting Using Large Kernel Matting Laplacian Matrices", CVPR 2010), so conjugate gradients need
nothing but box filters and no matrix. Colours follow Forte, "Approximate Fast Foreground Colour Estimation", 2021. Both
are worked out on a smaller copy of a large picture, and looked up from it at the edge's own pixels. No torch here.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Extent, Mask, Picture

BAND = 0.02
"""Of the longer side: how far into and out of the mask the edge may be transparent."""
MATTED_AT = 512
"""Pixels of the longer side at which the alpha is worked out, of the window that holds the edge."""
RADIUS = 1
"""Of the windows in which colours lie on a line."""
NOISE = 1e-6
ROUNDS = 60
"""Of conjugate gradients, at most."""
ENOUGH = 1e-3
"""Of the first residual, at which they end."""
COLOURS_AT = 768
REACHES = (0.06, 0.008)
"""Of the longer side: how far the first and second estimate of a colour look."""

Floats = NDArray[np.float32]


def matted(picture: Picture, mask: Mask) -> Floats:
    """How much of each pixel is the subject: ``(H, W) float32`` in [0, 1], 1 and 0 away from the mask's edge."""
    alpha = mask.astype(np.float32)
    if mask.all() or not mask.any():
        return alpha
    extent = Extent.of(picture)
    reach = max(2, math.ceil(BAND * max(extent.width, extent.height)))
    window = _around_edge(mask, 3 * reach)
    seen, inside = np.ascontiguousarray(picture[window]), np.ascontiguousarray(mask[window])
    scale = min(1.0, MATTED_AT / max(inside.shape))
    size = (max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale)))
    small = seen if scale == 1 else cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    share = inside.astype(np.float32)
    share = share if scale == 1 else cv2.resize(share, size, interpolation=cv2.INTER_AREA)
    sure = share > 0.5
    free = _band(sure, max(2.0, reach * scale))
    model = ColourLines(small.astype(np.float32) / 255, RADIUS)
    found = _solved(model, sure.astype(np.float32), free)
    if scale == 1:
        alpha[window] = np.where(free, found, inside)
        return alpha
    free_here = cv2.resize(free.astype(np.uint8), inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
    places = cv2.findNonZero(free_here)
    if places is None:
        return alpha
    x, y = places.reshape(-1, 2).T
    lines = ColourLines(small.astype(np.float32) / 255, 2, 1e-4).fitted(found)
    at = sampled(lines, x, y, inside.shape)
    colours = seen[y, x].astype(np.float32) / 255
    part = alpha[window]
    part[y, x] = np.clip((at[:, :3] * colours).sum(1) + at[:, 3], 0, 1)
    return alpha


def foreground(picture: Picture, alpha: Floats) -> Picture:
    """`picture` with the subject's own colour where `alpha` is between 0 and 1, free of what is behind it."""
    partly = np.asarray((alpha > 0) & (alpha < 1))
    if not partly.any() or not (alpha >= 1).any() or not (alpha <= 0).any():
        return picture
    window = _around_edge(alpha > 0.5, math.ceil(BAND * max(alpha.shape)) * 3)
    seen, share = picture[window], np.ascontiguousarray(alpha[window])
    scale = min(1.0, COLOURS_AT / max(share.shape))
    size = (max(1, round(share.shape[1] * scale)), max(1, round(share.shape[0] * scale)))
    small = cv2.resize(np.ascontiguousarray(seen), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
    ours, theirs = small, small
    for reach in REACHES:
        side = 2 * max(1, round(reach * max(size))) + 1
        within, beyond = cv2.blur(weight, (side, side)), cv2.blur(1 - weight, (side, side))
        ours = cv2.blur(ours * weight[..., None], (side, side)) / (within[..., None] + 1e-5)
        theirs = cv2.blur(theirs * (1 - weight[..., None]), (side, side)) / (beyond[..., None] + 1e-5)
        rest = small - weight[..., None] * ours - (1 - weight[..., None]) * theirs
        ours, theirs = (np.clip(one + w * rest, 0, 255) for one, w in _weighted(ours, theirs, weight))
    y, x = np.nonzero(partly[window])
    both = sampled(np.dstack([ours, theirs]).astype(np.float32), x, y, share.shape)
    own = share[y, x][:, None]
    colour = seen[y, x].astype(np.float32)
    colour = both[:, :3] + own * (colour - own * both[:, :3] - (1 - own) * both[:, 3:])
    result = picture.copy()
    result[window][y, x] = np.clip(np.round(colour), 0, 255).astype(np.uint8)
    return result


def _weighted(ours: Floats, theirs: Floats, weight: Floats) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    return (ours, weight[..., None]), (theirs, 1 - weight[..., None])


class ColourLines:
    """A picture's guided filter: in every window a mask is fitted as a line through the colours."""

    def __init__(self, colours: Floats, radius: int, noise: float = NOISE) -> None:
        """`colours` are ``(H, W, 3)`` in [0, 1]; `radius` is of the windows, in pixels."""
        self._colours, self._side = colours, 2 * radius + 1
        self._average = self._mean(colours)
        spread = np.empty((*colours.shape[:2], 3, 3), np.float32)
        for i in range(3):
            for j in range(i, 3):
                product = self._mean(colours[..., i] * colours[..., j])
                spread[..., i, j] = spread[..., j, i] = product - self._average[..., i] * self._average[..., j]
        spread[..., range(3), range(3)] += noise
        self._inverse = np.linalg.inv(spread).astype(np.float32)

    def fitted(self, share: Floats) -> Floats:
        """The lines, ``(H, W, 4)``: ``share ~ the first three . colour + the fourth``, each pixel's windows averaged."""
        level = self._mean(share)
        along = self._mean(self._colours * share[..., None]) - self._average * level[..., None]
        slopes = np.einsum("hwij,hwj->hwi", self._inverse, along)
        offset = level - (slopes * self._average).sum(-1)
        return self._mean(np.dstack([slopes, offset]))

    def residual(self, share: Floats) -> Floats:
        """The matting Laplacian of the picture times `share`, up to a factor: what the lines do not explain of it."""
        lines = self.fitted(share)
        return share - (lines[..., :3] * self._colours).sum(-1) - lines[..., 3]

    def _mean(self, values: NDArray[np.floating[Any]]) -> Floats:
        side = (self._side, self._side)
        return np.asarray(cv2.blur(values.astype(np.float32, copy=False), side, borderType=cv2.BORDER_REFLECT))


def _solved(model: ColourLines, known: Floats, free: Mask) -> Floats:
    """The smoothest alpha that is `known` wherever it is not `free`."""
    inside = free.astype(np.float32)
    alpha = known.copy()
    rest = -inside * model.residual(alpha)
    step, size = rest.copy(), float((rest * rest).sum())
    goal = ENOUGH**2 * size
    for _ in range(ROUNDS):
        if size <= goal or size == 0:
            break
        image = inside * model.residual(step)
        curve = float((step * image).sum())
        if curve <= 0:
            break
        alpha += size / curve * step
        rest -= size / curve * image
        before, size = size, float((rest * rest).sum())
        step = rest + size / before * step
    return np.clip(alpha, 0, 1)


def sampled(values: Floats, x: NDArray[Any], y: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """``(N, C)`` of `values` ``(h, w, C)`` at N pixels ``(x, y)`` of a picture of `shape` ``(H, W)`` that `values` are
    a smaller copy of, between its pixels."""
    count, wide = len(x), 4096  # a list as an image: its sides are limited
    if not count:
        return np.zeros((0, values.shape[-1]), np.float32)
    down, across = values.shape[0] / shape[0], values.shape[1] / shape[1]
    rows = -(-count // wide)
    at = [
        np.resize(((place + 0.5) * factor - 0.5).astype(np.float32), (rows, wide))
        for place, factor in ((x, across), (y, down))
    ]
    found = [
        cv2.remap(np.ascontiguousarray(values[..., k : k + 4]), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for k in range(0, values.shape[-1], 4)
    ]
    flat = np.concatenate([part.reshape(rows * wide, -1) for part in found], axis=1)
    return np.asarray(flat[:count])


def _band(mask: Mask, reach: float) -> Mask:
    """The pixels on either side of the mask's edge, up to `reach` away from it."""
    inner, outer = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3) for part in (mask, ~mask))
    return np.asarray((inner <= reach) & (outer <= reach))


def _around_edge(mask: Mask, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )
