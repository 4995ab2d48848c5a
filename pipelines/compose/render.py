"""Draws a scene: shaded solids on a grey floor, seen from above at an angle. No torch here.

The camera looks along parallel rays, so that what is left on the floor is left in the picture, however far away it is.
Each solid is traced once, several times finer than the picture, for each place between two pixels that it can have;
drawing a scene is pasting those small pictures from far to near, a tenth of a millisecond at 64 pixels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.compose.world import Placed, Thing
from pipelines.contract import Picture

ELEVATION = math.radians(55)
"""How far above the floor the camera looks from."""

HALF = 1.15
"""Half of what the picture shows across, in the floor's units."""

RADIUS = 0.23
"""Of every solid: half its width and half its height."""

FINER = 4
"""Rays a pixel along each axis, and places between two pixels that a solid can have."""

FLOOR = (150, 150, 152)
PAINT = {
    "red": (214, 38, 38),
    "blue": (42, 75, 215),
    "green": (38, 138, 40),
    "yellow": (250, 214, 44),
    "purple": (140, 44, 204),
    "cyan": (48, 214, 214),
    "brown": (124, 72, 28),
    "grey": (70, 70, 74),
}
_LIGHT = np.array([-0.45, 0.35, 0.85]) / np.linalg.norm([-0.45, 0.35, 0.85])
"""Towards the light: from the left, a little from behind the camera. Axes: right, towards who looks, up."""
_UP = np.array([0.0, -math.sin(ELEVATION), math.cos(ELEVATION)])
_AHEAD = np.array([0.0, -math.cos(ELEVATION), -math.sin(ELEVATION)])
_YAW = math.radians(28)
"""By how much a cube is turned, so that two of its sides are seen."""

Array = NDArray[np.float64]


def seen_at(placed: Placed) -> tuple[float, float]:
    """Where the middle of a solid is in the picture: ``(x, y)`` as fractions of its width and height, y downwards."""
    return 0.5 + placed.x / (2 * HALF), 0.5 + placed.y * math.sin(ELEVATION) / (2 * HALF)


def render(scene: Sequence[Placed], side: int = 64) -> Picture:
    """The picture of a scene, ``(side, side, 3) uint8`` RGB; the same scene gives the same bytes."""
    canvas = _floor(side).copy()
    for placed in sorted(scene, key=lambda placed: placed.y):  # far to near
        x, y = (round(at * side * FINER) for at in seen_at(placed))
        sprite, cover = _sprite(placed.thing, side, x % FINER, y % FINER)
        left, top = x // FINER - len(sprite) // 2, y // FINER - len(sprite) // 2
        rows, columns = slice(max(0, -top), side - top), slice(max(0, -left), side - left)
        there = canvas[max(0, top) : top + len(sprite), max(0, left) : left + len(sprite)]
        there *= cover[rows, columns]
        there += sprite[rows, columns]
    return (canvas + 0.5).astype(np.uint8)


@functools.cache
def _floor(side: int) -> NDArray[np.float32]:
    """The empty floor, a little darker far away."""
    light = np.linspace(0.93, 1.05, side, dtype=np.float32)[:, None, None]
    return np.broadcast_to(light * np.array(FLOOR, np.float32), (side, side, 3)).copy()


