"""How far two pictures may be apart before it means something: calibrated for a model, on its card.

``"measured_by": {"clip": "NAME", "limits": {...}}`` names the folder of the CLIP that knows the model's pictures, and
what its autoencoder's own round trips cost by it. Of a model that says nothing there are figures and no verdict: what
one autoencoder blurs another keeps, and a similarity of 0.95 means something else to every CLIP. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Limits:
    """All are inclusive: a value on a limit is still within it."""

    same_share: float
    """Up to this `Consistency.disagreement`, 0 to 1, the order of two turns does not matter ..."""
    same_similarity: float
    """... from this similarity on, -1 to 1."""
    other_share: float
    """From this disagreement on the order matters ..."""
    other_similarity: float
    """... or below this similarity."""
    least_similarity: float
    """Of a part that nobody asked to change, to turn 0."""
    least_db: float
    """Peak signal-to-noise ratio of the pixels that every turn was to keep."""
    most_repaints: int
    """How often a part may be painted over."""


@dataclass(frozen=True)
class MeasuredBy:
    """What a card says of how its model's pictures are measured."""

    clip: str = ""
    """Name of a folder among the models; empty: any that was not made for other pictures."""
    limits: Limits | None = None


NOTHING_CALIBRATED = MeasuredBy()


def measured_by(said: Mapping[str, Any]) -> tuple[MeasuredBy, str]:
    """What the JSON of a card says under ``measured_by``; and what of it was left out and why, empty for nothing."""
    told = said.get("measured_by", {})
    if not isinstance(told, Mapping):
        return NOTHING_CALIBRATED, f"what its card says of measuring was left out: expected an object, got {told!r}"
    clip, limits = told.get("clip", ""), told.get("limits")
    if not isinstance(clip, str):
        return NOTHING_CALIBRATED, f"what its card says of measuring was left out: clip must be a name, got {clip!r}"
    if limits is None:
        return MeasuredBy(clip), ""
    wanted = {field.name for field in fields(Limits)}
    if (
        not isinstance(limits, Mapping)
        or limits.keys() != wanted
        or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in limits.values())
    ):
        return MeasuredBy(clip), f"the limits in its card were left out: expected a number for each of {sorted(wanted)}"
    return MeasuredBy(clip, Limits(**limits)), ""
