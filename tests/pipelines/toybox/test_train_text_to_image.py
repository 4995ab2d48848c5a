"""The parts of the text-to-image trainer that are right or wrong: windows around the subject, and growing a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from pipelines.toybox.train_text_to_image import build_unet, cut, grow, windows

SIDE = 16


def shares_of(rows: slice, columns: slice, side: int = 32) -> Tensor:
    shares = torch.zeros(1, 1, side, side)
    shares[..., rows, columns] = 1
    return shares


@pytest.mark.parametrize("rows", [slice(0, 4), slice(13, 19), slice(27, 32)])
@pytest.mark.parametrize("columns", [slice(0, 3), slice(20, 26)])
def test_a_window_shows_a_small_subject_whole(rows: slice, columns: slice) -> None:
    draws = np.random.default_rng(0)
    shares = shares_of(rows, columns).repeat(50, 1, 1, 1)
    down, along = windows(shares, SIDE, draws)
    assert down.shape == along.shape == (50, SIDE)
    assert down.min() >= 0 and along.min() >= 0 and down.max() < 32 and along.max() < 32
    assert torch.equal(cut(shares, down, along).sum((1, 2, 3)), shares.sum((1, 2, 3)))


def test_a_window_of_a_picture_without_a_subject_is_anywhere() -> None:
    down, along = windows(torch.zeros(2000, 1, 32, 32), SIDE, np.random.default_rng(0))
    assert {int(begin) for begin in down[:, 0]} == {int(begin) for begin in along[:, 0]} == set(range(32 - SIDE + 1))


def test_a_cut_is_the_part_at_its_rows_and_columns() -> None:
    x = torch.randn(2, 3, 8, 8)
    rows, columns = torch.tensor([[1, 2, 3], [5, 6, 7]]), torch.tensor([[0, 1, 2], [4, 5, 6]])
    expected = torch.stack([x[0, :, 1:4, 0:3], x[1, :, 5:8, 4:7]])
    assert torch.equal(cut(x, rows, columns), expected)


@pytest.fixture(scope="module")
def smaller() -> UNet2DConditionModel:
    """Words at the two lowest levels only, and none with the timestep."""
    torch.manual_seed(0)
    config = {
        **build_unet(8).config,
        "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        "addition_embed_type": None,
        "only_cross_attention": False,
    }
    return UNet2DConditionModel.from_config(config).eval()


def test_a_grown_network_predicts_what_the_smaller_one_did(smaller: UNet2DConditionModel) -> None:
    unet = build_unet(8).eval()
    grow(unet, smaller)
    x, words = torch.randn(1, 8, 16, 16), torch.randn(1, 32, unet.config.cross_attention_dim)
    with torch.no_grad():
        assert torch.equal(unet(x, 300, words).sample, smaller(x, 300, words).sample)


def test_a_network_that_does_not_fit_is_not_taken_over(smaller: UNet2DConditionModel) -> None:
    with pytest.raises(ValueError, match="weights that this one lacks"):
        grow(smaller, build_unet(8))
