"""Subjects that are moved: where they are then, and what is left of them in their place."""

import numpy as np
import pytest

from pipelines.contract import Motion
from pipelines.masks.moved import both_places, filled_from_around, moved_mask, moved_subject, with_room


def test_a_moved_subject_leaves_its_place_to_what_is_around_it() -> None:
    picture, mask = np.full((64, 48, 3), 90, np.uint8), np.zeros((64, 48), bool)
    mask[30:40, 10:20], picture[30:35, 10:20], picture[35:40, 10:20] = True, (200, 0, 0), (0, 0, 200)
    before = picture.copy()
    moved, plate = moved_subject(picture, mask, Motion(turned_over=True, raised=0.25))
    assert np.abs(plate.astype(int) - 90).max() <= 15 and np.array_equal(picture, before)
    place = moved_mask(mask, Motion(turned_over=True, raised=0.25))
    assert place[14:24, 10:20].all() and place.sum() == 100
    assert (moved[14:19, 10:20] == (0, 0, 200)).all() and (moved[19:24, 10:20] == (200, 0, 0)).all()
    assert np.array_equal(moved[~place], plate[~place])


@pytest.mark.parametrize(
    ("motion", "words"),
    [
        (Motion(turned_over=True), "turned over"),
        (Motion(raised=0.2), "raised"),
        (Motion(raised=-0.2), "lowered"),
        (Motion(True, 0.2), "turned over and raised"),
    ],
)
def test_a_motion_says_what_it_does(motion: Motion, words: str) -> None:
    assert str(motion) == words


@pytest.mark.parametrize(("raised", "top"), [(0.0, 30), (0.25, 14), (0.9, 0), (-0.25, 46), (-0.9, 54)])
def test_a_moved_subject_stays_inside_the_picture(raised: float, top: int) -> None:
    mask = np.zeros((64, 48), bool)
    mask[30:40, 10:20] = True
    place = moved_mask(mask, Motion(raised=raised))
    assert place[top : top + 10, 10:20].all() and place.sum() == mask.sum()
    assert with_room(Motion(raised=raised), mask).raised == (30 - top) / 64
    assert not moved_mask(np.zeros_like(mask), Motion(raised=raised)).any()


def test_both_places_of_a_subject_that_stays_are_one() -> None:
    mask = np.zeros((64, 48), bool)
    mask[30:40, 10:20] = True
    assert np.array_equal(both_places(mask, None), mask)
    assert both_places(mask, Motion(raised=0.25)).sum() == 2 * mask.sum()


@pytest.mark.parametrize("side", [256, 1500])
def test_a_hole_takes_the_colours_around_it(side: int) -> None:
    picture, hole = np.full((side, side, 3), (40, 120, 200), np.uint8), np.zeros((side, side), bool)
    hole[side // 4 : side // 2, side // 4 : side // 2] = True
    picture[hole] = 255
    filled = filled_from_around(picture, hole)
    assert filled.shape == picture.shape and np.abs(filled.astype(int) - (40, 120, 200)).max() <= 15
    everything = np.ones_like(hole)
    assert filled_from_around(picture, everything) is picture, "nothing left to go by"
