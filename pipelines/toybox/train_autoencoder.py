"""Trains the Toybox autoencoder: ``AutoencoderTiny``, 256 x 256 pixels to 32 x 32 latents of 8 channels.

It learns from small crops, half of them around a subject, and with a little noise on the latents, so that the
decoder forgives what a denoiser leaves behind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, Scenes, draw_scenes
from pipelines.toybox.training import Schedule, train
from pipelines.training.common import Report, best_device, fast_arithmetic

CHANNELS = 8
CROP = 64
"""Side of a training crop, in pixels; a multiple of 8."""


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
            left = int(subject.x * side) - CROP // 2 + rng.integers(-40, 41)
            top = int(subject.ground * side) - CROP + rng.integers(-100, 20)
        left, top = (int(np.clip(v, 0, side - CROP)) // 8 * 8 for v in (left, top))
        out[k] = scenes.pictures[index, top : top + CROP, left : left + CROP]
    return out


@torch.no_grad()
def psnr(vae: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device) -> float:
    """Mean peak signal-to-noise ratio of the round trip, in dB, one value a picture."""
    values = []
    for start in range(0, len(pictures), 8):
        x = to_network(pictures[start : start + 8], device)
        y = vae.decode(vae.encode(x).latents).sample.clamp(-1, 1)
        mse = (y - x).div(2).pow(2).mean((1, 2, 3))
        values.append(-10 * mse.log10())
    return float(torch.cat(values).mean())


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    channels: int = CHANNELS,
    batch: int = 24,
    count: int = 4000,
    seed: int = 0,
) -> Report:
    """Train for `minutes` and write the autoencoder, a sample sheet and a report to `folder`."""
    where = best_device(device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, TRAINING_SEED)
    held_out = draw_scenes(64, HELD_OUT_SEED)
    vae = build_autoencoder(channels).to(where, memory_format=torch.channels_last)

    def loss_of_batch(step: int, done: float) -> Tensor:
        x = to_network(_crops(scenes, batch, rng), where)
        with fast_arithmetic(where):
            latents = vae.encode(x).latents
            y = vae.decode(latents + 0.05 * torch.randn_like(latents)).sample
        error = y.float() - x
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        size = latents.float().pow(2).mean()
        loss: Tensor = error.abs().mean() + 2 * error.pow(2).mean() + 0.5 * edges + 1e-3 * (size - 1).abs()
        return loss

    def on_checkpoint(step: int) -> None:
        print(f"held-out PSNR {psnr(vae, held_out.pictures, where):.2f} dB", flush=True)
        vae.save_pretrained(folder)
        x = to_network(held_out.pictures[:8], where)
        with torch.no_grad():
            y = vae.decode(vae.encode(x).latents).sample.clamp(-1, 1)
        y8 = ((y + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        rows = [np.concatenate(list(held_out.pictures[:8]), 1), np.concatenate(list(y8), 1)]
        Image.fromarray(np.concatenate(rows)).save(folder / "sample.png")

    schedule = Schedule(minutes=minutes, rate=8e-4, warmup_steps=100, weight_decay=0, ema=0.995)
    steps, seconds, loss = train([vae], loss_of_batch, schedule, scratch / f"autoencoder{channels}.pt", on_checkpoint)
    # The scale that makes latents unit variance on the world's pictures, kept in the model's own configuration.
    with torch.no_grad():
        deviation = vae.encode(to_network(held_out.pictures, where)).latents.std().item()
    vae.register_to_config(scaling_factor=1 / deviation)
    vae.save_pretrained(folder)
    report = Report(
        model="autoencoder",
        steps=steps,
        seconds=seconds,
        device=str(where),
        seed=seed,
        loss=loss,
        parameters=sum(p.numel() for p in vae.parameters()),
        measured={"psnr_db": psnr(vae, held_out.pictures, where)},
    )
    report.write(folder)
    return report
