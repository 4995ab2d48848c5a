"""Frames, masks at the network's size, seams and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Extent, Scope
from pipelines.images import (
    Frame,
    bled,
    covering,
    edited_region,
    flat_colour,
    mask_at,
    pasted_back,
    resized,
    seam,
    small_changes_undone,
)
from pipelines.kept import outside_change
from pipelines.seeds import derived_seed, generator


@given(st.integers(16, 5000), st.integers(16, 5000), st.sampled_from([256, 512, 768, 1024]), st.sampled_from([2, 3]))
def test_a_frame_has_whole_cells_and_about_the_models_area(
    width: int, height: int, resolution: int, halvings: int
) -> None:
    frame = Frame.fitting(Extent(width, height), resolution, 8, halvings)
    seen = frame.network
    assert frame.original == Extent(width, height) and seen.width % 8 == 0 and seen.height % 8 == 0
    assert min(frame.latent) >= 4
    if max(width, height) <= 4 * min(width, height):
        assert (seen.width / seen.height) / (width / height) == pytest.approx(1, abs=0.05)
        assert 0.7 <= seen.area / resolution**2 <= 1.55


@settings(deadline=None, max_examples=40)
@given(st.integers(16, 400), st.integers(16, 400))
def test_a_picture_keeps_its_size_on_the_way_in_and_out(width: int, height: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = Frame.fitting(Extent.of(picture), 64, 8, 3)
    seen = resized(picture, frame.network)
    assert seen.shape == (frame.latent[0] * 8, frame.latent[1] * 8, 3)
    assert resized(seen, frame.original).shape == picture.shape
    assert frame.latent_share(np.ones((height, width), bool)).shape == (1, 1, *frame.latent)


@pytest.mark.parametrize(
    ("original", "resolution", "halvings", "seen"),
    [
        ((4000, 4000), 512, 3, (512, 512)),
        ((640, 480), 256, 3, (256, 192)),
        ((1024, 1024), 1024, 2, (1024, 1024)),
        ((3000, 2000), 1024, 2, (1248, 832)),
        ((1080, 1920), 768, 3, (576, 1024)),
        ((500, 300), 512, 3, (640, 384)),
        ((310, 290), 256, 3, (256, 240)),  # blocks of 64 would make it square
    ],
)
def test_usual_pictures_are_seen_in_blocks_the_network_halves(
    original: tuple[int, int], resolution: int, halvings: int, seen: tuple[int, int]
) -> None:
    assert Frame.fitting(Extent(*original), resolution, 8, halvings).network == Extent(*seen)


def test_a_frame_of_the_models_own_size_changes_nothing() -> None:
    frame = Frame.fitting(Extent(256, 256), 256, 8)
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert frame.latent == (32, 32) and resized(picture, frame.network) is picture


def test_the_share_of_a_latent_cell_is_exact_where_cells_align() -> None:
    mask = np.zeros((256, 256), bool)
    mask[8:16, 8:20] = True
    share = Frame.fitting(Extent(256, 256), 256, 8).latent_share(mask)
    assert share.shape == (1, 1, 32, 32)
    assert share[0, 0, 1, 1] == 1 and share[0, 0, 1, 2] == 0.5 and share.sum() == 1.5


def test_covering_takes_the_middle() -> None:
    picture = np.zeros((10, 40, 3), np.uint8)
    picture[:, 15:25] = 255
    assert (covering(picture, Extent(10, 10)) == 255).all()
    assert covering(picture, Extent(33, 70)).shape == (70, 33, 3)


def test_a_mask_at_another_size_takes_the_majority() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:, :5] = True
    assert mask_at(mask, Extent(4, 4))[:, :].tolist() == [[True, True, True, False]] * 4
    assert mask_at(mask, Extent(8, 8)) is mask


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


def test_purposes_never_share_draws() -> None:
    assert derived_seed(7, "a") != derived_seed(7, "b") != derived_seed(8, "b")
    assert 0 <= derived_seed(2**63 - 1, "a") < 2**63
    assert generator(7, "a").initial_seed() == generator(7, "a").initial_seed()


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
