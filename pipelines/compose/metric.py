"""GeNeVA's figures of a composed picture: precision, recall and F1 of what is in it, and RSIM of where (El-Nouby et
al. 2019, Eq. 16 and 17 of CDD-ICM), as their evaluation computes them. No torch here.

What is in a picture, and where, comes from a detector (`pipelines.compose.detector`) or from the renderer itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Seen = Mapping[Hashable, tuple[float, ...]]
"""Each class that is in a picture and where: ``(x, y)`` as fractions of its width and height, y downwards; with a third
coordinate, the plane of CoDraw's clip art as a fraction, that is the one which tells behind from in front."""

CENTRE = 0.5


@dataclass(frozen=True)
class Score:
    """Of one picture, or the mean of several; all in 0 to 1."""

    precision: float
    recall: float
    f1: float
    rsim: float


def score(seen: Seen, truth: Seen, include_center: bool = True, double_count: bool = True) -> Score:
    """How much of `truth` is in the picture, and how it lies to each other.

    An undefined share (nothing seen, nothing to see) is 0, and so is RSIM where no class is in both. The two switches
    are the published computation: every class is also compared with the picture's centre, and a pair counts from both
    ends. Without them a pair counts once, and a single class, which then has nothing to lie wrongly to, is right.
    """
    common = sorted(seen.keys() & truth.keys(), key=str)
    precision = len(common) / len(seen) if seen else 0.0
    recall = len(common) / len(truth) if truth else 0.0
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    if not common:
        return Score(precision, recall, f1, 0.0)
    pairs = np.ones((len(common), len(common)), bool) if double_count else np.triu(np.ones((len(common),) * 2, bool))
    if not include_center:
        pairs &= ~np.eye(len(common), dtype=bool)
    alike = (_edges(seen, common) == _edges(truth, common))[:, pairs]
    return Score(precision, recall, f1, recall * float(alike.mean() if alike.size else 1.0))


def _edges(seen: Seen, classes: Sequence[Hashable]) -> NDArray[np.float64]:
    """``(2, C, C)`` in {-1, 0, 1}: on which side of class j class i is, across and along the line of sight.

    On the diagonal j is the picture's centre. The second relation is of the last coordinate.
    """
    places = np.array([(seen[name][0], seen[name][-1]) for name in classes]).T  # (2, C)
    edges: NDArray[np.float64] = np.sign(places[:, :, None] - places[:, None, :])
    each = np.arange(len(classes))
    edges[:, each, each] = np.sign(places - CENTRE)
    return edges


def mean(scores: Sequence[Score]) -> Score:
    """The plain mean over pictures, of each figure by itself: F1 is that of the pictures, not of the two means."""
    if not scores:
        raise ValueError("a mean needs at least one score")
    return Score(*(float(np.mean([getattr(one, field.name) for one in scores])) for field in fields(Score)))
