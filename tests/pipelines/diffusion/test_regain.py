"""A picture's latent that is fitted to give the picture back, and a turn that begins at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Quality
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.regain import regaining
from pipelines.engine import ASSETS, Engine
from pipelines.images import from_network, to_network
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_model
from pipelines.models.loader import load_bundle
from pipelines.progress import silent
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject


def test_the_decoder_gives_back_more_of_the_picture_and_none_of_its_weights_moves(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    told: list[tuple[str, int, int]] = []
    fits = replace(bundle, regained=regaining(30, lambda *said: told.append(said[:3])))
    before, asked = bundle.checksum(), request_for()
    usual, fitted = Canvas.of(bundle, asked), Canvas.of(fits, asked)
    x = to_network(usual.small)
    lost, less = (float((bundle.decode(canvas.z_ref) - x).square().mean()) for canvas in (usual, fitted))
    assert less < 0.97 * lost and bundle.checksum() == before
    assert told == [("latent", step, 30) for step in range(1, 31)]
    assert torch.equal(Canvas.of(fits, asked).z_ref, fitted.z_ref) and not fitted.z_ref.requires_grad


def test_off_it_is_the_encoder_s_own(bundle: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    off = replace(bundle, regained=regaining(0, silent))
    assert torch.equal(Canvas.of(off, request_for()).z_ref, Canvas.of(bundle, request_for()).z_ref)


def test_a_turn_that_asks_for_it_begins_there(
    model_folders: tuple[Path, ...], request_for: Callable[..., EditRequest]
) -> None:
    engine, stages = Engine(model_folders, device="cpu"), []
    made = [
        engine.edit(
            "tiny",
            "sdedit",
            request_for(),
            settings("sdedit", Quality.DRAFT, {"steps": 2, "strength": 0.5, "latent_steps": steps}),
            lambda stage, *_: stages.append(stage),
        ).candidates[0]
        for steps in (0, 6, 6)
    ]
    assert not np.array_equal(made[0].picture, made[1].picture) and np.array_equal(made[1].picture, made[2].picture)
    assert stages.index("latent") > stages.index("denoise") and stages.count("latent") == 12


def test_on_the_embedded_model_two_rounds_lose_less_than_one_did() -> None:
    bundle = load_bundle(find_model("toybox", (ASSETS / "models",)), torch.device("cpu"))
    picture = render(Scene("snow", Subject("cat"))).picture

    def after(rounds: int, steps: int) -> float:
        shown, regained = picture, regaining(steps, silent)
        for _ in range(rounds):
            x = to_network(shown)
            shown = from_network(bundle.decode(regained(bundle, bundle.encode(x), x)))
        return float(np.square(shown.astype(float) - picture).mean())

    assert after(2, 10) < after(1, 0) < 0.8 * after(2, 0)
