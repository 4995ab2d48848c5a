"""How an edit is measured: did it do what was asked, did it keep the rest, and did it do both.

What was asked and what had to stay are compared by attribute, as the judge reads them; the kept part of the picture
is compared by pixel too. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture, Scope
from pipelines.evaluation.cases import Case
from pipelines.toybox.words import Attributes

SEAM = 8
"""Pixels on each side of the subject's outline that belong to neither part: feather, and the judge of no one."""

MOST_DB = 60.0
"""PSNR of equal pictures would be infinite; from here on (an error of a quarter of a level) it is not told apart."""


@dataclass(frozen=True)
class Verdict:
    """What the judge's reading says of one edit."""

    asked_right: bool
    """Every attribute that was asked for is there."""
    kept_right: bool
    """Every attribute that had to stay is there."""
    wrong: tuple[str, ...]
    """``colour: asked blue, read red`` for each attribute that is not."""

    @property
    def both_right(self) -> bool:
        return self.asked_right and self.kept_right


def verdict(case: Case, read: Attributes) -> Verdict:
    """Compare what the judge read in the result with what `case` asks and keeps."""
    asked = _faults("asked", case.asked, read)
    kept = _faults("kept", case.kept, read)
    return Verdict(not asked, not kept, (*asked, *kept))


def _faults(why: str, wanted: dict[str, str], read: Attributes) -> list[str]:
    return [
        f"{name}: {why} {value}, read {getattr(read, name) or 'nothing'}"
        for name, value in wanted.items()
        if getattr(read, name) != value
    ]


def kept_region(subject: Mask, scope: Scope, seam: int = SEAM) -> Mask:
    """The pixels that an edit of `scope` must not touch, with a seam of `seam` pixels left out of it.

    All of the picture but the subject when the subject is edited, the subject when the background is, and nothing
    when both are.
    """
    if scope is Scope.BOTH:
        return np.zeros_like(subject)
    edited = subject if scope is Scope.SUBJECT else ~subject
    wide = cv2.dilate(edited.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * seam + 1,) * 2))
    untouched: Mask = wide == 0
    return untouched


def psnr(a: Picture, b: Picture, region: Mask | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB over `region`, at most `MOST_DB`; ``None`` when the region is empty."""
    difference: NDArray[np.float64] = a.astype(np.float64) - b.astype(np.float64)
    if region is not None:
        difference = difference[region]
    if difference.size == 0:
        return None
    error = float(np.square(difference).mean())
    return MOST_DB if error == 0 else min(MOST_DB, 10 * float(np.log10(255**2 / error)))


def overlap(a: Mask, b: Mask) -> float:
    """Intersection over union, 0 to 1; two empty masks overlap fully."""
    union = int((a | b).sum())
    return 1.0 if union == 0 else int((a & b).sum()) / union


def distance(a: Picture, b: Picture, region: Mask) -> float:
    """Mean absolute difference over `region`, in levels of 0 to 255; 0 where the region is empty."""
    if not region.any():
        return 0.0
    return float(np.abs(a[region].astype(np.float32) - b[region]).mean())


def variety(candidates: Sequence[Picture], region: Mask) -> float | None:
    """Mean distance between any two candidates over the `region` that was to change, in levels of 0 to 255.

    ``None`` for one candidate alone. Near 0, a second seed is not worth its time.
    """
    pairs = [distance(a, b, region) for a, b in combinations(candidates, 2)]
    return sum(pairs) / len(pairs) if pairs else None
