"""Two pictures of one size beside each other: how alike they are inside and outside a mask, and where they differ.

This file imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.contract import Mask, Picture
from pipelines.evaluation.metrics import psnr
from pipelines.evaluation.similarity import largest_difference, ssim_map


@dataclass(frozen=True)
class Part:
    """One part of both pictures."""

    share: float
    """Of the picture, 0 to 1."""
    psnr: float | None
    """In dB, at most `pipelines.evaluation.metrics.MOST_DB`; ``None`` where the part is empty."""
    ssim: float | None
    """-1 to 1, the mean of the part; ``None`` where it is empty."""
    changed: int
    """Pixels that differ in any channel."""
    largest: int
    """The largest difference of any channel, in levels of 0 to 255."""


@dataclass(frozen=True)
class Beside:
    """How alike two pictures are: all of them, inside a mask, and outside of it."""

    whole: Part
    inside: Part
    outside: Part


def beside(a: Picture, b: Picture, mask: Mask | None) -> Beside:
    """Compare two pictures of one size; without a `mask` all of them is inside."""
    inside = np.ones(a.shape[:2], np.bool_) if mask is None else mask
    alike, difference = ssim_map(a, b), largest_difference(a, b)

    def part(region: Mask) -> Part:
        count = int(region.sum())
        if not count:
            return Part(0.0, None, None, 0, 0)
        there = difference[region]
        return Part(
            share=count / region.size,
            psnr=psnr(a, b, region),
            ssim=float(alike[region].mean()),
            changed=int(np.count_nonzero(there)),
            largest=int(there.max()),
        )

    return Beside(part(np.ones_like(inside)), part(inside), part(~inside))


def difference_picture(a: Picture, b: Picture, gain: int = 4) -> Picture:
    """Where two pictures of one size differ, in grey: black where they are equal, `gain` times as bright elsewhere."""
    levels = np.minimum(largest_difference(a, b).astype(np.uint16) * gain, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def side_by_side(a: Picture, b: Picture) -> Picture:
    """Both in one picture, `a` on the left, with a white line of four pixels between them."""
    return np.concatenate([a, np.full((a.shape[0], 4, 3), 255, np.uint8), b], axis=1)
