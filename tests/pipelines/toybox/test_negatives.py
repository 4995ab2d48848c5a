"""Every way to spoil a picture spoils it where it says, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.toybox.negatives import (
    PLAIN,
    SPOILS,
    UNHARMED,
    Shown,
    cut,
    doubled,
    flattened,
    spoilt_background,
    spoilt_subject,
)
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject


def shown(kind: str, background: str = "beach", **said: str) -> Shown:
    drawn = render(Scene(background, Subject(kind, **said), background_seed=3))
    return Shown(drawn.picture, drawn.mask.astype(np.uint8) * 255, drawn.plate, kind)


DOG, CAT = shown("dog"), shown("cat", "forest", size="big")


@pytest.mark.parametrize("way", SPOILS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("seed", range(4))
def test_a_spoilt_subject_is_changed_where_it_stands(way: object, seed: int) -> None:
    made = way(DOG, CAT, np.random.default_rng(seed))  # type: ignore[operator]
    assert made.shape == DOG.picture.shape and made.dtype == np.uint8
    changed = np.abs(made.astype(int) - DOG.picture).max(-1) > 8
    assert changed.sum() > 0.1 * (DOG.mask > 0).sum(), "as much as a tenth of it at least"
    around = cv2.dilate(DOG.mask, np.ones((61, 61), np.uint8)) | cv2.dilate(CAT.mask, np.ones((61, 61), np.uint8))
    if way is not doubled:
        assert not changed[around == 0].any(), "and nothing far away"


def test_the_same_seed_spoils_alike_and_the_picture_itself_is_left() -> None:
    before = DOG.picture.copy()
    first, second = (spoilt_subject(DOG, CAT, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(DOG.picture, before)


def test_a_spoilt_background_leaves_the_subject() -> None:
    made = spoilt_background(DOG, CAT, np.random.default_rng(0))
    core = cv2.erode(DOG.mask, np.ones((9, 9), np.uint8)) > 0
    assert np.abs(made.astype(int) - DOG.picture)[core].max() <= 3
    assert np.abs(made.astype(int) - DOG.picture)[DOG.mask == 0].mean() > 5


def test_a_plain_thing_is_not_called_spoilt_for_being_plain() -> None:
    apple = shown("apple")
    assert apple.kind in PLAIN and flattened in UNHARMED and cut not in UNHARMED
    made = [spoilt_subject(apple, CAT, np.random.default_rng(seed)) for seed in range(12)]
    flat = [flattened(apple, CAT, np.random.default_rng(seed)) for seed in range(12)]
    assert not any(np.array_equal(a, b) for a in made for b in flat)
