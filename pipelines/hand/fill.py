"""What is seen in a hole, from what surrounds it: pieces of it, or its colours run together. No torch here.

Pieces come from a few dozen places: the offsets at which the hole's rim is found again nearby (He and Sun, "Statistics
of Patch Offsets for Image Completion", ECCV 2012). Which of them each pixel takes is worked out on a small copy, coarse
to fine, by what patches vote for (Wexler et al., "Space-Time Completion of Video", TPAMI 2007), and then done at full
size. OpenCV's own way (`xphoto`, in another build of it) looks as good and takes ten times as long.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture
from pipelines.errors import BadRequest
from pipelines.hand.params import Fill
from pipelines.masks.fill import filled_from_around
from pipelines.masks.refine import bounds

FILLED_AT = 192
"""Pixels of the longer side, of the hole with its surroundings, at which it is worked out where pieces come from."""
COARSEST = 48
RADIUS = 3
"""Of a patch: seven pixels a side."""
RIM_POINTS = 22
"""Places on the rim of a hole whose like is looked for."""
BEST_OF_EACH = 3
RIM_RADIUS = 8
"""Of what is compared there."""
VOTES = (8, 5, 3)
"""Rounds of voting at each size, smallest first."""
FALL = 24.0
"""Pixels in from the rim after which a vote counts no less."""

Offset = tuple[int, int]
"""Down and to the right, in pixels: from a pixel to the one whose colour it takes."""
Floats = NDArray[np.float32]


def filled(picture: Picture, hole: Mask, fill: Fill) -> Picture:
    """`picture` with `hole` filled; everything else is as it was. Raises `BadRequest` where nothing surrounds it."""
    if not hole.any():
        return picture.copy()
    if np.count_nonzero(~hole) < (2 * RADIUS + 1) ** 2:
        raise BadRequest("there is nothing around the subject to fill its place from; select less of it")
    if fill is Fill.SMOOTH:
        result = picture.copy()
        result[hole] = filled_from_around(picture, hole)[hole]
        return result
    window = _with_surroundings(hole)
    result = picture.copy()
    result[window] = _from_pieces(np.ascontiguousarray(picture[window]), np.ascontiguousarray(hole[window]))
    return result


def _from_pieces(picture: Picture, hole: Mask) -> Picture:
    labels, offsets = np.full(hole.shape, -1, np.int32), list[Offset]()
    small, gap = np.zeros((0, 0, 3), np.float32), hole
    for level, size in enumerate(_sizes(hole.shape)):
        up = (size[1] / gap.shape[0], size[0] / gap.shape[1])
        small, gap = _smaller(picture, size).astype(np.float32), _covered(hole, size)
        start = cv2.inpaint(small.astype(np.uint8), gap.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        small[gap] = start[gap]
        if level == 0:
            offsets = _everywhere(gap.shape)
            small = _stamped(small, gap, offsets)
        else:
            offsets = [(round(down * up[0]), round(right * up[1])) for down, right in offsets]
            labels = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
            small = _copied(small, gap, labels, offsets)
            used = [offsets[k] for k in np.unique(labels[gap]) if k >= 0]
            offsets = list(dict.fromkeys([*used, *_likely_offsets(small, gap)]))
        if offsets:
            small, labels = _voted(small, gap, offsets, VOTES[min(level, len(VOTES) - 1)])
    return _at_full_size(picture, hole, small, gap, labels, offsets)


def _everywhere(shape: tuple[int, ...]) -> list[Offset]:
    """Every third offset down and to the right, over a small copy."""
    height, width = shape
    return [(y, x) for y in range(-height + height % 3, height, 3) for x in range(-width + width % 3, width, 3)]


def _stamped(picture: Floats, gap: Mask, offsets: list[Offset]) -> Floats:
    """`picture` with the gap from one offset: the one at which its rim is seen again with as much of it as can be."""
    ring = (cv2.dilate(gap.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~gap
    reach = max(gap.shape)
    padded, known = np.pad(picture, ((reach, reach), (reach, reach), (0, 0))), np.pad(~gap, reach)
    (ring_y, ring_x), (gap_y, gap_x) = np.nonzero(ring), np.nonzero(gap)
    own, best, chosen = picture[ring_y, ring_x], math.inf, (0, 0)
    for down, right in offsets:
        y, x = ring_y + reach + down, ring_x + reach + right
        seen = known[y, x]
        covered = known[gap_y + reach + down, gap_x + reach + right].mean()
        if covered < 0.5 or seen.mean() < 0.5:
            continue
        difference = own[seen] - padded[y[seen], x[seen]]
        cost = float((difference * difference).sum(-1).mean()) / covered**2 / seen.mean() ** 2
        if cost < best:
            best, chosen = cost, (down, right)
    if not math.isfinite(best):
        return picture
    return _copied(picture, gap, np.zeros(gap.shape, np.int32), [chosen])


def _voted(picture: Floats, gap: Mask, offsets: list[Offset], rounds: int) -> tuple[Floats, NDArray[np.int32]]:
    """`picture` with the gap as its patches vote, and which offset each pixel's patch has (-1: none)."""
    reach = max(max(abs(down), abs(right)) for down, right in offsets) + RADIUS
    target = cv2.dilate(gap.astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2, np.uint8)) > 0
    here = bounds(target, RADIUS)
    top, left = here[0].start, here[1].start
    whole = cv2.erode(
        (~gap).astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2, np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    sources = np.pad(whole > 0, reach)
    height, width = target[here].shape
    there = [
        (slice(reach + top + y, reach + top + y + height), slice(reach + left + x, reach + left + x + width))
        for y, x in offsets
    ]
    usable = [sources[place] & target[here] for place in there]
    seen_somewhere = [number for number, allowed in enumerate(usable) if allowed.any()]
    # What is near the rim is known best: from there it grows inwards (Wexler et al., section 3.3).
    depth = cv2.distanceTransform(np.pad(gap, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1][here]
    nearness = (1.3 ** -(depth * FALL / max(float(depth.max()), FALL))).astype(np.float32)
    picture, side = picture.copy(), (2 * RADIUS + 1, 2 * RADIUS + 1)
    together = np.ones((1, 3), np.float32)
    best = label = np.zeros((height, width), np.float32)
    for _ in range(rounds):
        padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)))
        now = picture[here]
        best, label = np.full((height, width), np.inf, np.float32), np.full((height, width), -1, np.int32)
        for number in seen_somewhere:
            allowed = usable[number]
            difference = now - padded[there[number]]
            cost = cv2.boxFilter(cv2.transform(difference * difference, together), -1, side)
            better = allowed & (cost < best)
            np.copyto(best, cost, where=better)
            np.copyto(label, number, where=better)
        total, weight = np.zeros_like(now), np.zeros((height, width), np.float32)
        sureness = nearness / (best + 25)  # of a level of noise or so; nothing where nothing was found
        for number in np.unique(label[label >= 0]):
            votes = cv2.boxFilter(np.where(label == number, sureness, 0), -1, side, normalize=False)
            total += votes[..., None] * padded[there[number]]
            weight += votes
        told = gap[here] & (weight > 0)
        picture[here][told] = total[told] / weight[told][:, None]
    labels = np.full(gap.shape, -1, np.int32)
    labels[here] = label
    return picture, labels


