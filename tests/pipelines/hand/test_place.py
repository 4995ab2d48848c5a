"""Place, remove and straighten: where things are afterwards, what fills a hole, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from pipelines.contract import EditRequest, Extent, Mask, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.hand.fill import filled
from pipelines.hand.params import Fill, Mirror, PlaceParams, RemoveParams, StraightenParams
from pipelines.hand.place import hole_of, place, remove, straighten
from pipelines.params import Edge


@pytest.fixture(scope="module")
def gravel() -> Picture:
    """A texture, with a red disc on it."""
    picture = np.repeat(data.gravel()[:240, :320, None], 3, -1)
    cv2.circle(picture, (120, 110), 30, (200, 20, 30), -1)
    return picture


@pytest.fixture
def disc() -> Mask:
    mask = np.zeros((240, 320), np.uint8)
    cv2.circle(mask, (120, 110), 30, 1, -1)
    return mask > 0


@pytest.fixture
def asked(gravel: Picture, disc: Mask) -> EditRequest:
    return EditRequest(picture=gravel, mask=disc, subject="", background="", scope=Scope.BOTH, seed=7)


def red(picture: Picture) -> Mask:
    return (picture[..., 0].astype(int) - picture[..., 1] > 90) & (picture[..., 0] > 120)


def middle(mask: Mask) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(x.mean()), float(y.mean())


def hard(**settings: Any) -> PlaceParams:
    return PlaceParams(edge=Edge.HARD, **settings)


def test_a_subject_that_is_moved_is_there_pixel_by_pixel_and_its_place_is_filled(asked: EditRequest) -> None:
    changed = place(asked, hard(right=0.25, up=-0.2))
    there = np.roll(asked.mask, (48, 80), (0, 1))
    assert np.array_equal(changed.picture[there], asked.picture[asked.mask])
    assert not red(changed.picture)[~there].any()
    kept = ~changed.region
    assert kept.sum() > 50_000 and np.array_equal(changed.picture[kept], asked.picture[kept])
    assert np.array_equal(changed.region, there | hole_of(asked.mask, PlaceParams().margin))


def test_scale_turn_and_mirror_are_about_its_middle(asked: EditRequest) -> None:
    mask = asked.mask.copy()
    mask[:, :120] = False  # half a disc: one can see how it lies
    half = replace(asked, mask=mask)
    x, y = middle(mask)
    cases: tuple[tuple[dict[str, float], float], ...] = (
        ({"scale": 0.5}, 0.25),
        ({"scale": 1.5}, 2.25),
        ({"turn": 90.0}, 1.0),
        ({"turn": 33.0}, 1.0),
    )
    for settings, grows in cases:
        landed = place(half, hard(twice=True, **settings)).region
        assert landed.sum() == pytest.approx(grows * mask.sum(), rel=0.25), settings  # a rim of pixels comes to it
    upright = place(half, hard(twice=True, turn=90.0, right=0.3)).region
    across, along = np.ptp(np.nonzero(upright)[1]), np.ptp(np.nonzero(upright)[0])
    assert across > 1.8 * along
    columns = np.nonzero(upright.any(1))[0]
    assert upright[columns[-1]].sum() > upright[columns[0]].sum(), "its flat side, on the left, is turned down"
    mirrored = place(half, hard(twice=True, mirror=True)).region
    assert np.array_equal(np.flatnonzero(mirrored.any(0)), np.flatnonzero(mask.any(0)))
    assert middle(mirrored)[0] > x + 3 and middle(mirrored)[1] == pytest.approx(y, abs=0.1)


def test_mirrored_twice_is_the_subject_again(asked: EditRequest) -> None:
    rows, columns = (np.flatnonzero(asked.mask.any(axis)) for axis in (1, 0))
    once = place(asked, hard(mirror=True, twice=True))
    box = np.ix_(rows, columns)
    there = np.zeros_like(asked.mask)
    there[box] = asked.mask[box][:, ::-1]
    twice = place(replace(asked, picture=once.picture, mask=there), hard(mirror=True, twice=True))
    assert np.array_equal(twice.picture[asked.mask], asked.picture[asked.mask])


def test_a_copy_leaves_it_where_it_is(asked: EditRequest) -> None:
    changed = place(asked, hard(right=0.3, twice=True))
    assert red(changed.picture).sum() == pytest.approx(2 * red(asked.picture).sum(), rel=0.05)
    assert np.array_equal(changed.picture[asked.mask], asked.picture[asked.mask])


def test_part_of_it_may_lie_outside_and_all_of_it_may_not(asked: EditRequest) -> None:
    assert 0 < place(asked, hard(right=-0.35, twice=True)).region.sum() < asked.mask.sum()
    with pytest.raises(BadRequest, match="the subject would lie outside of the picture; move it less far"):
        place(asked, hard(right=1.0))


def test_nothing_of_the_subject_is_left_where_it_is_removed_and_the_texture_goes_on(asked: EditRequest) -> None:
    changed = remove(asked, RemoveParams())
    assert not red(changed.picture).any()
    assert np.array_equal(changed.picture[~changed.region], asked.picture[~changed.region])
    hole, around = changed.region, hole_of(changed.region, 0.1) & ~changed.region
    for statistic in (np.mean, np.std):
        inside, beside = (float(statistic(changed.picture[part])) for part in (hole, around))
        assert inside == pytest.approx(beside, rel=0.2)
    smooth = remove(asked, RemoveParams(fill=Fill.SMOOTH)).picture
    assert not red(smooth).any() and smooth[hole].std() < 0.85 * changed.picture[hole].std()


def test_what_runs_behind_the_subject_goes_on_behind_it() -> None:
    picture = np.zeros((160, 240, 3), np.uint8)
    picture[:60], picture[60:90], picture[90:] = (120, 190, 240), (40, 90, 200), (230, 200, 150)
    whole = picture.copy()
    hole = np.zeros((160, 240), bool)
    hole[30:130, 90:150] = True
    picture[hole] = (255, 0, 0)
    found = filled(picture, hole, Fill.TEXTURE)
    assert np.abs(found.astype(int) - whole)[hole].mean() < 6
    assert np.array_equal(found[~hole], whole[~hole])
    assert np.array_equal(found, filled(picture, hole, Fill.TEXTURE)), "the same every time"


@pytest.mark.parametrize("fill", list(Fill))
@pytest.mark.parametrize("size", [(16, 16), (20, 61), (300, 90)])
def test_a_hole_of_any_shape_in_a_picture_of_any_size_is_filled(fill: Fill, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(80, 120, (*size, 3), dtype=np.uint8)
    half = (slice(4, size[0] - 4), slice(0, size[1] // 2))
    for place_of in ((slice(0, 5), slice(0, 6)), half, (slice(7, 8), slice(7, 8))):
        hole = np.zeros(size, bool)
        hole[place_of] = True
        seen = picture.copy()
        seen[hole] = (255, 0, 255)
        found = filled(seen, hole, fill)
        assert np.array_equal(found[~hole], seen[~hole])
        assert np.abs(found[hole].astype(int) - 100).max() < 60, "nothing of what was in it"


def test_a_fill_without_surroundings_is_refused_in_one_sentence(asked: EditRequest) -> None:
    almost = np.ones_like(asked.mask)
    almost[:3, :3] = False
    whole = replace(asked, mask=almost)
    for run in (lambda: remove(whole, RemoveParams()), lambda: place(whole, hard(right=0.1))):
        with pytest.raises(BadRequest, match="there is nothing around the subject to fill its place from; select less"):
            run()


def test_settings_that_do_nothing_are_refused(asked: EditRequest) -> None:
    for settings in ({}, {"twice": True, "margin": 0.05}, {"edge": Edge.MATTED, "fill": Fill.SMOOTH}):
        with pytest.raises(BadRequest, match="every setting leaves the subject where it is"):
            place(asked, PlaceParams(**settings))  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="every setting leaves the picture as it is"):
        straighten(asked, StraightenParams())


@pytest.mark.parametrize("mirror", [Mirror.SIDES, Mirror.ENDS, Mirror.BOTH])
def test_a_mirrored_picture_mirrored_again_is_the_picture(asked: EditRequest, mirror: Mirror) -> None:
    once = straighten(asked, StraightenParams(mirror=mirror)).picture
    assert not np.array_equal(once, asked.picture)
    again = straighten(replace(asked, picture=once), StraightenParams(mirror=mirror)).picture
    assert np.array_equal(again, asked.picture)


@pytest.mark.parametrize("angle", [-45.0, -3.0, 7.0, 45.0])
@pytest.mark.parametrize("size", [(120, 200), (200, 120)])
def test_a_turned_picture_has_no_empty_corner_and_its_middle_stays(angle: float, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 200, np.uint8)
    picture[size[0] // 2 - 3 : size[0] // 2 + 3, size[1] // 2 - 3 : size[1] // 2 + 3] = (255, 0, 0)
    framed = picture.copy()
    framed[:1], framed[-1:], framed[:, :1], framed[:, -1:] = 0, 0, 0, 0
    asked = EditRequest(picture=framed, mask=np.ones(size, bool), subject="", background="", scope=Scope.BOTH, seed=7)
    found = straighten(asked, StraightenParams(angle=angle)).picture
    assert Extent.of(found) == Extent.of(picture)
    assert middle(found[..., 1] < 60) == pytest.approx((size[1] / 2 - 0.5, size[0] / 2 - 0.5), abs=1)
    line = np.zeros((201, 201, 3), np.uint8)
    line[100] = 255
    level = replace(asked, picture=line, mask=np.ones((201, 201), bool))
    tilted = straighten(level, StraightenParams(angle=7.0)).picture
    left, right = (int(np.argmax(tilted[:, x, 0])) for x in (20, 180))
    assert left > right, "counterclockwise: its right end goes up"
