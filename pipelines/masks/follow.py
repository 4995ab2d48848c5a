"""Where a subject is after a turn that redrew it: found in its new picture, from where it was. No torch here."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipelines.contract import Extent, Mask, Picture
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.refine import grown
from pipelines.masks.segmenter import SegmenterAnswer

SAME_PLACE = 0.25
"""IoU with the mask of before from which what was found is taken for the subject: another thing in the same place
overlaps by a half as a rule, a part of it or what is behind it by less than this."""


CUT_AT = 512
"""Longest side in pixels at which colours decide; the time of a cut grows with its area."""
DEEP, FAR = 0.023, 0.047
"""Shares of the longer side: how deep inside both masks it is surely the subject, how far outside it surely is not."""
ROUNDS = 3


def followed(picture: Picture, mask: Mask, segment: Callable[[MaskPrompts], SegmenterAnswer]) -> Mask:
    """The subject that was at `mask` ``(H, W) bool``, in `picture`, which `segment` answers for; `mask` itself where
    nothing in its place can be told apart.

    Asked is by a click where the mask is deepest. Of the alternatives the one counts that overlaps the mask most, each
    by how sure the segmenter is of it: an outline may have changed, and a thing's parts are things as well. Then
    colours decide (Rother et al. 2004, "GrabCut"), of which both masks say what they belong to: a segmenter takes a
    dark head before dark trees for a tree.
    """
    if not mask.any() or mask.all():
        return mask
    framed = np.pad(mask, 1).astype(np.uint8)  # the picture's edge is an edge of the mask as well
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    answer = segment(MaskPrompts(clicks=(Click(float(x) + 0.5, float(y) + 0.5),)))
    overlaps = (answer.masks & mask).sum((1, 2)) / np.maximum((answer.masks | mask).sum((1, 2)), 1)
    best = int(np.argmax(overlaps * answer.scores))
    return _cut(picture, mask, answer.masks[best]) if overlaps[best] >= SAME_PLACE else mask


def _cut(picture: Picture, was: Mask, found: Mask) -> Mask:
    """What colours say of a subject that was at `was` and looks as if it were at `found`."""
    own = Extent.of(picture)
    extent = own.fitted_inside(Extent(CUT_AT, CUT_AT)) if max(own.width, own.height) > CUT_AT else own
    size, side = (extent.width, extent.height), max(extent.width, extent.height)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    was, found = (cv2.resize(m.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in (was, found))
    labels = np.full(was.shape, cv2.GC_PR_BGD, np.uint8)
    labels[was | found] = cv2.GC_PR_FGD
    labels[grown(was & found, -max(1, round(DEEP * side)))] = cv2.GC_FGD
    labels[~grown(was | found, max(1, round(FAR * side)))] = cv2.GC_BGD
    if not (labels % 2).any() or (labels % 2).all():  # one of the two is nowhere
        return _enlarged(found, own)
    cv2.setRNGSeed(0)
    behind, front = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, behind, front, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return _enlarged(labels % 2 == 1, own)


def _enlarged(mask: Mask, extent: Extent) -> Mask:
    shares = cv2.resize(mask.astype(np.float32), (extent.width, extent.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(shares > 0.5)
