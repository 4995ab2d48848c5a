"""Whether a picture is a drawing of the kind that the embedded model was made for, and how often that is told wrongly.

Told wrongly are 0 of 100 drawn scenes, at most 2 of 100 as JPEG files, and none that went through the autoencoder or an
edit; of textures as photographs have them, every one that has grain is told. What is smooth and has none passes for a
drawing: that is the measure's limit, and a model is then run without a question.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Picture, Quality, Scope
from pipelines.engine import Engine
from pipelines.hints.pictures import misfit, smooth_share
from pipelines.images import from_network, to_network
from pipelines.models.domain import NOTHING_SAID
from pipelines.models.folders import find_model
from pipelines.models.loader import load_bundle
from pipelines.toybox.render import render
from pipelines.toybox.scene import sample_scene, sample_subject
from studio.settings import ASSETS

CARD = find_model("toybox", [ASSETS / "models"])


def taken_for_photographs(pictures: Iterator[Picture] | list[Picture]) -> int:
    return sum(bool(misfit(picture, CARD)) for picture in pictures)


@cache
def scenes() -> list[Picture]:
    rng = random.Random(11)
    return [render(sample_scene(rng)).picture for _ in range(100)]


def as_jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(picture: Picture, side: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def test_drawn_scenes_are_none() -> None:
    assert taken_for_photographs(scenes()) == 0
    assert taken_for_photographs([resized(picture, side) for picture in scenes()[:30] for side in (128, 640)]) == 0


def test_hardly_any_that_was_saved_as_jpeg_is_taken_for_one() -> None:
    assert taken_for_photographs(as_jpeg(picture, 80) for picture in scenes()) <= 2


@pytest.mark.slow
def test_edited_scenes_are_none() -> None:
    bundle = load_bundle(CARD, torch.device("cpu"))
    with torch.no_grad():
        through = [from_network(bundle.decode(bundle.encode(to_network(picture)))) for picture in scenes()[:10]]
    assert taken_for_photographs(through) == 0
    engine, rng = Engine(), random.Random(12)
    edited = []
    for number, (name, scope) in enumerate(
        [("layered", Scope.BOTH), ("sdedit", Scope.BOTH), ("inpaint", Scope.SUBJECT)]
    ):
        scene = render(sample_scene(rng, empty=0))
        subject, background = sample_subject(rng).phrase(), "" if scope is Scope.SUBJECT else "in a forest"
        request = EditRequest(
            picture=scene.picture, mask=scene.mask, subject=subject, background=background, scope=scope, seed=number
        )
        edited.append(engine.edit("toybox", name, request, settings(name, Quality.DRAFT)).candidates[0].picture)
    assert taken_for_photographs(edited) == 0


def noise(rng: np.random.Generator, side: int, blur: float, levels: float, grain: float) -> Picture:
    """Texture whose details are `blur` pixels large and `levels` strong, and under it grain as a sensor makes it."""
    texture = rng.normal(0, 1, (side, side, 3))
    if blur:
        texture = cv2.GaussianBlur(texture, (0, 0), blur)
    picture = 128 + levels * texture / texture.std() + rng.normal(0, max(grain, 1e-9), (side, side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


def light(rng: np.random.Generator, side: int, grain: float) -> Picture:
    """An even wall under uneven light, and grain."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    a, b, c = rng.uniform(-1, 1, (3, 3))
    shade = 128 + 100 * (a * x[..., None] + b * y[..., None] + c * np.sin(3 * x * y)[..., None])
    return np.clip(shade + rng.normal(0, max(grain, 1e-9), (side, side, 3)), 0, 255).astype(np.uint8)


@cache
def textures() -> list[Picture]:
    rng = np.random.default_rng(5)
    fine = [noise(rng, 256, blur, levels, 0) for blur in (0, 1, 2) for levels in (20, 40, 60)]
    grainy = [
        noise(rng, side, blur, levels, grain)
        for side in (256, 384)
        for blur in (2, 8, 32)
        for levels in (20, 60)
        for grain in (4, 10)
    ]
    walls = [light(rng, side, grain) for side in (256, 384) for grain in (4, 10) for _ in range(5)]
    return [*fine, *grainy, *walls]


def test_photographic_textures_are_told() -> None:
    made = textures()
    assert len(made) == 53
    assert taken_for_photographs(made) == len(made)
    assert taken_for_photographs(as_jpeg(picture, 85) for picture in made) >= 0.9 * len(made)


def test_a_scene_in_front_of_a_photographed_wall_is_told() -> None:
    rng = np.random.default_rng(6)
    for picture in scenes()[:10]:
        assert misfit(np.concatenate([picture[:80], noise(rng, 256, 1, 30, 4)[80:]]), CARD)


def test_what_is_smooth_all_over_is_not_told() -> None:
    rng = np.random.default_rng(7)
    assert taken_for_photographs([light(rng, 256, 0) for _ in range(10)]) == 0


def test_the_question_names_what_the_model_was_made_for() -> None:
    why = misfit(noise(np.random.default_rng(1), 64, 0, 60, 0), CARD)
    assert why.startswith("Toybox was made for flat drawings of its own small world. This looks like a photograph: ")


def test_a_model_whose_card_says_nothing_takes_every_picture() -> None:
    assert misfit(textures()[0], replace(CARD, domain=NOTHING_SAID)) == ""


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (3, 3)])
def test_a_picture_of_any_size_is_measured(shape: tuple[int, int]) -> None:
    assert 0 <= smooth_share(np.zeros((*shape, 3), np.uint8)) <= 1
