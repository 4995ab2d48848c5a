"""The embedded text-to-image folder is an ordinary one: diffusers alone makes pictures from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from pipelines.toybox.judge import Judge

MODELS = Path(__file__).resolve().parents[3] / "assets" / "models"


def test_diffusers_paints_the_place_that_was_named() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(MODELS / "toybox", use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    places = {"in a forest": "forest", "on the beach": "beach", "at night": "night", "in the desert": "desert"}
    generator = torch.Generator().manual_seed(7)
    pictures = pipe(list(places), num_inference_steps=12, guidance_scale=4.0, generator=generator).images
    assert {picture.size for picture in pictures} == {(256, 256)}
    read = Judge.load(MODELS / "toybox-judge").read([np.asarray(picture) for picture in pictures])
    assert [reading.attributes.background for reading in read] == list(places.values())
