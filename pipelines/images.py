"""The only place that changes range, layout, size or colour order of pictures and masks.

A picture of any size is seen by the network through a `Frame`: scaled to about as many pixels as the model was made
for, in sides that the network halves without remainder. What comes back is scaled to the picture's own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.contract import Extent, Mask, Picture
from pipelines.masks.refine import bounds

LATENT_FLOOR = 4
"""Fewest latent cells a side: below that the network's deepest level has nothing to look at."""

MOST_STRETCH = 1.05
"""How much wider or narrower than it is the network may see a picture. Coarse blocks give few different sizes, which is
what a network likes and a compiled one needs; where they would stretch more than this, finer ones are taken."""


# ------------------------------------------------------------------------------------------------- pictures <-> tensors


def to_network(picture: Picture, device: torch.device | None = None) -> Tensor:
    """``(H, W, 3) uint8`` in [0, 255] to ``(1, 3, H, W) float32`` in [-1, 1], RGB."""
    x = torch.tensor(picture, device=device)
    return (x.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous()  # (1, 3, H, W)


def from_network(x: Tensor) -> Picture:
    """``(1, 3, H, W) float`` in [-1, 1] (clipped to it) to ``(H, W, 3) uint8``, RGB."""
    assert x.ndim == 4 and x.shape[:2] == (1, 3), f"expected (1, 3, H, W), got {tuple(x.shape)}"
    levels = ((x[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    picture: Picture = levels.permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
    return np.ascontiguousarray(picture)


def resized(picture: Picture, extent: Extent) -> Picture:
    """`picture` at `extent`; the same array where nothing changes."""
    if Extent.of(picture) == extent:
        return picture
    size = (extent.width, extent.height)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def covering(picture: Picture, extent: Extent) -> Picture:
    """The middle part of `picture` that has `extent`'s aspect, at `extent`."""
    own = Extent.of(picture)
    scale = min(own.width / extent.width, own.height / extent.height)
    width, height = min(own.width, round(extent.width * scale)), min(own.height, round(extent.height * scale))
    left, top = (own.width - width) // 2, (own.height - height) // 2
    return resized(np.ascontiguousarray(picture[top : top + height, left : left + width]), extent)


def mask_at(mask: Mask, extent: Extent) -> Mask:
    """`mask` at `extent`: a pixel is True when at least half of what it stands for was."""
    if Extent.of(mask) == extent:
        return mask
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    half: Mask = np.asarray(image.resize((extent.width, extent.height), Image.Resampling.BOX)) >= 128
    return half


def placed_subject(reference: Picture, reference_mask: Mask | None, onto: Picture, place: Mask) -> tuple[Picture, Mask]:
    """The reference's subject, scaled to fit where `place` is and standing on its lower edge, over `onto`.

    Without a mask the whole reference is the subject. Returns the picture and where the subject is in it.
    """
    whole = np.ones(reference.shape[:2], bool) if reference_mask is None else reference_mask
    cut, room = bounds(whole), bounds(place)
    own = Extent(cut[1].stop - cut[1].start, cut[0].stop - cut[0].start)
    size = own.fitted_inside(Extent(room[1].stop - room[1].start, room[0].stop - room[0].start))
    left = (room[1].start + room[1].stop - size.width) // 2
    there = slice(room[0].stop - size.height, room[0].stop), slice(left, left + size.width)
    picture, mask = onto.copy(), np.zeros_like(place)
    mask[there] = mask_at(np.ascontiguousarray(whole[cut]), size)
    picture[there][mask[there]] = resized(np.ascontiguousarray(reference[cut]), size)[mask[there]]
    return picture, mask


# ------------------------------------------------------------------------------------------------------------- frames


@dataclass(frozen=True)
class Frame:
    """How one picture is fitted into the network: its own extent, and the extent the network sees."""

    original: Extent
    network: Extent
    cell: int
    """Pixels of the network's picture a side of one latent cell."""

    @classmethod
    def fitting(cls, original: Extent, resolution: int, cell: int, halvings: int = 0) -> Frame:
        """The frame of about `resolution` squared pixels whose aspect is nearest to `original`'s.

        Its sides are whole blocks of as many cells as a network with that many `halvings` wants, or half of that, and
        so on down to one cell, where the larger blocks would stretch the picture by more than `MOST_STRETCH`.
        """
        sizes = [_in_blocks(original, resolution, cell << k, cell) for k in range(halvings, -1, -1)]
        network = next((size for size in sizes if _stretch(size, original) <= MOST_STRETCH), sizes[-1])
        return cls(original, network, cell)

    @property
    def latent(self) -> tuple[int, int]:
        """``(h, w)`` of the latent."""
        return self.network.height // self.cell, self.network.width // self.cell

    def latent_share(self, mask: Mask) -> Tensor:
        """The share of each latent cell that `mask` covers: ``(1, 1, h, w) float32`` in [0, 1]."""
        small = cv2.resize(
            mask.astype(np.float32), (self.network.width, self.network.height), interpolation=cv2.INTER_AREA
        )
        h, w = self.latent
        shares = small.reshape(h, self.cell, w, self.cell).mean((1, 3))
        return torch.from_numpy(shares)[None, None]


def _in_blocks(original: Extent, resolution: int, block: int, cell: int) -> Extent:
    """The extent in whole blocks next to `resolution` squared pixels that stretches `original` least."""
    aspect = original.width / original.height
    least = math.ceil(LATENT_FLOOR * cell / block)
    ideal = resolution * math.sqrt(aspect) / block, resolution / math.sqrt(aspect) / block
    widths, heights = ({max(least, math.floor(side)), max(least, math.ceil(side))} for side in ideal)
    sizes = [Extent(w * block, h * block) for w in sorted(widths) for h in sorted(heights)]
    return min(sizes, key=lambda size: (_stretch(size, original), abs(size.area - resolution**2)))


def _stretch(size: Extent, original: Extent) -> float:
    """How much wider or narrower `original` becomes at `size`: 1 keeps its aspect."""
    ratio = size.width * original.height / (size.height * original.width)
    return max(ratio, 1 / ratio)
