"""From a mask to how transparent each pixel at its edge is (hair, fur), and to the subject's own colours there.

The alpha minimises the matting Laplacian of Levin et al. ("A Closed-Form Solution to Natural Image Matting", TPAMI
2008) within a band on both sides of the mask's edge. Times a vector that Laplacian is what a guided filter takes away
(He et al., "Fast Matting Using Large Kernel Matting Laplacian Matrices", CVPR 2010), so conjugate gradients need
nothing but box filters and no matrix. It is solved coarse to fine on a smaller copy of a large picture, whose colour
lines are then looked up at the edge's own pixels. Colours follow Forte, "Approximate Fast Foreground Colour
Estimation", 2021. No torch here.

The library that does this, pymatting, brings a compiler with it (numba and LLVM, 208 MB), which takes minutes before
the first picture, and solves on all of a picture's pixels: of twelve million that is out of reach. A network
(`masks.vitmatte`) may take the solver's place; what of a large picture it is not shown follows its lines all the same.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Matte, Picture
from pipelines.masks.refine import bounds

OUTWARDS, INWARDS = 0.1, 0.025
"""Of the subject's longer side: how far out of the mask, and into it, a pixel may be transparent."""
MATTED_AT = 512
"""Pixels of the longer side at which the alpha is worked out, of the window that holds the edge."""
NETWORK_AT = 1024
"""The same where a network works it out."""
COARSEST = 96
"""Pixels of the longer side at which that begins."""
NOISE = 1e-5
"""Variance of a colour's noise, in [0, 1]: what keeps lines through equal colours flat."""
PULL = 6e-3
"""How much, at the band's far sides, the mask itself has to say: where colours say little a pixel there is what the
mask says. Beside what the colour lines leave unexplained of a hair it is little."""
ROUNDS = (60, 24, 12, 8)
"""Of conjugate gradients at each level, coarsest first; the last for all further ones."""
COLOURS_AT = 640
REACHES = (0.06, 0.008)
"""Of the longer side: how far the first and second estimate of a colour look."""

Floats = NDArray[np.float32]


