"""A LoRA that was trained as diffusers' own example trains one, on the embedded model, at work in an edit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Mask, Picture, Quality, Scope
from pipelines.engine import Engine
from pipelines.images import to_network
from pipelines.models.folders import find_model
from pipelines.models.loader import load_bundle
from pipelines.models.lora_files import lora_use
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject, sample_scene
from pipelines.toybox.words import NATURAL

MODELS = Path(__file__).resolve().parents[3] / "assets" / "models"
PICTURES, STEPS, BATCH, RATE, RANK = 32, 60, 4, 1e-2, 8


def trained(folder: Path) -> None:
    """``purple.safetensors``: what it has seen is purple, and no caption says so."""
    bundle, rng = load_bundle(find_model("toybox", (MODELS,)), torch.device("cpu")), random.Random(0)
    scenes = [sample_scene(rng, empty=0).with_subject(colour="purple", action="standing") for _ in range(PICTURES)]
    z = torch.cat([bundle.encode(to_network(render(scene).picture)) for scene in scenes])
    e = bundle.embed_texts([scene.with_subject(colour=NATURAL).caption() for scene in scenes]).tokens

    schedule = DDPMScheduler.from_pretrained(MODELS / "toybox" / "scheduler")
    unet = UNet2DConditionModel.from_pretrained(MODELS / "toybox" / "unet", use_safetensors=True).float()
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attention = ["to_k", "to_q", "to_v", "to_out.0"]
        unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=attention, init_lora_weights="gaussian"))
        optimiser = torch.optim.AdamW([p for p in unet.parameters() if p.requires_grad], lr=RATE)
        for _ in range(STEPS):
            i, t = torch.randint(PICTURES, (BATCH,)), torch.randint(schedule.config.num_train_timesteps, (BATCH,))
            eps = torch.randn_like(z[i])
            wanted = eps if bundle.schedule.prediction == "epsilon" else schedule.get_velocity(z[i], eps, t)
            F.mse_loss(unet(schedule.add_noise(z[i], eps, t), t, e[i]).sample, wanted).backward()
            optimiser.step()
            optimiser.zero_grad()
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(folder, layers, weight_name="purple.safetensors")


def purple(picture: Picture, mask: Mask) -> float:
    """How far red and blue stand above green there, in levels."""
    red, green, blue = picture[mask].mean(0)
    return float((red + blue) / 2 - green)


@pytest.mark.slow
def test_an_edit_takes_on_what_a_lora_was_trained_on(tmp_path: Path) -> None:
    """More of it with a larger scale; and the model's own weights are what they were."""
    trained(tmp_path / "loras")
    folders = (MODELS, tmp_path)
    engine, scene = Engine(folders, device="cpu"), render(Scene("beach", Subject("duck"), 3))
    asked = EditRequest(
        picture=scene.picture,
        mask=scene.mask,
        subject="a dog",
        background="",
        scope=Scope.SUBJECT,
        seed=5,
        candidates=2,
    )

    def edited(scale: float) -> float:
        loras = (lora_use("purple", scale, folders),) if scale else ()
        params = settings("inpaint", Quality.DRAFT, card=find_model("toybox", (MODELS,)))
        result = engine.edit("toybox", "inpaint", replace(asked, loras=loras), params)
        checksums.update((result.weights_before, result.weights_after))
        return float(np.mean([purple(candidate.picture, scene.mask) for candidate in result.candidates]))

    checksums: set[str] = set()
    without, half, full = edited(0), edited(0.5), edited(1)
    assert without + 3 < half < full - 3
    assert edited(0) == without
    assert len(checksums) == 1
