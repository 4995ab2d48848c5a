"""Trains the Toybox autoencoder: ``AutoencoderTiny``, 256 x 256 pixels to 32 x 32 latents of 8 channels.

It is made for the denoiser that will draw in its latents, not for the round trip. Latents have unit variance, channel
by channel, and get noise of up to `NOISE` of that before they are decoded, encoder and decoder both learning: so what a
picture needs is written into them larger than a denoiser's errors. And latents of half the resolution are decoded to a
picture of half the size (EQ-VAE, Kouzelis et al. 2025, for the scale): so they stay as smooth as a picture is.

It learns from small crops, half of them at a subject. Once a U-Net lies beside it, which lives on its latents, the
encoder stays as it is and the decoder alone goes on learning.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, Scenes, draw_scenes
from pipelines.toybox.training import Schedule, train
from pipelines.training.common import Report, best_device, fast_arithmetic

CHANNELS = 8
CELL = 8
"""Side of a latent cell, in pixels."""
CROP = 64
"""Side of a training crop, in pixels; a multiple of `CELL`."""
NOISE = 0.4
"""Most noise on the latents while training, in units of their deviation; the least is none."""
HALF_WEIGHT = 0.5
"""Of the loss at half the resolution."""
UNIT_WEIGHT = 0.1
"""Of the penalty on latents that are not of unit variance."""


def build_autoencoder(channels: int = CHANNELS, width: int = 64) -> AutoencoderTiny:
    """Without a block at full resolution, where half of the arithmetic would be: 5 GFLOP a 64-pixel crop less."""
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 3, 2, 0),
    )


def to_network(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """``(N, H, W, 3) uint8`` to ``(N, 3, H, W) float32`` in [-1, 1], channels last."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


