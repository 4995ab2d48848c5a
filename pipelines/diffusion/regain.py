"""A picture's latent that the decoder makes the picture of again.

An autoencoder gives back another picture than it was given, and turn after turn that adds up. IMIE goes on from the
last turn's latent instead. Here that latent is found again from the picture itself: its own encoding is fitted until
the decoder gives the picture back. So nothing has to be kept beside a turn, a replay is the same to the bit, and an
uploaded picture gains by it too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipelines.diffusion.fit import fit
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.progress import Progress

STAGE = "latent"
RATE = 0.1
"""Adam's, of latents whose size is about 1."""


def regaining(steps: int, progress: Progress) -> Callable[[ModelBundle, Tensor, Tensor], Tensor]:
    """What fits the latent ``(1, C, h, w)`` of a picture ``(1, 3, H, W)`` in [-1, 1] in so many steps, told as a stage;
    with none it stays as it is."""

    def regained(bundle: ModelBundle, z: Tensor, x: Tensor) -> Tensor:
        if not steps:
            return z
        with torch.enable_grad(), Stages(progress).stage(STAGE, steps) as step:
            found, wanted = z.detach().clone().requires_grad_(), x.to(z.device)
            fit([found], lambda _: (bundle.decoded(found) - wanted).square().mean(), steps, RATE, step)
        return found.detach()

    return regained
