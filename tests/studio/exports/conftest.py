"""A session of small pictures that are really there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.contract import Mask, Picture, Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import encode_mask, encode_png
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.store.blobs import Blobs
from studio.store.files import Files
from studio.store.record import Record

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def photo() -> Picture:
    """Smooth colours with some grain, as photographs have."""
    draw = np.random.default_rng(3)
    coarse = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int64)
    picture: Picture = np.clip(smooth + draw.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)
    return picture


@pytest.fixture
def subject() -> Mask:
    """An ellipse."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(drawn, (30, 22), (14, 10), 20, 0, 360, 1, -1)
    covered: Mask = drawn > 0
    return covered


@pytest.fixture
def pictures(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "pictures", ".png", Files())


@pytest.fixture
def record(photo: Picture, subject: Mask, pictures: Blobs) -> Record:
    """Two edits: one with a mask and a background reference, one on the whole picture."""
    request = TurnRequest(
        model="toybox",
        weights="abc",
        method="layered",
        params={"steps": 5},
        quality=Quality.DRAFT,
        subject="ein Hündchen – 🐶",
        background="in a forest",
        scope=Scope.BOTH,
        seed=7,
        mask=pictures.put(encode_mask(subject)),
        prompts=MaskPrompts(clicks=(Click(30, 22),)).to_json(),
        feather=3.0,
    )
    whole = TurnRequest(
        model="toybox",
        weights="abc",
        method="sdedit",
        params={"steps": 5},
        quality=Quality.DRAFT,
        subject="a cat",
        background="",
        scope=Scope.BOTH,
        seed=8,
        mask=None,
        prompts={},
        feather=2.0,
    )
    reference = pictures.put(encode_png(np.full((32, 32, 3), (20, 90, 160), np.uint8)))
    tree = Tree.planted(Turn.original(pictures.put(encode_png(photo)), 1.0))
    edited = pictures.put(encode_png(255 - photo))
    tree = tree.append(Turn.after(tree.current, request, edited, Outcome(background_reference=reference)))
    tree = tree.append(Turn.after(tree.current, whole, pictures.put(encode_png(photo // 2)), Outcome()))
    return Record("5e55" * 8, "A dog", 1.0, WIDTH, HEIGHT, tree, {"draft": {}})
