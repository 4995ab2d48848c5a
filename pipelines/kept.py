"""What became of the pixels that a turn was to keep. No torch here."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.contract import Mask, OutsideChange, Picture


def outside_change(result: Picture, original: Picture, region: Mask) -> OutsideChange:
    """What differs outside `region`, i.e. among the pixels that were to be kept."""
    kept = int(region.size - np.count_nonzero(region))
    if not kept:
        return OutsideChange(0, 0, 0)
    red, green, blue = cv2.split(cv2.absdiff(result, original))
    difference = cv2.max(cv2.max(red, green), blue)
    difference[region] = 0
    return OutsideChange(changed=int(np.count_nonzero(difference)), kept=kept, largest=int(difference.max(initial=0)))
