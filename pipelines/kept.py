"""What became of the pixels that a turn was to keep. No torch here."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.contract import Mask, OutsideChange, Picture


def outside_change(result: Picture, original: Picture, region: Mask) -> OutsideChange:
    """What differs outside `region`, i.e. among the pixels that were to be kept."""
    difference = cv2.absdiff(result, original).max(-1)
    difference[region] = 0
    return OutsideChange(
        changed=int(np.count_nonzero(difference)),
        kept=int(region.size - np.count_nonzero(region)),
        largest=int(difference.max(initial=0)),
    )