def _crops(scenes: Scenes, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random crops whose corners lie on multiples of 8, half of them touching a subject's middle."""
    out = np.empty((count, CROP, CROP, 3), np.uint8)
    for k, index in enumerate(rng.integers(0, len(scenes.scenes), count)):
        side = scenes.pictures.shape[1]
        left, top = rng.integers(0, side - CROP + 1, 2)
        subject = scenes.scenes[index].subject
        if subject is not None and k % 2 == 0:
            left = int(subject.x * side) - CROP // 2 + rng.integers(-70, 71)
            top = int(subject.ground * side) - CROP + rng.integers(-140, 20)
        left, top = (int(np.clip(v, 0, side - CROP)) // 8 * 8 for v in (left, top))
        out[k] = scenes.pictures[index, top : top + CROP, left : left + CROP]
    return out


def unlike_unit(z: Tensor) -> Tensor:
    """How far the channels of `z` ``(B, C, h, w)`` are from mean 0 and variance 1, a scalar; 0 where they are there.

    A penalty and no normalisation, which would take from every batch its own mean, and with it the pictures' colour.
    """
    return z.mean((0, 2, 3)).square().mean() + z.var((0, 2, 3)).log().square().mean()


def distance(y: Tensor, x: Tensor) -> Tensor:
    """Mean absolute error, for edges, and the squared one, for what PSNR counts."""
    error = y - x
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges


@torch.no_grad()
def deviations(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel of the latents of `pictures`, each ``(C,)``."""
    z = torch.cat([vae.encode(to_network(pictures[k : k + 8], device)).latents for k in range(0, len(pictures), 8)])
    return z.mean((0, 2, 3)), z.std((0, 2, 3))


@torch.no_grad()
def with_decoder_for(vae: AutoencoderTiny, mean: Tensor, deviation: Tensor) -> AutoencoderTiny:
    """A copy whose decoder takes latents of unit variance where it took those of `mean` and `deviation`.

    Nearly: the network bounds its latents before its first layer. It learns the rest in some hundred steps.
    """
    vae = copy.deepcopy(vae)
    first = vae.decoder.layers[0]
    first.bias += (first.weight * mean[None, :, None, None]).sum((1, 2, 3))
    first.weight *= deviation[None, :, None, None]
    return vae


@torch.no_grad()
def with_unit_latents(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device) -> AutoencoderTiny:
    """A copy whose latents have mean 0 and unit variance over `pictures`, channel by channel.

    What they are divided by goes into the encoder's last layer; the decoder takes latents as they are in training.
    """
    mean, deviation = deviations(vae, pictures, device)
    vae = copy.deepcopy(vae)
    last = vae.encoder.layers[-1]
    last.weight /= deviation[:, None, None, None]
    last.bias.copy_((last.bias - mean) / deviation)
    vae.register_to_config(scaling_factor=1.0)
    return vae


@torch.no_grad()
def round_trip(vae: AutoencoderTiny, x: Tensor, noise: float = 0.0) -> Tensor:
    """`x` ``(B, 3, H, W)`` encoded and decoded again, with `noise` on its latents of unit variance."""
    z = vae.encode(x).latents
    y: Tensor = vae.decode(z + noise * torch.randn_like(z)).sample
    return y.clamp(-1, 1)


def psnr(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device, noise: float = 0.0) -> float:
    """Mean peak signal-to-noise ratio of the round trip, in dB, one value a picture."""
    values = []
    for start in range(0, len(pictures), 8):
        x = to_network(pictures[start : start + 8], device)
        mse = (round_trip(vae, x, noise) - x).div(2).pow(2).mean((1, 2, 3))
        values.append(-10 * mse.log10())
    return float(torch.cat(values).mean())


def sample_sheet(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device) -> Image.Image:
    """Eight pictures a row: as drawn, the round trip, the round trip with the most noise of training."""
    x = to_network(pictures[:8], device)
    rows = [x, round_trip(vae, x), round_trip(vae, x, NOISE)]
    sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    return Image.fromarray(((sheet + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    channels: int = CHANNELS,
    batch: int = 16,
    count: int = 3000,
    seed: int = 0,
) -> Report:
    """Train for `minutes` and write the autoencoder, a sample sheet and a report to `folder`."""
    where = best_device(device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, TRAINING_SEED)
    held_out = draw_scenes(64, HELD_OUT_SEED)
    vae = AutoencoderTiny.from_pretrained(folder) if (folder / "config.json").is_file() else build_autoencoder(channels)
    lived_on = (folder.parent / "unet").is_dir()
    if vae.config.scaling_factor != 1:  # an autoencoder of before: its latents are scaled alike, and outside of it
        unlike = deviations(vae, held_out.pictures, where)
        vae = with_decoder_for(with_unit_latents(vae, held_out.pictures, where), *unlike)
    vae.encoder.requires_grad_(not lived_on)
    vae = vae.to(where, memory_format=torch.channels_last)

    def loss_of_batch(step: int, done: float) -> Tensor:
        x = to_network(_crops(scenes, batch, rng), where)
        with fast_arithmetic(where):
            z = vae.encode(x).latents
            whole, half = decoded(z), decoded(F.avg_pool2d(z, 2))
        loss = distance(whole, x) + HALF_WEIGHT * distance(half, F.avg_pool2d(x, 2))
        return loss + UNIT_WEIGHT * unlike_unit(z.float())

    def decoded(z: Tensor) -> Tensor:
        noise = NOISE * torch.rand(len(z), 1, 1, 1, device=where) * torch.randn_like(z)
        y: Tensor = vae.decode(z + noise).sample
        return y.float()

    def finished() -> AutoencoderTiny:
        return vae if lived_on else with_unit_latents(vae, held_out.pictures, where)

    def on_checkpoint(step: int) -> None:
        unit = finished()
        unit.save_pretrained(folder)
        sample_sheet(unit, held_out.pictures, where).save(folder / "sample.png")
        print(f"step {step}  PSNR {psnr(unit, held_out.pictures[:16], where):.2f} dB", flush=True)

    schedule = Schedule(minutes=minutes, rate=1e-4, warmup_steps=100, weight_decay=0, ema=0.995)
    steps, seconds, loss = train([vae], loss_of_batch, schedule, scratch / "autoencoder.pt", on_checkpoint)
    vae = finished()
    vae.save_pretrained(folder)
    report = Report(
        model="autoencoder",
        steps=steps,
        seconds=seconds,
        device=str(where),
        seed=seed,
        loss=loss,
        parameters=sum(p.numel() for p in vae.parameters()),
        measured={
            "psnr_db": psnr(vae, held_out.pictures, where),
            "psnr_db_noise_0.3": psnr(vae, held_out.pictures, where, noise=0.3),
        },
    )
    report.write(folder)
    return report
