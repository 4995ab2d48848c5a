"""How alike two pictures are: by what a CLIP sees in them, by structure, and pixel by pixel.

The CLIP is given as an `Embed`, so this file imports no torch; `pipelines.evaluation.clip` holds the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture

GREY = 128
"""What hides a part of a picture from the CLIP: about the mean that its normalisation takes away."""

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels; Wang et al. 2004, section III.B
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # (K1 L)^2, (K2 L)^2


class Embed(Protocol):
    """The picture half of a CLIP."""

    name: str
    """Which one it is: similarities of different ones must never be compared."""

    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """``(N, D) float32`` of length 1, one row for each picture of any size."""


def similarities(embed: Embed, first: Sequence[Picture], second: Sequence[Picture]) -> list[float]:
    """Cosine similarity of each picture of `first` with its partner in `second`, -1 to 1.

    Of two orders of the same edits this is the swap similarity of "Multi-round Thinking", Table 3(b).
    """
    assert len(first) == len(second), f"{len(first)} pictures cannot be paired with {len(second)}"
    if not first:
        return []
    seen = embed([*first, *second]).astype(np.float64)
    return [min(1.0, float(a @ b)) for a, b in zip(seen[: len(first)], seen[len(first) :], strict=True)]


def isolated(picture: Picture, region: Mask) -> Picture:
    """The smallest box around `region` (not empty), cut out of `picture`, with grey where `region` is not."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.where(region[box][..., None], picture[box], np.uint8(GREY))


def largest_difference(a: Picture, b: Picture) -> NDArray[np.uint8]:
    """The largest difference of any channel, ``(H, W) uint8`` in levels."""
    return np.asarray(cv2.absdiff(a, b).max(-1))


def ssim_map(a: Picture, b: Picture) -> NDArray[np.float64]:
    """Structural similarity around every pixel, ``(H, W) float64`` in [-1, 1] (Wang et al. 2004, Eq. 13).

    The paper's Gaussian window and constants, on each colour channel, then averaged: on luminance alone, as in the
    paper, red and blue of one lightness would be equal. Borders are mirrored, so that every pixel has a value.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mu_x, mu_y = _windowed(x), _windowed(y)
    var_x, var_y = _windowed(x * x) - mu_x**2, _windowed(y * y) - mu_y**2
    cov = _windowed(x * y) - mu_x * mu_y
    ssim = (
        (2 * mu_x * mu_y + SSIM_C1) * (2 * cov + SSIM_C2) / ((mu_x**2 + mu_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2))
    )
    return np.asarray(ssim.mean(-1))


def _windowed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(x, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT_101))
