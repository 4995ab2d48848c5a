"""Phase 1 of LayerDiffusion: layered controlled optimisation of the two text embeddings (section 3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.diffusion.fit import EarlyStopping, fit
from pipelines.diffusion.stages import Step
from pipelines.layered.losses import Draws, Layers, Part, masked_loss, part_losses
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import EmbedMode, LayeredParams
from pipelines.seeds import normal_like


def literal_loss(bundle: ModelBundle, layers: Layers, e_a: PromptEmbeds, e_b: PromptEmbeds, draws: Draws) -> Tensor:
    """Eq. 2 as it is printed: ``|| M (eps - f(x_t, t, [e_a, e_b])) ||^2``, both texts in one sequence of 2L tokens."""
    t = draws.timesteps(bundle)
    eps = normal_like(layers.x_obj.expand(draws.count, -1, -1, -1), draws.source)
    x_t = bundle.schedule.noised(layers.x_obj, eps, t)
    e = e_a.followed_by(e_b).expanded(draws.count)
    return masked_loss(layers.m_obj, eps, bundle.predict(x_t, t, e), draws.by_area)


@dataclass(frozen=True)
class Fits:
    """Which of the two texts phase 1 fits: those that somebody reads afterwards."""

    object: bool = True
    background: bool = True

    def of(self, a: PromptEmbeds, b: PromptEmbeds) -> list[PromptEmbeds]:
        return [e for e, wanted in ((a, self.object), (b, self.background)) if wanted]


BOTH = Fits()


def embedding_loss(
    bundle: ModelBundle,
    layers: Layers,
    e_a: PromptEmbeds,
    e_b: PromptEmbeds,
    draws: Draws,
    mode: EmbedMode,
    fits: Fits = BOTH,
) -> Tensor:
    """What Eq. 2 minimises, for one set of draws; the texts that are fitted in one pass, however it is read."""
    if mode is EmbedMode.LITERAL:
        return literal_loss(bundle, layers, e_a, e_b, draws)
    parts = [
        *([Part(layers.x_obj, layers.m_obj, e_a)] if fits.object else []),
        *([Part(layers.x_bg, layers.m_bg, e_b)] if fits.background else []),
    ]
    return torch.stack(part_losses(bundle, parts, draws)).sum()


def optimised_embeddings(
    bundle: ModelBundle,
    layers: Layers,
    e_a: PromptEmbeds,
    e_b: PromptEmbeds,
    params: LayeredParams,
    source: torch.Generator,
    after_step: Step,
    begin: tuple[PromptEmbeds, PromptEmbeds] | None = None,
    fits: Fits = BOTH,
) -> tuple[PromptEmbeds, PromptEmbeds]:
    """Eq. 2: ``[e_a, e_b] = argmin E || M (eps - f(x_t, t, [e_a, e_b])) ||^2`` with the network frozen.

    `e_a` (object) and `e_b` (background) are one text each; returns both, with the tokens of those that `fits` names
    fitted. Read as *layered*,
    each text is fitted under its own part of the mask; read literally, both together under the object's. The search
    begins at `begin` (ours), or at the texts themselves.
    """
    assert not any(p.requires_grad for p in bundle.unet.parameters()), "phase 1 keeps the network frozen"
    draws = Draws(source, params.timesteps_per_step, params.normalize_by_area)
    begun_a, begun_b = begin or (e_a, e_b)
    a = begun_a.open() if fits.object else e_a
    b = begun_b.open() if fits.background else e_b

    def loss(a: PromptEmbeds, b: PromptEmbeds, draws: Draws) -> Tensor:
        return embedding_loss(bundle, layers, a, b, draws, params.embed_mode, fits)

    stopping = None
    if params.early_stop:
        settled = torch.no_grad()(loss)
        cold = None if begin is None else settled(e_a, e_b, draws.fixed).item()
        stopping = EarlyStopping(lambda: settled(a, b, draws.fixed), cold=cold)
    fit(
        [e.tokens for e in fits.of(a, b)],
        lambda _: loss(a, b, draws),
        params.embed_steps,
        params.embed_rate,
        after_step,
        stopping,
    )
    return (a.closed() if fits.object else a), (b.closed() if fits.background else b)


def blended(e_a: PromptEmbeds, e_b: PromptEmbeds, alpha: float) -> PromptEmbeds:
    """Eq. 3: ``e_opt = alpha e_a + (1 - alpha) e_b``; `alpha` weighs the object."""
    return e_a.blended(e_b, alpha)
