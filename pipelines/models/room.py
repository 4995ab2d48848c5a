"""A model where memory is short: parts wait in the host's memory while others work, big pictures pass in tiles, and
the network's weights are held in the arithmetic of its products.

What is computed is the same but for the tiles, whose seams are blended, and the rounded start of a low-rank update. It
takes longer: parts are carried to and fro.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from enum import Enum, auto

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import nn

from pipelines.models.bundle import ModelBundle
from pipelines.models.network import eager

AWAY = torch.device("cpu")
TILE = 512
"""Pixels a side of what the autoencoder sees at once."""


class Room(Enum):
    """How much is given up for memory; less with each."""

    PLENTY = auto()  # nothing: every part stays on the device
    PARTS = auto()  # the autoencoder and the text encoders are there only while they work
    HALF = auto()  # and the network's weights are rounded; not for a change of those weights, which rounding would eat


@contextmanager
def with_room(bundle: ModelBundle, room: Room) -> Iterator[ModelBundle]:
    """The bundle as it runs in `room`; afterwards every part is where it was, bit for bit as it was."""
    if room is Room.PLENTY:
        yield bundle
        return
    idle = [part for name, part in bundle.modules.items() if name != "unet"]
    try:
        for part in idle:
            part.to(AWAY)
        with tiled(bundle.vae, bundle.cell), rounded(bundle) if room is Room.HALF else nullcontext():
            yield replace(bundle, idle=AWAY, network=eager)
    finally:
        for part in idle:
            part.to(bundle.device)


@contextmanager
def tiled(vae: AutoencoderKL | AutoencoderTiny, cell: int) -> Iterator[None]:
    """Inside, the autoencoder sees a picture of more than `TILE` pixels a side in overlapping tiles.

    Not so the tiny one, which needs no tiles.
    """
    if not isinstance(vae, AutoencoderKL):
        yield
        return
    names = ("use_tiling", "tile_sample_min_size", "tile_latent_min_size")
    before = {name: getattr(vae, name) for name in names}
    try:
        for name, value in zip(names, (True, TILE, TILE // cell), strict=True):
            setattr(vae, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(vae, name, value)


def products(unet: nn.Module) -> list[nn.Parameter]:
    """The weights that autocast rounds before each product: holding them rounded changes no result."""
    layers = (module for module in unet.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    return [p for layer in layers for p in layer.parameters(recurse=False)]


@contextmanager
def rounded(bundle: ModelBundle) -> Iterator[None]:
    """Inside, `products` of the network are held in `ModelBundle.autocast`, and as they were only in the host's memory.

    Does nothing where the arithmetic is float32.
    """
    weights = [] if bundle.autocast is None else products(bundle.unet)
    kept = [p.detach().to(AWAY, copy=True) for p in weights]
    try:
        for p in weights:
            p.data = p.data.to(bundle.autocast)
        yield
    finally:
        for p, whole in zip(weights, kept, strict=True):
            p.data = whole.to(bundle.device)
