"""A head with hair whose alpha is known, because it was drawn."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture

FINE = 4
"""Pixels a side in which one pixel of a drawn alpha is drawn."""


def drawn(side: int, seed: int) -> tuple[Picture, NDArray[np.float32], NDArray[np.float32]]:
    """A head with strands of hair before a sky: the picture, its alpha ``(H, W)``, and the head's own colours."""
    rng, large = np.random.default_rng(seed), FINE * side
    alpha = np.zeros((large, large), np.uint8)
    cv2.circle(alpha, (large // 2, large // 2), int(0.3 * large), 255, -1, cv2.LINE_AA)
    for _ in range(300):
        towards = rng.uniform(0, 2 * np.pi)
        place = large / 2 + 0.29 * large * np.array([np.cos(towards), np.sin(towards)])
        heading, step, path = towards + rng.normal(0, 0.5), large * rng.uniform(0.004, 0.01), [place]
        for _ in range(7):
            heading += rng.normal(0, 0.2)
            place = place + step * np.array([np.cos(heading), np.sin(heading)])
            path.append(place)
        thick = max(1, int(large * rng.uniform(0.001, 0.003)))
        cv2.polylines(alpha, [np.array(path).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    share = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    head = np.dstack([0.5 + 0.1 * np.sin(17 * x), 0.28 + 0.06 * np.sin(23 * y), 0.1 + 0.05 * x]) * (
        0.7 + 0.3 * rng.random()
    )
    sky = np.dstack([0.45 + 0.3 * y, 0.65 + 0.1 * np.sin(7 * x), 0.9 - 0.2 * x * y])
    mixed = share[..., None] * head + (1 - share[..., None]) * sky + rng.normal(0, 0.01, (side, side, 3))
    return np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8), share, (head * 255).astype(np.float32)


def as_selected(alpha: NDArray[np.float32]) -> Mask:
    """What a person or a segmenter gives: the head, without what is thinner than a fiftieth of the picture."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (len(alpha) // 50 | 1,) * 2)
    return cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
