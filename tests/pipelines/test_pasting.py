"""What a turn may change, seams, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Scope
from pipelines.kept import outside_change
from pipelines.pasting import bled, edited_region, flat_colour, pasted_back, seam, small_changes_undone


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(Scope)), st.floats(0, 12), st.integers(0, 2**32 - 1))
def test_pasting_back_never_touches_what_is_kept(scope: Scope, feather: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    original, edit = (rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(2))
    mask = np.zeros((40, 50), bool)
    top, left = rng.integers(1, 30, 2)
    mask[top : top + 8, left : left + 9] = True
    region = edited_region(mask, scope, feather)
    result = pasted_back(edit, original, region, feather)
    assert np.array_equal(result[~region], original[~region])
    change = outside_change(result, original, region)
    assert (change.changed, change.largest, change.kept) == (0, 0, int((~region).sum()))
    share = seam(region, feather)
    assert (share[~region] == 0).all() and (share[region] > 0).all() and share.max() <= 1
    if scope is Scope.SUBJECT:
        assert region[mask].all() and (region.sum() > mask.sum())
        assert np.array_equal(result[mask], edit[mask]), "the subject itself lies inside the seam"
    if scope is Scope.BOTH:
        assert np.array_equal(result, edit)


@pytest.mark.parametrize("side", [64, 2048])
def test_a_kept_subject_brings_no_rim_of_the_background_it_stood_on(side: int) -> None:
    """A red disc, softened into white as cameras do, comes onto black: nothing there is lighter than the red itself."""
    red, white = np.array([200, 0, 0]), np.array([255, 255, 255])
    away = np.hypot(*np.indices((side, side)) - side / 2) - side / 4
    width = max(1, side / 1024)
    share = np.clip(0.5 - away / width, 0, 1)[..., None]
    original = np.round(share * red + (1 - share) * white).astype(np.uint8)
    mask, black = away < 0, np.zeros((side, side, 3), np.uint8)
    region = edited_region(mask, Scope.BACKGROUND, 2.0)
    kept = ~region
    assert (kept <= mask).all() and kept.sum() > 0.85 * mask.sum()
    result = pasted_back(black, bled(original, kept), region, 2.0)
    assert result[..., 1:].max() <= 1, "green and blue are the white's"
    assert np.array_equal(result[kept], original[kept]) and (result[away > 2 + width] == 0).all()
    assert pasted_back(black, original, ~mask, 2.0)[..., 1:].max() > 100, "as it would be otherwise"


def test_what_is_too_thin_to_have_a_fringe_is_kept() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 5:20] = True
    mask[18, 20:36] = True
    kept = ~edited_region(mask, Scope.BACKGROUND, 2.0)
    assert kept[18, 22:36].all() and kept[11:29, 6:19].all() and not kept[10, 5:20].any()


def test_colours_bleed_from_the_nearest_kept_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    kept = np.zeros((5, 9), bool)
    kept[:, 2] = kept[:, 6] = True
    spread = bled(picture, kept)
    assert (spread[:, :4] == picture[:, 2:3]).all() and (spread[:, 5:] == picture[:, 6:7]).all()
    assert bled(picture, np.zeros((5, 9), bool)) is picture


def test_outside_change_is_counted_in_pixels_and_levels() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    result = original.copy()
    result[0, 0] = (100, 90, 103)
    result[0, 1, 2] = 101
    result[3, 3] = 0
    region = np.zeros((4, 4), bool)
    region[3, 3] = True
    change = outside_change(result, original, region)
    assert (change.changed, change.kept, change.largest) == (2, 15, 10)


def test_one_colour_all_over_what_was_to_change_is_named() -> None:
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert flat_colour(picture, region) == ""
    assert flat_colour(picture, np.zeros_like(region)) == "", "nothing was to change"
    picture[10:30, 10:30] = (0, 1, 0)
    assert flat_colour(picture, region) == "#000100"
    picture[10:30, 10] = 255  # the seam
    assert flat_colour(picture, region) == "#000100"
    picture[10:30, 10:14] = 255
    assert flat_colour(picture, region) == "", "a fifth of it is something else"
    picture[10:30, 10:30] = np.linspace(100, 130, 20).astype(np.uint8)[:, None]
    assert flat_colour(picture, region) == "", "a sky is no flat colour"


def test_small_changes_are_undone_and_large_ones_stay() -> None:
    original = np.full((40, 60, 3), 100, np.uint8)
    edit = original.copy()
    edit[:, 20:40] += 6  # on every channel: 6 levels
    edit[:, 40:, 2] += 36  # on one of three: 12 levels
    edit[20, 5] += 30  # a lone pixel, about 5 levels once smoothed
    assert small_changes_undone(edit, original, 0) is edit
    undone = small_changes_undone(edit, original, 8)
    assert np.array_equal(undone[:, :36], original[:, :36])
    assert np.array_equal(undone[:, 44:], edit[:, 44:])
    assert np.array_equal(small_changes_undone(edit, original, 5)[:, 24:], edit[:, 24:])
    assert np.array_equal(small_changes_undone(edit, original, 255), original)
