"""The subject elsewhere, or gone; and the whole picture turned or mirrored. No torch here."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Extent, Mask, Picture
from pipelines.errors import BadRequest
from pipelines.hand.changed import Changed, Share, subject_share, window_of
from pipelines.hand.fill import filled
from pipelines.hand.frames import straightened
from pipelines.hand.params import Fill, Mirror, PlaceParams, RemoveParams, StraightenParams
from pipelines.masks.matting import foreground
from pipelines.masks.refine import grown
from pipelines.params import Edge

Affine = NDArray[np.float64]
"""``(2, 3)``: from a pixel's ``(x, y, 1)`` to where it lies then."""


def place(request: EditRequest, params: PlaceParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the subject where it is, where it would lie
    outside of the picture, and where nothing surrounds the place that it leaves."""
    if _stays(params):
        raise BadRequest("every setting leaves the subject where it is; move it, like right=0.2, or set another one")
    picture, mask = request.picture, request.mask
    share = subject_share(request, params.edge)
    front = picture if params.edge is Edge.HARD else foreground(picture, share)
    under, region = picture, np.zeros(mask.shape, np.bool_)
    if not params.twice:
        region = hole_of(mask | (share > 0), params.margin)
        under = filled(picture, region, params.fill)
    moves = where_to(mask, params)
    result, landed = _laid(front, share, under, moves)
    if not landed.any():
        raise BadRequest("the subject would lie outside of the picture; move it less far")
    return Changed(result, region | landed, _moved(mask, moves))


def remove(request: EditRequest, params: RemoveParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where nothing surrounds the subject."""
    hole = hole_of(request.mask, params.margin)
    return Changed(filled(request.picture, hole, params.fill), hole, np.zeros_like(hole))


def straighten(request: EditRequest, params: StraightenParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the picture as it is."""
    if params == StraightenParams():
        raise BadRequest("every setting leaves the picture as it is; turn it, like angle=2, or mirror it")
    levels = request.mask.astype(np.uint8) * np.uint8(255)
    picture, mask = (
        turned(_mirrored(part, params.mirror), params.angle, params.keep_size) for part in (request.picture, levels)
    )
    return Changed(picture, np.ones(mask.shape, np.bool_), mask > 127)


def _mirrored(picture: NDArray[np.uint8], mirror: Mirror) -> NDArray[np.uint8]:
    if mirror in (Mirror.SIDES, Mirror.BOTH):
        picture = picture[:, ::-1]
    if mirror in (Mirror.ENDS, Mirror.BOTH):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _moved(mask: Mask, moves: Affine) -> Mask:
    """`mask` after `moves`, in the same picture."""
    height, width = mask.shape
    levels = mask.astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.warpAffine(levels, moves, (width, height), flags=cv2.INTER_LINEAR) > 127)


def turned(picture: NDArray[np.uint8], angle: float, keep_size: bool = True) -> NDArray[np.uint8]:
    """`picture`, or a mask's levels, turned by `angle` degrees (counterclockwise) about its middle, and enlarged so
    that no corner is empty, or cut to what is not (see `frames.straightened`): what the sides cut off is gone."""
    if not angle:
        return picture.copy()
    frame = straightened(StraightenParams(angle=angle, keep_size=keep_size), Extent.of(picture))
    size = (frame.extent.width, frame.extent.height)
    return np.asarray(
        cv2.warpAffine(
            picture, np.array(frame.moves.of_pixels), size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
    )


def hole_of(mask: Mask, margin: float) -> Mask:
    """`mask` and what lies within `margin` of it, a share of the picture's longer side: its rim, and some shadow."""
    return grown(mask, math.ceil(margin * max(mask.shape)))


def where_to(mask: Mask, params: PlaceParams) -> Affine:
    """How the subject at `mask` moves: about its middle, and by whole pixels: what is only moved stays sharp."""
    window = window_of(mask)
    assert window is not None, "a mask that selects nothing was refused"
    height, width = mask.shape
    x, y = (window[1].start + window[1].stop - 1) / 2, (window[0].start + window[0].stop - 1) / 2
    cos, sin = (params.scale * f(math.radians(params.turn)) for f in (math.cos, math.sin))
    flip = -1.0 if params.mirror else 1.0
    turn = np.array([[cos * flip, sin], [-sin * flip, cos]])
    to = np.array([x + round(params.right * width), y - round(params.up * height)])
    return np.column_stack([turn, to - turn @ (x, y)])


def _stays(params: PlaceParams) -> bool:
    return replace(params, twice=False, fill=Fill.TEXTURE, margin=0.0, edge=Edge.SOFT) == PlaceParams(margin=0.0)


def _laid(front: Picture, share: Share, under: Picture, moves: Affine) -> tuple[Picture, Mask]:
    """What `share` has of `front`, moved, over `under`; and where it lies then."""
    height, width = share.shape
    landed = np.zeros((height, width), np.bool_)
    window = window_of(share > 0)
    if window is None:
        return under.copy(), landed
    rows, columns = window
    colour = np.ascontiguousarray(front[window]).astype(np.float32)
    weight = np.ascontiguousarray(share[window])
    cut = np.dstack([colour * weight[..., None], weight])  # premultiplied: nothing of the rest bleeds in
    moves = moves @ np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
    smaller = float(np.hypot(moves[0, 0], moves[1, 0]))
    if smaller < 1:  # by averages, for fine patterns would flicker
        size = (max(1, round(cut.shape[1] * smaller)), max(1, round(cut.shape[0] * smaller)))
        scale = np.array([cut.shape[1] / size[0], cut.shape[0] / size[1]])
        cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
        moves = moves @ np.array([[scale[0], 0, (scale[0] - 1) / 2], [0, scale[1], (scale[1] - 1) / 2], [0, 0, 1]])
    corners = moves @ np.array(
        [[-1, cut.shape[1], -1, cut.shape[1]], [-1, -1, cut.shape[0], cut.shape[0]], [1, 1, 1, 1]]
    )
    low, high = np.floor(corners.min(1)).astype(int), np.ceil(corners.max(1)).astype(int) + 1
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    if left >= right or top >= bottom:
        return under.copy(), landed
    moves = moves - np.array([[0, 0, left], [0, 0, top]])
    there = cv2.warpAffine(cut, moves, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderValue=0)
    result, box = under.copy(), (slice(top, bottom), slice(left, right))
    landed[box] = there[..., 3] > 1 / 510
    mixed = there[..., :3] + (1 - there[..., 3:]) * result[box]
    np.copyto(result[box], cv2.add(mixed, 0, dtype=cv2.CV_8U), where=landed[box][..., None])
    return result, landed
