"""Triples: a reference picture, an instruction of two parts, and the target. No torch here.

Nothing is stored: a triple is drawn, or read from its files, when it is asked for, the same one for the same number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Picture

TRAINING, HELD_OUT = "train", "held out"


@dataclass(frozen=True)
class Instruction:
    """What is asked, in two parts that are one sentence together."""

    first: str
    second: str
    whole: str
    """Both, the first one first."""
    swapped: str
    """Both, the second one first; where order matters it asks for something else."""
    independent: bool
    """Whether the parts may be carried out in either order and come to the same picture."""


@dataclass(frozen=True)
class Triples:
    """Some of them; parallel over N."""

    references: NDArray[np.uint8]
    """``(N, side, side, 3)`` RGB."""
    instructions: tuple[Instruction, ...]
    targets: NDArray[np.uint8]


class Source(Protocol):
    """Triples by number, from 0 in each split (`TRAINING`, `HELD_OUT`)."""

    name: str
    """Of the data, for a report."""

    def count(self, split: str) -> int: ...

    def triple(self, split: str, number: int) -> tuple[Picture, Instruction, Picture]:
        """Reference, instruction, target; pictures ``(H, W, 3) uint8`` of any size."""
        ...

    def between(self, split: str, number: int, /) -> Picture | None:
        """The picture after the first part alone, for measuring; ``None`` where nobody knows it."""
        ...

    def right(self, split: str, numbers: Sequence[int], pictures: Sequence[Picture], /) -> list[bool] | None:
        """Whether each picture shows all that the target of that number shows, for measuring; ``None`` where there is
        nobody who can tell."""
        ...


def triples(source: Source, split: str, numbers: Sequence[int], side: int) -> Triples:
    """Those of `numbers`, at `side` x `side`: the middle of what is not square is not cut, but squeezed as the paper
    does."""
    found = [source.triple(split, number) for number in numbers]
    return Triples(
        np.stack([squared(reference, side) for reference, _, _ in found]),
        tuple(instruction for _, instruction, _ in found),
        np.stack([squared(target, side) for _, _, target in found]),
    )


def squared(picture: Picture, side: int) -> Picture:
    """``(side, side, 3) uint8``: resized on each axis, averaging where it becomes smaller."""
    if picture.shape[:2] == (side, side):
        return picture
    way = cv2.INTER_AREA if min(picture.shape[:2]) >= side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.asarray(picture), (side, side), interpolation=way), np.uint8)


def edges(picture: Picture) -> Picture:
    """Canny's edges (1986), ``(H, W, 3) uint8`` of 0 and 255: what the edge branch is shown."""
    found = cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 100, 200)
    return np.repeat(np.asarray(found, np.uint8)[..., None], 3, axis=2)


# ------------------------------------------------------------------------------------------------- ill-formed texts


def rotated(text: str, rng: random.Random) -> str:
    """The words of `text` in another order, where there is one (the paper's Table 3(b), Rotate)."""
    words = text.split()
    while len(set(words)) > 1 and words == text.split():
        rng.shuffle(words)
    return " ".join(words)


def masked(text: str, count: int, rng: random.Random) -> str:
    """`text` without `count` of its words, of which at least one stays (Table 3(b), Mask n)."""
    words = text.split()
    kept = sorted(rng.sample(range(len(words)), max(1, len(words) - count)))
    return " ".join(words[k] for k in kept)
