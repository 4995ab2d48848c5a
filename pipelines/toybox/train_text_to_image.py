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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pipelines.toybox.data import TRAINING_SEED, draw_scenes
from pipelines.toybox.scene import training_caption
from pipelines.toybox.tokenizer import build_tokenizer
from pipelines.toybox.train_autoencoder import CELL, to_network
from pipelines.toybox.training import Schedule, drawn_in_chunks, train
from pipelines.training.common import Report, best_device, fast_arithmetic

WIDTH = 128
"""Width of the text encoder, and so of the U-Net's cross-attention."""

SUBJECT_WEIGHT = 5.0
"""Weight of the loss where the subject is, with most of a picture's detail; 1 elsewhere."""
SHAPE_TIMESTEPS = (430, 200)
"""Mean and deviation of half of the timesteps, the others being uniform: there it is settled which subject a picture
shows, and that is what is learnt last (Esser et al. 2024 draw from the middle too)."""

CAPTIONS_PER_SCENE = 4
STEPS_A_SHEET = 500
"""Steps between two sample sheets while training: one takes as long as some ten steps."""
CHUNK = 1000
"""Scenes that are drawn and encoded at one time."""
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
    "a cat at night",
    "a big giraffe on the beach",
    "a red turtle in space",
    "a rabbit in a meadow",
    "a big penguin in the snow",
    "an apple jumping in a forest",
)
"""Captions of the sample sheet, in reading order."""


def build_unet(latent_channels: int) -> UNet2DConditionModel:
    """11 M parameters, 1.1 GFLOP a forward pass at 32 x 32.

    Small, and thin where it is large, so that the arithmetic that there is goes into samples. The words taken together
    reach every layer, with the timestep (``addition_embed_type="text"``, as DeepFloyd's IF has it): at the lowest level
    a small subject covers one cell or two, too few to say what its outline is.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 128, 192),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def widened(unet: UNet2DConditionModel, extra: int) -> UNet2DConditionModel:
    """The same network with `extra` more input channels, of which it takes no notice yet."""
    wide = UNet2DConditionModel.from_config(unet.config, in_channels=unet.config.in_channels + extra)
    weights = unet.state_dict()
    narrow = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat([narrow, narrow.new_zeros(len(narrow), extra, *narrow.shape[2:])], 1)
    wide.load_state_dict(weights)
    return wide


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Three layers over the world's own words."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """``(N, 32) int64``."""
    ids: Tensor = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids


@torch.no_grad()
def encode_all(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device, batch: int = 16) -> Tensor:
    """Latents of every picture of ``(N, 256, 256, 3)``, ``(N, 8, 32, 32) float32`` of unit variance."""
    parts = []
    for start in range(0, len(pictures), batch):
        with fast_arithmetic(device):
            latents = vae.encode(to_network(pictures[start : start + batch], device)).latents
        parts.append(latents.float())
    scale: float = vae.config.scaling_factor
    return torch.cat(parts) * scale


def subject_shares(masks: NDArray[np.bool_]) -> Tensor:
    """The share of each latent cell that a mask covers, of ``(N, 256, 256)``: ``(N, 1, 32, 32) float32`` in [0, 1]."""
    count, side = masks.shape[:2]
    cells = masks.reshape(count, 1, side // CELL, CELL, side // CELL, CELL)
    return torch.from_numpy(cells.mean((3, 5), dtype=np.float32))


def noise_schedule() -> DDPMScheduler:
    """What is trained on."""
    return DDPMScheduler(**NOISE)


def draw_timesteps(draws: np.random.Generator, count: int) -> Tensor:
    """``(count,) int64`` in [0, 999], every second one from `SHAPE_TIMESTEPS`."""
    middle = draws.normal(*SHAPE_TIMESTEPS, count).clip(0, 999).astype(np.int64)
    return torch.from_numpy(np.where(np.arange(count) % 2, middle, draws.integers(0, 1000, count)))


def quick_kernels(device: torch.device) -> list[SDPBackend]:
    """Attention to train with. On a CPU the fused one's backward pass is 20 times its forward pass; plain matrix
    products are not."""
    return [SDPBackend.MATH] if device.type == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class Lessons:
    """What there is to learn from, drawn and encoded once."""

    latents: Tensor
    """``(N, 8, 32, 32) float16``."""
    ids: Tensor
    """``(N, captions, 32) int16``, token ids."""
    shares: Tensor
    """``(N, 1, 32, 32) float16``, the subject's share of each cell."""


def draw_lessons(
    vae: AutoencoderTiny, tokenizer: CLIPTokenizer, count: int, device: torch.device, cache: Path
) -> Lessons:
    """`count` scenes as latents and captions, a thousand scenes a file in the folder `cache`."""

    def draw(start: int) -> dict[str, Tensor]:
        scenes, rng = draw_scenes(CHUNK, TRAINING_SEED + start), random.Random(start)
        captions = [training_caption(s, rng) for s in scenes.scenes for _ in range(CAPTIONS_PER_SCENE)]
        return {
            "latents": encode_all(vae, scenes.pictures, device).half(),
            "ids": token_ids(tokenizer, captions).view(CHUNK, CAPTIONS_PER_SCENE, -1).short(),
            "shares": subject_shares(scenes.masks).half(),
        }

    return Lessons(**drawn_in_chunks(cache, count, CHUNK, draw))


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


