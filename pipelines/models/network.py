"""How the network is called: operator by operator, which is the reference, or as one compiled graph.

A compiled call launches one graph where an eager one launches hundreds of kernels. It serves every edit of the same
shapes: weights, low-rank updates and changes are put on in place, where the graph finds them.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

log = logging.getLogger(__name__)

Network = Callable[[UNet2DConditionModel, Tensor, Tensor, Tensor, Mapping[str, Tensor] | None], Tensor]
"""The network on latents ``(B, C, h, w)``, timesteps ``(B,)``, tokens ``(B, L, D)`` and what XL is told beside them."""

VARIANTS = 64
"""Graphs that are kept: some five for every size of picture (two phases, with and without gradients). Beyond them the
network is called eagerly."""


def eager(
    unet: UNet2DConditionModel, z_t: Tensor, t: Tensor, tokens: Tensor, added: Mapping[str, Tensor] | None
) -> Tensor:
    """What the network itself gives, ``(B, C, h, w)``."""
    out: Tensor = unet(z_t, t, tokens, added_cond_kwargs=added).sample
    return out


@functools.cache
def compiled(backend: str | Callable[..., Any] = "inductor") -> Network:
    """`eager` as one graph, compiled on the first call with each set of shapes and of what has gradients.

    Agrees with `eager` up to the rounding of sums in another order. Where a machine cannot compile (no C compiler, no
    Triton), that is logged once and every call is eager.
    """
    # "reduce-overhead" replays a recorded graph of kernels on CUDA; the other backends know no modes.
    mode = "reduce-overhead" if backend == "inductor" else None
    graph = torch.compile(eager, backend=backend, mode=mode, dynamic=False)
    broken = threading.Event()

    def call(
        unet: UNet2DConditionModel, z_t: Tensor, t: Tensor, tokens: Tensor, added: Mapping[str, Tensor] | None
    ) -> Tensor:
        if broken.is_set():
            return eager(unet, z_t, t, tokens, added)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            # A LoRA of a file hangs on the layers as hooks, which a graph without guards on them would pass by.
            with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False, recompile_limit=VARIANTS):
                return graph(unet, z_t, t, tokens, added).clone()  # the graph writes its next result over this one
        except TorchDynamoException as error:
            log.warning(
                "the network cannot be compiled here, so it runs eagerly: %s", " ".join(str(error).split())[:200]
            )
            broken.set()
            return eager(unet, z_t, t, tokens, added)

    return call
