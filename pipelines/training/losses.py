"""The equations of "Instilling Multi-round Thinking into Text-guided Image Editing" (Zeng et al. 2024, 2401.08472).

The paper's formulas are given here by their numbers; how their symbols are read is ours where its text lost them.

===========  ==========================================================================================
z_r, z_g     latents of the reference and of the target, ``(B, C, h, w) float32``
t, t_1, t_2  timesteps, ``(B,) int64``; those of the two rounds are different
eps, ...     standard normal noise like a latent; that of the two rounds is independent
c            [Tx(s); V(I_r)], the tokens of the whole text and of the reference picture
c_1, c_2     the same of either part of the text
c_0          [0; V(I)], of no text
===========  ==========================================================================================

Every loss is a mean over all elements, of what the network itself predicts: noise, velocity (Salimans and Ho 2022,
Appendix D) or picture. Where the velocity is off by dv the noise is off by ``sqrt(alpha_bar) dv`` and the picture by
``sqrt(1 - alpha_bar) dv``: all are the paper's loss, weighted by the timestep.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from pipelines.diffusion.schedule import Schedule
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.training.choices import Decay, Form

Network = Callable[[Tensor, Tensor, PromptEmbeds], Tensor]
"""What the network says of `z_t` at `t`, told `c`."""


def first_round(
    schedule: Schedule, network: Network, z_r: Tensor, t_1: Tensor, eps_1: Tensor, c_1: PromptEmbeds
) -> Tensor:
    """``z^``, Eq. 1, in one step: ``(z_{r,t_1} - sqrt(1 - a) eps_theta(z_{r,t_1}, t_1, c_1)) / sqrt(a)``."""
    z_t = schedule.noised(z_r, eps_1, t_1)
    return schedule.picture_from(network(z_t, t_1, c_1), z_t, t_1)


def multi_round_loss(
    schedule: Schedule,
    network: Network,
    z_g: Tensor,
    z_hat: Tensor,
    t_2: Tensor,
    eps_2: Tensor,
    c_2: PromptEmbeds,
    form: Form = Form.NOISE,
) -> Tensor:
    """``L_multi``: the second round, from the result `z_hat` of the first under fresh noise, against the target.

    In the form of noise it is Eq. 4, ``|| eps* - eps_theta(z'_{t_2}, t_2, c_2) ||^2`` with the noise that is in z' if
    its picture is the target, ``eps* = (z'_{t_2} - sqrt(a) z_g) / sqrt(1 - a)``; it grows without bounds for t_2 near
    0. In the form of pictures it is Eq. 2 with a single step, ``|| z_g - z^_2 ||^2``. The gradient goes through both
    rounds: `z_hat` is not cut off, and eps* is part of it.
    """
    z_t = schedule.noised(z_hat, eps_2, t_2)
    said = network(z_t, t_2, c_2)
    if form is Form.PICTURE:
        return F.mse_loss(schedule.picture_from(said, z_t, t_2), z_g)
    return F.mse_loss(said, schedule.aim(z_g, schedule.noise_towards(z_t, z_g, t_2), t_2))


def single_round_loss(
    schedule: Schedule, network: Network, z_g: Tensor, t: Tensor, eps: Tensor, c: PromptEmbeds
) -> Tensor:
    """``L_single``, Eq. 5: ``|| eps - eps_theta(z_{g,t}, t, c) ||^2`` with the whole text."""
    return F.mse_loss(network(schedule.noised(z_g, eps, t), t, c), schedule.aim(z_g, eps, t))


def reconstruction_loss(
    schedule: Schedule, network: Network, z: Tensor, t: Tensor, eps: Tensor, c_0: PromptEmbeds
) -> Tensor:
    """``L_recon``, Eq. 6: a picture told by itself and by no text, `c_0`, comes back."""
    return F.mse_loss(network(schedule.noised(z, eps, t), t, c_0), schedule.aim(z, eps, t))


def total_loss(single: Tensor, reconstruction: Tensor, multi: Tensor, weight: float) -> Tensor:
    """``L = L_single + L_recon + lambda L_multi``, Eq. 7."""
    return single + reconstruction + weight * multi


def weight_at(decay: Decay, step: int, steps: int) -> float:
    """``lambda`` at `step` of `steps`, from 0: falling to 0 at the last, or one of the ablations."""
    if decay is Decay.NONE:
        return 0.0
    return 1.0 if decay is Decay.FIXED else 1 - step / max(1, steps - 1)
