"""What a phrase ("the dog on the left") means in a picture: matches, and how clicks refine them.

This file imports no torch; `finders` holds the models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pipelines.contract import Box, Mask, Picture
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import SegmenterAnswer

MOST_MATCHES = 3
"""As many as a lone click has alternatives."""


@dataclass(frozen=True, eq=False)
class Match:
    """One place that the phrase may mean."""

    score: float
    """0 to 1, the model's own."""
    box: Box
    """Inside the picture and not empty."""
    mask: Mask | None = None
    """``None`` where the model only draws boxes: a segmenter then says what in the box is the subject."""


class PhraseFinder(Protocol):
    """A loaded model that reads phrases. It holds nothing but frozen weights."""

    name: str

    def find(self, picture: Picture, phrase: str) -> tuple[Match, ...]:
        """The places in ``(H, W, 3) uint8`` RGB that `phrase` may mean, best first, `MOST_MATCHES` at most."""


def answer_phrase(
    matches: tuple[Match, ...], prompts: MaskPrompts, segment: Callable[[MaskPrompts], SegmenterAnswer]
) -> SegmenterAnswer:
    """The masks of `matches`, of which there is one at least; with clicks or a box, what those make of the chosen one.

    `segment` asks the segmenter for clicks and boxes.
    """
    if prompts.clicks or prompts.scribbles or prompts.box is not None:
        chosen = matches[prompts.choice if prompts.choice is not None and prompts.choice < len(matches) else 0]
        return segment(replace(prompts, box=prompts.box or chosen.box))
    masks = [segment(MaskPrompts(box=m.box)).masks[0] if m.mask is None else m.mask for m in matches]
    labels = tuple(f"match {number}" for number in range(1, len(matches) + 1))
    return SegmenterAnswer(np.stack(masks), np.array([m.score for m in matches], np.float32), labels)


def box_of(mask: Mask) -> Box:
    """The tight box of a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))
