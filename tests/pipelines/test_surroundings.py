"""The colour of a seam and the grain around it, against pictures of which both are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from pipelines.contract import Mask, Picture
from pipelines.surroundings import continued, grain_like, grain_of, offset_at_seam


def photograph() -> Picture:
    """300 x 200 pixels of scikit-image's cup of coffee, of which none is nearly black or white."""
    return np.clip(data.coffee()[60:260, 100:400] * 0.8 + 20, 0, 255).astype(np.uint8)


@pytest.fixture
def region() -> Mask:
    y, x = np.mgrid[:200, :300]
    return np.asarray((x - 150) ** 2 + (y - 100) ** 2 < 60**2)


def shifted(picture: Picture, by: NDArray[np.float64]) -> Picture:
    return np.clip(np.round(picture + by), 0, 255).astype(np.uint8)


def test_a_shift_of_colour_is_undone_inside_too(region: Mask) -> None:
    original = photograph()
    slope = np.linspace(-1, 1, 300)[None, :, None]
    made = shifted(original, np.array([9.0, -6.0, 4.0]) + 3 * slope)
    offset = offset_at_seam(made, original, region)
    assert offset.shape == made.shape and offset.dtype == np.float32
    rest = np.abs(made + offset - original.astype(np.float32))[region]
    assert rest.mean() < 0.6 and np.quantile(rest, 0.99) < 2
    assert np.abs(made.astype(float) - original)[region].mean() > 5


def test_what_stays_another_thing_beside_the_seam_has_no_say(region: Mask) -> None:
    """A quarter of the surroundings shows something else altogether; the shift is that of the rest."""
    original = photograph()
    made = shifted(original, np.array([9.0, -6.0, 4.0]))
    made[:, :90] = 255 - made[:, :90]
    offset = offset_at_seam(made, original, region)[region].mean(0)
    assert np.abs(offset + np.array([9.0, -6.0, 4.0])).max() < 1.5


def test_where_the_colours_meet_nothing_is_added(region: Mask) -> None:
    original = photograph()
    made = original.copy()
    made[region] = 255 - made[region]
    assert np.abs(offset_at_seam(made, original, region)).max() < 1e-3
    for everywhere in (np.ones_like(region), np.zeros_like(region)):
        assert not offset_at_seam(255 - original, original, everywhere).any(), "nothing to go by"


def test_a_continuation_keeps_what_it_knows_and_a_constant_everywhere() -> None:
    weight = np.zeros((37, 53), np.float32)
    weight[3, 4] = weight[20, 50] = 1
    value = np.array([2.0, -3.0], np.float32)
    whole = continued(weight[..., None] * value, weight)
    assert whole.shape == (37, 53, 2) and np.allclose(whole, value, atol=1e-4)


def grainy(picture: Picture, own: float, shared: float, seed: int = 0) -> Picture:
    draws = np.random.default_rng(seed)
    noise = draws.normal(0, own, picture.shape) + draws.normal(0, shared, (*picture.shape[:2], 1))
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("own", "shared"), [(5.0, 0.0), (0.0, 6.0), (3.0, 4.0), (1.5, 1.0)])
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "photograph"])
def test_grain_is_measured_whatever_is_in_the_picture(own: float, shared: float, flat: bool) -> None:
    clean = np.full((200, 300, 3), 120, np.uint8) if flat else photograph()
    found = grain_of(grainy(clean, own, shared), np.ones((200, 300), bool))
    before = grain_of(clean, np.ones((200, 300), bool))
    assert found is not None and before is not None
    one, mean = np.hypot(own, shared), np.hypot(own / np.sqrt(3), shared)
    expected = np.hypot(before, np.array([one, one, one, mean]))
    step = 0.5 / 0.6745  # of a difference of whole levels, halved
    assert (np.abs(found - expected) < 0.12 * expected + step / 2).all(), (found, expected)


def test_what_is_drawn_flat_has_no_grain_and_gets_none(region: Mask) -> None:
    flat = np.full((200, 300, 3), 120, np.uint8)
    found = grain_of(flat, ~region)
    assert found is not None and not found.any()
    assert not grain_like(flat, flat, region, 7).any()


def test_a_smooth_part_gets_the_grain_around_it_and_a_grainy_one_what_it_lacks(region: Mask) -> None:
    flat = np.full((200, 300, 3), 120, np.uint8)
    original = grainy(flat, 3, 4)
    for made, lacks in ((flat, 5.0), (grainy(flat, 0, 4, seed=1), 3.0)):
        grain = grain_like(original, made, region, 7)
        assert grain.dtype == np.float32 and grain.shape == flat.shape
        assert grain[region].std() == pytest.approx(lacks, rel=0.12)
        assert np.array_equal(grain, grain_like(original, made, region, 7))
        assert not np.array_equal(grain, grain_like(original, made, region, 8))
    smooth = grain_like(original, flat, region, 7)[region]
    assert np.corrcoef(smooth.T)[0, 1] == pytest.approx(16 / 25, abs=0.12), "the channels share as much of it"


def test_where_too_little_can_be_seen_nothing_is_told() -> None:
    picture = np.full((40, 40, 3), 120, np.uint8)
    few = np.zeros((40, 40), bool)
    few[:10, :10] = True
    assert grain_of(picture, few) is None
    assert grain_of(np.full((40, 40, 3), 255, np.uint8), np.ones((40, 40), bool)) is None, "white has no grain to see"
    assert not grain_like(picture, picture, ~few, 7).any()
