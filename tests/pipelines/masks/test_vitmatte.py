"""Edges matted by a network: a ViTMatte folder of transformers, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting, VitMatteImageProcessor

from pipelines.contract import EditRequest, Picture, Scope
from pipelines.engine import Engine
from pipelines.errors import ModelError
from pipelines.hand.params import DefocusParams, RecolourParams
from pipelines.masks.matting import matted
from pipelines.masks.vitmatte import load_vitmatte
from pipelines.models.folders import MATTING, card_of, matting
from pipelines.params import Edge
from tests.pipelines.masks.hair import as_selected, drawn

CPU = torch.device("cpu")


def save_tiny_vitmatte(folder: Path) -> None:
    torch.manual_seed(0)
    backbone = VitDetConfig(
        num_channels=4,
        image_size=64,
        pretrain_image_size=64,
        patch_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=1,
        window_size=2,
        window_block_indices=[0],
        out_features=["stage2"],
        residual_block_indices=[],
        use_relative_position_embeddings=True,
    )
    config = VitMatteConfig(
        backbone_config=backbone.to_dict(),
        hidden_size=16,
        convstream_hidden_sizes=[8, 8, 8],
        fusion_hidden_sizes=[16, 8, 8, 8],
    )
    VitMatteForImageMatting(config).save_pretrained(folder)
    VitMatteImageProcessor().save_pretrained(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    save_tiny_vitmatte(path / "vitmatte-tiny")
    return path


def test_the_network_is_asked_for_the_band_alone_and_believed_there() -> None:
    picture, alpha, _ = drawn(400, 1)
    mask = as_selected(alpha)
    trimaps = []

    def grey(shown: Picture, trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert shown.dtype == np.uint8 and shown.shape == (*trimap.shape, 3)
        trimaps.append(trimap)
        return np.full(trimap.shape, 0.25, np.float32)

    found = matted(picture, mask, matte=grey)
    (trimap,) = trimaps
    assert set(np.unique(trimap)) == {0, 128, 255} and (found == 0.25).sum() == (trimap == 128).sum()
    assert ((found == 1) == mask)[found != 0.25].all(), "elsewhere the mask holds"
    near = cv2.dilate(mask.astype(np.uint8), np.ones((25, 25), np.uint8)) > cv2.erode(
        mask.astype(np.uint8), np.ones((9, 9))
    )
    there = matted(picture, mask, near, grey)
    assert np.array_equal(there == 0.25, near)


def test_of_a_large_picture_it_is_shown_a_smaller_copy_and_its_pixels_follow() -> None:
    picture, alpha, _ = drawn(1600, 2)
    shapes = []

    def whole(shown: Picture, trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        shapes.append(trimap.shape)
        return np.asarray(cv2.resize(alpha, trimap.shape[::-1], interpolation=cv2.INTER_AREA))

    mask = as_selected(alpha)
    found = matted(picture, mask, np.ones(mask.shape, np.bool_), whole)
    assert shapes == [(1024, 1024)]
    assert np.abs(found - alpha).mean() < np.abs(matted(picture, mask) - alpha).mean(), "told it is nearer than sought"


def test_a_folder_is_found_and_answers_as_transformers_does(models: Path) -> None:
    card = card_of(models / "vitmatte-tiny")
    assert card is not None and card.kind == MATTING and matting([models]) == card
    picture, alpha, _ = drawn(90, 0)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[40:50, 40:50] = 255
    found = load_vitmatte(card, CPU)(picture, trimap)
    assert found.shape == (90, 90) and 0 <= found.min() < found.max() <= 1
    theirs = VitMatteForImageMatting.from_pretrained(card.path).eval()
    inputs = VitMatteImageProcessor.from_pretrained(card.path)(picture, trimap, return_tensors="pt")
    with torch.no_grad():
        assert np.allclose(theirs(**inputs).alphas[0, 0, :90, :90].numpy(), found, atol=1e-6)


def test_turns_ask_it_by_hand_and_only_where_they_are_told_to(models: Path) -> None:
    picture, alpha, _ = drawn(160, 0)
    request = EditRequest(
        subject="", background="", scope=Scope.SUBJECT, seed=0, picture=picture, mask=as_selected(alpha)
    )
    engine = Engine(model_folders=(models,), device="cpu")

    def made(edge: Edge) -> Picture:
        params = RecolourParams(hue=90, edge=edge)
        return engine.edit("", "recolour", request, params).candidates[0].picture

    by_network = made(Edge.VITMATTE)
    assert (by_network != made(Edge.MATTED)).any() and (by_network == made(Edge.VITMATTE)).all()
    bare = Engine(model_folders=(), device="cpu")
    params = DefocusParams(edge=Edge.VITMATTE)
    with pytest.raises(ModelError, match="put the folder of a VitMatteForImageMatting among"):
        bare.edit("", "defocus", replace(request, scope=Scope.BACKGROUND), params)
