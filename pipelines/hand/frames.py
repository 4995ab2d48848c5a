"""Which part of the old picture, and what beside it, a turn that changes the frame shows: numbers, no pixels.

Sides are told in shares of the picture, so that such a turn can be made again on a picture of another size.
"""

from __future__ import annotations

import math

from pipelines.contract import Extent, Point
from pipelines.frames import Frame, Moves
from pipelines.hand.params import CropParams, ExtendParams, Mirror, ResizeParams, StraightenParams


def cropped(params: CropParams, extent: Extent) -> Frame:
    """To whole pixels, of which one is left at least."""
    left, top = round(params.left * extent.width), round(params.top * extent.height)
    right, bottom = round(params.right * extent.width), round(params.bottom * extent.height)
    inside = Extent(max(1, extent.width - left - right), max(1, extent.height - top - bottom))
    return Frame(inside, Moves(c=-left, f=-top))


def extended(params: ExtendParams, extent: Extent) -> Frame:
    """By whole pixels."""
    left, top = round(params.left * extent.width), round(params.top * extent.height)
    right, bottom = round(params.right * extent.width), round(params.bottom * extent.height)
    return Frame(Extent(extent.width + left + right, extent.height + top + bottom), Moves(c=left, f=top))


def resized(params: ResizeParams, extent: Extent) -> Frame:
    """In proportion, to whole pixels."""
    inside = extent.fitted_inside(Extent(params.longer, params.longer))
    return Frame(inside, Moves(a=inside.width / extent.width, e=inside.height / extent.height))


def straightened(params: StraightenParams, extent: Extent) -> Frame:
    """Mirrored first, then turned about its middle; either enlarged, or cut to the part with its proportions that no
    empty corner reaches."""
    width, height = extent.width, extent.height
    sides, ends = (params.mirror in (one, Mirror.BOTH) for one in (Mirror.SIDES, Mirror.ENDS))
    mirrored = Moves(a=-1 if sides else 1, c=width if sides else 0, e=-1 if ends else 1, f=height if ends else 0)
    if not params.angle:
        return Frame(extent, mirrored)
    larger = enlarged(params.angle, extent)
    inside = extent if params.keep_size else Extent(max(1, int(width / larger)), max(1, int(height / larger)))
    middle, to = Point(width / 2, height / 2), Point(inside.width / 2, inside.height / 2)
    turn = Moves.turn(params.angle, larger if params.keep_size else 1.0, middle, to)
    return Frame(inside, mirrored.then(turn))


def enlarged(angle: float, extent: Extent) -> float:
    """How many times as large a picture must be that it still covers its place when it is turned by `angle`."""
    along, across = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    return max(along + across * extent.height / extent.width, along + across * extent.width / extent.height)
