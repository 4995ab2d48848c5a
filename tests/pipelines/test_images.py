"""Frames, and masks at the network's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Extent
from pipelines.images import Frame, covering, mask_at, resized
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


def test_purposes_never_share_draws() -> None:
    assert derived_seed(7, "a") != derived_seed(7, "b") != derived_seed(8, "b")
    assert 0 <= derived_seed(2**63 - 1, "a") < 2**63
    assert generator(7, "a").initial_seed() == generator(7, "a").initial_seed()
