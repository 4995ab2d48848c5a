"""The engine: one edit at a time, clicks beside it, and weights that are proven whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.contract import EditRequest, Mask, Picture, Point, Scope
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.masks.sam import SamConfig, SamSegmenter, build_sam, save_sam
from pipelines.params import InpaintParams, LayeredParams, Params, SDEditParams, Tuned

FEW = SDEditParams(steps=4)


@pytest.fixture(scope="module")
def folders(model_folders: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The tiny models and a tiny segmenter with random weights."""
    root = tmp_path_factory.mktemp("segmenters")
    config = SamConfig(
        16, 1, 2, (0,), image_size=64, window_size=4, width=16, decoder_heads=2, decoder_mlp=32, score_width=16
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_sam(build_sam(config), config, root / "points")
    return (*model_folders, root)


@pytest.fixture
def engine(folders: tuple[Path, ...]) -> Engine:
    return Engine(folders, device="cpu")


def test_a_click_is_answered_while_an_edit_runs(
    engine: Engine, request_for: Callable[..., EditRequest], picture: Picture
) -> None:
    answered = threading.Event()
    clicked: list[Mask] = []

    def click() -> None:
        clicked.append(engine.segment(picture, MaskPrompts(clicks=(Click(20, 14),)), "points").mask)
        answered.set()

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if step == 1:
            threading.Thread(target=click).start()
            assert answered.wait(30), "the click waited for the edit"

    engine.edit("tiny", "sdedit", request_for(), FEW, progress)
    assert clicked[0].shape == picture.shape[:2]


def test_a_picture_is_embedded_once(engine: Engine, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[Picture] = []
    embed = SamSegmenter.embed

    def counted(self: SamSegmenter, picture: Picture) -> object:
        embedded.append(picture)
        return embed(self, picture)

    monkeypatch.setattr(SamSegmenter, "embed", counted)
    one = engine.segment(picture, MaskPrompts(clicks=(Click(20, 14),)), "points")
    assert len(one.choices) == 3 and one.chosen in (0, 1, 2)
    two = engine.segment(picture, MaskPrompts(clicks=(Click(20, 14), Click(2, 2, include=False))), "points")
    assert len(two.choices) == 1
    assert len(embedded) == 1
    engine.segment(255 - picture, MaskPrompts(clicks=(Click(20, 14),)), "points")
    assert len(embedded) == 2


def test_strokes_and_uploads_need_no_segmenter(engine: Engine, picture: Picture, mask: Mask) -> None:
    stroke = Stroke((Point(10, 10), Point(20, 10)), radius=3)
    painted = engine.segment(picture, MaskPrompts(strokes=(stroke,)), "there is none")
    assert painted.mask[10, 15] and not painted.mask[25, 15] and painted.choices == ()
    uploaded = engine.segment(picture, MaskPrompts(uploaded="0" * 64, invert=True), uploaded=mask)
    assert np.array_equal(uploaded.mask, ~mask)
    with pytest.raises(ModelError, match="found: points"):
        engine.segment(picture, MaskPrompts(clicks=(Click(1, 1),)), "there is none")
    with pytest.raises(BadRequest):
        engine.segment(picture, MaskPrompts(clicks=(Click(1, 1, include=False),)), "points")


def test_edits_from_two_threads_wait_for_each_other(engine: Engine, request_for: Callable[..., EditRequest]) -> None:
    alone = [engine.edit("tiny", "sdedit", request_for(seed=seed), FEW).candidates[0].picture for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda seed: engine.edit("tiny", "sdedit", request_for(seed=seed), FEW), (1, 2)))
    for result, expected in zip(both, alone, strict=True):
        assert np.array_equal(result.candidates[0].picture, expected)


def test_a_model_left_changed_is_loaded_afresh(
    engine: Engine, request_for: Callable[..., EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = engine.edit("tiny", "sdedit", request_for(), FEW)
    bundle = engine._bundle("tiny")

    def spoil(*progress: object) -> None:
        with torch.no_grad():
            bundle.unet.conv_out.bias += 1

    spoilt = engine.edit("tiny", "sdedit", request_for(), FEW, spoil)
    assert spoilt.weights_before == expected.weights_before != spoilt.weights_after
    after = engine.edit("tiny", "sdedit", request_for(), FEW)
    assert after.weights_before == expected.weights_before
    assert np.array_equal(after.candidates[0].picture, expected.candidates[0].picture)


@pytest.mark.parametrize(
    ("method", "params", "passes"),
    [
        ("sdedit", SDEditParams(steps=4, strength=1), 4 * 2),
        ("sdedit", SDEditParams(steps=4, strength=1, guidance=1), 4),
        # The reference and the guidance sample with two texts a step; a step of fitting sees both layers.
        (
            "layered",
            LayeredParams(embed_steps=3, tuned=Tuned.LORA, tune_steps=2, steps=4),
            4 * 2 + 3 * 2 + 2 * 2 + 4 * 2,
        ),
    ],
    ids=["guided", "unguided", "layered"],
)
def test_the_passes_of_an_edit_are_counted(
    engine: Engine, request_for: Callable[..., EditRequest], method: str, params: Params, passes: int
) -> None:
    asked = replace(request_for(), scope=Scope.BOTH, subject="red", background="sea")
    assert engine.edit("tiny", method, asked, params).network_passes == passes
    assert engine.edit("tiny", method, asked, params).network_passes == passes, "each edit by itself"


def test_the_engine_says_what_it_runs(engine: Engine, request_for: Callable[..., EditRequest]) -> None:
    assert engine.describe() == "CPU"
    engine.warm_up("tiny-kl")
    assert engine.describe() == "Tiny kl on CPU"
    with pytest.raises(ModelError):
        engine.warm_up("huge")
    assert engine.describe() == "Tiny kl on CPU"


def test_weights_are_told_before_an_edit_records_them(engine: Engine, request_for: Callable[..., EditRequest]) -> None:
    told = engine.weights("tiny")
    assert told == engine.edit("tiny", "sdedit", request_for(), FEW).weights_before != engine.weights("tiny-kl")
    with pytest.raises(ModelError):
        engine.weights("huge")


def test_large_pictures_keep_their_size_and_their_kept_pixels(
    engine: Engine, request_for: Callable[..., EditRequest]
) -> None:
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (333, 517, 3), dtype=np.uint8)
    subject = np.zeros((333, 517), bool)
    subject[100:200, 120:260] = True
    asked = replace(request_for(), picture=large, mask=subject, scope=Scope.BACKGROUND)
    candidate = engine.edit("tiny", "inpaint", asked, InpaintParams(steps=3)).candidates[0]
    assert candidate.picture.shape == large.shape
    inner = (
        subject & np.roll(subject, 1, 0) & np.roll(subject, -1, 0) & np.roll(subject, 1, 1) & np.roll(subject, -1, 1)
    )
    assert np.array_equal(candidate.picture[inner], large[inner]), "all but the outermost pixel, where the old shows"
    assert candidate.outside.kept == inner.sum() and candidate.outside.changed == 0
