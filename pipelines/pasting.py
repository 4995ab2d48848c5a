"""Keeping what is kept: which pixels a turn may change, and how its picture is put back among the others.

No torch here.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.hand.changed import mixed
from pipelines.masks.matting import foreground, matted
from pipelines.masks.refine import bounds, grown
from pipelines.params import Edge, ModelParams, When
from pipelines.surroundings import grain_like, offset_at_seam

SEAM_MARGIN = 0.012
"""The edited region reaches this far beyond the mask, as a share of the picture's longer side: edges do not bleed."""

FRINGE = 1 / 1024
"""Of the picture's longer side, and a pixel at least: so far in from a subject's outline what was behind it shows."""

RESIDUAL_SIGMA = 1.0
"""Pixels over which a change is smoothed before it is called small."""


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


def put_back(made: Picture, request: EditRequest, region: Mask, params: ModelParams, seed: int) -> tuple[Picture, Mask]:
    """What a model made of the request's picture, at its size, with what was to be kept as `params` say; and which
    pixels could change at all. `region` is `edited_region` of the request, `seed` that of the grain.

    A kept subject fades over the seam into its own colours, which bleed outwards; matted, it lies with its alpha over
    the new background. A new subject is laid with its own alpha over what is seen between the old one's hairs.
    """
    original = request.picture
    if params.paste_back and not region.all():
        made = matching(made, original, region, params, seed)
        if params.edge.matted and request.scope is Scope.BACKGROUND:
            alpha = matted(original, request.mask, matte=request.matte)
            made, region = mixed(foreground(original, alpha), made, alpha), alpha < 1
        elif params.edge.matted:
            made = _subject_laid(made, original, request, region)
        else:
            feather = 0.0 if params.edge is Edge.HARD else request.feather
            kept = bled(original, ~region) if request.scope is Scope.BACKGROUND else original
            made = pasted_back(made, kept, region, feather)
    return small_changes_undone(made, original, params.residual), region


def _subject_laid(made: Picture, original: Picture, request: EditRequest, region: Mask) -> Picture:
    """`original` with the subject of `made`, which lies where the request's mask is, within `region`."""
    old, new = (matted(picture, request.mask, matte=request.matte) for picture in (original, made))
    fade = seam(region, request.feather)
    # Where the old subject is thin its place is seen through; where it is whole nobody knows what is behind it.
    whole = np.clip(2 * old - 1, 0, 1)
    front = np.where((new >= whole)[..., None], foreground(made, new), made)
    under = mixed(foreground(original, 1 - old), original, fade)
    return mixed(front, under, np.maximum(new, whole) * fade)


def matching(made: Picture, original: Picture, region: Mask, params: ModelParams, seed: int) -> Picture:
    """`made` in the colours and with the grain of what surrounds `region`, as far as `params` ask for it."""
    if When.ALWAYS not in (params.match_colour, params.grain) or not region.any():
        return made
    side = max(part.stop - part.start for part in bounds(region))
    near = bounds(region, side // 4 + 16)
    seen, before, inside = made[near], original[near], region[near]
    levels = seen.astype(np.float32)
    if params.match_colour is When.ALWAYS:
        levels += offset_at_seam(seen, before, inside)
    if params.grain is When.ALWAYS:
        levels += grain_like(before, seen, inside, seed)
    result = made.copy()
    result[near] = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return result


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
