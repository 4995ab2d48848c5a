"""Draws a Toybox scene: a painted background, a shadow, and a sprite with its exact mask.

The sprites are drawings from the Noto Color Emoji font (see NOTICE), kept as small PNG files in ``assets/toybox``.
Backgrounds are painted at twice the size and shrunk, which is all their anti-aliasing. There is no per-pixel noise:
an autoencoder cannot keep it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipelines.contract import Mask, Picture
from pipelines.toybox.scene import Scene, Subject
from pipelines.toybox.words import NATURAL

SIZE = 256
"""Side of a Toybox picture, in pixels."""

SPRITES = Path(__file__).resolve().parents[2] / "assets" / "toybox"

HEIGHTS = {"small": 100, "medium": 140, "big": 180}
"""The longer side of a sprite, in pixels: a tenth, a fifth and a third of the picture are subject."""

JUMP = 36
"""How far above its shadow a jumping subject hangs, in pixels: the biggest still end inside the picture."""

PAINT = {
    "red": (222, 42, 42),
    "blue": (52, 92, 232),
    "green": (48, 168, 62),
    "yellow": (242, 204, 40),
    "purple": (146, 58, 190),
    "pink": (246, 128, 186),
}

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Rendering:
    """A picture and the layers it is made of; all 256 x 256."""

    picture: Picture
    plate: Picture
    """The background alone, without subject or shadow."""
    mask: Mask
    """True where the subject covers at least half of the pixel. The shadow belongs to the background."""


# --------------------------------------------------------------------------------------------------- backgrounds


class _Canvas:
    """Twice the final size, with the few strokes that the backgrounds are made of."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.side = 2 * SIZE
        self.image = Image.new("RGB", (self.side, self.side))
        self.draw = ImageDraw.Draw(self.image)

    def near(self, colour: Colour, spread: float = 10) -> tuple[int, int, int]:
        """`colour` moved a little, the same for all channels and then each on its own."""
        shift = self.rng.uniform(-spread, spread) + self.rng.uniform(-spread / 2, spread / 2, 3)
        r, g, b = np.clip(np.array(colour) + shift, 0, 255).astype(int)
        return int(r), int(g), int(b)

    def sky(self, top: Colour, bottom: Colour, horizon: float) -> None:
        """A vertical gradient from the top edge down to `horizon` (a fraction of the height), flat below it."""
        upper, lower = np.array(self.near(top)), np.array(self.near(bottom))
        t = np.clip(np.linspace(0, 1 / horizon, self.side), 0, 1)[:, None, None]
        rows = upper * (1 - t) + lower * t
        pixels = np.broadcast_to(rows, (self.side, self.side, 3))
        self.image.paste(Image.fromarray(pixels.astype(np.uint8)))

    def ground(self, colour: Colour, level: float, waves: float) -> None:
        """Everything below a softly waving line; `level` and `waves` are fractions of the height."""
        x = np.linspace(0, 1, 65)
        y = np.full_like(x, level)
        for k in (1, 2, 3):
            phase, rate = self.rng.random(), self.rng.uniform(0.6, 1.2)
            y += waves / k * self.rng.uniform(-1, 1) * np.sin(2 * np.pi * (k * rate * x + phase))
        line = [(float(a) * self.side, float(b) * self.side) for a, b in zip(x, y, strict=True)]
        self.draw.polygon([*line, (self.side, self.side), (0, self.side)], fill=self.near(colour))

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        cx, cy, r = x * self.side, y * self.side, radius * self.side
        self.draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=colour)


def _beach(c: _Canvas) -> None:
    c.sky((96, 186, 240), (196, 228, 248), 0.5)
    c.ground((44, 128, 204), 0.50, 0.002)
    c.ground((238, 214, 152), 0.66, 0.03)


def _desert(c: _Canvas) -> None:
    c.sky((246, 190, 120), (255, 232, 190), 0.55)
    c.ground((228, 172, 96), 0.55, 0.07)
    c.ground((206, 142, 72), 0.74, 0.06)


def _forest(c: _Canvas) -> None:
    c.sky((158, 206, 200), (200, 226, 200), 0.6)
    for x in np.linspace(-0.04, 1.04, 9) + c.rng.uniform(-0.05, 0.05, 9):
        height, foot = c.rng.uniform(0.34, 0.56), c.rng.uniform(0.62, 0.68)
        green, s = c.near((30, 96, 52), 14), c.side
        c.draw.rectangle([(x - 0.012) * s, foot * s, (x + 0.012) * s, (foot + 0.05) * s], fill=(92, 62, 34))
        corners = [(x, foot - height), (x - height * 0.3, foot), (x + height * 0.3, foot)]
        c.draw.polygon([(a * s, b * s) for a, b in corners], fill=green)
    c.ground((74, 126, 54), 0.68, 0.02)


def _snow(c: _Canvas) -> None:
    c.sky((150, 188, 226), (216, 230, 242), 0.5)
    c.ground((184, 202, 224), 0.50, 0.08)
    c.ground((244, 248, 252), 0.68, 0.04)