@functools.cache
def _sprite(thing: Thing, side: int, right: int, down: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A solid with its shadow, and what it leaves of what is behind it: ``(S, S, 3)`` and ``(S, S, 1) float32``.

    Colours are in 0 to 255 and already weighed by how much of a pixel the solid covers. `right` and `down` are by how
    many fractions of a pixel it stands off the middle of the small picture.
    """
    light, solid, shadow = _traced(thing.shape, side, right, down)
    gloss = np.clip(light - 1, 0, None)[..., None]
    colour = np.array(PAINT[thing.colour]) * np.minimum(light, 1)[..., None] + 255 * gloss
    painted = np.clip(colour, 0, 255) * solid[..., None]
    kept = (1 - solid) * (1 - 0.45 * shadow)
    return _shrunk(painted), _shrunk(kept[..., None])


def _shrunk(fine: Array) -> NDArray[np.float32]:
    size = len(fine) // FINER
    small: NDArray[np.float32] = fine.reshape(size, FINER, size, FINER, -1).mean((1, 3)).astype(np.float32)
    return small


@functools.cache
def _traced(shape: str, side: int, right: int, down: int) -> tuple[Array, Array, Array]:
    """Per ray: how light the solid is there (above 1 it shines), whether it is hit, whether the floor is in shadow."""
    reach = 2 * math.ceil(2.3 * RADIUS / HALF * side / 2 / 2)  # pixels on either side of the middle
    steps = (np.arange(2 * reach * FINER) + 0.5) / FINER - reach
    unit = 2 * HALF / side  # of the floor, a pixel
    u, v = np.meshgrid((steps - right / FINER) * unit, (steps - down / FINER) * unit)
    rays = np.stack([u, np.zeros_like(u), np.zeros_like(u)], -1) - v[..., None] * _UP - 4 * _AHEAD
    far, normal = _hit(shape, rays, _AHEAD)
    solid = np.isfinite(far)
    reflected = _AHEAD - 2 * (normal @ _AHEAD)[..., None] * normal
    light = 0.34 + 0.72 * np.clip(normal @ _LIGHT, 0, None) + 0.5 * np.clip(reflected @ _LIGHT, 0, 1) ** 24
    ground = rays - ((rays[..., 2] + RADIUS) / _AHEAD[2])[..., None] * _AHEAD
    shadow = np.isfinite(_hit(shape, ground - 1e-6 * _AHEAD, _LIGHT)[0])
    return light, solid.astype(float), shadow.astype(float)


def _hit(shape: str, origins: Array, direction: Array) -> tuple[Array, Array]:
    """How far along `direction` each ray meets the solid around the origin (infinite: never), and the normal there.

    `origins` is ``(..., 3)``; distances are ``(...)``, normals ``(..., 3)``.
    """
    if shape == "sphere":
        return _hit_round(origins, direction, 3)
    if shape == "cube":
        turn = np.array([[math.cos(_YAW), math.sin(_YAW), 0], [-math.sin(_YAW), math.cos(_YAW), 0], [0, 0, 1]])
        half = np.array([0.86 * RADIUS, 0.86 * RADIUS, RADIUS])  # turned, it is about as wide as the others
        far, normal = _hit_box(origins @ turn.T, turn @ direction, half)
        return far, normal @ turn
    barrel, outward = _hit_round(origins, direction, 2)
    height = np.where(np.isfinite(barrel), origins[..., 2] + np.where(np.isfinite(barrel), barrel, 0) * direction[2], 9)
    barrel = np.where(np.abs(height) <= RADIUS, barrel, np.inf)
    lid = ((RADIUS if direction[2] < 0 else -RADIUS) - origins[..., 2]) / direction[2]
    on_lid = origins[..., :2] + lid[..., None] * direction[:2]
    lid = np.where((np.sum(on_lid**2, -1) <= RADIUS**2) & (lid > 0), lid, np.inf)
    upward = np.array([0.0, 0.0, -np.sign(direction[2])])
    return np.minimum(barrel, lid), np.where((lid < barrel)[..., None], upward, outward)


def _hit_round(origins: Array, direction: Array, axes: int) -> tuple[Array, Array]:
    """A ball (all three axes), or an endless upright barrel (the first two)."""
    o, d = origins[..., :axes], direction[:axes]
    a, b = d @ d, o @ d
    inside = b**2 - a * (np.sum(o**2, -1) - RADIUS**2)
    far = np.where(inside >= 0, (-b - np.sqrt(np.clip(inside, 0, None))) / a, np.inf)
    far = np.where(far > 0, far, np.inf)
    normal = np.zeros_like(origins)
    normal[..., :axes] = (o + np.where(np.isfinite(far), far, 0)[..., None] * d) / RADIUS
    return far, normal


def _hit_box(origins: Array, direction: Array, half: Array) -> tuple[Array, Array]:
    """A box along the axes, by its slabs."""
    enter = (-np.sign(direction) * half - origins) / direction
    leave = (np.sign(direction) * half - origins) / direction
    first = enter.argmax(-1)
    far, out = enter.max(-1), leave.min(-1)
    normal = -np.sign(direction) * np.eye(3)[first]
    return np.where((far < out) & (far > 0), far, np.inf), normal
