"""Where a picture that was cropped, extended, resized or turned lies in the one before it. No torch here.

Coordinates are those of the prompts: ``(0, 0)`` is the upper left corner of the picture, not the middle of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.contract import Box, Extent, Point


@dataclass(frozen=True)
class Moves:
    """The affine map ``x' = a x + b y + c``, ``y' = d x + e y + f`` from one picture's coordinates to another's."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0

    @classmethod
    def turn(cls, degrees: float, scale: float, about: Point, to: Point) -> Moves:
        """Turned counterclockwise, as a person sees it, and scaled; `about` comes to lie at `to`."""
        cos, sin = (scale * part(math.radians(degrees)) for part in (math.cos, math.sin))
        return cls(cos, sin, to.x - cos * about.x - sin * about.y, -sin, cos, to.y + sin * about.x - cos * about.y)

    def point(self, x: float, y: float) -> Point:
        return Point(self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f)

    def box(self, box: Box) -> Box:
        """The smallest box around where the corners of `box` come to lie."""
        corners = [self.point(x, y) for x in (box.left, box.right) for y in (box.top, box.bottom)]
        x, y = [corner.x for corner in corners], [corner.y for corner in corners]
        return Box(min(x), min(y), max(x), max(y))

    def then(self, after: Moves) -> Moves:
        """Both, one after the other."""
        c, f = after.point(self.c, self.f).x, after.point(self.c, self.f).y
        return Moves(
            after.a * self.a + after.b * self.d,
            after.a * self.b + after.b * self.e,
            c,
            after.d * self.a + after.e * self.d,
            after.d * self.b + after.e * self.e,
            f,
        )

    @property
    def inverse(self) -> Moves:
        det = self.a * self.e - self.b * self.d
        a, b, d, e = self.e / det, -self.b / det, -self.d / det, self.a / det
        return Moves(a, b, -(a * self.c + b * self.f), d, e, -(d * self.c + e * self.f))

    @property
    def scale(self) -> float:
        """How many times as long a line is afterwards, the mean of both directions."""
        return math.sqrt(abs(self.a * self.e - self.b * self.d))

    @property
    def of_pixels(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The same map from pixel numbers to pixel numbers, each of which stands for its pixel's middle."""
        at = self.point(0.5, 0.5)
        return (self.a, self.b, at.x - 0.5), (self.d, self.e, at.y - 0.5)


@dataclass(frozen=True)
class Frame:
    """A picture's size, and where what lay in the picture before it lies in it."""

    extent: Extent
    moves: Moves = Moves()

    def then(self, after: Frame) -> Frame:
        return Frame(after.extent, self.moves.then(after.moves))

    def to(self, other: Frame) -> Moves:
        """From this picture to another one, where both are told from the same picture."""
        return self.moves.inverse.then(other.moves)
