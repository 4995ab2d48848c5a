"""What the embedded CLIP reads off pictures of the world."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from pipelines.models.folders import card_of
from pipelines.toybox.data import HELD_OUT_SEED, draw_scenes
from pipelines.toybox.measure import MODELS, measure_reading
from pipelines.toybox.seen import SceneReader
from pipelines.toybox.words import Attributes


def test_what_it_says_of_held_out_pictures_is_nearly_always_so() -> None:
    """Of the poses it takes standing for upside down at times, and the reverse."""
    found = measure_reading(MODELS / "toybox-clip", count=96, device="cpu")
    assert all(found[name]["right"] >= 0.95 for name in ("colour", "size")), found
    assert found["action"]["right"] >= 0.95, found
    assert found["action"]["wrong"] <= 0.03, found


def test_what_cannot_be_told_is_not_said_and_the_same_picture_reads_the_same() -> None:
    card = card_of(MODELS / "toybox-clip")
    assert card is not None
    reader = SceneReader(card, torch.device("cpu"))
    drawn = draw_scenes(12, HELD_OUT_SEED + 300_000, empty=0, workers=1)
    first = [reader(picture) for picture in drawn.pictures]
    assert [reader(picture) for picture in drawn.pictures] == first
    flat = reader(np.full((256, 256, 3), 128, np.uint8))
    assert isinstance(flat, Attributes) and None in (flat.subject, flat.colour, flat.size, flat.action)
    over_each_other = [reader(a // 2 + b // 2) for a, b in zip(drawn.pictures[::2], drawn.pictures[1::2], strict=True)]
    assert sum(None in (seen.subject, seen.colour, seen.size, seen.action) for seen in over_each_other) >= 3


def test_nothing_is_read_off_a_picture_of_another_world() -> None:
    """Noise, and smooth colours with some grain as photographs have: of either it would be sure of an elephant."""
    card = card_of(MODELS / "toybox-clip")
    assert card is not None
    reader, draw = SceneReader(card, torch.device("cpu")), np.random.default_rng(0)
    noise = draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    smooth = cv2.resize(noise[:6, :8], (256, 256), interpolation=cv2.INTER_CUBIC).astype(int)
    photo = np.clip(smooth + draw.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)
    for picture in (noise, photo):
        seen = reader(picture)
        assert (seen.subject, seen.colour, seen.size, seen.action) == (None,) * 4
