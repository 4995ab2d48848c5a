"""One step of each phase alone, on a picture of zeros: what counting and timing look at.

On the meta device nothing is computed, and any number that the host asked for would be an error there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pipelines.contract import Extent
from pipelines.diffusion.denoise import Hold
from pipelines.diffusion.guidance import guided_noise
from pipelines.layered.embed import embedding_loss
from pipelines.layered.finetune import loss_weights, tuning_loss
from pipelines.layered.losses import Draws, Layers
from pipelines.models.adapters import lora
from pipelines.models.bundle import ModelBundle
from pipelines.params import LayeredParams, Tuned
from pipelines.seeds import generator

Work = Callable[[], object]


def single_steps(bundle: ModelBundle, extent: Extent, params: LayeredParams) -> Mapping[str, Work]:
    """One step of each stage that `params` run, by the stage's name, and ``encode`` and ``decode``; no Adam update."""
    x = torch.zeros(1, bundle.latent_channels, extent.height // bundle.cell, extent.width // bundle.cell)
    z = x.to(bundle.device)
    layers, e = Layers(z, z[:, :1], z, z[:, :1]), bundle.embed_texts(["a dog"])
    weighing = (params.object_loss, params.background_loss) if z.is_meta else loss_weights(layers, params)

    def draws() -> Draws:
        return Draws(generator(0, "one step"), params.timesteps_per_step, params.normalize_by_area)

    @torch.no_grad()
    def sample() -> None:
        t, t_next = bundle.schedule.timesteps(2)
        eps = guided_noise(bundle, z, t, e, e, params.guidance)
        Hold(z, z[:, :1]).blend(bundle.schedule, bundle.schedule.step(z, eps, t, t_next), z, t_next)

    def embed() -> None:
        torch.autograd.backward(embedding_loss(bundle, layers, e.open(), e.open(), draws(), params.embed_mode))

    def gradients(parameters: Sequence[Tensor]) -> None:
        try:
            for p in parameters:
                p.requires_grad_(True)
            torch.autograd.backward(tuning_loss(bundle, layers, e, draws(), weighing))
        finally:
            for p in parameters:
                p.requires_grad_(False)
                p.grad = None

    def tune() -> None:
        if params.tuned is Tuned.UNET:
            gradients(list(bundle.unet.parameters()))
        else:
            with lora(bundle.unet, params.lora_rank, 0) as parameters:
                gradients(parameters)

    @torch.no_grad()
    def encode() -> None:
        with bundle.fast_arithmetic():
            bundle.vae.encode(torch.zeros(1, 3, extent.height, extent.width, device=bundle.device))

    @torch.no_grad()
    def decode() -> None:
        with bundle.fast_arithmetic():
            bundle.vae.decode(z)

    phases = {"embeddings": embed} if params.embed_steps else {}
    if params.tuned is not Tuned.NONE and params.tune_steps:
        phases["fine-tune"] = tune
    return {"encode": encode, **phases, "guidance": sample, "decode": decode}
