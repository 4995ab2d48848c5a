"""Phase 1 of LayerDiffusion: layered controlled optimisation of the two text embeddings (section 3.2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.diffusion.fit import fit
from pipelines.diffusion.stages import Step
from pipelines.layered.losses import Draws, Layers, layer_losses, masked_loss
from pipelines.models.bundle import ModelBundle
from pipelines.params import EmbedMode, LayeredParams
from pipelines.seeds import normal_like


def literal_loss(bundle: ModelBundle, layers: Layers, e_a: Tensor, e_b: Tensor, draws: Draws) -> Tensor:
    """Eq. 2 as it is printed: ``|| M (eps - f(x_t, t, [e_a, e_b])) ||^2``, both texts in one sequence of 2L tokens."""
    t = draws.timesteps(bundle)
    eps = normal_like(layers.x_obj.expand(draws.count, -1, -1, -1), draws.source)
    x_t = bundle.schedule.noised(layers.x_obj, eps, t)
    e = torch.cat([e_a, e_b], dim=1).expand(draws.count, -1, -1)  # (k, 2L, D)
    return masked_loss(layers.m_obj, eps, bundle.predict(x_t, t, e), draws.by_area)


def optimised_embeddings(
    bundle: ModelBundle,
    layers: Layers,
    e_a: Tensor,
    e_b: Tensor,
    params: LayeredParams,
    source: torch.Generator,
    after_step: Step,
) -> tuple[Tensor, Tensor]:
    """Eq. 2: ``[e_a, e_b] = argmin E || M (eps - f(x_t, t, [e_a, e_b])) ||^2`` with the network frozen.

    `e_a` (object) and `e_b` (background) are ``(1, L, D)``; returns both, fitted. Read as *layered*, each text is
    fitted under its own part of the mask; read literally, both together under the object's.
    """
    assert not any(p.requires_grad for p in bundle.unet.parameters()), "phase 1 keeps the network frozen"
    draws = Draws(source, params.timesteps_per_step, params.normalize_by_area)
    e_a, e_b = (e.detach().clone().requires_grad_() for e in (e_a, e_b))

    def loss_of_step(_: int) -> Tensor:
        if params.embed_mode is EmbedMode.LITERAL:
            return literal_loss(bundle, layers, e_a, e_b, draws)
        loss_a, loss_b = layer_losses(bundle, layers, e_a, e_b, draws)
        return loss_a + loss_b

    fit([e_a, e_b], loss_of_step, params.embed_steps, params.embed_rate, after_step)
    return e_a.detach(), e_b.detach()


def blended(e_a: Tensor, e_b: Tensor, alpha: float) -> Tensor:
    """Eq. 3: ``e_opt = alpha e_a + (1 - alpha) e_b``; `alpha` weighs the object."""
    return alpha * e_a + (1 - alpha) * e_b
