"""How a latent goes from one noise level to the next: DDIM's way, from a new beginning at every level, or along the
noise that a picture has of its own.

A sampler knows the noise at the level it has reached, so that what is held during sampling is noised alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pipelines.diffusion.schedule import DONE
from pipelines.models.bundle import ModelBundle
from pipelines.seeds import normal_like

Own = Callable[[Tensor, int], Tensor]
"""The noise in a latent ``(1, C, h, w)`` at a timestep, as what the picture shows now has it."""


class Sampler(Protocol):
    """One run's way down the noise schedule."""

    noise: Tensor
    """Standard normal, ``(1, C, h, w)``: that of the level reached."""

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        """`z` at `t`, whose noise is predicted to be `eps`, at the less noisy `t_next`."""
        ...


class DDIM:
    """Song et al. 2021 with sigma = 0: the starting noise stays that of every level."""

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        return bundle.schedule.step(z, eps, t, t_next)


class Consistent:
    """A consistency model's way (Luo et al. 2023, Algorithm 3; DDCM of Xu et al. 2024, Eq. 8): every level is the
    estimate under new noise, which the branches of a batch share."""

    def __init__(self, like: Tensor, source: torch.Generator) -> None:
        """`like` is a latent ``(1, C, h, w)``, of which only the shape and the device are of use."""
        self._source = source
        self.noise = normal_like(like, source)

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        z_0 = bundle.schedule.estimate(z, eps, t)
        if t_next == DONE:
            return z_0
        self.noise = normal_like(self.noise, self._source)
        return bundle.schedule.noised(z_0, self.noise, t_next)


class DDPMInversion:
    """Edit-friendly inversion (Huberman-Spiegelglas et al., CVPR 2024, Algorithm 1).

    A picture is noised to every level independently. What the network cannot predict of each step between two levels
    is the picture's own noise, and an edit that meets it again keeps the picture's shapes at much more noise than one
    that begins at noise of no meaning. Both go down together here, so nothing but one level is remembered.
    """

    def __init__(self, picture: Tensor, own: Own, source: torch.Generator) -> None:
        """`picture` is a clean latent ``(1, C, h, w)``, whose noise `own` predicts."""
        self._picture, self._own, self._source = picture, own, source
        self.noise = normal_like(picture, source)

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        """The picture at `t_next`, and what the edit's mean differs from the picture's own; one call of `own`.

        With ``x = mean(x_t) + sigma z`` for the picture, z cancels out of ``mean(z_t) + sigma z`` for the edit.
        """
        schedule = bundle.schedule
        x = schedule.noised(self._picture, self.noise, t)
        own = self._own(x, t)
        self.noise = normal_like(x, self._source)
        x_next = self._picture if t_next == DONE else schedule.noised(self._picture, self.noise, t_next)
        return x_next + schedule.mean(z, eps, t, t_next) - schedule.mean(x, own, t, t_next)
