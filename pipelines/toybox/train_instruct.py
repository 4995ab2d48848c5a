"""Trains the Toybox instruction model: the text-to-image model, shown a picture, draws what an instruction makes of it.

It is InstructPix2Pix (Brooks et al. 2023) on the small world: the network gets as many input channels again, at zero,
for the latents of the picture, and learns from pictures before and after, which the world's renderer draws exactly.
The text encoder learns along, since no caption says "make it". The result is an ordinary
``StableDiffusionInstructPix2PixPipeline`` folder.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.toybox.render import Rendering, render
from pipelines.toybox.scene import Scene
from pipelines.toybox.train_text_to_image import (
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
from pipelines.toybox.triples import Part, Told, told
from pipelines.toybox.words import SUBJECTS, article, background_phrase
from pipelines.training.common import Report, best_device, fast_arithmetic
from pipelines.training.triples import HELD_OUT, TRAINING

TEXTS_PER_PAIR = 4
CHUNK = 250
"""Triples that are drawn and encoded at one time; each makes three pairs."""
DROPPED = 0.05
"""Share of the pairs without the picture, and as many without both (Section 3.2.1)."""
UNSAID = 0.15
"""Share of the pairs without the text. They are the picture itself: what nobody asked to change stays, and guidance,
which leads away from there, strengthens the change alone. (The paper shows an edit there that nothing told of.)"""
SHEET = 12
"""Edits of held-out scenes on the sample sheet."""


@dataclass(frozen=True)
class Pairs:
    """Pictures before and after, and what was said; parallel over N."""

    before: Tensor
    """``(N, 8, 32, 32) float16``, latents."""
    after: Tensor
    ids: Tensor
    """``(N, texts, 32) int16``, token ids."""
    shares: Tensor
    """``(N, 1, 32, 32) float16``, the share of each cell that is subject before or after."""


def saying(part: Part, scene: Scene, rng: random.Random) -> str:
    """How a person asks for `part` in `scene`: as an order, with the thing by its name, or as what there is then."""
    now, way = part.change(scene), rng.random()
    if way < 0.5 or scene.subject is None or now.subject is None:
        return part.text
    if way < 0.75:
        name = rng.choice(SUBJECTS[scene.subject.kind])
        if part.about == "subject":
            return f"turn the {name} into {article(rng.choice(SUBJECTS[now.subject.kind]))}"
        return f"the {name} {part.text}" if part.about == "action" else part.text.replace(" it ", f" the {name} ")
    if part.about == "background":
        return background_phrase(now.background, rng, synonyms=0.35)
    said = {"kind": now.subject.kind} | (
        {} if part.about == "subject" else {part.about: getattr(now.subject, part.about)}
    )
    return type(now.subject)(**said).phrase(rng, synonyms=0.35)


def said_of(one: Told, rng: random.Random) -> tuple[str, str, str]:
    """What leads from the first scene to the second, from the second to the third, and all the way."""
    first, second = saying(one.first, one.before, rng), saying(one.second, one.between, rng)
    whole = (saying(one.first, one.before, rng), saying(one.second, one.between, rng))
    return first, second, (" and " if one.independent else ", then ").join(whole)


def draw_pairs(vae: AutoencoderTiny, tokenizer: CLIPTokenizer, count: int, device: torch.device, cache: Path) -> Pairs:
    """The pairs of `count` triples, kept in the folder `cache`."""

    def draw(start: int) -> dict[str, Tensor]:
        return _drawn(vae, tokenizer, range(start, start + CHUNK), device)

    return Pairs(**drawn_in_chunks(cache, count, CHUNK, draw))


def _drawn(vae: AutoencoderTiny, tokenizer: CLIPTokenizer, numbers: range, device: torch.device) -> dict[str, Tensor]:
    """What `Pairs` holds, of the triples of these numbers."""
    ones = [told(TRAINING, number) for number in numbers]
    scenes: list[Rendering] = [render(scene) for one in ones for scene in (one.before, one.between, one.after)]
    latents = encode_all(vae, np.stack([scene.picture for scene in scenes]), device).view(len(ones), 3, 8, 32, 32)
    shares = subject_shares(np.stack([scene.mask for scene in scenes])).view(len(ones), 3, 1, 32, 32)
    texts: list[str] = []
    for number, one in zip(numbers, ones, strict=True):
        rng = random.Random(number)
        texts += [text for way in zip(*(said_of(one, rng) for _ in range(TEXTS_PER_PAIR)), strict=True) for text in way]
    first, last = [0, 1, 0], [1, 2, 2]
    return {
        "before": latents[:, first].flatten(0, 1).half(),
        "after": latents[:, last].flatten(0, 1).half(),
        "ids": token_ids(tokenizer, texts).view(3 * len(ones), TEXTS_PER_PAIR, -1).short(),
        "shares": torch.maximum(shares[:, first], shares[:, last]).flatten(0, 1).half(),
    }


def assembled(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline that gets saved, with the sampler of the text-to-image model."""
    plain = assemble(vae, unet, text_encoder, tokenizer)
    return StableDiffusionInstructPix2PixPipeline(**plain.components, requires_safety_checker=False)


