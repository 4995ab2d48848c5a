"""The parts of the inpainting model's trainer that are right or wrong: what is hidden, and what is shown."""

from __future__ import annotations

import random

import numpy as np
import torch

from pipelines.toybox.data import TRAINING_SEED, draw_scenes
from pipelines.toybox.train_autoencoder import build_autoencoder
from pipelines.toybox.train_inpaint import ROOM, conditions, hidden


def subject() -> np.ndarray:
    mask = np.zeros((256, 256), bool)
    mask[100:150, 90:140] = True
    return mask


def test_what_is_hidden_is_the_subject_or_all_else_or_a_shape() -> None:
    mask, nothing, rng = subject(), np.zeros((256, 256), bool), random.Random(0)
    around = np.zeros_like(mask)
    around[100 - ROOM : 150 + ROOM, 90 - ROOM : 140 + ROOM] = True
    holes = [hidden(mask, nothing, rng) for _ in range(200)]
    with_subject = [hole for hole in holes if not (mask & ~hole).any() and not (hole & ~around).any()]
    all_else = [hole for hole in holes if not (mask & hole).any() and hole.mean() > 0.8]
    assert 50 < len(with_subject) < 110 and 40 < len(all_else) < 100
    assert all(hole.any() for hole in holes)
    assert 2 <= sum(hole.all() for hole in holes) <= 25, "now and then nothing is shown"


def test_another_ones_place_may_be_hidden_with_it() -> None:
    other = np.zeros((256, 256), bool)
    other[10:20, 10:20] = True
    holes = [hidden(subject(), other, random.Random(seed)) for seed in range(60)]
    assert any((other & ~subject() & hole).any() and hole.mean() < 0.3 for hole in holes)


def test_an_empty_picture_has_something_hidden_too() -> None:
    nothing = np.zeros((256, 256), bool)
    assert all(hidden(nothing, nothing, random.Random(seed)).any() for seed in range(40))


def test_the_network_is_shown_where_to_paint_and_nothing_of_what_was_there() -> None:
    torch.manual_seed(0)
    vae, cpu = build_autoencoder(width=8).eval(), torch.device("cpu")
    pictures = draw_scenes(2, TRAINING_SEED, empty=0, workers=1).pictures
    hole = np.stack([subject(), subject()])
    shown = conditions(vae, pictures, hole, cpu)
    assert shown.shape == (2, 9, 32, 32)
    assert shown[0, 0].sum() == len(np.unique(np.argwhere(subject()) // 8, axis=0)), "a cell with any hidden pixel"
    repainted = pictures.copy()
    repainted[hole] = 7
    torch.testing.assert_close(conditions(vae, repainted, hole, cpu), shown)
