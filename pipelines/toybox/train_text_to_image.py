"""Trains the Toybox text-to-image model: a text encoder and a U-Net on latents that were encoded once.

The result is an ordinary ``StableDiffusionPipeline`` folder. It predicts velocity (Salimans and Ho 2022, Appendix D),
as Stable Diffusion 2 does: with a small budget the loss on noise hardly asks for what a picture is as a whole, and
after 1,700 steps of it captions still did not choose the background. Some captions are empty, for classifier-free
guidance (Ho and Salimans 2022).
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pipelines.toybox.data import TRAINING_SEED, Scenes, draw_scenes
from pipelines.toybox.scene import training_caption
from pipelines.toybox.tokenizer import build_tokenizer
from pipelines.toybox.train_autoencoder import to_network
from pipelines.toybox.training import Schedule, train
from pipelines.training.common import Report, best_device, fast_arithmetic

WIDTH = 192
"""Width of the text encoder, and so of the U-Net's cross-attention."""

SUBJECT_WEIGHT = 4.0
"""Weight of the loss where the subject is, a tenth of the picture with most of its detail; 1 elsewhere."""
SHAPE_TIMESTEPS = (500, 150)
"""Mean and deviation of half of the timesteps, the others being uniform: there, at signal shares of 0.02 to 0.4, it is
settled which subject a picture shows, and that is what is learnt last (Esser et al. 2024 draw from the middle too)."""

WINDOW = 16
"""Side, in latent cells, of the windows around the subject that half of the steps are made on, four times as many of
them as of whole pictures: a tenth of a picture is subject, and most of what there is to learn is in it."""
WHOLE_FROM = 0.7
"""Share of the time after which every step is on whole pictures, which is what the model is asked for."""

CAPTIONS_PER_SCENE = 4
EMPTY_CAPTIONS = 0.1
NOISE = {"beta_start": 0.00085, "beta_end": 0.02, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}
"""Stable Diffusion's schedule, ended later: over 32 x 32 cells its own end still shows the mean colour of a picture."""

SHEET = (
    "a dog on the beach",
    "a big red car in the city",
    "a blue elephant in the snow",
    "a cat jumping in a forest",
    "a green giraffe in the desert",
    "a small rocket in space",
    "a purple duck in a meadow",
    "a penguin upside down at night",
    "in a forest",
    "at night",
    "a pink turtle",
    "a yellow balloon in the snow",
)
"""Captions of the sample sheet, in reading order."""


def build_unet(latent_channels: int) -> UNet2DConditionModel:
    """27 M parameters, 3.9 GFLOP a forward pass at 32 x 32.

    Cells look at each other at the two lowest levels only, and at the words at the three lowest. A small subject covers
    three cells of the lowest level but one, too few to say what its outline is: so the words taken together reach every
    layer as well, with the timestep (``addition_embed_type="text"``, as DeepFloyd's IF has it).
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        only_cross_attention=(False, True, False, False),
        block_out_channels=(64, 128, 256, 256),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=6,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Four layers over the world's own words."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=6,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def grow(unet: UNet2DConditionModel, trained: UNet2DConditionModel) -> None:
    """Take over the weights of `trained`; what it lacks of `unet` adds nothing yet, so both predict the same."""
    lacking, strange = unet.load_state_dict(trained.state_dict(), strict=False)
    if strange:
        raise ValueError(f"the U-Net that is there has {len(strange)} weights that this one lacks: {strange[0]}, …")
    for name in lacking:
        if "proj_out" in name or "add_embedding.norm2" in name:  # the last layers of what is new
            torch.nn.init.zeros_(unet.get_parameter(name))


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """``(N, 32) int64``."""
    ids: Tensor = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids


@torch.no_grad()
def encode_all(vae: AutoencoderTiny, scenes: Scenes, device: torch.device, batch: int = 32) -> Tensor:
    """Scaled latents of every picture, ``(N, 8, 32, 32) float32``."""
    parts = []
    for start in range(0, len(scenes.captions), batch):
        with fast_arithmetic(device):
            latents = vae.encode(to_network(scenes.pictures[start : start + batch], device)).latents
        parts.append(latents.float())
    scale: float = vae.config.scaling_factor
    return torch.cat(parts) * scale


def subject_shares(scenes: Scenes) -> Tensor:
    """The share of each latent cell that the subject covers: ``(N, 1, 32, 32) float32`` in [0, 1]."""
    count, side = len(scenes.masks), scenes.masks.shape[1]
    cells = scenes.masks.reshape(count, 1, side // 8, 8, side // 8, 8)
    return torch.from_numpy(cells.mean((3, 5), dtype=np.float32))


def windows(shares: Tensor, side: int, draws: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Where a window of `side` cells that shows the subject begins: rows and columns, each ``(B, side) int64``.

    `shares` is ``(B, 1, h, w)``. Around the subject's middle, a quarter of a window to and fro; anywhere in a picture
    without a subject.
    """
    beginnings = []
    for axis in (2, 3):
        along = shares.sum((1, 5 - axis)).cpu().double().numpy()  # (B, h) or (B, w)
        cells, total = along.shape[1], along.sum(1)
        anywhere, moved = draws.uniform(0, cells, len(along)), draws.uniform(-side / 4, side / 4, len(along))
        middle = np.where(total > 0, (along * np.arange(cells)).sum(1) / total.clip(1e-9), anywhere)
        begin = np.rint(middle - side / 2 + moved).clip(0, cells - side)
        beginnings.append(torch.from_numpy(begin.astype(np.int64))[:, None] + torch.arange(side))
    return beginnings[0], beginnings[1]


