"""What every turn without a model gives back, and the two ways a change is confined to a part. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.hand.params import Edge
from pipelines.masks.matting import matted
from pipelines.masks.refine import soft_edge

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Changed:
    """A finished picture of the request's size."""

    picture: Picture
    region: Mask
    """``(H, W) bool``: what could change at all. Everything else is as it was, bit by bit."""


def share_of(request: EditRequest, edge: Edge, part: Mask | None = None) -> NDArray[np.float32]:
    """How much of each pixel belongs to the part that the request's scope names (or to `part`): ``(H, W)`` in [0, 1]."""
    mask = request.mask if part is None else part
    if part is None and request.scope is Scope.BOTH:
        return np.ones(mask.shape, np.float32)
    if edge is Edge.HARD:
        share = mask.astype(np.float32)
    elif edge is Edge.SOFT:
        share = soft_edge(mask, request.feather)
    else:
        share = matted(request.picture, mask)
    return 1 - share if part is None and request.scope is Scope.BACKGROUND else share


def window_of(region: Mask) -> Window | None:
    """The rows and columns that hold `region`; ``None`` where there is nothing."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def mixed(over: Picture, under: Picture, share: NDArray[np.float32]) -> Picture:
    """`over` where `share` is 1, `under` where it is 0, and a mix between; exact at both ends. All of one size."""
    result = np.where((share >= 1)[..., None], over, under)
    partly = (share > 0) & (share < 1)
    weight = share[partly][:, None]
    result[partly] = np.round(over[partly] * weight + under[partly] * (1 - weight)).astype(np.uint8)
    return result


def confined(request: EditRequest, change: Picture, share: NDArray[np.float32], window: Window) -> Changed:
    """The request's picture with `change`, which is of `window`'s size, where `share` (of the whole) says."""
    picture = request.picture.copy()
    picture[window] = mixed(change, request.picture[window], share[window])
    return Changed(picture, share > 0)
