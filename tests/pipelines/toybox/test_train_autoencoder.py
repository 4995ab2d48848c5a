"""What the autoencoder's trainer asks of its latents, and what it does to reach it."""

from __future__ import annotations

import pytest
import torch

from pipelines.toybox.data import TRAINING_SEED, draw_scenes
from pipelines.toybox.train_autoencoder import (
    build_autoencoder,
    deviations,
    distance,
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
