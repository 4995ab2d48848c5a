from __future__ import annotations

import numpy as np

from pipelines.contract import Box, Extent, Point
from pipelines.frames import Moves
from pipelines.masks.carry import carried_mask, carried_picture, carried_prompts, marks
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.masks.refine import compose

CUT = Moves(c=-10, f=-4)
ALL = MaskPrompts(
    clicks=(Click(12, 9), Click(2, 2, include=False)),
    box=Box(5, 6, 30, 20),
    scribbles=(Stroke((Point(11, 5), Point(3, 5)), 1.0),),
    strokes=(Stroke((Point(14, 16), Point(30, 16)), 6.0),),
    grow=3,
    feather=1.0,
)


def test_marks_move_with_the_picture_and_those_beyond_its_sides_are_left_out() -> None:
    there = carried_prompts(ALL, CUT, Extent(16, 12))
    assert there.clicks == (Click(2, 5),)
    assert there.box == Box(0, 2, 16, 12)
    assert there.scribbles == (Stroke((Point(1, 1),), 1.0),)
    assert there.strokes == (Stroke((Point(4, 12), Point(20, 12)), 6.0),), "a stroke goes on outside"
    assert (there.grow, there.feather) == (3, 1.0)
    assert marks(there) != marks(ALL)
    assert MaskPrompts.from_json(there.to_json(), Extent(16, 12)) == there


def test_larger_marks_in_a_larger_picture() -> None:
    there = carried_prompts(ALL, Moves(a=2, e=2), Extent(96, 64))
    assert there.clicks[0] == Click(24, 18) and there.strokes[0].radius == 12 and there.grow == 6
    assert marks(there) == marks(ALL)


def test_a_mask_is_cut_to_the_pixel_and_reaches_into_nothing() -> None:
    mask = np.zeros((32, 48), np.bool_)
    mask[6:20, 12:30] = True
    cut = carried_mask(mask, CUT, Extent(16, 12))
    assert np.array_equal(cut, mask[4:16, 10:26])
    back = carried_mask(cut, CUT.inverse, Extent(48, 32))
    inside = np.zeros_like(mask)
    inside[4:16, 10:26] = True
    assert np.array_equal(back, mask & inside)


def test_what_was_painted_lies_where_its_mask_lies() -> None:
    painted = MaskPrompts(strokes=ALL.strokes)
    there = compose(None, carried_prompts(painted, Moves(a=2, e=2), Extent(96, 64)), Extent(96, 64))
    carried = carried_mask(compose(None, painted, Extent(48, 32)), Moves(a=2, e=2), Extent(96, 64))
    assert (there & carried).sum() / (there | carried).sum() > 0.9


def test_a_picture_that_is_cut_keeps_its_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert np.array_equal(carried_picture(picture, CUT, Extent(16, 12)), picture[4:16, 10:26])
    wider = carried_picture(picture, Moves(c=5), Extent(58, 32))
    assert np.array_equal(wider[:, 5:53], picture) and not wider[:, :5].any()
