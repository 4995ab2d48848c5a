"""Classifier-free guidance (Ho and Salimans 2022, Eq. 6), and InstructPix2Pix's by a text and a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds


@dataclass(frozen=True, eq=False)
class ConcatConditioning:
    """What a network made for it is shown beside the noisy latent."""

    channels: Tensor
    """``(B, K, h, w)``, or one for all."""
    guidance: float | None = None
    """How closely the picture in `channels` is followed; ``None`` where it is shown, not followed."""


def guided_noise(
    bundle: ModelBundle,
    z_t: Tensor,
    t: int,
    e: PromptEmbeds,
    e_null: PromptEmbeds,
    scale: float | Tensor,
    concat: ConcatConditioning | None = None,
) -> Tensor:
    """``eps_null + scale (eps_e - eps_null)`` for `z_t` ``(B, C, h, w)``; one network call of batch 2 B, the empty
    texts first.

    `e` holds `B` texts, `e_null` as many or one for all, and `scale` is one for all or ``(B, 1, 1, 1)``; 1 is the text
    alone and needs one half of the call.
    """
    if concat is not None and concat.guidance is not None:
        assert isinstance(scale, int | float)
        return _guided_twice(bundle, z_t, t, e, e_null, scale, concat.channels, concat.guidance)
    count, shown = len(z_t), None if concat is None else concat.channels
    if isinstance(scale, int | float) and scale == 1:
        return bundle.predict(z_t, torch.full((count,), t, device=z_t.device), e, shown)
    twice = None if shown is None else shown.repeat(2 * count // len(shown), 1, 1, 1)
    nulls = e_null if len(e_null.tokens) == count else e_null.expanded(count)
    at = torch.full((2 * count,), t, device=z_t.device)
    both = bundle.predict(z_t.repeat(2, 1, 1, 1), at, PromptEmbeds.joined([nulls, e]), twice)
    eps_null, eps_e = both.chunk(2)
    return eps_null + scale * (eps_e - eps_null)


def _guided_twice(
    bundle: ModelBundle, z_t: Tensor, t: int, e: PromptEmbeds, e_null: PromptEmbeds, s_t: float, c_i: Tensor, s_i: float
) -> Tensor:
    """InstructPix2Pix (Brooks et al. 2023), Eq. 3: ``eps(0, 0) + s_I (eps(c_I, 0) - eps(0, 0)) + s_T (eps(c_I, c_T) -
    eps(c_I, 0))``; one network call of batch 3."""
    at = torch.full((1,), t, device=z_t.device)
    shown, told = torch.cat([torch.zeros_like(c_i), c_i, c_i]), PromptEmbeds.joined([e_null, e_null, e])
    eps_null, eps_i, eps_it = bundle.predict(z_t.expand(3, -1, -1, -1), at.expand(3), told, shown).chunk(3)
    return eps_null + s_i * (eps_i - eps_null) + s_t * (eps_it - eps_i)
