"""Trains the Toybox few-step model: the text-to-image model says at once what it would come to in many steps.

It is a latent consistency model (Luo et al. 2023, "Latent Consistency Models"): from wherever a guided step of the
teacher's leads, the network is to see the same picture as from where that step begins. The target is the network
itself without a gradient, since its running mean is of no use there (Song and Dhariwal 2023, section 3.2). The guidance
is drawn anew for every picture and not told, so a run needs none. The result is an ordinary ``StableDiffusionPipeline``
folder with diffusers' ``LCMScheduler``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.diffusion.schedule import DONE
from pipelines.diffusion.schedule import Schedule as Noise
from pipelines.toybox import train_text_to_image
from pipelines.toybox.train_text_to_image import (
    CAPTIONS_PER_SCENE,
    NOISE,
    SUBJECT_WEIGHT,
    assemble,
    draw_lessons,
    grown_in,
    taught,
    token_ids,
)
from pipelines.toybox.training import Schedule
from pipelines.training.common import Report, best_device, fast_arithmetic

LEVELS = 50
"""Steps of the teacher from noise to picture."""
GUIDANCE = (2.0, 5.0)
"""Between which the teacher's guidance is drawn."""
WIDTH_OF_HUBER = 0.03
"""Below it the loss is quadratic, as for a mean, and above it linear, as for a median (Song and Dhariwal 2023)."""
STEPS = 4
"""Of a run on the sample sheet."""


def levels(numbers: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The timesteps of levels ``1 .. LEVELS``, and those one level below, where level 0 is `DONE`; ``(B,) int64``."""
    gap = length // LEVELS
    return numbers * gap - 1, numbers * gap - 1 - gap


def step_down(noise: Noise, z_t: Tensor, v: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
    """DDIM's step by the velocity `v` to each picture's own next timestep; to the picture itself at `DONE`."""
    z_0, eps = noise.picture_from(v, z_t, t), noise.noise_from(v, z_t, t)
    there = t_next.clamp(min=0)
    return torch.where((t_next == DONE)[:, None, None, None], z_0, noise.noised(z_0, eps, there))


def assembled(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The pipeline that gets saved."""
    pipe = assemble(vae, unet, text_encoder, tokenizer)
    pipe.scheduler = LCMScheduler(
        **NOISE,
        original_inference_steps=LEVELS,
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_spacing="trailing",  # for those who sample it as any other model
    )
    return pipe


def sample_sheet(pipe: StableDiffusionPipeline) -> Image.Image:
    """The captions of the text-to-image model's sheet, in `STEPS` steps without guidance."""
    pipe.set_progress_bar_config(disable=True)
    said, generator = list(train_text_to_image.SHEET), torch.Generator().manual_seed(7)
    with fast_arithmetic(pipe.device):
        images = pipe(said, num_inference_steps=STEPS, guidance_scale=1.0, generator=generator).images
    rows = [np.concatenate([np.asarray(image) for image in images[i : i + 6]], 1) for i in range(0, len(images), 6)]
    return Image.fromarray(np.concatenate(rows))


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    batch: int | None = None,
    count: int = 6000,
    seed: int = 0,
) -> Report:
    """Distil the text-to-image model beside `folder` and write the whole pipeline to `folder`.

    Weights that are in `folder` already are the beginning; delete ``folder/unet`` to begin anew.
    """
    where = best_device(device)
    batch = batch or (256 if where.type == "cuda" else 32)
    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    vae, unet, text_encoder, tokenizer = grown_in(folder, where)
    lessons = draw_lessons(vae, tokenizer, count, where, scratch / "lessons")
    plain = folder.parent / "toybox" / "unet"
    teacher = UNet2DConditionModel.from_pretrained(plain, torch_dtype=torch.float32).eval().to(where)
    unet.train()
    noise = Noise.from_config(dict(assembled(vae, unet, text_encoder, tokenizer).scheduler.config)).to(where)
    quick_unet, quick_teacher = (torch.compile(network) for network in (unet, teacher))
    with torch.no_grad():
        unsaid = text_encoder(token_ids(tokenizer, [""]).to(where)).last_hidden_state

    def said(network: Any, z: Tensor, t: Tensor, words: Tensor) -> Tensor:
        with fast_arithmetic(where):
            answer: Tensor = network(z, t, words).sample
        return answer.float()

    def loss_of_batch(step: int, done: float) -> Tensor:
        chosen = torch.from_numpy(draws.integers(0, len(lessons.latents), batch))
        which = torch.from_numpy(draws.integers(0, CAPTIONS_PER_SCENE, batch))
        x0, share = lessons.latents[chosen].float().to(where), lessons.shares[chosen].float().to(where)
        t, t_next = (
            one.to(where) for one in levels(torch.from_numpy(draws.integers(1, LEVELS + 1, batch)), noise.length)
        )
        w = torch.from_numpy(draws.uniform(*GUIDANCE, batch)).float().to(where)[:, None, None, None]
        z_t = noise.noised(x0, torch.randn_like(x0), t)
        with torch.no_grad():
            with fast_arithmetic(where):
                words = text_encoder(lessons.ids[chosen, which].long().to(where)).last_hidden_state
            both = torch.cat([unsaid.expand_as(words), words])
            away, towards = said(quick_teacher, torch.cat([z_t, z_t]), torch.cat([t, t]), both).chunk(2)
            z_next = step_down(noise, z_t, away + w * (towards - away), t, t_next)
            there = t_next.clamp(min=0)
            seen = noise.picture_from(said(quick_unet, z_next, there, words), z_next, there)
            target = torch.where((t_next == DONE)[:, None, None, None], z_next, seen)
        off = noise.picture_from(said(quick_unet, z_t, t, words), z_t, t) - target
        weight = 1 + (SUBJECT_WEIGHT - 1) * share
        loss: Tensor = (weight * (F.huber_loss(off, torch.zeros_like(off), "none", WIDTH_OF_HUBER))).mean()
        return loss / WIDTH_OF_HUBER

    return taught(
        "few-step",
        assembled(vae, unet, text_encoder, tokenizer),
        [unet],
        loss_of_batch,
        Schedule(minutes=minutes, rate=2e-4, warmup_steps=150),
        scratch / "few_steps.pt",
        sample_sheet,
        folder,
        seed,
        batch,
    )
