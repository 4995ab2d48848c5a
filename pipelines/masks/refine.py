"""From what a segmenter found (or nothing) to the finished mask: strokes, inversion, growing, and its soft edge.

Pixel ``i`` covers the coordinates ``[i, i + 1)``; a brush point is rounded down to the pixel that contains it.
Every distance is Euclidean, between pixel centres. What lies beyond the picture's border counts as neither subject
nor background, so a subject cut off by the border stays attached to it when the mask shrinks.

Everything costs a constant number of passes over the picture, whatever the radius. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Extent, Mask, Picture, Point
from pipelines.errors import BadRequest
from pipelines.masks.prompts import MaskPrompts, Stroke
from pipelines.masks.wand import alike

TILE = 256
"""Pixels a side of the pieces in which an edge is looked for: most of a large picture has none."""


def compose(base: Mask | None, prompts: MaskPrompts, extent: Extent, picture: Picture | None = None) -> Mask:
    """`base` (nothing, when ``None``), then the strokes in their order, then inversion, then growing or shrinking.

    `picture` is what strokes look at that find something: a wand, and one that refines an edge.

    Returns a new ``(H, W) bool``; `base` is left alone. Raises `BadRequest` if `base` is not of size `extent`.
    """
    if base is None:
        mask = np.zeros((extent.height, extent.width), dtype=np.bool_)
    elif Extent.of(base) != extent:
        raise BadRequest(
            f"the mask must be {extent.width} x {extent.height} pixels, like its picture; "
            f"got {base.shape[1]} x {base.shape[0]}"
        )
    else:
        mask = base.copy()
    for stroke in prompts.strokes:
        if stroke.wand is None and not stroke.keep and not stroke.refine:
            paint(mask, stroke)
            continue
        area = np.zeros_like(mask)
        if stroke.wand is None:
            paint(area, replace(stroke, erase=False))
        elif stroke.points:
            assert picture is not None, "a wand goes by a picture"
            area = alike(picture, stroke.points[0], stroke.wand, stroke.everywhere, prompts.box)
        if stroke.refine:
            assert picture is not None, "an edge is sought in a picture"
            from pipelines.masks.matting import matted  # which looks at masks by what is here

            mask = np.where(area, matted(picture, mask, area) > 0.5, mask)
            continue
        mask = mask & area if stroke.keep else mask & ~area if stroke.erase else mask | area
    if prompts.invert:
        mask = ~mask
    return grown(mask, prompts.grow)


def paint(mask: Mask, stroke: Stroke) -> None:
    """Set (or clear, for an eraser) in place every pixel within ``stroke.radius`` of the stroke's path, or within the
    area that it goes around."""
    if not stroke.points:
        return
    extent = Extent.of(mask)
    reach = math.ceil(stroke.radius)
    path = np.floor([(point.x, point.y) for point in stroke.points]).astype(np.int64)
    if stroke.fill:
        filled = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(filled, [path.astype(np.int32)], 1)
        mask[filled == 1] = not stroke.erase
        return
    # Work in the smallest window that holds everything near the path and near the picture.
    left, top = np.maximum(path.min(0) - reach, -reach)
    right, bottom = np.minimum(path.max(0) + reach + 1, (extent.width + reach, extent.height + reach))
    if left >= right or top >= bottom:
        return
    away = np.ones((bottom - top, right - left), np.uint8)
    corner = np.array([left, top])
    # The last point twice, because a line of one point alone is not drawn.
    line = np.concatenate([path, path[-1:]]) - corner
    cv2.polylines(away, [line.astype(np.int32)], isClosed=False, color=0, thickness=1)
    if away.all():
        return
    brushed = _distance(away) <= stroke.radius
    inside = (slice(max(top, 0), min(bottom, extent.height)), slice(max(left, 0), min(right, extent.width)))
    window = (slice(inside[0].start - top, inside[0].stop - top), slice(inside[1].start - left, inside[1].stop - left))
    mask[inside][brushed[window]] = not stroke.erase


def painted(strokes: Sequence[Stroke], extent: Extent) -> Mask:
    """All that any of `strokes` goes over."""
    area = np.zeros((extent.height, extent.width), np.bool_)
    for stroke in strokes:
        paint(area, replace(stroke, erase=False))
    return area


def grown(mask: Mask, pixels: int) -> Mask:
    """Grow the subject by a disc of radius `pixels`, or shrink it by ``-pixels``; an empty or full mask stays so."""
    if pixels == 0 or mask.all() or not mask.any():
        return mask.copy()
    # What is nearest to a pixel near the subject lies no farther out than a pixel around it.
    near = bounds(mask, max(pixels, 1))
    seen, result = mask[near], np.zeros_like(mask)
    result[near] = _distance(~seen) <= pixels if pixels > 0 else _distance(seen) > -pixels
    return result


def bounds(mask: Mask, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around `mask`, which must not be empty, and `margin` pixels around that as
    far as the picture goes."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(0, int(rows[0]) - margin), min(mask.shape[0], int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(mask.shape[1], int(columns[-1]) + 1 + margin)),
    )


def soft_edge(mask: Mask, feather: float) -> NDArray[np.float32]:
    """The mask as ``(H, W) float32`` in [0, 1], rising linearly over `feather` pixels centred on its edge.

    Exactly 1 or 0 from ``feather / 2`` pixels on either side of the edge; up to one pixel that is the hard mask.
    """
    if feather <= 1 or mask.all() or not mask.any():
        return mask.astype(np.float32)
    soft, reach = mask.astype(np.float32), math.ceil(feather / 2) + 1
    for top in range(0, mask.shape[0], TILE):
        for left in range(0, mask.shape[1], TILE):
            above, before = min(top, reach), min(left, reach)
            seen = mask[top - above : top + TILE + reach, left - before : left + TILE + reach]
            if seen.all() or not seen.any():  # no edge within reach of it
                continue
            inside = (slice(above, above + TILE), slice(before, before + TILE))
            # The edge runs half way between the two pixel centres on either side of it.
            signed = np.where(seen, _distance(seen) - 0.5, 0.5 - _distance(~seen))[inside]
            soft[top : top + TILE, left : left + TILE] = np.clip(0.5 + signed / feather, 0, 1)
    return soft


def _distance(inside: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each inside pixel's distance to the nearest outside one, ``(H, W) float32`` pixels; 0 outside."""
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, dtype=np.float32)


def deepest_point(mask: Mask) -> Point:
    """The pixel of `mask` that lies farthest from its edge: where a person would click it.

    Raises `ValueError` for an empty mask.
    """
    if not mask.any():
        raise ValueError("an empty mask has no inside to click")
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), mask.shape[1])
    return Point(float(x), float(y))
