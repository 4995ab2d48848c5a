"""What an edit will need of a device's memory, counted before it starts: what will not fit is said at once.

Activations, gradients and temporaries are counted on the meta device as if all were float32, so with bfloat16
arithmetic the need is an upper bound. It leaves out what the driver keeps for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from pipelines.cache import Cache
from pipelines.contract import Extent
from pipelines.errors import NotEnoughMemory
from pipelines.layered.steps import single_steps
from pipelines.models.bundle import ModelBundle
from pipelines.models.counting import on_meta, peak_bytes
from pipelines.models.room import Room, products, tiled
from pipelines.params import LayeredParams, Tuned

FLOAT32 = 4
"""Bytes."""
MOMENTS = 2
"""That Adam keeps of every parameter."""
GIB = 2**30

_counted: Cache[str, Mapping[str, int]] = Cache(32)


@dataclass(frozen=True)
class Memory:
    """Bytes, by what they are for."""

    weights: int
    """Of the parts that stay on the device throughout, as they are held there."""
    casts: int
    """The network's weights once more, in the arithmetic of its products."""
    kept: int
    """The weights as they were, from which the fine-tune is undone."""
    optimiser: int
    """Adam's moments."""
    working: int
    """The most that any step makes: activations, gradients, temporaries; and the parts that come for it alone."""

    @property
    def total(self) -> int:
        return self.weights + self.casts + self.kept + self.optimiser + self.working


def memory_of(bundle: ModelBundle, extent: Extent, params: LayeredParams, room: Room = Room.PLENTY) -> Memory:
    """What the layered method needs in `room` for a picture that the network sees at `extent`."""
    network = sum(p.numel() for p in bundle.unet.parameters())
    trained = FLOAT32 * network if params.tuned is Tuned.UNET and params.tune_steps else 0
    fast = FLOAT32 if bundle.autocast is None else bundle.autocast.itemsize
    held = {name: _bytes(part) for name, part in bundle.modules.items()}
    if room is Room.HALF:
        held["unet"] -= (FLOAT32 - fast) * sum(p.numel() for p in products(bundle.unet))
    peaks = _peaks(bundle, extent, params, room)
    if room is Room.PLENTY:
        stay, working = sum(held.values()), max(peaks.values())
    else:
        stay = held.pop("unet")
        pictures = held.pop("vae") + max(peaks.pop("encode"), peaks.pop("decode"))
        working = max(pictures, sum(held.values()), *peaks.values())
    return Memory(
        weights=stay,
        casts=0 if bundle.autocast is None or room is Room.HALF else network * fast,
        kept=trained,
        optimiser=MOMENTS * trained,
        working=max(working, trained),
    )


def _bytes(part: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in part.parameters())


def _peaks(bundle: ModelBundle, extent: Extent, params: LayeredParams, room: Room) -> dict[str, int]:
    """The most that a step of each stage makes, counted once for each network and size."""
    samples = (params.timesteps_per_step, params.embed_mode, params.guidance == 1)
    phases = (bool(params.embed_steps), bool(params.tune_steps), params.tuned, params.lora_rank)
    in_tiles = room is not Room.PLENTY
    key = json.dumps(
        [dict(bundle.unet.config), dict(bundle.vae.config), extent, samples, phases, in_tiles],
        default=str,
        sort_keys=True,
    )

    def count() -> dict[str, int]:
        hollow = on_meta(bundle)
        with tiled(hollow.vae, hollow.cell) if in_tiles else nullcontext():
            return {stage: peak_bytes(work) for stage, work in single_steps(hollow, extent, params).items()}

    return dict(_counted.get(key, count))


def free_bytes(device: torch.device) -> int | None:
    """What `device` has left for us, its allocator's own reserve included; ``None`` where it does not say."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def room_for(bundle: ModelBundle, extent: Extent, params: LayeredParams, free: int | None, least: Room) -> Room:
    """The most room, down to `least`, in which an edit fits the `free` bytes beside the loaded model.

    Raises `NotEnoughMemory` with advice when it fits in none.
    """
    if free is None:
        return Room.PLENTY
    ours = free + sum(_bytes(part) for part in bundle.modules.values())
    for room in Room:
        needed = memory_of(bundle, extent, params, room)
        if needed.total <= ours:
            return room
        if room is least:
            break
    raise NotEnoughMemory(
        f"this edit needs about {needed.total / GIB:.1f} GiB of the device's memory with the model, and there are "
        f"{ours / GIB:.1f} GiB for both; "
        f"{'choose standard quality' if needed.optimiser else 'choose a lower quality or a smaller model'}, "
        "or close what else uses the device"
    )
