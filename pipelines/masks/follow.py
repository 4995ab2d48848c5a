"""Where a subject is after a turn that redrew it: found in its new picture, from where it was. No torch here."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipelines.contract import Mask
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import SegmenterAnswer

SAME_PLACE = 0.25
"""IoU with the mask of before from which what was found is taken for the subject: another thing in the same place
overlaps by a half as a rule, a part of it or what is behind it by less than this."""


def followed(mask: Mask, segment: Callable[[MaskPrompts], SegmenterAnswer]) -> Mask:
    """The subject that was at `mask` ``(H, W) bool``, in the picture that `segment` answers for; `mask` itself where
    nothing in its place can be told apart.

    Asked is by a click where the mask is deepest. Of the alternatives the one counts that overlaps the mask most, each
    by how sure the segmenter is of it: an outline may have changed, and a thing's parts are things as well.
    """
    if not mask.any() or mask.all():
        return mask
    framed = np.pad(mask, 1).astype(np.uint8)  # the picture's edge is an edge of the mask as well
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    answer = segment(MaskPrompts(clicks=(Click(float(x) + 0.5, float(y) + 0.5),)))
    overlaps = (answer.masks & mask).sum((1, 2)) / np.maximum((answer.masks | mask).sum((1, 2)), 1)
    best = int(np.argmax(overlaps * answer.scores))
    return answer.masks[best] if overlaps[best] >= SAME_PLACE else mask
