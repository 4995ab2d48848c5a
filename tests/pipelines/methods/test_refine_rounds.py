"""Editing by instruction with a LoRA that was trained for many rounds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.catalog import CATALOG
from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.schedule import DONE
from pipelines.engine import Engine
from pipelines.methods.refine import Ancestral, instructions, rounds
from pipelines.models.bundle import ModelBundle
from pipelines.models.lora_files import lora_use
from pipelines.models.network import eager
from pipelines.params import RefineParams
from pipelines.seeds import generator
from pipelines.training.choices import Edges
from pipelines.training.trainer import Trainer, save_folder
from tests.pipelines.training.conftest import PLAN, Halves, write_tiny_clip

FEW = RefineParams(steps=3)


@pytest.fixture(scope="module")
def trained(model_folders: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Folders with a tiny CLIP, and two LoRAs of no long training: ``plain``, and ``led`` with an edge branch."""
    from pipelines.models.folders import find_model

    root = tmp_path_factory.mktemp("refine")
    write_tiny_clip(root / "tiny-clip")
    for name, edges in (("plain", Edges.NONE), ("led", Edges.TRAINED)):
        plan = replace(PLAN, edges=edges)
        card = find_model("tiny", model_folders)
        trainer = Trainer(card, "tiny-clip", (root,), Halves(), plan, root / "scratch" / name, "cpu")
        with torch.no_grad():
            for parameter in trainer.objective.taught().values():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator(1, name)))
        save_folder(root / "loras" / name, trainer.objective, card, "tiny-clip")
    return (*model_folders, root)


@pytest.fixture
def edited(trained: tuple[Path, ...], request_for: Callable[..., EditRequest]) -> Callable[..., np.ndarray]:
    engine = Engine(trained, device="cpu")

    def edit(lora: str | None, params: RefineParams = FEW, **changes: object) -> np.ndarray:
        loras = () if lora is None else (lora_use(lora, 1.0, trained),)
        asked = request_for(**{"subject": "make it red", "background": "now big", "loras": loras, **changes})
        return engine.edit("tiny", "refine", asked, params).candidates[0].picture

    return edit


def test_the_picture_is_told_as_well_as_the_text(edited: Callable[..., np.ndarray], trained: tuple[Path, ...]) -> None:
    """Without what lies beside the LoRA it is the LoRA alone that changes something."""
    whole = edited("plain")
    kept = (trained[-1] / "loras" / "plain" / "reference.json").read_bytes()
    (trained[-1] / "loras" / "plain" / "reference.json").unlink()
    try:
        alone = edited("plain")
    finally:
        (trained[-1] / "loras" / "plain" / "reference.json").write_bytes(kept)
    pictures = [whole, alone, edited(None)]
    for k, one in enumerate(pictures):
        assert all(not np.array_equal(one, other) for other in pictures[k + 1 :])
    assert np.array_equal(edited("plain"), whole)


def test_edges_lead_where_the_lora_brings_a_branch(edited: Callable[..., np.ndarray]) -> None:
    usual = edited("led")
    assert not np.array_equal(edited("led", replace(FEW, edges=0.0)), usual)
    assert np.array_equal(edited("plain", replace(FEW, edges=0.0)), edited("plain"))


def test_two_rounds_are_another_picture_than_one(edited: Callable[..., np.ndarray]) -> None:
    assert not np.array_equal(edited("plain", replace(FEW, two_rounds=True)), edited("plain"))
    alone = {"scope": Scope.SUBJECT, "background": ""}
    assert np.array_equal(edited("plain", replace(FEW, two_rounds=True), **alone), edited("plain", FEW, **alone))


def test_each_text_is_a_round(request_for: Callable[..., EditRequest]) -> None:
    asked = request_for(subject=" make it red", background="now big ")
    assert instructions(asked, two_rounds=False) == ["make it red and now big"]
    assert instructions(asked, two_rounds=True) == ["make it red", "now big"]
    assert instructions(request_for(subject="", background="now big"), two_rounds=True) == ["now big"]
    method = CATALOG["refine"]
    assert "two_rounds" not in method.idle(asked, FEW)
    assert "two_rounds" in method.idle(request_for(background=""), FEW)
    assert "two_rounds" in method.idle(request_for(scope=Scope.SUBJECT), FEW)


def test_without_noise_at_every_step_it_is_ddim(bundle: ModelBundle) -> None:
    z, eps = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    quiet, noisy = (Ancestral(z, eta, generator(0, "a")) for eta in (0.0, 1.0))
    plain = bundle.schedule.step(z, eps, 800, 600)
    assert torch.equal(quiet.step(bundle, z, eps, 800, 600), plain)
    stepped = noisy.step(bundle, z, eps, 800, 600)
    mean, sigma = bundle.schedule.mean(z, eps, 800, 600), bundle.schedule.sigma(800, 600)
    torch.testing.assert_close(stepped, mean + sigma * noisy.noise)
    assert torch.equal(noisy.step(bundle, z, eps, 20, DONE), bundle.schedule.step(z, eps, 20, DONE))


def test_a_round_for_each_condition_and_of_several_pictures_at_once(bundle: ModelBundle) -> None:
    z, e = torch.randn(2, 4, 16, 16), bundle.embed_texts(["a", "b"])
    steps: list[int] = []
    both = rounds(
        bundle, z, [e, e], bundle.embed_texts([""]), FEW, generator(0, "a"), lambda z_0: steps.append(len(z_0))
    )
    assert both.shape == z.shape and steps == [2] * 6
    assert torch.equal(rounds(bundle, z, [], e[:1], FEW, generator(0, "a"), lambda z_0: None), z)


def test_a_network_made_for_instructions_is_shown_the_picture_of_each_round(load: Callable[[str], ModelBundle]) -> None:
    bundle = load("tiny-instruct")
    z, e, null, shown = torch.randn(2, 4, 16, 16), bundle.embed_texts(["a", "b"]), bundle.embed_texts([""]), []

    def listening(unet: UNet2DConditionModel, z_t: torch.Tensor, *told: Any) -> torch.Tensor:
        shown.append(z_t[:, 4:] * bundle.latent_scale)
        return eager(unet, z_t, *told)

    led = replace(bundle, network=listening)
    between = rounds(bundle, z, [e], null, FEW, generator(0, "a"), lambda z_0: None)
    rounds(led, z, [e, e], null, FEW, generator(0, "a"), lambda z_0: None)
    for seen in shown[: FEW.steps]:
        torch.testing.assert_close(seen, z.repeat(2, 1, 1, 1))
    for seen in shown[FEW.steps :]:
        torch.testing.assert_close(seen, between.repeat(2, 1, 1, 1))
