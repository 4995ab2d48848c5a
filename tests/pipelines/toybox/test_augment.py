"""What the picture readers train on: in range, repeatable, and still true to its labels."""

import numpy as np
import torch

from pipelines.toybox.augment import draw_examples, mixed_batch
from pipelines.toybox.data import JUDGE_SEED
from pipelines.toybox.judge import SIDE

EXAMPLES = draw_examples(24, JUDGE_SEED, torch.device("cpu"), workers=1)


def test_examples_are_small_and_know_who_is_there() -> None:
    assert EXAMPLES.pictures.shape == (24, SIDE, SIDE, 3)
    assert sorted([*EXAMPLES.peopled, *EXAMPLES.empty]) == list(range(24))
    assert all(EXAMPLES.masks[k].any() == (k in EXAMPLES.peopled) for k in range(24))


def test_a_batch_is_in_range_and_its_masks_follow_its_scenes() -> None:
    batch = mixed_batch(EXAMPLES, 16, np.random.default_rng(0))
    assert batch.pictures.shape == (16, 3, SIDE, SIDE)
    assert batch.pictures.dtype == torch.float32
    assert batch.pictures.abs().max() <= 1
    assert [bool(mask.any()) for mask in batch.masks] == [scene.subject is not None for scene in batch.scenes]


def test_the_same_draws_give_the_same_batch() -> None:
    first, second = (mixed_batch(EXAMPLES, 8, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first.pictures, second.pictures)
    assert first.scenes == second.scenes


def test_neighbours_in_a_batch_share_their_kind_and_their_background() -> None:
    batch = mixed_batch(EXAMPLES, 16, np.random.default_rng(3), alike=6)
    assert len(batch.scenes) == 16
    assert all(scene.subject is not None for scene in batch.scenes[:6])
    assert len({(scene.subject.kind, scene.background) for scene in batch.scenes[:6] if scene.subject}) == 1
