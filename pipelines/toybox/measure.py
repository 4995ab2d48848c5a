"""Measures every embedded model that is present, on held-out scenes: ``python -m pipelines.toybox.measure``.

Prints one JSON object; its figures are those of the model card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from pipelines.toybox import train_autoencoder, train_clip, train_judge, train_segmenter
from pipelines.toybox.augment import load_autoencoder
from pipelines.toybox.data import HELD_OUT_SEED, draw_scenes
from pipelines.toybox.judge import Judge
from pipelines.toybox.words import Attributes, read
from pipelines.training.common import best_device, fast_arithmetic

MODELS = Path(__file__).resolve().parents[2] / "assets" / "models"

GUIDANCE = 3.0
"""Classifier-free guidance scale of the measured pictures."""


def measure_text_to_image(
    folder: Path, judge: Path, count: int = 128, steps: int = 40, seed: int = 0, device: str = "auto"
) -> dict[str, float]:
    """The share of held-out captions whose picture has each attribute right, as the judge reads it; 0 to 1.

    Captions are the plain ones of scenes with a subject; one picture a caption, taken as it comes. What a caption
    leaves unsaid (medium size, standing, the natural colour) asks for nothing and is not counted.
    """
    where = best_device(device)
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(where)
    pipe.set_progress_bar_config(disable=True)
    scenes = draw_scenes(count, HELD_OUT_SEED, empty=0, workers=1).scenes
    generator = torch.Generator().manual_seed(seed)
    captions, pictures = [scene.caption() for scene in scenes], []
    for start in range(0, count, 8):
        with fast_arithmetic(where):
            made = pipe(
                captions[start : start + 8], num_inference_steps=steps, guidance_scale=GUIDANCE, generator=generator
            )
        pictures += [np.asarray(image) for image in made.images]
    seen = [reading.attributes for reading in Judge.load(judge, where).read(pictures)]
    return shares_said([read(caption) for caption in captions], seen)


def shares_said(said: Sequence[Attributes], seen: Sequence[Attributes]) -> dict[str, float]:
    """For each attribute the share of pictures that show what was said of it, over those of which anything was."""
    shares = {}
    for name in (field.name for field in fields(Attributes)):
        pairs = [(getattr(s, name), getattr(r, name)) for s, r in zip(said, seen, strict=True)]
        asked = [wanted == got for wanted, got in pairs if wanted is not None]
        if asked:
            shares[name] = sum(asked) / len(asked)
    return shares


def measure_autoencoder(folder: Path, count: int = 64, device: str = "auto") -> dict[str, float]:
    """Mean PSNR of the round trip, dB."""
    where = best_device(device)
    pictures = draw_scenes(count, HELD_OUT_SEED, workers=1).pictures
    return {"psnr_db": train_autoencoder.psnr(load_autoencoder(folder, where), pictures, where)}


def measure_all(models: Path, device: str = "auto") -> dict[str, Any]:
    """Figures by model, for those that are in `models`."""
    vae, judge, toybox = models / "toybox" / "vae", models / "toybox-judge", models / "toybox"
    found: dict[str, Any] = {}
    if vae.is_dir():
        found["autoencoder"] = measure_autoencoder(vae, device=device)
    if judge.is_dir():
        found["judge"] = train_judge.measure(judge, vae if vae.is_dir() else None, device=device)
    if (toybox / "unet").is_dir() and judge.is_dir():
        found["text-to-image"] = measure_text_to_image(toybox, judge, device=device)
    if (models / "toybox-segmenter").is_dir():
        found["segmenter"] = train_segmenter.measure(models / "toybox-segmenter")
    if (models / "toybox-clip").is_dir():
        found["clip"] = train_clip.measure(models / "toybox-clip", device=device)
    return found


def main() -> None:
    """Read the options, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.toybox.measure", description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that holds the model folders")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    asked = parser.parse_args()
    print(json.dumps(measure_all(asked.models, asked.device), indent=2))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
