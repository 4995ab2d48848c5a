"""What the autoencoder's trainer asks of its latents, and what it does to reach it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, draw_scenes
from pipelines.toybox.train import MODELS
from pipelines.toybox.train_autoencoder import (
    CROP,
    Crop,
    build_autoencoder,
    deviations,
    distance,
    redrawn,
    to_network,
    unlike_unit,
    with_decoder_for,
    with_unit_latents,
)

CPU = torch.device("cpu")
PICTURES = draw_scenes(4, TRAINING_SEED, workers=1).pictures


def test_latents_of_unit_variance_cost_nothing() -> None:
    z = torch.tensor([-1.0, 1.0]).repeat(50).view(1, 1, 10, 10)
    unit = (z - z.mean()) / z.std()
    assert unlike_unit(unit).item() == pytest.approx(0, abs=1e-6)
    assert unlike_unit(unit + 2).item() == pytest.approx(4, abs=1e-4), "the square of the mean"
    assert unlike_unit(unit * torch.e).item() == pytest.approx(4, abs=1e-4), "the square of the variance's logarithm"


def test_latents_are_brought_to_unit_variance_and_the_decoder_takes_them() -> None:
    torch.manual_seed(0)
    vae = build_autoencoder(width=8).eval()
    mean, deviation = deviations(vae, PICTURES, CPU)
    unit = with_decoder_for(with_unit_latents(vae, PICTURES, CPU), mean, deviation)
    of_unit = deviations(unit, PICTURES, CPU)
    assert torch.allclose(of_unit[0], torch.zeros(8), atol=1e-4) and torch.allclose(
        of_unit[1], torch.ones(8), atol=1e-4
    )
    assert unit.config.scaling_factor == 1
    x = to_network(PICTURES, CPU)
    with torch.no_grad():
        before, after = (each.decode(each.encode(x).latents).sample for each in (vae, unit))
    assert torch.allclose(before, after, atol=0.05), "but for the bound before its first layer"


def test_the_distance_is_nothing_between_equals_and_counts_edges() -> None:
    x = torch.zeros(1, 3, 8, 8)
    stripes = x.clone()
    stripes[..., ::2] = 0.2
    flat = x + stripes.mean()
    assert distance(x, x) == 0
    assert distance(stripes, x) > distance(flat, x) + 0.05


def test_a_crop_of_latents_lies_where_that_of_pixels_does() -> None:
    pictures = np.arange(2 * 128 * 128 * 3, dtype=np.uint32).reshape(2, 128, 128, 3).astype(np.uint8)
    pictures[1, 32:96, 64:128] = 7
    latents = torch.zeros(2, 4, 16, 16)
    latents[1, :, 4:12, 8:16] = 7
    crop = Crop(scene=1, left=64, top=32)
    assert (crop.of_picture(pictures) == 7).all() and crop.of_picture(pictures).shape == (CROP, CROP, 3)
    assert (crop.of_latents(latents) == 7).all() and crop.of_latents(latents).shape == (4, CROP // 8, CROP // 8)


def test_a_scene_drawn_again_still_shows_that_scene() -> None:
    """Nearer to its own latents than to those of another scene, and not equal to them."""
    scenes = draw_scenes(4, HELD_OUT_SEED, empty=0, workers=1)
    again = redrawn(MODELS / "toybox", scenes, CPU).float()
    vae = AutoencoderTiny.from_pretrained(MODELS / "toybox" / "vae").eval()
    with torch.no_grad():
        own = vae.encode(to_network(scenes.pictures, CPU)).latents
    apart = torch.cdist(again.flatten(1), own.flatten(1))
    assert (apart.argmin(1) == torch.arange(4)).all()
    assert apart.diagonal().min() > 1
