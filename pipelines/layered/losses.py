"""The layers of a picture and their masked losses: what Eq. 2, 4 and 5 of LayerDiffusion have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.seeds import generator, normal_like, sent

FIXED_LEVELS = 4
"""Noise levels of the batch on which a fit is seen to settle."""


@dataclass(frozen=True)
class Layers:
    """Where each part is learnt from. Latents ``(1, C, h, w)``, masks ``(1, 1, h, w)`` in [0, 1]."""

    x_obj: Tensor
    """The picture that supplies the object."""
    m_obj: Tensor
    """The object's place in it (the share of each latent cell)."""
    x_bg: Tensor
    """The picture that supplies the background."""
    m_bg: Tensor
    """The background's place in it: what hides behind the object is supervised by nothing."""


@dataclass(frozen=True)
class Draws:
    """How the expectation over t and eps is estimated in one step."""

    source: torch.Generator
    count: int
    """Noise levels averaged in one step."""
    by_area: bool
    """Average over the mask instead of the whole latent. The paper's plain mean makes small objects count less."""

    def timesteps(self, bundle: ModelBundle) -> Tensor:
        """``(count,) int64``, uniform over the training schedule."""
        drawn = torch.randint(0, bundle.schedule.length, (self.count,), generator=self.source)
        return sent(drawn, bundle.device)

    @property
    def fixed(self) -> Draws:
        """Draws of a few noise levels that no step makes, and that are the same whenever they are asked for."""
        return replace(self, source=generator(self.source.initial_seed(), "fixed"), count=FIXED_LEVELS)


def masked_loss(m: Tensor, eps: Tensor, predicted: Tensor, by_area: bool) -> Tensor:
    """``|| M (eps - f(x_t, t, e)) ||^2`` as a mean, over every element or over those of the mask.

    `m` is ``(1, 1, h, w)``, the others ``(B, C, h, w)``.
    """
    squares = (m * (eps - predicted)).square()
    if not by_area:
        return squares.mean()
    return squares.sum() / (m.sum() * eps.shape[0] * eps.shape[1]).clamp(min=1e-6)


@dataclass(frozen=True)
class Part:
    """One layer and the text that it is learnt with."""

    x: Tensor
    """Latent of the picture, ``(1, C, h, w)``."""
    m: Tensor
    """Where in it the layer is, ``(1, 1, h, w)`` in [0, 1]."""
    e: PromptEmbeds
    """Of batch 1."""


def part_losses(bundle: ModelBundle, parts: Sequence[Part], draws: Draws) -> tuple[Tensor, ...]:
    """The loss of each part, told its own text; one network call for all of them.

    They share their timesteps and noise: the losses then differ by what is learnt, not by luck.
    """
    k = draws.count
    t = draws.timesteps(bundle)
    eps = normal_like(parts[0].x.expand(k, -1, -1, -1), draws.source)
    x_t = torch.cat([bundle.schedule.noised(part.x, eps, t) for part in parts])  # (parts * k, C, h, w)
    e = PromptEmbeds.joined([part.e.expanded(k) for part in parts])
    predicted = bundle.predict(x_t, t.repeat(len(parts)), e).chunk(len(parts))
    return tuple(masked_loss(part.m, eps, p, draws.by_area) for part, p in zip(parts, predicted, strict=True))


def layer_losses(
    bundle: ModelBundle, layers: Layers, e_obj: PromptEmbeds, e_bg: PromptEmbeds, draws: Draws
) -> tuple[Tensor, Tensor]:
    """The object's and the background's loss, told `e_obj` and `e_bg`; see `part_losses`."""
    parts = (Part(layers.x_obj, layers.m_obj, e_obj), Part(layers.x_bg, layers.m_bg, e_bg))
    loss_obj, loss_bg = part_losses(bundle, parts, draws)
    return loss_obj, loss_bg
