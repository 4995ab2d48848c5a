"""The finished mask: strokes, inversion, growing and the soft edge, mostly as laws over any mask."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.contract import Extent, Mask, Point
from pipelines.errors import BadRequest
from pipelines.masks.prompts import MaskPrompts, Stroke
from pipelines.masks.refine import compose, grown, soft_edge

laws = settings(max_examples=60, deadline=None)
masks = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda size: arrays(np.bool_, size))
places = st.floats(-60, 100, allow_nan=False)
strokes = st.builds(
    Stroke,
    points=st.lists(st.builds(Point, places, places), max_size=6).map(tuple),
    radius=st.floats(0.5, 30),
    erase=st.booleans(),
)


def disc(extent: Extent, x: int, y: int, radius: float) -> Mask:
    ys, xs = np.mgrid[: extent.height, : extent.width]
    return np.asarray(np.hypot(xs - x, ys - y) <= radius)


def test_nothing_asked_is_an_empty_mask_of_the_right_size() -> None:
    mask = compose(None, MaskPrompts(), Extent(7, 4))
    assert mask.shape == (4, 7) and mask.dtype == np.bool_ and not mask.any()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadRequest, match="7 x 4 pixels, like its picture; got 4 x 7"):
        compose(np.zeros((7, 4), np.bool_), MaskPrompts(), Extent(7, 4))


@given(masks)
@laws
def test_the_base_is_left_alone_and_comes_back_as_it_was(base: Mask) -> None:
    before = base.copy()
    mask = compose(base, MaskPrompts(), Extent.of(base))
    mask[:] = True
    assert np.array_equal(base, before)


@pytest.mark.parametrize("radius", [0.5, 1, 2.5, 8, 40])
def test_a_dab_is_a_disc_around_the_pixel_it_falls_in(radius: float) -> None:
    extent = Extent(50, 30)
    mask = compose(None, MaskPrompts(strokes=(Stroke((Point(20.9, 11.2),), radius),)), extent)
    assert np.array_equal(mask, disc(extent, 20, 11, radius))


def test_a_stroke_covers_the_line_between_its_points_with_round_ends() -> None:
    extent = Extent(60, 40)
    mask = compose(None, MaskPrompts(strokes=(Stroke((Point(10, 20), Point(40, 20)), 5),)), extent)
    expected = disc(extent, 10, 20, 5) | disc(extent, 40, 20, 5)
    expected[15:26, 10:41] = True
    assert np.array_equal(mask, expected)


def test_a_line_around_an_area_selects_all_of_it_or_takes_it_away() -> None:
    extent = Extent(40, 30)
    around = tuple(Point(x, y) for x, y in ((5.9, 4.2), (25.0, 4.9), (25.1, 20.0), (5.0, 20.5)))
    corner = (Point(20, 0), Point(60, 0), Point(60, 60), Point(20, 60))  # it may reach beyond the picture
    expected = np.zeros((30, 40), bool)
    expected[4:21, 5:26] = True
    filled = Stroke(around, 400, fill=True)
    assert np.array_equal(compose(None, MaskPrompts(strokes=(filled,)), extent), expected), "the radius says nothing"
    expected[:, 20:] = False
    cut = compose(None, MaskPrompts(strokes=(filled, Stroke(corner, 1, erase=True, fill=True))), extent)
    assert np.array_equal(cut, expected)
    assert not compose(None, MaskPrompts(strokes=(Stroke((), 1, fill=True),)), extent).any()


def test_strokes_apply_in_their_order() -> None:
    paint, erase = Stroke((Point(5, 5),), 4), Stroke((Point(5, 5),), 2, erase=True)
    extent = Extent(11, 11)
    ring = compose(None, MaskPrompts(strokes=(paint, erase)), extent)
    assert not ring[5, 5] and ring[5, 1]
    assert np.array_equal(compose(None, MaskPrompts(strokes=(erase, paint)), extent), disc(extent, 5, 5, 4))


@given(masks, strokes)
@laws
def test_a_stroke_reaches_as_far_as_its_radius_wherever_it_lies(base: Mask, stroke: Stroke) -> None:
    extent = Extent.of(base)
    mask = compose(base, MaskPrompts(strokes=(stroke,)), extent)
    near = np.zeros_like(base)
    for point in stroke.points:
        near |= disc(extent, math.floor(point.x), math.floor(point.y), stroke.radius)
    assert (mask[near] != stroke.erase).all()
    if len(stroke.points) <= 1:
        assert np.array_equal(mask[~near], base[~near])
    else:
        assert not (mask & ~base).any() if stroke.erase else not (base & ~mask).any()


@given(masks)
@laws
def test_inverting_twice_is_nothing(base: Mask) -> None:
    extent, invert = Extent.of(base), MaskPrompts(invert=True)
    once = compose(base, invert, extent)
    assert np.array_equal(once, ~base)
    assert np.array_equal(compose(once, invert, extent), base)


@given(masks, st.integers(1, 12))
@laws
def test_growing_and_shrinking_are_ordered_and_undo_each_other_outwards(base: Mask, pixels: int) -> None:
    assert (grown(base, pixels) >= base).all() and (grown(base, -pixels) <= base).all()
    assert (grown(base, pixels + 1) >= grown(base, pixels)).all()
    assert (grown(grown(base, pixels), -pixels) >= base).all()
    assert (grown(grown(base, -pixels), pixels) <= base).all()


@given(masks, st.integers(1, 12))
@laws
def test_shrinking_the_subject_is_growing_the_background(base: Mask, pixels: int) -> None:
    if base.any() and not base.all():
        assert np.array_equal(grown(base, -pixels), ~grown(~base, pixels))


def test_growing_is_by_a_disc_and_shrinking_spares_the_border() -> None:
    extent = Extent(41, 41)
    dot = np.zeros((41, 41), np.bool_)
    dot[20, 20] = True
    assert np.array_equal(grown(dot, 7), disc(extent, 20, 20, 7))
    half = np.zeros((41, 41), np.bool_)
    half[:, :20] = True
    assert np.array_equal(np.nonzero(grown(half, -5).any(0))[0], np.arange(15))
    assert grown(half, -5)[:, 0].all(), "a subject cut off by the border stays attached to it"


@given(masks, st.floats(0, 20))
@laws
def test_the_soft_edge_agrees_with_the_mask_and_is_hard_beyond_half_its_width(base: Mask, feather: float) -> None:
    edge = soft_edge(base, feather)
    assert edge.dtype == np.float32 and edge.min() >= 0 and edge.max() <= 1
    assert np.array_equal(edge > 0.5, base)
    reach = math.ceil(feather / 2) + 1
    assert (edge[grown(base, -reach)] == 1).all()
    assert (edge[~grown(base, reach)] == 0).all()
    assert np.allclose(soft_edge(~base, feather), 1 - edge, atol=1e-5)


def test_the_soft_edge_is_a_straight_ramp() -> None:
    half = np.zeros((3, 10), np.bool_)
    half[:, :5] = True
    assert np.allclose(soft_edge(half, 4)[1], [1, 1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0, 0])


def test_a_long_stroke_on_a_large_picture_needs_no_more_than_its_window() -> None:
    """A path far outside the picture costs nothing and paints nothing."""
    far = Stroke((Point(-9e5, -9e5), Point(-8e5, -8e5)), 100)
    assert not compose(None, MaskPrompts(strokes=(far,)), Extent(2000, 2000)).any()


@pytest.mark.parametrize("feather", [1.5, 2.0, 7.0, 64.0])
def test_the_soft_edge_found_piece_by_piece_is_that_of_the_whole(feather: float) -> None:
    mask = np.zeros((700, 530), bool)
    mask[250:262, 200:520] = True  # along the seam of two pieces
    mask[0:40, 0:9] = True
    mask[690:, 255:258] = True
    mask[400, 256] = True
    parts = (mask.astype(np.uint8), (~mask).astype(np.uint8))
    inner, outer = (cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in parts)
    whole = np.clip(0.5 + np.where(mask, inner - 0.5, 0.5 - outer) / feather, 0, 1)
    assert np.allclose(soft_edge(mask, feather), whole, atol=1e-6), "but for how a float32 is rounded"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(-6, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_growing_near_the_subject_alone_is_growing_in_the_whole_picture(
    height: int, width: int, pixels: int, share: float, seed: int
) -> None:
    mask = np.zeros((height + 8, width + 8), bool)
    mask[2 : 2 + height, 5 : 5 + width] = np.random.default_rng(seed).random((height, width)) < share
    if mask.any() and pixels:
        away = cv2.distanceTransform(
            (mask if pixels < 0 else ~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        assert np.array_equal(grown(mask, pixels), away <= pixels if pixels > 0 else away > -pixels)