def held_out(count: int) -> Iterator[tuple[Scene, str, Scene]]:
    """Scenes that nobody learnt from, one change each, as orders."""
    for number in range(count):
        one = told(HELD_OUT, number)
        yield one.before, one.first.text, one.between


def sample_sheet(pipe: StableDiffusionInstructPix2PixPipeline, steps: int = 30) -> Image.Image:
    """Held-out edits, three a row: the picture, what the model makes of it, and what was right."""
    pipe.set_progress_bar_config(disable=True)
    tiles = []
    for before, text, after in held_out(SHEET):
        with fast_arithmetic(pipe.device):
            made = pipe(
                text,
                Image.fromarray(render(before).picture),
                num_inference_steps=steps,
                guidance_scale=2.0,
                image_guidance_scale=1.0,
                generator=torch.Generator().manual_seed(7),
            ).images[0]
        tiles.append(np.concatenate([render(before).picture, np.asarray(made), render(after).picture], 1))
    rows = [np.concatenate(tiles[i : i + 3], 1) for i in range(0, len(tiles), 3)]
    return Image.fromarray(np.concatenate(rows))


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    batch: int | None = None,
    count: int = 4000,
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
    pairs = draw_pairs(vae, tokenizer, count, where, scratch / "pairs")
    nothing = token_ids(tokenizer, [""]).to(where)
    if unet.config.in_channels == unet.config.out_channels:
        unet = widened(unet, unet.config.out_channels).to(where)
    unet.train()
    text_encoder.train()
    schedule = noise_schedule()
    quick_unet: Any = torch.compile(unet)

    def loss_of_batch(step: int, done: float) -> Tensor:
        chosen = torch.from_numpy(draws.integers(0, len(pairs.before), batch))
        said = torch.from_numpy(draws.integers(0, TEXTS_PER_PAIR, batch))
        lot = torch.from_numpy(draws.random(batch)).to(where)[:, None, None, None]
        blind, unsaid = lot < 2 * DROPPED, (lot >= 2 * DROPPED) & (lot < 2 * DROPPED + UNSAID)
        mute = (unsaid | (lot < DROPPED)).flatten(1)
        prompt = torch.where(mute, nothing, pairs.ids[chosen, said].long().to(where))
        before, share = pairs.before[chosen].float().to(where), pairs.shares[chosen].float().to(where)
        shown = torch.where(blind, 0.0, before)
        x0 = torch.where(unsaid, before, pairs.after[chosen].float().to(where))
        noise = torch.randn_like(x0)
        # The larger of two draws: what stays and what changes is settled where there is most noise.
        t = torch.maximum(draw_timesteps(draws, batch), draw_timesteps(draws, batch)).to(where)
        xt = schedule.add_noise(x0, noise, t)
        with fast_arithmetic(where):
            predicted = quick_unet(torch.cat([xt, shown], 1), t, text_encoder(prompt).last_hidden_state).sample
        weight = 1 + (SUBJECT_WEIGHT - 1) * share
        loss: Tensor = (weight * (predicted.float() - schedule.get_velocity(x0, noise, t)).pow(2)).mean()
        return loss

    return taught(
        "instruct",
        assembled(vae, unet, text_encoder, tokenizer),
        [unet, text_encoder],
        loss_of_batch,
        Schedule(minutes=minutes, rate=5e-4, warmup_steps=150),
        scratch / "instruct.pt",
        sample_sheet,
        folder,
        seed,
        batch,
    )
