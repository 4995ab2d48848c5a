"""The only place that changes range, layout, size or colour order of pictures and masks.

A picture of any size is seen by the network through a `Frame`: scaled to about as many pixels as the model was made
for, in sides that the network halves without remainder. What comes back is scaled to the picture's own size, and what
was to be kept is copied from the original at full resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.contract import Extent, Mask, Picture, Scope
from pipelines.masks.fill import bounds
from pipelines.masks.refine import grown

LATENT_FLOOR = 4
"""Fewest latent cells a side: below that the network's deepest level has nothing to look at."""

MOST_STRETCH = 1.05
"""How much wider or narrower than it is the network may see a picture. Coarse blocks give few different sizes, which is
what a network likes and a compiled one needs; where they would stretch more than this, finer ones are taken."""

SEAM_MARGIN = 0.012
"""The edited region reaches this far beyond the mask, as a share of the picture's longer side: edges do not bleed."""

FRINGE = 1 / 1024
"""Of the picture's longer side, and a pixel at least: so far in from a subject's outline what was behind it shows."""

RESIDUAL_SIGMA = 1.0
"""Pixels over which a change is smoothed before it is called small."""


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


# ---------------------------------------------------------------------------------------------- keeping what is kept


def edited_region(mask: Mask, scope: Scope, feather: float) -> Mask:
    """Which pixels a turn of `scope` may change at all: ``(H, W) bool``.

    Around a changed subject the mask is grown by a margin and by the seam, so that the subject itself lies wholly
    inside; a kept subject is kept exactly but for its fringe, which is a mix with the background that goes.
    """
    if scope is Scope.BOTH:
        return np.ones_like(mask)
    if scope is Scope.BACKGROUND:
        return ~_without_fringe(mask)
    return grown(mask, math.ceil(SEAM_MARGIN * max(mask.shape) + feather + 1))


def _without_fringe(mask: Mask) -> Mask:
    """`mask` less the width of a fringe; what is too thin to lose it stays."""
    width = math.ceil(FRINGE * max(mask.shape))
    core = grown(mask, -width)
    return core | (mask & ~grown(core, math.ceil(math.sqrt(2) * width)))  # a corner is not thin


def bled(picture: Picture, kept: Mask) -> Picture:
    """`picture` where it is `kept`, and everywhere else the colour of the nearest kept pixel.

    A seam that fades into this shows no rim of the background that the subject stood on before.
    """
    if kept.all() or not kept.any():
        return picture
    _, nearest = cv2.distanceTransformWithLabels(
        (~kept).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colours[nearest[kept]] = picture[kept]
    return np.where(kept[..., None], picture, colours[nearest])


def seam(region: Mask, feather: float) -> NDArray[np.float32]:
    """How much of the edit each pixel takes, ``(H, W) float32`` in [0, 1].

    Zero outside `region`, so kept pixels stay exact; inside it rises to one over `feather` pixels.
    """
    if region.all() or feather <= 0:
        return region.astype(np.float32)
    distance = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rise: NDArray[np.float32] = np.clip(distance / (feather + 1), 0, 1).astype(np.float32)
    return rise


def pasted_back(edit: Picture, original: Picture, region: Mask, feather: float) -> Picture:
    """`edit` inside `region`, `original` outside it, faded over the seam."""
    share = seam(region, feather)[..., None]
    mixed = edit * share + original * (1 - share)
    return np.where(region[..., None], np.round(mixed).astype(np.uint8), original)


def small_changes_undone(edit: Picture, original: Picture, residual: float) -> Picture:
    """`original` where `edit` changed it by less than `residual`, `edit` elsewhere; 0 gives `edit` itself.

    The thresholding between turns of Emu Edit (Sheynin et al. 2023): what a turn moves by a hair only adds up over
    many turns. The change is the absolute difference averaged over the channels, in levels of 0 to 255, and smoothed
    before it is compared, so that no lone pixels stay behind.
    """
    if residual <= 0:
        return edit
    change = np.abs(edit.astype(np.float32) - original.astype(np.float32)).mean(-1)
    smooth = cv2.GaussianBlur(change, (0, 0), RESIDUAL_SIGMA)
    return np.where((smooth < residual)[..., None], original, edit)


FLAT_LEVELS, FLAT_SHARE = 2, 0.9
"""What is within so many levels of one colour, in such a share of its pixels, is flat: the rest may be its seam."""


def flat_colour(result: Picture, region: Mask) -> str:
    """The colour, ``#rrggbb``, that `result` has all over `region`; empty where it has more than one there."""
    inside = result[region].astype(np.int16)
    if not len(inside):
        return ""
    middle = np.median(inside, 0).round().astype(np.int16)
    flat = float((np.abs(inside - middle).max(-1) <= FLAT_LEVELS).mean()) >= FLAT_SHARE
    return "#" + bytes(middle.astype(np.uint8)).hex() if flat else ""
