"""Phase 1 of LayerDiffusion: layered controlled optimisation of the two text embeddings (section 3.2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.diffusion.fit import Settling, fit
from pipelines.diffusion.stages import Step
from pipelines.layered.losses import Draws, Layers, layer_losses, masked_loss
from pipelines.models.bundle import ModelBundle
from pipelines.models.texts import Texts
from pipelines.params import EmbedMode, LayeredParams
from pipelines.seeds import normal_like


def literal_loss(bundle: ModelBundle, layers: Layers, e_a: Texts, e_b: Texts, draws: Draws) -> Tensor:
    """Eq. 2 as it is printed: ``|| M (eps - f(x_t, t, [e_a, e_b])) ||^2``, both texts in one sequence of 2L tokens."""
    t = draws.timesteps(bundle)
    eps = normal_like(layers.x_obj.expand(draws.count, -1, -1, -1), draws.source)
    x_t = bundle.schedule.noised(layers.x_obj, eps, t)
    e = e_a.followed_by(e_b).expanded(draws.count)
    return masked_loss(layers.m_obj, eps, bundle.predict(x_t, t, e), draws.by_area)


def embedding_loss(
    bundle: ModelBundle, layers: Layers, e_a: Texts, e_b: Texts, draws: Draws, mode: EmbedMode
) -> Tensor:
    """What Eq. 2 minimises, for one set of draws; both texts in one pass, however it is read."""
    if mode is EmbedMode.LITERAL:
        return literal_loss(bundle, layers, e_a, e_b, draws)
    loss_a, loss_b = layer_losses(bundle, layers, e_a, e_b, draws)
    return loss_a + loss_b


def optimised_embeddings(
    bundle: ModelBundle,
    layers: Layers,
    e_a: Texts,
    e_b: Texts,
    params: LayeredParams,
    source: torch.Generator,
    after_step: Step,
) -> tuple[Texts, Texts]:
    """Eq. 2: ``[e_a, e_b] = argmin E || M (eps - f(x_t, t, [e_a, e_b])) ||^2`` with the network frozen.

    `e_a` (object) and `e_b` (background) are one text each; returns both with their tokens fitted. Read as *layered*,
    each text is fitted under its own part of the mask; read literally, both together under the object's.
    """
    assert not any(p.requires_grad for p in bundle.unet.parameters()), "phase 1 keeps the network frozen"
    draws = Draws(source, params.timesteps_per_step, params.normalize_by_area)
    e_a, e_b = e_a.open(), e_b.open()

    def loss(draws: Draws) -> Tensor:
        return embedding_loss(bundle, layers, e_a, e_b, draws, params.embed_mode)

    fit(
        [e_a.tokens, e_b.tokens],
        lambda _: loss(draws),
        params.embed_steps,
        params.embed_rate,
        after_step,
        Settling(torch.no_grad()(lambda: loss(draws.fixed))) if params.early_stop else None,
    )
    return e_a.closed(), e_b.closed()


def blended(e_a: Texts, e_b: Texts, alpha: float) -> Texts:
    """Eq. 3: ``e_opt = alpha e_a + (1 - alpha) e_b``; `alpha` weighs the object."""
    return e_a.blended(e_b, alpha)
