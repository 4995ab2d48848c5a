"""Trains the Toybox inpainting model: the text-to-image model, shown what is to stay, paints what is hidden from it.

It is Stable Diffusion's way (Rombach et al. 2022, section 4.5) on the small world: the network gets as many input
channels as a mask and a latent have, at zero, for where to paint and for the picture with that place grey. What is
hidden is what a studio hides: a subject with room around it, all but the subject, or a shape that somebody drew. The
text encoder stays the text-to-image model's. The result is an ordinary ``StableDiffusionInpaintPipeline`` folder.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionInpaintPipeline, UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, draw_scenes
from pipelines.toybox.render import SIZE
from pipelines.toybox.scene import training_caption
from pipelines.toybox.train_text_to_image import (
    EMPTY_CAPTIONS,
    SUBJECT_WEIGHT,
    assemble,
    draw_timesteps,
    encode_all,
    grown_in,
    noise_schedule,
    subject_shares,
    taught,
    token_ids,
    widened,
)
from pipelines.toybox.training import Schedule, drawn_in_chunks
from pipelines.training.common import Report, best_device, fast_arithmetic

CAPTIONS = 4
"""Of each picture and what is hidden of it."""
WAYS = 2
"""How often each picture is hidden, in another way each time."""
CHUNK = 500
"""Scenes that are drawn and encoded at one time."""
GREY = 128
"""What stands where the picture is hidden: 0 to the network, as nearly as a byte says it."""
ROOM = 24
"""Pixels by which what is hidden may reach beyond the subject."""
SHEET = 12
"""Held-out pictures on the sample sheet: half with a subject to paint, half with what is around one."""

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Holes:
    """Pictures and what is hidden of them; parallel over N."""

    latents: Tensor
    """``(N, 8, 32, 32) float16``, of the whole picture."""
    shown: Tensor
    """``(N, 9, 32, 32) float16``: 1 where to paint, and the latent of the picture with that place grey."""
    ids: Tensor
    """``(N, captions, 32) int16``, token ids."""
    shares: Tensor
    """``(N, 1, 32, 32) float16``, the share of each cell that is subject and hidden."""


def hidden(subject: Masks, other: Masks, rng: random.Random) -> Masks:
    """What to hide of a picture with its `subject` there, ``(256, 256)``; empty where it has none. `other` is the
    place of another picture's, which makes the outline tell less of what is to be painted."""
    lot = rng.random()
    if subject.any() and lot < 0.4:
        hole = _grown(subject, rng.randint(0, ROOM))
        return hole | other if rng.random() < 0.5 else hole
    if subject.any() and lot < 0.75:
        return ~_grown(subject, rng.randint(0, ROOM // 4))
    if lot < 0.8:
        return np.ones_like(subject)
    width, height = (round(SIZE * rng.uniform(0.2, 0.8)) for _ in range(2))
    x, y = (round((SIZE - side) * rng.random()) for side in (width, height))
    hole = np.zeros(subject.shape, np.uint8)
    if rng.random() < 0.5:
        hole[y : y + height, x : x + width] = 1
    else:
        cv2.ellipse(hole, (x + width // 2, y + height // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
    return hole.astype(bool)


def _grown(mask: Masks, by: int) -> Masks:
    """`mask` and everything within `by` pixels of it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc), bool)


def draw_holes(vae: AutoencoderTiny, tokenizer: CLIPTokenizer, count: int, device: torch.device, cache: Path) -> Holes:
    """`count` pictures, each hidden in `WAYS` ways, kept in the folder `cache`."""
    return Holes(**drawn_in_chunks(cache, count, CHUNK, lambda start: _drawn(vae, tokenizer, start, device)))


def _drawn(vae: AutoencoderTiny, tokenizer: CLIPTokenizer, start: int, device: torch.device) -> dict[str, Tensor]:
    """What `Holes` holds, of the scenes from number `start` on."""
    scenes, rng = draw_scenes(CHUNK, TRAINING_SEED + start, workers=1), random.Random(start)
    latents = encode_all(vae, scenes.pictures, device)
    shown, shares = [], []
    for _ in range(WAYS):
        holes = np.stack([hidden(mask, rng.choice(list(scenes.masks)), rng) for mask in scenes.masks])
        shown.append(conditions(vae, scenes.pictures, holes, device))
        shares.append(subject_shares(scenes.masks & holes))
    captions = [training_caption(s, rng) for _ in range(WAYS) for s in scenes.scenes for _ in range(CAPTIONS)]
    return {
        "latents": latents.half().repeat(WAYS, 1, 1, 1),
        "shown": torch.cat(shown).half(),
        "ids": token_ids(tokenizer, captions).view(WAYS * CHUNK, CAPTIONS, -1).short(),
        "shares": torch.cat(shares).half(),
    }


def conditions(vae: AutoencoderTiny, pictures: NDArray[np.uint8], holes: Masks, device: torch.device) -> Tensor:
    """`Holes.shown` of ``(N, 256, 256, 3)`` and what is hidden of them, ``(N, 256, 256)``."""
    where = (subject_shares(holes) > 0).float().to(device)
    return torch.cat([where, encode_all(vae, np.where(holes[..., None], np.uint8(GREY), pictures), device)], 1)


def assembled(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionInpaintPipeline:
    """The pipeline that gets saved, with the sampler of the text-to-image model."""
    plain = assemble(vae, unet, text_encoder, tokenizer)
    return StableDiffusionInpaintPipeline(**plain.components, requires_safety_checker=False)


def held_out() -> Iterator[tuple[NDArray[np.uint8], Masks, str]]:
    """Pictures that nobody learnt from, what is hidden of them, and their captions."""
    scenes = draw_scenes(SHEET, HELD_OUT_SEED, empty=0, workers=1)
    for number, (picture, mask, scene) in enumerate(zip(scenes.pictures, scenes.masks, scenes.scenes, strict=True)):
        yield picture, _grown(mask, ROOM // 2) if number % 2 else ~mask, scene.caption()


@torch.no_grad()
def sample_sheet(pipe: StableDiffusionInpaintPipeline, steps: int = 30) -> Image.Image:
    """Held-out pictures, three a row: what is shown, what the model makes of it, and what was there. Sampled here: the
    pipeline itself takes latents of four channels only."""
    pictures, holes, captions = (list(column) for column in zip(*held_out(), strict=True))
    where, count = pipe.device, len(captions)
    texts = pipe.text_encoder(token_ids(pipe.tokenizer, [""] * count + captions).to(where)).last_hidden_state
    shown = conditions(pipe.vae, np.stack(pictures), np.stack(holes), where).repeat(2, 1, 1, 1)
    z = torch.randn(count, pipe.unet.config.out_channels, 32, 32, generator=torch.Generator().manual_seed(7)).to(where)
    pipe.scheduler.set_timesteps(steps)
    for t in pipe.scheduler.timesteps:
        with fast_arithmetic(where):
            away, towards = pipe.unet(torch.cat([torch.cat([z, z]), shown], 1), t, texts).sample.float().chunk(2)
        z = pipe.scheduler.step(away + 4.0 * (towards - away), t, z).prev_sample
    with fast_arithmetic(where):
        painted = pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample
    made = pipe.image_processor.pt_to_numpy((painted.float() / 2 + 0.5).clamp(0, 1))
    left = [np.where(hole[..., None], np.uint8(GREY), picture) for picture, hole in zip(pictures, holes, strict=True)]
    bytes_made = (made * 255).round().astype(np.uint8)
    tiles = [np.concatenate(three, 1) for three in zip(left, bytes_made, pictures, strict=True)]
    return Image.fromarray(np.concatenate([np.concatenate(tiles[i : i + 3], 1) for i in range(0, count, 3)]))


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    batch: int | None = None,
    count: int = 6000,
    seed: int = 0,
) -> Report:
    """Train on the text-to-image model beside `folder` and write the whole pipeline to `folder`.

    Weights that are in `folder` already are the beginning; delete ``folder/unet`` to begin anew.
    """
    where = best_device(device)
    batch = batch or (256 if where.type == "cuda" else 32)
    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    vae, unet, text_encoder, tokenizer = grown_in(folder, where)
    holes = draw_holes(vae, tokenizer, count, where, scratch / "holes")
    nothing = token_ids(tokenizer, [""]).to(where)
    if unet.config.in_channels == unet.config.out_channels:
        unet = widened(unet, holes.shown.shape[1]).to(where)
    unet.train()
    schedule = noise_schedule()
    quick_unet: Any = torch.compile(unet)

    def loss_of_batch(step: int, done: float) -> Tensor:
        chosen = torch.from_numpy(draws.integers(0, len(holes.latents), batch))
        said = torch.from_numpy(draws.integers(0, CAPTIONS, batch))
        empty = torch.from_numpy(draws.random(batch) < EMPTY_CAPTIONS).to(where)
        prompt = torch.where(empty[:, None], nothing, holes.ids[chosen, said].long().to(where))
        x0, share = holes.latents[chosen].float().to(where), holes.shares[chosen].float().to(where)
        noise, t = torch.randn_like(x0), draw_timesteps(draws, batch).to(where)
        seen = torch.cat([schedule.add_noise(x0, noise, t), holes.shown[chosen].float().to(where)], 1)
        with fast_arithmetic(where):
            with torch.no_grad():
                words = text_encoder(prompt).last_hidden_state
            predicted = quick_unet(seen, t, words).sample
        weight = 1 + (SUBJECT_WEIGHT - 1) * share
        loss: Tensor = (weight * (predicted.float() - schedule.get_velocity(x0, noise, t)).pow(2)).mean()
        return loss

    return taught(
        "inpaint",
        assembled(vae, unet, text_encoder, tokenizer),
        [unet],
        loss_of_batch,
        Schedule(minutes=minutes, rate=5e-4, warmup_steps=150),
        scratch / "inpaint.pt",
        sample_sheet,
        folder,
        seed,
        batch,
    )
