"""Models to begin with, for whoever has none yet: what each is for, about how much a pull fetches, and its licence.

A short list of what is widely used and well described, one model a purpose; any other is pulled by its id. Sizes are
worked out from how many weights there are and in which precision; the pull itself tells the true one. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from pipelines.models.folders import CLIP, SEGMENTER, TEXT_TO_IMAGE
from pipelines.models.listing import Item

GB = 1_000_000_000


@dataclass(frozen=True)
class Starter:
    """One of the choices."""

    repo: str
    """Its id on the hub."""
    title: str
    kind: str
    use: str
    """What it does, in a designer's words."""
    size: int
    """Bytes of a pull, about."""
    room: int
    """Bytes of memory that it takes to load it, in float32 (docs/speed.md)."""
    licence: str
    half: bool = False
    """Whether the 16-bit copy is pulled."""


STARTERS = (
    Starter(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "Stable Diffusion 1.5",
        TEXT_TO_IMAGE,
        "Edits photographs at 512 pixels, on a card of 8 GB.",
        2_140_000_000,
        4_300_000_000,
        "CreativeML Open RAIL-M",
        half=True,
    ),
    Starter(
        "stabilityai/stable-diffusion-xl-base-1.0",
        "Stable Diffusion XL",
        TEXT_TO_IMAGE,
        "Edits photographs at 1024 pixels; for a large card.",
        6_940_000_000,
        13_900_000_000,
        "CreativeML Open RAIL++-M",
        half=True,
    ),
    Starter(
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        "Stable Diffusion Inpainting",
        TEXT_TO_IMAGE,
        "Was trained to fill a part of a picture, in keeping with what surrounds it.",
        2_140_000_000,
        4_300_000_000,
        "CreativeML Open RAIL-M",
        half=True,
    ),
    Starter(
        "timbrooks/instruct-pix2pix",
        "InstructPix2Pix",
        TEXT_TO_IMAGE,
        "Follows an instruction about the picture, such as “make it winter”.",
        2_140_000_000,
        4_300_000_000,
        "MIT",
        half=True,
    ),
    Starter(
        "facebook/sam-vit-base",
        "Segment Anything, base",
        SEGMENTER,
        "Masks photographs from a click.",
        375_000_000,
        400_000_000,
        "Apache 2.0",
    ),
    Starter(
        "openai/clip-vit-base-patch32",
        "CLIP",
        CLIP,
        "Measures how alike pictures and texts are: drift, and whether an order matters.",
        605_000_000,
        650_000_000,
        "MIT",
    ),
)


def is_here(starter: Starter, there: Iterable[Item]) -> bool:
    """Whether `there` holds what a pull of `starter` brought."""
    return any(item.record is not None and item.record.source == starter.repo for item in there)


def too_large(starter: Starter, memory: int | None = None) -> str | None:
    """Why this machine cannot load it, for a person; ``None`` where it can. `memory` is in bytes, by default all of
    the machine's: a model is read there first, wherever it runs."""
    memory = psutil.virtual_memory().total if memory is None else memory
    if starter.room <= memory:
        return None
    return f"needs {starter.room / GB:.1f} GB of memory to be loaded; this machine has {memory / GB:.0f} GB"