def _likely_offsets(picture: Floats, gap: Mask) -> list[Offset]:
    """Where what lies on the gap's rim is found again, best first for each place of the rim."""
    levels = np.clip(picture, 0, 255).astype(np.float32)
    outlines, _ = cv2.findContours(gap.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    rim = np.concatenate([outline.reshape(-1, 2) for outline in outlines])
    rim = rim[np.linspace(0, len(rim) - 1, min(RIM_POINTS, len(rim))).astype(int)]
    found: list[Offset] = []
    height, width = gap.shape
    for x, y in rim:
        top, left = max(0, int(y) - RIM_RADIUS), max(0, int(x) - RIM_RADIUS)
        piece = (slice(top, min(height, int(y) + RIM_RADIUS + 1)), slice(left, min(width, int(x) + RIM_RADIUS + 1)))
        known = (~gap[piece]).astype(np.float32)
        if known.sum() < known.size / 8:
            continue
        cost = cv2.matchTemplate(levels, levels[piece], cv2.TM_SQDIFF, mask=np.repeat(known[..., None], 3, -1))
        touched = cv2.dilate(gap.astype(np.uint8), np.ones(known.shape, np.uint8), anchor=(0, 0), borderValue=0)
        cost = np.where(touched[: cost.shape[0], : cost.shape[1]] > 0, np.inf, cost)
        for _ in range(BEST_OF_EACH):
            row, column = divmod(int(np.argmin(cost)), cost.shape[1])
            if not math.isfinite(cost[row, column]):
                break
            found.append((row - top, column - left))
            cost[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = np.inf
    return list(dict.fromkeys(found))


def _copied(picture: Floats, gap: Mask, labels: NDArray[np.int32], offsets: list[Offset]) -> Floats:
    """`picture` with each pixel of the gap from where its label says, as far as that lies outside of the gap."""
    rows, columns = np.nonzero(gap & (labels >= 0))
    if not len(rows):
        return picture
    moves = np.array(offsets)[labels[rows, columns]]
    y = np.clip(rows + moves[:, 0], 0, gap.shape[0] - 1)
    x = np.clip(columns + moves[:, 1], 0, gap.shape[1] - 1)
    result, clear = picture.copy(), ~gap[y, x]
    result[rows[clear], columns[clear]] = picture[y[clear], x[clear]]
    return result


def _at_full_size(
    picture: Picture, hole: Mask, small: Floats, gap: Mask, labels: NDArray[np.int32], offsets: list[Offset]
) -> Picture:
    """`picture` with each pixel of the hole from where `labels` says at the size of `small`, and all in the light of
    `small`. Pieces end in no line: which of two neighbours a pixel of their seam belongs to is drawn."""
    up = (hole.shape[0] / gap.shape[0], hole.shape[1] / gap.shape[1])
    low = bounds(gap)
    box = _larger(low, up, hole.shape)
    inside = hole[box].astype(np.uint8)
    smooth = cv2.resize(np.ascontiguousarray(small[low]), inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    filling = cv2.convertScaleAbs(np.maximum(smooth, 0))
    moves = np.zeros((*gap.shape, 2), np.float32)
    if offsets:
        moves[labels >= 0] = np.round(np.array(offsets) * up)[labels[labels >= 0]]
    y, x = (np.arange(part.start, part.stop, dtype=np.float32) for part in box)
    moved = cv2.remap(moves, *_drawn(x, y, up), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    from_x, from_y = x[None, :] + moved[..., 1], y[:, None] + moved[..., 0]
    found = cv2.remap(picture, from_x, from_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    known = (~hole).astype(np.uint8)
    known = cv2.remap(known, from_x, from_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    filling = cv2.copyTo(found, known, filling)
    result = picture.copy()
    result[box] = cv2.copyTo(filling, inside, np.ascontiguousarray(result[box]))
    amiss = small - _smaller(result, (gap.shape[1], gap.shape[0])).astype(np.float32)
    amiss = cv2.GaussianBlur(np.where(gap[..., None], amiss, 0).astype(np.float32), (0, 0), 3)
    more = cv2.resize(np.ascontiguousarray(amiss[low]), inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    more = cv2.add(more, filling, dtype=cv2.CV_32F)
    filling = cv2.convertScaleAbs(np.maximum(more, 0, out=more))
    result[box] = cv2.copyTo(filling, inside, np.ascontiguousarray(result[box]))
    return result


def _drawn(x: Floats, y: Floats, up: tuple[float, float]) -> tuple[Floats, Floats]:
    """For each pixel at ``(x, y)`` of the large picture a place on the small one, half a pixel around its own."""
    noise = np.random.default_rng(0).random((2, 128, 128), np.float32) - np.float32(0.5)
    tiles = (-(-len(y) // 128), -(-len(x) // 128))
    aside, across = (np.tile(part, tiles)[: len(y), : len(x)] for part in noise)
    own_x, own_y = (x + np.float32(0.5)) / np.float32(up[1]) - 0.5, (y + np.float32(0.5)) / np.float32(up[0]) - 0.5
    return aside + own_x[None, :].astype(np.float32), across + own_y[:, None].astype(np.float32)


def _larger(low: tuple[slice, slice], up: tuple[float, float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A window of the small copy, at full size."""
    rows, columns = (
        slice(round(part.start * factor), min(most, round(part.stop * factor)))
        for part, factor, most in zip(low, up, shape, strict=True)
    )
    return rows, columns


def _with_surroundings(hole: Mask) -> tuple[slice, slice]:
    """The hole and once its size around it."""
    return bounds(hole, max(48, int(0.9 * max(part.stop - part.start - 1 for part in bounds(hole)))))


def _sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Width and height of the copies, smallest first."""
    sides = [min(FILLED_AT, max(shape))]
    while sides[0] >= 2 * COARSEST:
        sides.insert(0, sides[0] // 2)
    return [(max(1, round(shape[1] * s / max(shape))), max(1, round(shape[0] * s / max(shape)))) for s in sides]


def _smaller(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _covered(hole: Mask, size: tuple[int, int]) -> Mask:
    """Every small pixel that some of the hole lies in."""
    return np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0)
