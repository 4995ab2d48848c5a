"""Classifier-free guidance (Ho and Salimans 2022, Eq. 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.models.bundle import ModelBundle
from pipelines.models.texts import Texts


def guided_noise(bundle: ModelBundle, z_t: Tensor, t: int, e: Texts, e_null: Texts, scale: float) -> Tensor:
    """``eps_null + scale (eps_e - eps_null)`` for `z_t` ``(1, C, h, w)``; one network call of batch 2.

    `scale` 1 is the text alone and needs one half of it.
    """
    at = torch.full((1,), t, device=z_t.device)
    if scale == 1:
        return bundle.predict(z_t, at, e)
    both = bundle.predict(z_t.expand(2, -1, -1, -1), at.expand(2), Texts.joined([e_null, e]))
    eps_null, eps_e = both.chunk(2)
    return eps_null + scale * (eps_e - eps_null)
