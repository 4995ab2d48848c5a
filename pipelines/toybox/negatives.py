"""Pictures of this world that a person would refuse, for the judge to learn to refuse: each a way in which edits fail.

Every function takes one picture ``(H, W, 3) uint8``, the mask of its subject ``(H, W) uint8`` (255 = subject), the
background alone, and another picture with its mask and background; and gives the picture with its subject spoilt so
that no honest answer to "what is it?" is left. None of them looks at what an editor or a denoiser made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Picture

Layer = NDArray[np.uint8]
"""A mask ``(H, W) uint8``, 255 = subject."""


@dataclass(frozen=True)
class Shown:
    """A picture with what it was drawn from."""

    picture: Picture
    mask: Layer
    plate: Picture
    kind: str
    """Of the subject; empty without one."""


def _mixed(a: Picture, b: Picture, share: NDArray[np.floating]) -> Picture:
    """`a` where `share` ``(H, W)`` is 1, `b` where it is 0."""
    out: Picture = (a * share[..., None] + b * (1 - share[..., None]) + 0.5).astype(np.uint8)
    return out


def _soft(mask: Layer, sigma: float) -> NDArray[np.floating]:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), sigma), np.float32)


def _bounds(mask: Layer) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the subject, the ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _laid_over(other: Shown, mask: Layer) -> Picture:
    """The other subject, stretched over the bounds of `mask`; `mask`'s place elsewhere is whatever is there."""
    top, bottom, left, right = _bounds(mask)
    t, b, l, r = _bounds(other.mask)  # noqa: E741 - the other's four sides
    patch = cv2.resize(other.picture[t:b, l:r], (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    out = np.zeros_like(other.picture)
    out[top:bottom, left:right] = patch
    return out


def blended(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """Two things in one place, neither of them there."""
    share = rng.uniform(0.35, 0.65) * np.maximum(_soft(this.mask, 1), _soft(other.mask, 1))
    ghost = _mixed(other.picture, this.plate, _soft(other.mask, 1))
    return _mixed(ghost, this.picture, share)


def in_anothers_colours(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """The outline of one thing, filled with another: a cat-shaped penguin."""
    filling = cv2.GaussianBlur(_laid_over(other, this.mask), (0, 0), rng.uniform(0.5, 4))
    return _mixed(np.asarray(filling, np.uint8), this.picture, _soft(this.mask, 1) * rng.uniform(0.75, 1))


def smeared(this: Shown, _other: Shown, rng: np.random.Generator) -> Picture:
    """Pulled about and blurred until it is blotches in its own colours."""
    height, width = this.mask.shape
    scale = max(_bounds(this.mask)[1] - _bounds(this.mask)[0], 16) / 64
    field = cv2.GaussianBlur(rng.standard_normal((height, width, 2)).astype(np.float32), (0, 0), 5 * scale)
    field *= rng.uniform(7, 14) * scale / field.std()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pulled = cv2.remap(
        this.picture, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    pulled = cv2.GaussianBlur(pulled, (0, 0), rng.uniform(0.8, 2.5) * scale)
    around = cv2.dilate(this.mask, np.ones((9, 9), np.uint8))
    return _mixed(np.asarray(pulled, np.uint8), this.picture, _soft(around, 2))


def cut(this: Shown, _other: Shown, rng: np.random.Generator) -> Picture:
    """A third or more of it gone: a side, the head, or holes such as wheels that were taken for background."""
    top, bottom, left, right = _bounds(this.mask)
    gone = np.zeros_like(this.mask)
    share = rng.uniform(0.3, 0.6)
    side = rng.integers(0, 5)
    if side == 0:
        gone[: top + int(share * (bottom - top))] = 255
    elif side == 1:
        gone[bottom - int(share * (bottom - top)) :] = 255
    elif side == 2:
        gone[:, : left + int(share * (right - left))] = 255
    elif side == 3:
        gone[:, right - int(share * (right - left)) :] = 255
    else:
        noise = cv2.GaussianBlur(rng.standard_normal(this.mask.shape).astype(np.float32), (0, 0), (bottom - top) / 12)
        gone[noise > np.quantile(noise[this.mask > 0], 1 - share)] = 255
    return _mixed(this.plate, this.picture, _soft(np.minimum(gone, cv2.dilate(this.mask, np.ones((3, 3)))), 1))


def doubled(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """A second one, of the same or another kind, half beside and half over the first."""
    second = this if rng.random() < 0.5 else other
    top, bottom, left, right = _bounds(second.mask)
    shift = rng.uniform(0.25, 0.6, 2) * (right - left, (bottom - top) * 0.6) * rng.choice((-1, 1), 2)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    size = this.mask.shape[::-1]
    picture = np.asarray(cv2.warpAffine(second.picture, move, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    mask = np.asarray(cv2.warpAffine(second.mask, move, size), np.uint8)
    return _mixed(picture, this.picture, _soft(mask, 1) * rng.uniform(0.6, 1))


def flattened(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """Its face and lines lost: one flat colour, or nearly."""
    inside = this.mask > 127
    colour = this.picture[inside].mean(0) if inside.any() else np.zeros(3)
    if rng.random() < 0.5:
        colour = other.picture[other.mask > 127].mean(0)
    flat = np.broadcast_to(colour, this.picture.shape)
    blurred = cv2.GaussianBlur(this.picture, (0, 0), 3).astype(np.float32)
    filling = np.clip(flat + rng.uniform(0, 0.35) * (blurred - blurred[inside].mean(0)), 0, 255).astype(np.uint8)
    return _mixed(filling, this.picture, _soft(this.mask, 0.8))


SPOILS: tuple[Callable[[Shown, Shown, np.random.Generator], Picture], ...] = (
    blended,
    in_anothers_colours,
    smeared,
    cut,
    doubled,
    flattened,
)


PLAIN = {"apple", "balloon"}
"""Subjects without face or lines to lose: filled with a flat colour, they are what they were."""
UNHARMED = (in_anothers_colours, flattened)
"""What leaves a plain subject whole."""


def spoilt_subject(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """`this` spoilt in one of the ways above, drawn evenly. Both have a subject."""
    ways = [way for way in SPOILS if not (this.kind in PLAIN and way in UNHARMED)]
    return ways[rng.integers(len(ways))](this, other, rng)


def spoilt_background(this: Shown, other: Shown, rng: np.random.Generator) -> Picture:
    """Its subject kept, and behind it two backgrounds through each other, or one pulled about."""
    if rng.random() < 0.6:
        behind = _mixed(this.plate, other.plate, np.full(this.mask.shape, rng.uniform(0.35, 0.65), np.float32))
    else:
        everything = np.full_like(this.mask, 255)
        behind = smeared(Shown(this.plate, everything, this.plate, ""), other, rng)
    return _mixed(this.picture, behind, _soft(this.mask, 0.7))
