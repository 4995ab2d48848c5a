"""Where phases 1 and 2 begin (ours): at the texts and the weights themselves, or at what the parent turn fitted.

The parent's picture is the one that is edited now, so what was fitted there is near what will be fitted here. Its mask
is of no matter: the picture was changed. Whatever of it does not fit, or cannot be read, is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.contract import EditRequest
from pipelines.errors import BadRequest
from pipelines.layered.state import Fitted, Origin
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LayeredParams


@dataclass(frozen=True, eq=False)
class Beginning:
    """Where each phase begins, where that is not where it would begin cold."""

    texts: tuple[PromptEmbeds, PromptEmbeds] | None = None
    """The object's and the background's; one of them may be the text itself."""
    weights: Mapping[str, Tensor] | None = None
    """A change of the weights, of whatever kind and shapes: phase 2 sees whether it fits."""


def beginning(
    bundle: ModelBundle, request: EditRequest, params: LayeredParams, e_a: PromptEmbeds, e_b: PromptEmbeds
) -> Beginning:
    """Of the parent's layers, the embedding of each text that is the same as the parent's, and the change of the
    weights. `e_a` and `e_b` are the texts themselves."""
    if not params.warm_start or request.warm is None:
        return Beginning()
    try:
        parent = Fitted.read(request.warm, bundle)
    except BadRequest:
        return Beginning()
    was, now = parent.origin, Origin.of(bundle, request)
    if was is None or was.model != now.model:
        return Beginning()
    a = _continued(e_a, parent.e_a) if was.subject == now.subject else e_a
    b = _continued(e_b, parent.e_b) if was.background == now.background else e_b
    return Beginning(
        texts=None if a is e_a and b is e_b else (a, b),
        weights=parent.weights if _whole(*parent.weights.values()) else None,
    )


def _continued(e: PromptEmbeds, fitted: PromptEmbeds) -> PromptEmbeds:
    """`e` with its tokens as they were fitted before; a summary is never fitted."""
    same = fitted.tokens.shape == e.tokens.shape and fitted.tokens.dtype == e.tokens.dtype
    return replace(e, tokens=fitted.tokens.to(e.tokens.device)) if same and _whole(fitted.tokens) else e


def _whole(*tensors: Tensor) -> bool:
    """Whether all are finite: what was damaged would spoil a fit that goes well without it."""
    return all(bool(torch.isfinite(t).all()) for t in tensors)
