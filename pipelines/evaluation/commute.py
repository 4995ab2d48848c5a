"""A free guess whether two turns commute, from what each may change; nothing is run. This file imports no torch."""

from __future__ import annotations

import numpy as np

from pipelines.contract import Mask, Scope


def guess_commute(scope_a: Scope, mask_a: Mask | None, scope_b: Scope, mask_b: Mask | None) -> float:
    """How likely two turns give the same picture in either order: 0 (surely not) to 1 (should).

    With C the part that a turn may change (its mask, the mask's complement, or everything, by its scope)::

        guess = 1 - |C_a ∩ C_b| / min(|C_a|, |C_b|)

    that is, one minus the Szymkiewicz-Simpson overlap of the two parts. Subject and background of one mask do not
    meet: 1. One track changed twice in the same place: 0. A turn that may change nothing commutes with any: 1.

    Masks are ``(H, W) bool`` of one size, True = subject; ``None`` is a turn that ran on the whole picture. It is a
    guess from places alone: a model also looks at what it keeps, so two turns of guess 1 may still differ a little.
    """
    extent = next((mask.shape for mask in (mask_a, mask_b) if mask is not None), (1, 1))
    a, b = _changed(scope_a, mask_a, extent), _changed(scope_b, mask_b, extent)
    smaller = min(int(a.sum()), int(b.sum()))
    return 1.0 if smaller == 0 else 1 - int((a & b).sum()) / smaller


def _changed(scope: Scope, mask: Mask | None, extent: tuple[int, ...]) -> Mask:
    if mask is None or scope is Scope.BOTH:
        return np.ones(extent, np.bool_)
    return mask if scope is Scope.SUBJECT else ~mask
