"""The parts of the instruction model's trainer that are right or wrong: its beginning, and what it is told."""

from __future__ import annotations

import random

import torch

from pipelines.toybox.train_instruct import said_of, widened
from pipelines.toybox.train_text_to_image import build_unet
from pipelines.toybox.triples import told
from pipelines.training.triples import TRAINING


def test_a_widened_network_begins_as_the_one_it_was() -> None:
    torch.manual_seed(0)
    plain = build_unet(8).eval()
    wide = widened(plain, 8).eval()
    x, shown, words = torch.randn(1, 8, 32, 32), torch.randn(1, 8, 32, 32), torch.randn(1, 32, 128)
    with torch.no_grad():
        before, after = plain(x, 300, words).sample, wide(torch.cat([x, shown], 1), 300, words).sample
    assert wide.config.in_channels == 16 and torch.allclose(before, after, atol=1e-5)


def test_each_way_to_ask_says_something_and_the_whole_says_both() -> None:
    for number in range(60):
        one, rng = told(TRAINING, number), random.Random(number)
        first, second, whole = said_of(one, rng)
        assert first and second and (" and " if one.independent else ", then ") in whole
    ways = {said_of(told(TRAINING, 3), random.Random(seed))[0] for seed in range(40)}
    assert len(ways) > 2