def publisher(pipe: Any, sheet: Callable[[Any], Image.Image], folder: Path) -> Callable[[int], None]:
    """For each checkpoint, told the number of its step: writes the pipeline, and now and then its sample sheet."""
    drawn_at = 0

    def publish(step: int) -> None:
        nonlocal drawn_at
        save(copy.deepcopy(pipe), folder)
        if step - drawn_at >= STEPS_A_SHEET:
            sheet(pipe).save(folder / "sample.png")
            drawn_at = step

    return publish


class Grown(NamedTuple):
    """The text-to-image model, or what has grown from it, to be taught more."""

    vae: AutoencoderTiny
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer


def grown_in(folder: Path, where: torch.device) -> Grown:
    """What is in `folder`, or where there is nothing yet the text-to-image model beside it; nothing of it learns."""
    plain = folder.parent / "toybox"
    source = folder if (folder / "unet").is_dir() else plain
    return Grown(
        AutoencoderTiny.from_pretrained(plain / "vae").eval().to(where),
        UNet2DConditionModel.from_pretrained(source / "unet", torch_dtype=torch.float32).eval().to(where),
        CLIPTextModel.from_pretrained(source / "text_encoder", dtype=torch.float32).eval().to(where),
        build_tokenizer(folder / "tokenizer"),
    )


def taught(
    name: str,
    pipe: Any,
    modules: Sequence[nn.Module],
    loss_of_batch: Callable[[int, float], Tensor],
    schedule: Schedule,
    checkpoint: Path,
    sheet: Callable[[Any], Image.Image],
    folder: Path,
    seed: int,
    batch: int,
) -> Report:
    """Train `modules`, which are parts of `pipe`, and write that to `folder` with its sample sheet and a report."""
    with sdpa_kernel(quick_kernels(pipe.device)):
        steps, seconds, loss = train(modules, loss_of_batch, schedule, checkpoint, publisher(pipe, sheet, folder))
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    report = Report(name, steps, seconds, str(pipe.device), seed, loss, parameters, measured={"batch": batch})
    sheet(pipe).save(folder / "sample.png")
    save(pipe, folder)
    report.write(folder)
    return report


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
    batch: int | None = None,
    count: int = 20000,
    seed: int = 0,
) -> Report:
    """Train on the autoencoder in ``folder/vae`` and write the whole pipeline to `folder`.

    Weights that are in `folder` already are the beginning, so a model can grow whenever there is a machine for it;
    delete ``folder/unet`` and ``folder/text_encoder`` to begin anew.
    """
    where = best_device(device)
    batch = batch or (256 if where.type == "cuda" else 64)
    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    vae = AutoencoderTiny.from_pretrained(folder / "vae").eval().to(where)
    tokenizer = build_tokenizer(folder / "tokenizer")
    lessons = draw_lessons(vae, tokenizer, count, where, scratch / "lessons")
    nothing = token_ids(tokenizer, [""]).to(where)
    unet, text_encoder = build_unet(lessons.latents.shape[1]), build_text_encoder(tokenizer)
    if (folder / "unet").is_dir():
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())
        text_encoder.load_state_dict(CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict())
    unet, text_encoder = unet.to(where), text_encoder.to(where)
    schedule = noise_schedule()
    quick_unet: Any = torch.compile(unet)  # a quarter more samples a second on a CPU, for two minutes at the beginning

    def loss_of_batch(step: int, done: float) -> Tensor:
        chosen = torch.from_numpy(draws.integers(0, len(lessons.latents), batch))
        said = torch.from_numpy(draws.integers(0, CAPTIONS_PER_SCENE, batch))
        empty = torch.from_numpy(draws.random(batch) < EMPTY_CAPTIONS).to(where)
        prompt = torch.where(empty[:, None], nothing, lessons.ids[chosen, said].long().to(where))
        x0, share = lessons.latents[chosen].float().to(where), lessons.shares[chosen].float().to(where)
        noise, t = torch.randn_like(x0), draw_timesteps(draws, batch).to(where)
        xt = schedule.add_noise(x0, noise, t)
        with fast_arithmetic(where):
            predicted = quick_unet(xt, t, text_encoder(prompt).last_hidden_state).sample
        velocity = schedule.get_velocity(x0, noise, t)
        weight = 1 + (SUBJECT_WEIGHT - 1) * share
        loss: Tensor = (weight * (predicted.float() - velocity).pow(2)).mean()
        return loss

    return taught(
        "text-to-image",
        assemble(vae, unet, text_encoder, tokenizer),
        [unet, text_encoder],
        loss_of_batch,
        Schedule(minutes=minutes, rate=1e-3, warmup_steps=150),
        scratch / "text_to_image.pt",
        sample_sheet,
        folder,
        seed,
        batch,
    )
