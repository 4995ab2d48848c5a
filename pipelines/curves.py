"""A tone curve as it is drawn: a few points, and a monotone cubic through them. No torch here.

Between two points the curve never leaves the levels of both (Fritsch and Butland, "A Method for Constructing Local
Monotone Piecewise Cubic Interpolants", 1984), and a point that is moved bends it no further than two points away.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadParameter

POINT = re.compile(r"(\d{1,3}),(\d{1,3})")
MOST_POINTS = 16
LONGEST = 8 * MOST_POINTS
"""Characters."""


class ToneCurve(str):
    """Points from left to right, ``0,0 96,60 255,255``: the level, of 0 to 255, and what becomes of it."""

    @classmethod
    def of(cls, name: str, value: object) -> Self:
        """`value`, the setting `name` from wherever, in one way of writing it. Raises `BadParameter`."""
        parts = value.split() if isinstance(value, str) else []
        found = [POINT.fullmatch(part) for part in parts]
        points = [(int(one[1]), int(one[2])) for one in found if one is not None]
        rising = all(a[0] < b[0] for a, b in pairwise(points))
        known = None not in found and all(max(point) <= 255 for point in points)
        if not (2 <= len(points) <= MOST_POINTS and rising and known):
            raise BadParameter(
                f'{name} must be 2 to {MOST_POINTS} points from left to right, "0,0 96,60 255,255": a level from 0 to '
                f"255 and what becomes of it; got {value!r:.80}",
                name,
            )
        return cls(" ".join(f"{x},{y}" for x, y in points))

    @property
    def points(self) -> list[tuple[int, int]]:
        return [(int(x), int(y)) for x, y in (part.split(",") for part in self.split())]

    def at(self, levels: NDArray[Any]) -> NDArray[np.float64]:
        """What becomes of `levels` in [0, 1]; beyond the outermost points it is what becomes of them."""
        x, y = (np.array(values) / 255 for values in zip(*self.points, strict=True))
        slopes = _slopes(x, y)
        inside = np.clip(levels, x[0], x[-1])
        k = np.clip(np.searchsorted(x, inside, side="right") - 1, 0, len(x) - 2)
        step = x[k + 1] - x[k]
        t = (inside - x[k]) / step
        # The cubic of Hermite.
        ours = y[k] * (1 + 2 * t) * (1 - t) ** 2 + y[k + 1] * t**2 * (3 - 2 * t)
        return np.asarray(ours + step * t * (1 - t) * (slopes[k] * (1 - t) - slopes[k + 1] * t))


IDENTITY = ToneCurve("0,0 255,255")


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each point: none where the curve turns, else a harmonic mean of those to both sides."""
    steps, rises = np.diff(x), np.diff(y) / np.diff(x)
    before, after = rises[:-1], rises[1:]
    near, far = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    same = before * after > 0
    safe_before, safe_after = np.where(same, before, 1), np.where(same, after, 1)
    inner = np.where(same, (near + far) / (near / safe_before + far / safe_after), 0)
    return np.concatenate([rises[:1], inner, rises[-1:]])
