"""What a segmenter is: a slow `embed` once a picture, a fast `segment` for every click. The protocol, not a model.

This file imports no torch; `sam` and `transformers_sam` hold the implementations, `load` chooses between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Extent, Mask, Picture
from pipelines.masks.prompts import MaskPrompts


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a segmenter keeps of one picture. It knows that picture's size and which segmenter made it."""

    extent: Extent
    segmenter: str
    features: Any = field(repr=False)
    """The segmenter's own; nobody else looks inside."""
    size: int
    """Bytes of `features`."""

    def check_made_by(self, segmenter: str) -> None:
        """Raises `ValueError` for the embedding of another segmenter, which is a bug of the caller."""
        if self.segmenter != segmenter:
            raise ValueError(f"this embedding was made by {self.segmenter!r}, not by {segmenter!r}")


@dataclass(frozen=True, eq=False)
class SegmenterAnswer:
    """One to three masks for the same prompts."""

    masks: NDArray[np.bool_]
    """``(K, H, W) bool`` in the picture's own size, True = subject."""
    scores: NDArray[np.float32]
    """``(K,) float32`` in [0, 1]: the segmenter's guess of each mask's overlap (IoU) with what was meant."""
    labels: tuple[str, ...]
    """K names a person can tell the alternatives apart by."""

    def best(self, choice: int | None) -> int:
        """The index that was chosen, or that of the best score when nothing valid was."""
        if choice is not None and 0 <= choice < len(self.labels):
            return choice
        return int(self.scores.argmax())


class Segmenter(Protocol):
    """Both calls may come from several threads at once: all state travels in the `Embedding`."""

    name: str

    def embed(self, picture: Picture) -> Embedding:
        """Encode a picture, ``(H, W, 3) uint8`` RGB. Raises `BadRequest` for one too narrow to be encoded."""

    def segment(self, embedding: Embedding, prompts: MaskPrompts) -> SegmenterAnswer:
        """Masks for the clicks and the box of `prompts`; its strokes and adjustments are `refine.compose`'s part.

        A lone click is ambiguous and gets three alternatives. More prompts say which was meant: they refine the
        alternative chosen by ``prompts.choice`` (or the best one) into a single mask. Raises `BadRequest` for a
        prompt outside the picture, or for clicks that only exclude.
        """


@dataclass(frozen=True, eq=False)
class MaskAnswer:
    """The finished mask and, when the prompts were ambiguous, what else they could have meant."""

    mask: Mask
    choices: tuple[tuple[str, float], ...] = ()
    """(label, score) of every alternative; empty when no segmenter was asked."""
    chosen: int | None = None
    """Index into `choices`."""
