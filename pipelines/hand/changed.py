"""What every turn without a model gives back, and how a change is confined to a part. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.masks.matting import matted
from pipelines.masks.refine import bounds, soft_edge
from pipelines.params import Edge

Window = tuple[slice, slice]
Share = NDArray[np.float32]
"""How much of each pixel belongs to a part: ``(H, W) float32`` in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Changed:
    """A finished picture, of the request's size unless the method `reframes` it (see `pipelines.catalog`)."""

    picture: Picture
    region: Mask
    """``(H, W) bool``: what could change at all. Everything else is as it was, bit by bit."""
    subject: Mask | None = None
    """``(H, W) bool``: where the subject is now; ``None`` where it is where it was."""


def subject_share(request: EditRequest, edge: Edge) -> Share:
    """How much of each pixel is the subject that the request's mask selects."""
    if edge is Edge.HARD:
        return request.mask.astype(np.float32)
    soft = edge is Edge.SOFT
    picture, mask, matte = request.picture, request.mask, request.matte
    share = soft_edge(mask, request.feather) if soft else matted(picture, mask, matte=matte)
    if request.refined is None:
        return share
    return np.where(request.refined, matted(picture, mask, request.refined, matte), share)


def changing_share(request: EditRequest, edge: Edge) -> Share:
    """How much of each pixel belongs to the part that the request's scope lets change."""
    if request.scope is Scope.BOTH:
        return np.ones(request.mask.shape, np.float32)
    share = subject_share(request, edge)
    return share if request.scope is Scope.SUBJECT else np.float32(1) - share


def window_of(region: Mask) -> Window | None:
    """The rows and columns that hold `region`; ``None`` where there is nothing."""
    return bounds(region) if region.any() else None


def mixed(over: Picture, under: Picture, share: Share) -> Picture:
    """`over` where `share` is 1, `under` where it is 0, and a mix between; exact at both ends. All of one size."""
    result = np.ascontiguousarray(under).copy()
    window = window_of(share > 0)
    if window is None:
        return result
    over, under = np.ascontiguousarray(over[window]), np.ascontiguousarray(under[window])
    share = np.ascontiguousarray(share[window])
    part = cv2.copyTo(over, (share >= 1).astype(np.uint8), under.copy())
    between = np.flatnonzero((share > 0) & (share < 1))
    weight = share.reshape(-1)[between, None]
    mix = over.reshape(-1, 3)[between] * weight + under.reshape(-1, 3)[between] * (1 - weight)
    part.reshape(-1, 3)[between] = np.round(mix).astype(np.uint8)
    result[window] = part
    return result


def confined(request: EditRequest, change: Picture, share: Share, window: Window) -> Changed:
    """The request's picture with `change`, which is of `window`'s size, where `share` (of the whole) says."""
    picture = request.picture.copy()
    picture[window] = mixed(change, request.picture[window], share[window])
    return Changed(picture, share > 0)
