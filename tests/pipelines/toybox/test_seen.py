"""What the embedded CLIP reads off pictures of the world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.models.folders import card_of
from pipelines.toybox.data import HELD_OUT_SEED, draw_scenes
from pipelines.toybox.measure import MODELS
from pipelines.toybox.seen import SceneReader
from pipelines.toybox.words import Attributes

COUNT = 96

WANTED = {"colour": 0.97, "size": 0.97, "action": 0.85}
"""Share of what it says that is so. Of the poses it takes standing for upside down at times, and the reverse."""


@pytest.fixture(scope="module")
def reader() -> SceneReader:
    card = card_of(MODELS / "toybox-clip")
    assert card is not None
    return SceneReader(card, torch.device("cpu"))


def test_what_it_says_of_held_out_pictures_is_nearly_always_so(reader: SceneReader) -> None:
    drawn = draw_scenes(COUNT, HELD_OUT_SEED + 200_000, empty=0, workers=1)
    seen = [reader(picture) for picture in drawn.pictures]
    for name in WANTED:
        said = [
            (getattr(found, name), getattr(scene.subject, name))
            for found, scene in zip(seen, drawn.scenes, strict=True)
            if getattr(found, name) is not None
        ]
        assert len(said) >= 0.75 * COUNT, name
        assert np.mean([found == true for found, true in said]) >= WANTED[name], name


def test_the_same_picture_is_read_the_same(reader: SceneReader) -> None:
    picture = draw_scenes(1, HELD_OUT_SEED + 300_000, empty=0, workers=1).pictures[0]
    first = reader(picture)
    assert isinstance(first, Attributes) and reader(picture) == first
