"""Masks and what they come from, and pictures, carried into another frame. No torch here."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Box, Extent, Mask, Picture, Point
from pipelines.frames import Moves
from pipelines.masks.prompts import FURTHEST, LARGEST_GROW, LARGEST_RADIUS, Click, MaskPrompts, Stroke

SMALLEST_RADIUS = 0.5


def carried_mask(mask: Mask, moves: Moves, extent: Extent) -> Mask:
    """What `mask` selects, in a picture of `extent` to which `moves` leads; outside of the old one nothing is."""
    return np.asarray(_carried(mask.astype(np.uint8) * np.uint8(255), moves, extent, cv2.INTER_LINEAR) > 127)


def carried_picture(picture: Picture, moves: Moves, extent: Extent) -> Picture:
    """`picture` as it lies in one of `extent`; black where it does not reach."""
    return _carried(picture, moves, extent, cv2.INTER_AREA if moves.scale < 1 else cv2.INTER_CUBIC)


def carried_prompts(prompts: MaskPrompts, moves: Moves, extent: Extent) -> MaskPrompts:
    """The same marks in a picture of `extent`: those that lie beyond its sides are left out, a box is cut at them.

    An uploaded mask is named as it was; whoever has its pixels carries it (`carried_mask`).
    """
    scale = moves.scale
    clicks = (Click(*_at(moves, click.x, click.y), click.include) for click in prompts.clicks)
    scribbles = (_stroke(mark, moves) for mark in prompts.scribbles)
    return replace(
        prompts,
        clicks=tuple(click for click in clicks if _within(click.x, click.y, extent)),
        box=None if prompts.box is None else _cut(moves.box(prompts.box), extent),
        scribbles=tuple(cut for mark in scribbles if (cut := _inside(mark, extent)) is not None),
        strokes=tuple(stroke for mark in prompts.strokes if _stays(stroke := _stroke(mark, moves), extent)),
        grow=max(-LARGEST_GROW, min(LARGEST_GROW, round(prompts.grow * scale))),
    )


def marks(prompts: MaskPrompts) -> tuple[int, bool, int, int]:
    """How many there are that must lie in the picture: fewer, and what they select is no longer the same."""
    points = sum(len(mark.points) for mark in prompts.scribbles)
    return len(prompts.clicks), prompts.box is None, points, len(prompts.strokes)


def _carried(levels: NDArray[np.uint8], moves: Moves, extent: Extent, how: int) -> NDArray[np.uint8]:
    size = (extent.width, extent.height)
    return np.asarray(cv2.warpAffine(levels, np.array(moves.of_pixels), size, flags=how, borderValue=0))


def _at(moves: Moves, x: float, y: float) -> tuple[float, float]:
    """To a thousandth of a pixel, so that two ways to the same frame end alike."""
    at = moves.point(x, y)
    near = (max(-FURTHEST, min(FURTHEST, where)) for where in (at.x, at.y))
    x, y = (round(where, 3) for where in near)
    return x, y


def _stroke(stroke: Stroke, moves: Moves) -> Stroke:
    radius = max(SMALLEST_RADIUS, min(LARGEST_RADIUS, round(stroke.radius * moves.scale, 3)))
    return replace(stroke, points=tuple(Point(*_at(moves, p.x, p.y)) for p in stroke.points), radius=radius)


def _stays(stroke: Stroke, extent: Extent) -> bool:
    """A wand is nothing without the place whose colour it is about."""
    return stroke.wand is None or all(_within(point.x, point.y, extent) for point in stroke.points)


def _inside(stroke: Stroke, extent: Extent) -> Stroke | None:
    points = tuple(point for point in stroke.points if _within(point.x, point.y, extent))
    return replace(stroke, points=points) if points else None


def _cut(box: Box, extent: Extent) -> Box | None:
    x, y = (
        [round(max(0.0, min(most, side)), 3) for side in sides]
        for sides, most in (((box.left, box.right), extent.width), ((box.top, box.bottom), extent.height))
    )
    cut = Box(x[0], y[0], x[1], y[1])
    return None if cut.is_empty else cut


def _within(x: float, y: float, extent: Extent) -> bool:
    return 0 <= x <= extent.width and 0 <= y <= extent.height
