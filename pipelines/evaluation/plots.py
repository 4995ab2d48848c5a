"""Where the marks and words of a plot stand, in the units of an SVG; the template draws them. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LETTER = 6.4
"""Width of a letter at the size of the plots' words, about."""
LINE = 13.0
"""Height of a line of them."""
DOT = 4.5
"""Radius of a dot."""


@dataclass(frozen=True)
class Axis:
    """From values to places along one side of a plot."""

    low: float
    high: float
    start: float
    """Where `low` stands; larger than `end` for an axis that rises."""
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where `value` stands."""
        low, high, value = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, float]]:
        """Round values within the axis and where they stand: 1, 2, 5 of every power of ten, or five steps."""
        if not self.logarithmic:
            return [(v, self.at(v)) for v in (self.low + k * (self.high - self.low) / 5 for k in range(6))]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        round_ones = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        return [(v, self.at(v)) for v in round_ones if self.low <= v <= self.high]


@dataclass(frozen=True)
class Mark:
    """A point of a scatter plot, and where its name begins."""

    name: str
    x: float
    y: float
    word_x: float
    word_y: float


@dataclass(frozen=True)
class Scatter:
    """Shares against a cost on a logarithmic axis."""

    width: float
    height: float
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


def scatter(points: Mapping[str, tuple[float, float]], width: float = 640, height: float = 360) -> Scatter:
    """``points[name]`` is a cost above 0 and a share of 0 to 1; at least one."""
    costs = [cost for cost, _ in points.values()]
    x = Axis(min(costs) / 1.5, max(costs) * 1.5, 48, width - _room(points), logarithmic=True)
    y = Axis(0, 1, height - 40, 16)
    placed: list[Mark] = []
    for name, (cost, share) in sorted(points.items(), key=lambda item: -item[1][1]):
        left, top = x.at(cost), y.at(share)
        dots = [(x.at(c), y.at(s)) for other, (c, s) in points.items() if other != name]
        places = [top + 4 + LINE * step for k in range(len(points) + 2 * len(dots)) for step in (k, -k)]
        free = (
            place
            for place in places
            if LINE <= place <= y.start + DOT
            and not any(_meet(left + 9, place, name, other) for other in placed)
            and not any(_covers(left + 9, place, name, *dot) for dot in dots)
        )
        placed.append(Mark(name, left, top, left + 9, next(free, top + 4)))
    return Scatter(width, height, x, y, tuple(placed))


def _room(names: Iterable[str]) -> float:
    """What the longest of `names` takes beside a plot."""
    return 16 + LETTER * max(len(name) for name in names)


def _meet(x: float, y: float, name: str, other: Mark) -> bool:
    """Whether a name at ``(x, y)`` would touch that of `other`."""
    apart = other.word_x + LETTER * len(other.name) < x or x + LETTER * len(name) < other.word_x
    return not apart and abs(y - other.word_y) < LINE


def _covers(x: float, y: float, name: str, dot_x: float, dot_y: float) -> bool:
    """Whether a name at ``(x, y)`` would stand on a dot."""
    return x - DOT < dot_x < x + LETTER * len(name) + 3 * DOT and y - LINE - DOT / 2 < dot_y < y + DOT


@dataclass(frozen=True)
class Curve:
    """One line over the turns, and where its name stands at the end."""

    name: str
    points: str
    """As an SVG's polyline takes them."""
    dots: tuple[tuple[float, float], ...]
    word_y: float


@dataclass(frozen=True)
class Curves:
    """Shares over turns."""

    width: float
    height: float
    x: Axis
    y: Axis
    turns: tuple[tuple[int, float], ...]
    curves: tuple[Curve, ...]


def curves(series: Mapping[str, Sequence[float]], width: float = 560, height: float = 300) -> Curves:
    """``series[name]`` are shares of 0 to 1, one a turn from turn 1 on; the one that ends highest comes first."""
    series = dict(sorted(series.items(), key=lambda item: -item[1][-1]))
    most = max(len(shares) for shares in series.values())
    height = max(height, LINE * len(series) + 60)
    x, y = Axis(1, max(2, most), 44, width - _room(series)), Axis(0, 1, height - 40, 16)
    ends = spread([y.at(shares[-1]) for shares in series.values()], LINE, height - 40)
    found = []
    for (name, shares), end in zip(series.items(), ends, strict=True):
        dots = tuple((x.at(turn), y.at(share)) for turn, share in enumerate(shares, 1))
        found.append(Curve(name, " ".join(f"{a:.1f},{b:.1f}" for a, b in dots), dots, end + 4))
    return Curves(width, height, x, y, tuple((turn, x.at(turn)) for turn in range(1, most + 1)), tuple(found))


def spread(places: Sequence[float], gap: float, last: float) -> list[float]:
    """`places` moved as little as it takes to stand at least `gap` apart, in their order, none beyond `last`."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = dict(zip(order, (places[k] for k in order), strict=True))
    for before, k in pairwise(order):
        moved[k] = max(moved[k], moved[before] + gap)
    limit = last
    for k in reversed(order):
        moved[k] = min(moved[k], limit)
        limit = moved[k] - gap
    return [moved[k] for k in range(len(places))]
