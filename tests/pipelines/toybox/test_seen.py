"""What the embedded CLIP reads off pictures of the world."""

from __future__ import annotations

import torch

from pipelines.models.folders import card_of
from pipelines.toybox.data import HELD_OUT_SEED, draw_scenes
from pipelines.toybox.measure import MODELS, measure_reading
from pipelines.toybox.seen import SceneReader


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
    over_each_other = [reader(a // 2 + b // 2) for a, b in zip(drawn.pictures[::2], drawn.pictures[1::2], strict=True)]
    assert sum(None in (seen.subject, seen.colour, seen.size, seen.action) for seen in over_each_other) >= 3
