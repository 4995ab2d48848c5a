"""The parts of the text-to-image trainer that are right or wrong: what it learns from, and how it is stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.toybox import train_text_to_image
from pipelines.toybox.data import TRAINING_SEED, draw_scenes
from pipelines.toybox.tokenizer import build_tokenizer
from pipelines.toybox.train_autoencoder import CELL, build_autoencoder
from pipelines.toybox.train_text_to_image import (
    CAPTIONS_PER_SCENE,
    Lessons,
    build_text_encoder,
    build_unet,
    draw_lessons,
    subject_shares,
    token_ids,
    widened,
)

CPU = torch.device("cpu")


def test_the_share_of_a_cell_is_that_of_its_pixels() -> None:
    scenes = draw_scenes(3, TRAINING_SEED, empty=0, workers=1)
    shares = subject_shares(scenes.masks)
    assert shares.shape == (3, 1, 32, 32)
    assert torch.allclose(shares.sum((1, 2, 3)) * CELL**2, torch.from_numpy(scenes.masks.sum((1, 2))).float())
    row, column = np.argwhere(scenes.masks[0])[0] // CELL
    assert shares[0, 0, row, column] == pytest.approx(
        scenes.masks[0, row * CELL : row * CELL + CELL, column * CELL : column * CELL + CELL].mean()
    )


def test_the_words_reach_every_layer_with_the_timestep(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(tmp_path)
    unet, encoder = build_unet(8).eval(), build_text_encoder(tokenizer).eval()
    first, second = token_ids(tokenizer, ["a dog", "a cat in space"]).split(1)
    x = torch.randn(1, 8, 32, 32)
    with torch.no_grad():
        a, b = (unet(x, 300, encoder(ids).last_hidden_state).sample for ids in (first, second))
    assert a.shape == x.shape and (a - b).abs().amin((0, 2, 3)).max() > 0, "no cell is left as it was"


def test_a_widened_network_begins_as_the_one_it_was() -> None:
    torch.manual_seed(0)
    plain = build_unet(8).eval()
    wide = widened(plain, 8).eval()
    x, shown, words = torch.randn(1, 8, 32, 32), torch.randn(1, 8, 32, 32), torch.randn(1, 32, 128)
    with torch.no_grad():
        before, after = plain(x, 300, words).sample, wide(torch.cat([x, shown], 1), 300, words).sample
    assert wide.config.in_channels == 16 and torch.allclose(before, after, atol=1e-5)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_text_to_image, "CHUNK", 4)


@pytest.mark.usefixtures("few")
def test_a_drawing_that_was_stopped_goes_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer, vae = build_tokenizer(tmp_path / "tokenizer"), build_autoencoder(width=8).eval()
    whole = draw_lessons(vae, tokenizer, 8, CPU, tmp_path / "whole")
    begun = draw_lessons(vae, tokenizer, 4, CPU, tmp_path / "stopped")
    (tmp_path / "stopped" / "000004.part").write_bytes(b"half a file")
    resumed = draw_lessons(vae, tokenizer, 8, CPU, tmp_path / "stopped")
    assert len(begun.latents) == 4 and whole.ids.shape == (8, CAPTIONS_PER_SCENE, tokenizer.model_max_length)
    assert all(torch.equal(a, b) for a, b in zip(vars(whole).values(), vars(resumed).values(), strict=True))
    assert isinstance(resumed, Lessons)