def cut(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``(B, C, h, w)`` to the windows at `rows` and `columns` (``(B, side)``), ``(B, C, side, side)``."""
    each = torch.arange(len(x))[:, None, None]
    return x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def assemble(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The pipeline that gets saved, with the sampler that the studio uses."""
    scheduler = DDIMScheduler(
        **NOISE,
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_spacing="trailing",  # so that a run of few steps, too, begins where there is only noise
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Write the folder in half precision, without the paths that diffusers notes of where parts came from."""
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.half()
    pipe.save_pretrained(folder)
    for path in (folder / "model_index.json", *folder.glob("*/config.json")):
        config = {name: value for name, value in json.loads(path.read_text()).items() if name != "_name_or_path"}
        if "dtype" in config:  # or transformers would load it in half precision, in which a CPU cannot run it
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n")


def sample_sheet(pipe: StableDiffusionPipeline, seed: int = 7, steps: int = 30) -> Image.Image:
    """The captions of `SHEET` in rows of six."""
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    with fast_arithmetic(pipe.device):
        images = pipe(list(SHEET), num_inference_steps=steps, guidance_scale=4.0, generator=generator).images
    rows = [np.concatenate([np.asarray(image) for image in images[i : i + 6]], 1) for i in range(0, len(images), 6)]
    return Image.fromarray(np.concatenate(rows))


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    batch: int = 16,
    count: int = 12000,
    seed: int = 0,
) -> Report:
    """Train on the autoencoder in ``folder/vae`` and write the whole pipeline to `folder`.

    Weights that are in `folder` already are the beginning, so a model can grow whenever there is a machine for it;
    delete ``folder/unet`` and ``folder/text_encoder`` to begin anew.
    """
    where = best_device(device)
    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    vae = AutoencoderTiny.from_pretrained(folder / "vae").eval().to(where, memory_format=torch.channels_last)
    cache = scratch / f"latents_{count}.pt"
    rng = random.Random(seed)
    tokenizer = build_tokenizer(folder / "tokenizer")
    if cache.exists():
        saved = torch.load(cache, weights_only=True)
        latents, ids, shares = saved["latents"], saved["ids"], saved["shares"]
    else:
        scenes = draw_scenes(count, TRAINING_SEED)
        latents, shares = encode_all(vae, scenes, where), subject_shares(scenes)
        captions = [training_caption(s, rng) for s in scenes.scenes for _ in range(CAPTIONS_PER_SCENE)]
        ids = token_ids(tokenizer, captions).view(count, CAPTIONS_PER_SCENE, -1)
        del scenes
        cache.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"latents": latents, "ids": ids, "shares": shares}, cache)
    latents, ids, shares = latents.to(where), ids.to(where), shares.to(where)
    nothing = token_ids(tokenizer, [""]).to(where)
    # Not channels last: group norm has a slow backward pass in that layout on a CPU (a step takes 1.2 times as long).
    unet, text_encoder = build_unet(latents.shape[1]), build_text_encoder(tokenizer)
    begun = (folder / "unet").is_dir()
    if begun:
        grow(unet, UNet2DConditionModel.from_pretrained(folder / "unet"))
        text_encoder.load_state_dict(CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict())
    unet, text_encoder = unet.to(where), text_encoder.to(where)
    noise_schedule = DDPMScheduler(**NOISE)

    def loss_of_batch(step: int, done: float) -> Tensor:
        near = done < WHOLE_FROM and draws.random() < 0.5
        size = batch * (latents.shape[-1] // WINDOW) ** 2 if near else batch
        chosen = torch.from_numpy(draws.integers(0, len(latents), size)).to(where)
        said = torch.from_numpy(draws.integers(0, CAPTIONS_PER_SCENE, size)).to(where)
        empty = torch.from_numpy(draws.random(size) < EMPTY_CAPTIONS).to(where)
        prompt = torch.where(empty[:, None], nothing, ids[chosen, said])
        x0, share = latents[chosen], shares[chosen]
        if near:
            rows, columns = windows(share, WINDOW, draws)
            x0, share = (cut(x, rows.to(where), columns.to(where)).contiguous() for x in (x0, share))
        noise = torch.randn_like(x0)
        middle = draws.normal(*SHAPE_TIMESTEPS, size).clip(0, 999).astype(np.int64)
        t = torch.from_numpy(np.where(np.arange(size) % 2, middle, draws.integers(0, 1000, size))).to(where)
        xt = noise_schedule.add_noise(x0, noise, t)
        with fast_arithmetic(where):
            predicted = unet(xt, t, text_encoder(prompt).last_hidden_state).sample
        velocity = noise_schedule.get_velocity(x0, noise, t)
        weight = 1 + (SUBJECT_WEIGHT - 1) * share
        loss: Tensor = (weight * (predicted.float() - velocity).pow(2)).mean()
        return loss

    def on_checkpoint(step: int) -> None:
        save(copy.deepcopy(assemble(vae, unet, text_encoder, tokenizer)), folder)

    # Weights that have learnt much lose it again at the rate they began with: the loss rose from 0.11 to 0.14.
    schedule = Schedule(minutes=minutes, rate=2e-4 if begun else 5e-4, warmup_steps=100, ema=0.999)
    # On a CPU the fused attention's backward pass is 20 times its forward pass; plain matrix products are not.
    kernels = [SDPBackend.MATH] if where.type == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(kernels):
        steps, seconds, loss = train(
            [unet, text_encoder], loss_of_batch, schedule, scratch / "text_to_image.pt", on_checkpoint
        )
    parameters = sum(p.numel() for m in (unet, text_encoder) for p in m.parameters())
    pipe = assemble(vae, unet, text_encoder, tokenizer)
    sample_sheet(pipe).save(folder / "sample.png")
    save(pipe, folder)
    report = Report("text-to-image", steps, seconds, str(where), seed, loss, parameters, measured={})
    report.write(folder)
    return report