def matted(picture: Picture, mask: Mask, unknown: Mask | None = None, matte: Matte | None = None) -> Floats:
    """How much of each pixel is the subject: ``(H, W) float32`` in [0, 1], 1 and 0 away from the mask's edge.

    With `unknown` ``(H, W) bool`` nothing is sought but there, and `mask` holds everywhere else; what it says there is
    where the search begins. `matte` is a network that is asked in the solver's place.
    """
    alpha = mask.astype(np.float32)
    if mask.all() or not mask.any() or (unknown is not None and not unknown.any()):
        return alpha
    side = max(part.stop - part.start for part in bounds(mask if unknown is None else unknown))
    window = bounds(mask if unknown is None else unknown, 2 * max(2, math.ceil(OUTWARDS * side)))
    there = None if unknown is None else unknown[window].astype(np.float32)
    seen, inside = np.ascontiguousarray(picture[window]), np.ascontiguousarray(mask[window])
    sizes = _levels(inside.shape) if matte is None else [_at(NETWORK_AT, inside.shape)]
    lines = np.zeros(0, np.float32)
    for level, size in enumerate(sizes):
        colours = _resized(seen, size).astype(np.float32) * np.float32(1 / 255)
        sure = _resized(inside.astype(np.float32), size) > 0.5
        scale = max(size) / max(inside.shape)
        if there is None:
            free, depth = _band(sure, max(1.5, OUTWARDS * side * scale), max(1.5, INWARDS * side * scale))
        else:
            free, depth = _resized(there, size) > 0, np.zeros(sure.shape, np.float32)
        guess = sure.astype(np.float32)
        model = ColourLines(colours, 1)
        if matte is not None:
            trimap = np.where(free, 128, sure.astype(np.uint8) * 255).astype(np.uint8)
            found = np.where(free, matte(_resized(seen, size), trimap), guess).clip(0, 1)
            lines = model.fitted(found)
            continue
        if level:  # Levin et al., section 4.2: what is transferred are the lines, not the alpha
            at = cv2.resize(lines, size, interpolation=cv2.INTER_LINEAR)
            guess = np.where(free, np.clip((at[..., :3] * colours).sum(-1) + at[..., 3], 0, 1), guess)
        pull = np.float32(PULL) * depth * depth
        found = _solved(model, guess, free, sure.astype(np.float32), pull, ROUNDS[min(level, len(ROUNDS) - 1)])
        lines = model.fitted(found)
    if sizes[-1] == inside.shape[::-1]:
        alpha[window] = np.where(free, found, inside)
        return alpha
    # Where the small alpha is one or nothing all around, so is the large one.
    mixed = free & ((found > 0.02) & (found < 0.98))
    mixed = free & (cv2.dilate(mixed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    clear, subject, unsure = (
        cv2.resize(part.astype(np.uint8), inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
        for part in (free & ~mixed, found > 0.5, mixed)
    )
    alpha[window] = np.where(clear > 0, subject, inside)
    places = cv2.findNonZero(unsure)
    if places is not None:
        x, y = places.reshape(-1, 2).T
        at = sampled(lines, x, y, inside.shape)
        level_of = np.einsum("nc,nc->n", at[:, :3], seen[y, x].astype(np.float32) * np.float32(1 / 255)) + at[:, 3]
        part = alpha[window]
        part[y, x] = _settled(level_of)
    if unknown is not None:  # a small pixel may reach beyond it
        alpha[~unknown] = mask[~unknown]
    return alpha


def foreground(picture: Picture, alpha: Floats) -> Picture:
    """`picture` with the subject's own colour where `alpha` is between 0 and 1, free of what is behind it."""
    if not alpha.any() or alpha.min() > 0 or alpha.max() < 1:
        return picture
    near = bounds(alpha > 0)
    partly = np.zeros(alpha.shape, np.bool_)
    partly[near] = (alpha[near] > 0) & (alpha[near] < 1)
    if not partly.any():
        return picture
    window = bounds(partly, 8 + math.ceil(REACHES[1] * max(alpha.shape)))
    seen, share = picture[window].copy(), np.ascontiguousarray(alpha[window])
    scale = min(1.0, COLOURS_AT / max(share.shape))
    size = (max(1, round(share.shape[1] * scale)), max(1, round(share.shape[0] * scale)))
    small = _resized(seen, size).astype(np.float32)
    weight = _resized(share, size)
    ours, theirs = small, small
    for reach in REACHES:
        side = 2 * max(1, round(reach * max(size))) + 1
        within, beyond = cv2.blur(weight, (side, side)), cv2.blur(1 - weight, (side, side))
        ours = cv2.blur(ours * weight[..., None], (side, side)) / (within[..., None] + 1e-5)
        theirs = cv2.blur(theirs * (1 - weight[..., None]), (side, side)) / (beyond[..., None] + 1e-5)
        rest = small - weight[..., None] * ours - (1 - weight[..., None]) * theirs
        ours = np.clip(ours + weight[..., None] * rest, 0, 255)
        theirs = np.clip(theirs + (1 - weight[..., None]) * rest, 0, 255)
    there = np.flatnonzero(partly[window])
    y, x = np.divmod(there.astype(np.int32), share.shape[1])
    both = sampled(np.dstack([ours, theirs]).astype(np.float32), x, y, share.shape)
    own = share.reshape(-1)[there, None]
    colour = seen.reshape(-1, 3)[there].astype(np.float32)
    colour = both[:, :3] + own * (colour - own * both[:, :3] - (1 - own) * both[:, 3:])
    seen.reshape(-1, 3)[there] = np.clip(np.round(colour), 0, 255).astype(np.uint8)
    result = picture.copy()
    result[window] = seen
    return result


class ColourLines:
    """A picture's guided filter: in every window a mask is fitted as a line through the colours."""

    def __init__(self, colours: Floats, radius: int, noise: float = NOISE) -> None:
        """`colours` are ``(H, W, 3)`` in [0, 1]; `radius` is of the windows, in pixels."""
        self._side = 2 * radius + 1
        # In double precision: a variance is a small difference of large numbers.
        planes = [colours[..., c].astype(np.float64) for c in range(3)]
        average = [self._mean(plane) for plane in planes]
        spread = {
            (i, j): self._mean(planes[i] * planes[j]) - average[i] * average[j] + (noise if i == j else 0)
            for i in range(3)
            for j in range(i, 3)
        }
        a, b, c, d, e, f = (spread[at] for at in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
        whole = 1 / (a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d))
        p, q, r, s, t, u = (
            (cofactor * whole).astype(np.float32)
            for cofactor in (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
        )
        self._inverse = ((p, q, r), (q, s, t), (r, t, u))
        self._colours = [plane.astype(np.float32) for plane in planes]
        self._average = [plane.astype(np.float32) for plane in average]

    def fitted(self, share: Floats) -> Floats:
        """The lines ``(H, W, 4)``, each pixel's windows averaged: `share` is about the first three times the colour,
        and the fourth added."""
        return np.dstack(self._fitted(share))

    def residual(self, share: Floats) -> Floats:
        """The matting Laplacian of the picture times `share`, up to a factor: what the lines do not explain of it."""
        lines = self._fitted(share)
        rest = share - lines[3]
        for slope, plane in zip(lines, self._colours, strict=False):
            rest -= slope * plane
        return rest

    def _fitted(self, share: Floats) -> list[Floats]:
        level = self._mean(share)
        along = [
            self._mean(plane * share) - average * level
            for plane, average in zip(self._colours, self._average, strict=True)
        ]
        slopes = [row[0] * along[0] + row[1] * along[1] + row[2] * along[2] for row in self._inverse]
        offset = level
        for slope, average in zip(slopes, self._average, strict=True):
            offset = offset - slope * average
        return [self._mean(values) for values in (*slopes, offset)]

    def _mean(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.blur(values, (self._side, self._side), borderType=cv2.BORDER_REFLECT))


def _solved(model: ColourLines, guess: Floats, free: Mask, mask: Floats, pull: Floats, rounds: int) -> Floats:
    """The smoothest alpha that is as in `guess` wherever it is not `free`, and is drawn to `mask` as much as `pull`
    says, after at most so many rounds from there."""
    inside = free.astype(np.float32)
    alpha = guess.copy()
    rest = np.asarray(inside * (pull * (mask - alpha) - model.residual(alpha)), np.float32)
    step, size = rest.copy(), float(np.vdot(rest, rest))
    goal = 1e-6 * size
    for _ in range(rounds):
        if size <= goal or size == 0:
            break
        image = inside * (model.residual(step) + pull * step)
        curve = float(np.vdot(step, image))
        if curve <= 0:
            break
        alpha += np.float32(size / curve) * step
        rest -= np.float32(size / curve) * image
        before, size = size, float(np.vdot(rest, rest))
        step = rest + np.float32(size / before) * step
    return np.clip(alpha, 0, 1)


def _settled(alpha: Floats) -> Floats:
    """`alpha` in [0, 1], and what is within a hundredth of either end at it: no veil is left over what is not hair."""
    return np.asarray(np.clip((alpha - 0.01) / 0.98, 0, 1), np.float32)


def sampled(values: Floats, x: NDArray[Any], y: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """``(N, C)`` of `values` ``(h, w, C)`` at N pixels ``(x, y)`` of a picture of `shape` ``(H, W)`` that `values` are
    a smaller copy of, between its pixels."""
    count, wide = len(x), 4096  # a list as an image: its sides are limited
    if not count:
        return np.zeros((0, values.shape[-1]), np.float32)
    down, across = values.shape[0] / shape[0], values.shape[1] / shape[1]
    rows = -(-count // wide)
    at_x, at_y = (
        np.resize(((place + 0.5) * factor - 0.5).astype(np.float32), (rows, wide))
        for place, factor in ((x, across), (y, down))
    )
    found = [
        cv2.remap(
            np.ascontiguousarray(values[..., k : k + 4]), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for k in range(0, values.shape[-1], 4)
    ]
    flat = np.concatenate([part.reshape(rows * wide, -1) for part in found], axis=1)
    return np.asarray(flat[:count], np.float32)


def _levels(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Width and height of the copies on which the alpha is worked out, smallest first, each about twice the last."""
    sides = [min(MATTED_AT, max(shape))]
    while sides[0] >= 2 * COARSEST:
        sides.insert(0, sides[0] // 2)
    return [_at(side, shape) for side in sides]


def _at(side: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of a copy whose longer side has at most so many pixels."""
    scale = min(side, max(shape)) / max(shape)
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _resized(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if values.shape[1::-1] == size:
        return values
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def _band(mask: Mask, outwards: float, inwards: float) -> tuple[Mask, Floats]:
    """The pixels on either side of the mask's edge, up to so far away from it; and how far in that band each lies."""
    inner, outer = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3) for part in (mask, ~mask))
    depth = np.minimum(np.maximum(inner / np.float32(inwards), outer / np.float32(outwards)), 1)
    return np.asarray((inner <= inwards) & (outer <= outwards)), np.asarray(depth, np.float32)