def _city(c: _Canvas) -> None:
    c.sky((150, 186, 220), (222, 226, 230), 0.6)
    s, x = c.side, -0.02
    while x < 1:
        width, height = c.rng.uniform(0.13, 0.2), c.rng.uniform(0.26, 0.56)
        grey = int(c.rng.uniform(78, 132))
        c.draw.rectangle([x * s, (0.7 - height) * s, (x + width) * s, 0.7 * s], fill=(grey, grey, grey + 12))
        for wy in np.arange(0.7 - height + 0.035, 0.64, 0.095):
            for wx in np.arange(x + 0.026, x + width - 0.045, 0.072):
                lit = (250, 230, 150) if c.rng.random() < 0.5 else (58, 68, 88)
                c.draw.rectangle([wx * s, wy * s, (wx + 0.036) * s, (wy + 0.05) * s], fill=lit)
        x += width + 0.008
    c.ground((88, 88, 94), 0.7, 0.001)


def _meadow(c: _Canvas) -> None:
    c.sky((108, 184, 246), (212, 236, 250), 0.55)
    c.ground((126, 194, 92), 0.56, 0.06)
    c.ground((92, 172, 62), 0.70, 0.03)
    flowers = ((250, 84, 96), (252, 236, 90), (255, 255, 255), (228, 124, 220))
    for _ in range(12):
        c.disc(c.rng.random(), c.rng.uniform(0.76, 0.98), 0.016, flowers[c.rng.integers(4)])


def _night(c: _Canvas) -> None:
    c.sky((14, 18, 56), (46, 50, 104), 0.7)
    for _ in range(14):
        c.disc(c.rng.random(), c.rng.uniform(0.02, 0.6), 0.009, (255, 255, 240))
    c.disc(c.rng.uniform(0.12, 0.88), c.rng.uniform(0.1, 0.24), 0.07, (250, 246, 212))
    c.ground((24, 40, 46), 0.70, 0.05)


def _space(c: _Canvas) -> None:
    c.sky((12, 6, 26), (38, 14, 60), 1.0)
    for _ in range(18):
        c.disc(c.rng.random(), c.rng.random(), 0.009, (232, 232, 255))
    x, y, r = c.rng.uniform(0.12, 0.88), c.rng.uniform(0.12, 0.4), c.rng.uniform(0.07, 0.12)
    c.disc(x, y, r, c.near((200, 120, 80), 40))


_PAINTERS: dict[str, Callable[[_Canvas], None]] = {
    "beach": _beach,
    "desert": _desert,
    "forest": _forest,
    "snow": _snow,
    "city": _city,
    "meadow": _meadow,
    "night": _night,
    "space": _space,
}


def render_background(background: str, seed: int) -> Picture:
    """Paint one background, ``(256, 256, 3) uint8``; the same seed gives the same bytes."""
    canvas = _Canvas(np.random.default_rng(seed))
    _PAINTERS[background](canvas)
    return np.asarray(canvas.image.resize((SIZE, SIZE), Image.Resampling.BOX))


# ------------------------------------------------------------------------------------------------------ subjects


@functools.cache
def _sprite(kind: str) -> Image.Image:
    return Image.open(SPRITES / f"{kind}.png").convert("RGBA")


def _tinted(sprite: Image.Image, colour: str) -> Image.Image:
    """The sprite in one hue: its own lightness over the paint, stretched so that dark sprites are bright too."""
    pixels = np.asarray(sprite).astype(np.float32)
    light = pixels[..., :3].mean(-1, keepdims=True)
    light = light / np.percentile(light[pixels[..., 3] > 128], 80)
    painted = np.clip(np.array(PAINT[colour]) * (0.3 + 0.75 * light.clip(0, 1.25)), 0, 255)
    return Image.fromarray(np.concatenate([painted, pixels[..., 3:]], -1).astype(np.uint8))


def _posed_sprite(subject: Subject) -> Image.Image:
    """The sprite at its final size, colour and pose."""
    sprite = _sprite(subject.kind)
    if subject.colour != NATURAL:
        sprite = _tinted(sprite, subject.colour)
    scale = HEIGHTS[subject.size] / max(sprite.size)
    extent = (round(sprite.width * scale), round(sprite.height * scale))
    sprite = sprite.resize(extent, Image.Resampling.LANCZOS)
    if subject.action == "upside down":
        sprite = sprite.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return sprite


def render_subject(subject: Subject) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The subject's own layer and its shadow's, each ``(256, 256, 4) uint8`` RGBA with straight alpha."""
    sprite = _posed_sprite(subject)
    centre, ground = subject.x * SIZE, subject.ground * SIZE
    lift = JUMP if subject.action == "jumping" else 0
    layer = Image.new("RGBA", (SIZE, SIZE))
    layer.paste(sprite, (round(centre - sprite.width / 2), round(ground - lift - sprite.height)))
    shadow = Image.new("RGBA", (SIZE, SIZE))
    reach = sprite.width * (0.32 if lift else 0.45)
    ImageDraw.Draw(shadow).ellipse([centre - reach, ground - 9, centre + reach, ground + 9], fill=(0, 0, 0, 96))
    return np.asarray(layer), np.asarray(shadow.filter(ImageFilter.GaussianBlur(3)))


def _over(layer: NDArray[np.uint8], below: Picture) -> Picture:
    alpha = layer[..., 3:].astype(np.float32) / 255
    return (layer[..., :3] * alpha + below * (1 - alpha) + 0.5).astype(np.uint8)


def render(scene: Scene) -> Rendering:
    """Draw `scene`: about 12 ms on one core."""
    plate = render_background(scene.background, scene.background_seed)
    if scene.subject is None:
        return Rendering(plate, plate, np.zeros((SIZE, SIZE), bool))
    layer, shadow = render_subject(scene.subject)
    return Rendering(_over(layer, _over(shadow, plate)), plate, layer[..., 3] >= 128)
