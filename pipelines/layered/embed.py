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
    begin: tuple[Texts, Texts] | None = None,
) -> tuple[Texts, Texts]:
    """Eq. 2: ``[e_a, e_b] = argmin E || M (eps - f(x_t, t, [e_a, e_b])) ||^2`` with the network frozen.

    `e_a` (object) and `e_b` (background) are one text each; returns both with their tokens fitted. Read as *layered*,
    each text is fitted under its own part of the mask; read literally, both together under the object's. The search
    begins at `begin` (ours), or at the texts themselves.
    """
    assert not any(p.requires_grad for p in bundle.unet.parameters()), "phase 1 keeps the network frozen"
    draws = Draws(source, params.timesteps_per_step, params.normalize_by_area)
    a, b = (e.open() for e in begin or (e_a, e_b))

    def loss(a: Texts, b: Texts, draws: Draws) -> Tensor:
        return embedding_loss(bundle, layers, a, b, draws, params.embed_mode)

    settling = None
    if params.early_stop:
        settled = torch.no_grad()(loss)
        cold = None if begin is None else settled(e_a, e_b, draws.fixed).item()
        settling = Settling(lambda: settled(a, b, draws.fixed), cold=cold)
    fit(
        [a.tokens, b.tokens],
        lambda _: loss(a, b, draws),
        params.embed_steps,
        params.embed_rate,
        after_step,
        settling,
    )
    return a.closed(), b.closed()


def blended(e_a: Texts, e_b: Texts, alpha: float) -> Texts:
    """Eq. 3: ``e_opt = alpha e_a + (1 - alpha) e_b``; `alpha` weighs the object."""
    return e_a.blended(e_b, alpha)
