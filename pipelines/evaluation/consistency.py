"""Does the order of two turns matter? Compares the pictures that both orders gave, part by part, and says so.

The measure is the order swap of "Multi-round Thinking" (Table 3(b)), whose method reaches a similarity of 0.882 on
fashion pictures; structure and pixels are added, because a CLIP alone looks past small things. This file imports no
torch: the CLIP is given, and so are the model's limits.

Three parts, none of which overlap
----------------------------------
* *overlap*: where both turns were allowed to change the picture, in whatever order;
* *subject*: what either turn called subject, without the overlap;
* *background*: the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pipelines.contract import Mask, Picture, Scope
from pipelines.evaluation.similarity import Embed, isolated, largest_difference, similarities, ssim_map
from pipelines.models.limits import Limits

CHANGED = 8
"""Levels: a pixel counts as changed when a channel differs by more than an eye would see at once."""

GAIN = 3
"""The map shows differences three times as strong, like the page's comparison of one turn."""
SUBJECT_COLOUR, BACKGROUND_COLOUR, OVERLAP_COLOUR = (255, 157, 92), (86, 199, 190), (255, 255, 255)
DARK = 13
"""Levels of an equal pixel: the page's own black."""


class Order(StrEnum):
    """What the comparison comes to."""

    SAME = "order does not matter"
    A_LITTLE = "order matters a little"
    MATTERS = "order matters"
    NOT_JUDGED = "no verdict: this model has no limits"


@dataclass(frozen=True, eq=False)
class Edited:
    """What one run of a turn was told it may change."""

    scope: Scope
    mask: Mask | None
    """``(H, W) bool``, True = subject; ``None`` where the turn ran on the whole picture."""
    feather: float = 2.0
    """Pixels."""
    painted: bool = True
    """Whether a model painted it anew."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The picture divided: three masks ``(H, W) bool``, of which exactly one is True at each pixel."""

    subject: Mask
    background: Mask
    overlap: Mask

    @classmethod
    def of(cls, subject: Mask, changed_a: Mask, changed_b: Mask) -> Parts:
        """From what either turn called subject, and what each was allowed to change."""
        overlap = changed_a & changed_b
        return cls(subject & ~overlap, ~(subject | overlap), overlap)


@dataclass(frozen=True)
class Difference:
    """How far the two pictures are apart within one part; every measure is ``None`` for a part without pixels."""

    share: float
    """How much of the picture the part is, 0 to 1."""
    similarity: float | None
    """Cosine of the CLIP's embeddings, -1 to 1; ``None`` also where there is no CLIP."""
    ssim: float | None
    """Mean of the structural similarity, -1 to 1."""
    changed: float | None
    """Share of the part's pixels that differ by more than `CHANGED` levels, 0 to 1."""
    mean: float | None
    """Mean absolute difference over pixels and channels, in levels of 0 to 255."""


@dataclass(frozen=True)
class Consistency:
    """Both orders compared."""

    order: Order
    clip: str | None
    """The CLIP whose similarity it is; ``None``: none was found, and every similarity is ``None``."""
    disagreement: float
    """Of the pixels that either order changed at all, the share that came out differently, 0 to 1."""
    whole: Difference
    subject: Difference
    background: Difference
    overlap: Difference

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Consistency:
        parts = {name: Difference(**data[name]) for name in ("whole", "subject", "background", "overlap")}
        return cls(**{**data, **parts, "order": Order(data["order"])})


@dataclass(frozen=True, eq=False)
class Comparison:
    """The numbers, and the map that shows where they come from."""

    consistency: Consistency
    difference: Picture
    """`difference_map` of the two pictures."""


def compare(
    ab: Picture, ba: Picture, before: Picture, parts: Parts, embed: Embed | None, limits: Limits | None = None
) -> Consistency:
    """Compare the picture of turn A then B with that of B then A; `before` is what both started from.

    All pictures are ``(H, W, 3) uint8``, of one size. Without a CLIP every similarity is ``None``, without limits
    there is no verdict; the rest comes.
    """
    assert ab.shape == ba.shape == before.shape, f"three pictures of one size: {ab.shape}, {ba.shape}, {before.shape}"
    regions = [np.ones(ab.shape[:2], np.bool_), parts.subject, parts.background, parts.overlap]
    differences = _differences(ab, ba, regions, embed)
    differs = largest_difference(ab, ba) > CHANGED
    touched = differs | (largest_difference(ab, before) > CHANGED) | (largest_difference(ba, before) > CHANGED)
    disagreement = int(differs.sum()) / max(1, int(touched.sum()))
    return Consistency(
        _order(disagreement, differences[0].similarity, limits),
        embed.name if embed else None,
        disagreement,
        *differences,
    )


def _differences(ab: Picture, ba: Picture, regions: Sequence[Mask], embed: Embed | None) -> list[Difference]:
    there = [k for k, region in enumerate(regions) if region.any()]
    likeness: dict[int, float] = {}
    if embed is not None:
        cuts = [[isolated(picture, regions[k]) for k in there] for picture in (ab, ba)]
        likeness = dict(zip(there, similarities(embed, *cuts), strict=True))
    ssim, largest = ssim_map(ab, ba), largest_difference(ab, ba)
    mean = np.abs(ab.astype(np.int16) - ba.astype(np.int16)).mean(-1)
    return [
        Difference(
            share=float(region.mean()),
            similarity=likeness.get(k),
            ssim=float(ssim[region].mean()) if k in there else None,
            changed=float((largest[region] > CHANGED).mean()) if k in there else None,
            mean=float(mean[region].mean()) if k in there else None,
        )
        for k, region in enumerate(regions)
    ]


def _order(disagreement: float, similarity: float | None, limits: Limits | None) -> Order:
    if limits is None:
        return Order.NOT_JUDGED
    alike = 1.0 if similarity is None else similarity
    if disagreement <= limits.same_share and alike >= limits.same_similarity:
        return Order.SAME
    matters = disagreement >= limits.other_share or alike < limits.other_similarity
    return Order.MATTERS if matters else Order.A_LITTLE


def difference_map(ab: Picture, ba: Picture, parts: Parts) -> Picture:
    """Where two pictures differ, ``(H, W, 3) uint8``: dark where equal, the brighter the more they differ.

    In the page's colours: amber in the subject, teal in the background, white where both turns painted.
    """
    strength = np.minimum(1, largest_difference(ab, ba).astype(np.float32) * GAIN / 255)[..., None]
    colours = np.zeros(ab.shape, np.float32)
    for region, colour in (
        (parts.subject, SUBJECT_COLOUR),
        (parts.background, BACKGROUND_COLOUR),
        (parts.overlap, OVERLAP_COLOUR),
    ):
        colours[region] = colour
    return np.asarray(np.round(DARK + (colours - DARK) * strength), np.uint8)
