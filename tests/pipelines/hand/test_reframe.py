"""Crop, extend, resize, and straighten where it cuts: which pixels are where, and what is refused."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from pipelines.catalog import method
from pipelines.contract import EditRequest, Extent, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.hand.frames import cropped, extended, resized, straightened
from pipelines.hand.params import Beyond, CropParams, ExtendParams, Mirror, ResizeParams, StraightenParams
from pipelines.hand.reframe import reframed
from pipelines.hand.run import run_by_hand
from pipelines.params import Params


@pytest.fixture(scope="module")
def photograph() -> Picture:
    picture: Picture = data.chelsea()
    return picture[:240, :360]


@pytest.fixture
def asked(photograph: Picture) -> EditRequest:
    mask = np.zeros(photograph.shape[:2], np.uint8)
    cv2.circle(mask, (220, 120), 40, 1, -1)
    return EditRequest(picture=photograph, mask=mask > 0, subject="", background="", scope=Scope.BOTH, seed=7)


def made(name: str, asked: EditRequest, params: Params) -> tuple[Picture, np.ndarray]:
    """The picture, and where the subject is in it."""
    result = run_by_hand(method(name), asked, params)
    assert result.subject_after is not None
    outside = result.candidates[0].outside
    assert (outside.changed, outside.kept) == (0, 0)
    return result.candidates[0].picture, result.subject_after


def test_a_crop_keeps_every_pixel_that_is_left(asked: EditRequest) -> None:
    picture, subject = made("crop", asked, CropParams(left=0.25, top=0.1, right=1 / 6))
    assert np.array_equal(picture, asked.picture[24:, 90:300])
    assert np.array_equal(subject, asked.mask[24:, 90:300])


@pytest.mark.parametrize("beyond", Beyond)
def test_what_there_was_stays_as_it_was_in_a_wider_frame(asked: EditRequest, beyond: Beyond) -> None:
    picture, subject = made("extend", asked, ExtendParams(left=0.25, bottom=0.5, beyond=beyond))
    assert picture.shape == (360, 450, 3)
    assert np.array_equal(picture[:240, 90:], asked.picture)
    assert np.array_equal(subject[:240, 90:], asked.mask) and subject.sum() == asked.mask.sum()
    flat = {Beyond.WHITE: 255, Beyond.GREY: 128, Beyond.BLACK: 0}.get(beyond)
    added = np.concatenate([picture[:, :90].reshape(-1, 3), picture[240:].reshape(-1, 3)])
    assert (added == flat).all() if flat is not None else len(np.unique(added, axis=0)) > 500
    if beyond is Beyond.MIRROR:
        assert np.array_equal(picture[:240, 89], asked.picture[:, 0])


def test_another_size_in_the_same_proportions(asked: EditRequest) -> None:
    smaller, subject = made("resize", asked, ResizeParams(longer=90))
    assert smaller.shape == (60, 90, 3)
    assert np.array_equal(smaller, cv2.resize(asked.picture, (90, 60), interpolation=cv2.INTER_AREA))
    assert subject.mean() == pytest.approx(asked.mask.mean(), rel=0.03)
    squares, _ = made("resize", asked, ResizeParams(longer=720, squares=True))
    assert np.array_equal(squares, np.repeat(np.repeat(asked.picture, 2, 0), 2, 1))
    smooth, _ = made("resize", asked, ResizeParams(longer=720))
    assert not np.array_equal(smooth, squares)


@pytest.mark.parametrize("angle", [-12.0, 4.0, 30.0])
def test_a_picture_that_is_cut_when_it_is_turned_keeps_its_detail(asked: EditRequest, angle: float) -> None:
    """Nothing is enlarged: the middle is the picture turned as it is, and no corner is what the turn made up."""
    white = np.full_like(asked.picture, 255)
    cut, subject = made("straighten", asked, StraightenParams(angle=angle, keep_size=False))
    frame = straightened(StraightenParams(angle=angle, keep_size=False), Extent.of(asked.picture))
    assert Extent.of(cut) == frame.extent and frame.extent.width < 360
    size = (frame.extent.width, frame.extent.height)
    edges = cv2.warpAffine(white, np.array(frame.moves.of_pixels), size, flags=cv2.INTER_LINEAR)
    assert edges.min() == 255, "every pixel comes from the picture"
    whole = cv2.getRotationMatrix2D((179.5, 119.5), angle, 1.0)
    turned = cv2.warpAffine(asked.picture, whole, (360, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    left, top = (360 - size[0]) / 2, (240 - size[1]) / 2
    if left == int(left) and top == int(top):
        there = turned[int(top) : int(top) + size[1], int(left) : int(left) + size[0]]
        assert np.abs(cut.astype(int) - there).max() <= 1, "to the rounding of a place"
    y, x = np.nonzero(subject)
    there = frame.moves.point(220.5, 120.5)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((there.x, there.y), abs=1.0)


@pytest.mark.parametrize("mirror", Mirror)
@pytest.mark.parametrize("angle", [0.0, 8.0])
def test_a_point_is_where_the_pixels_are(asked: EditRequest, mirror: Mirror, angle: float) -> None:
    """The frame says in numbers what the picture shows: a mark that is carried lies on what it marked."""
    params = StraightenParams(angle=angle, mirror=mirror)
    _, subject = made("straighten", asked, params) if params != StraightenParams() else (None, asked.mask)
    y, x = np.nonzero(subject)
    there = straightened(params, Extent.of(asked.picture)).moves.point(220.5, 120.5)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((there.x, there.y), abs=0.7)


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("crop", CropParams(), "every setting leaves the picture whole"),
        ("extend", ExtendParams(), "every setting leaves the picture as it is"),
        ("resize", ResizeParams(longer=360), "has 360 pixels already"),
        ("crop", CropParams(left=0.97), "must have at least 16 pixels a side; it would be 11 x 240"),
        ("crop", CropParams(top=0.45, bottom=0.45), "must be at most 4 times as long as wide; it would be 360 x 24"),
        ("crop", CropParams(left=0.7, right=0.7), "at least 16 pixels a side; it would be 1 x 240"),
        ("extend", ExtendParams(left=2.0, right=2.0), "at most 4 times as long as wide; it would be 1800 x 240"),
        ("resize", ResizeParams(longer=8192), "8192 pixels a side and 40 million in all; it would be 8192 x 5461"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(asked: EditRequest, name: str, params: Params, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        run_by_hand(method(name), asked, params)


def test_sides_are_told_in_shares_so_that_a_crop_commutes_with_a_resize() -> None:
    crop, size = CropParams(left=0.25, bottom=0.5), ResizeParams(longer=180)
    extent = Extent(360, 240)
    one, other = cropped(crop, extent), resized(size, extent)
    assert cropped(crop, other.extent).extent == Extent(135, 60)
    assert one.then(resized(ResizeParams(longer=135), one.extent)).extent == Extent(135, 60)
    assert extended(ExtendParams(left=1 / 3), one.extent).extent == Extent(360, 120)


def test_the_original_as_such_turns_alone_would_have_it(asked: EditRequest) -> None:
    steps: list[tuple[Any, Params]] = [
        (method("crop"), CropParams(left=0.25)),
        (method("extend"), ExtendParams(right=1 / 3, beyond=Beyond.TEXTURE)),
    ]
    found = reframed(asked.picture, steps)
    assert found.shape == (240, 360, 3)
    assert np.array_equal(found[:, :270], asked.picture[:, 90:]) and (found[:, 270:] == 128).all()
    assert reframed(asked.picture, []) is asked.picture


def test_a_picture_that_is_only_mirrored_keeps_its_size_whatever_is_set(asked: EditRequest) -> None:
    mirrored = StraightenParams(mirror=Mirror.SIDES, keep_size=False)
    assert set(method("straighten").idle(asked, mirrored)) == {"keep_size"}
    assert made("straighten", asked, mirrored)[0].shape == asked.picture.shape
    assert not method("straighten").idle(asked, StraightenParams(angle=3.0))
