"""What an edit will need of a device's memory, counted before it starts: what will not fit is said at once.

Activations, gradients and temporaries are counted on the meta device as if all were float32, so with bfloat16
arithmetic the need is an upper bound. It leaves out what the driver keeps for itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch

from pipelines.contract import Extent
from pipelines.errors import NotEnoughMemory
from pipelines.layered.steps import single_steps
from pipelines.models.bundle import ModelBundle
from pipelines.models.cache import Cache
from pipelines.models.counting import on_meta, peak_bytes
from pipelines.params import LayeredParams, Tuned

FLOAT32 = 4
"""Bytes."""
MOMENTS = 2
"""That Adam keeps of every parameter."""
GIB = 2**30

_counted: Cache[str, int] = Cache(32)


@dataclass(frozen=True)
class Memory:
    """Bytes, by what they are for."""

    weights: int
    """Every part of the model, as it is loaded."""
    casts: int
    """The network's weights once more, in the arithmetic of its products."""
    kept: int
    """The weights as they were, from which the fine-tune is undone."""
    optimiser: int
    """Adam's moments."""
    working: int
    """The most that any step makes: activations, gradients, temporaries."""

    @property
    def beside_weights(self) -> int:
        """What is needed when the model is loaded already."""
        return self.casts + self.kept + self.optimiser + self.working

    @property
    def total(self) -> int:
        return self.weights + self.beside_weights


def memory_of(bundle: ModelBundle, extent: Extent, params: LayeredParams) -> Memory:
    """What the layered method needs for a picture that the network sees at `extent`."""
    network = sum(p.numel() for p in bundle.unet.parameters())
    trained = FLOAT32 * network if params.tuned is Tuned.UNET and params.tune_steps else 0
    return Memory(
        weights=sum(p.numel() * p.element_size() for part in bundle.modules.values() for p in part.parameters()),
        casts=0 if bundle.autocast is None else network * bundle.autocast.itemsize,
        kept=trained,
        optimiser=MOMENTS * trained,
        working=max(_working(bundle, extent, params), trained),
    )


def _working(bundle: ModelBundle, extent: Extent, params: LayeredParams) -> int:
    """The largest of all steps' peaks, counted once for each network and size."""
    asked = (extent, params.tuned, params.timesteps_per_step, bool(params.embed_steps), bool(params.tune_steps))
    key = json.dumps([dict(bundle.unet.config), dict(bundle.vae.config), asked], default=str, sort_keys=True)
    return _counted.get(
        key, lambda: max(peak_bytes(work) for work in single_steps(on_meta(bundle), extent, params).values())
    )


def free_bytes(device: torch.device) -> int | None:
    """What `device` has left for us, its allocator's own reserve included; ``None`` where it does not say."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def check_fits(bundle: ModelBundle, extent: Extent, params: LayeredParams, free: int | None) -> None:
    """Raise `NotEnoughMemory` with advice when an edit needs more than the `free` bytes of the device."""
    if free is None:
        return
    needed = memory_of(bundle, extent, params)
    if needed.beside_weights > free:
        raise NotEnoughMemory(
            f"this edit needs about {needed.beside_weights / GIB:.1f} GiB of the device's memory beside the model, "
            f"and {free / GIB:.1f} GiB are free; "
            f"{'choose standard quality' if needed.optimiser else 'choose a lower quality or a smaller model'}, "
            "or close what else uses the device"
        )
