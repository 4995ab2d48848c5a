"""What can be set on the turns that need no model; see `pipelines.params`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipelines.curves import IDENTITY, ToneCurve
from pipelines.params import Edge, Params, knob


class Fit(StrEnum):
    """How a picture of another size is brought to this one's."""

    COVER = "cover"  # its middle fills the picture; what is over is cut off
    CONTAIN = "contain"  # all of it is seen; beside it lies a blurred copy
    STRETCH = "stretch"  # all of it, out of proportion


class Fill(StrEnum):
    """What a hole is filled with."""

    TEXTURE = "texture"  # pieces of what surrounds it
    SMOOTH = "smooth"  # its surroundings' colours, run together


class Mirror(StrEnum):
    """What is exchanged for what."""

    NONE = "none"
    SIDES = "left and right"
    ENDS = "top and bottom"
    BOTH = "both"  # half a turn


class Beyond(StrEnum):
    """What is beside a picture whose frame was extended."""

    MIRROR = "mirrored"  # what lies at the side, turned over
    EDGE = "its edge"  # the outermost pixels, drawn out
    TEXTURE = "texture"  # pieces of what there is
    WHITE = "white"
    GREY = "grey"
    BLACK = "black"


EDGE = "Where the subject ends: at the mask, fading over its feather, or as hair and fur are seen to"


def _saturation() -> Any:
    return knob(1.0, "Times as colourful; 0 is grey", 0.0, 3.0)


@dataclass(frozen=True)
class RecolourParams(Params):
    """Another colour in CIELAB: the lightness of every pixel, and so the texture, stays unless it is asked to move."""

    hue: float = knob(0.0, "Turns every hue by so much", -180.0, 180.0, "degrees")
    one_hue: bool = knob(
        False, "Gives everything the one hue instead: 40 red, 70 orange, 100 yellow, 140 green, -75 blue, -40 violet"
    )
    saturation: float = _saturation()
    added: float = knob(0.0, "Colour that is added, so that grey takes a hue too (chroma of CIELAB)", 0.0, 100.0)
    lightness: float = knob(0.0, "Lighter, or darker below 0 (L* of CIELAB)", -100.0, 100.0)
    edge: Edge = knob(Edge.SOFT, EDGE)


@dataclass(frozen=True)
class LightParams(Params):
    """Exposure, white balance and levels."""

    exposure: float = knob(0.0, "Brighter, or darker below 0", -5.0, 5.0, "stops")
    contrast: float = knob(0.0, "More contrast about middle grey, or less below 0", -1.0, 1.0)
    shadows: float = knob(0.0, "Opens the dark parts, or closes them below 0", -1.0, 1.0)
    highlights: float = knob(0.0, "Raises the bright parts, or brings them back below 0", -1.0, 1.0)
    black: int = knob(0, "The level that becomes black", 0, 254, "of 255")
    white: int = knob(255, "The level that becomes white", 1, 255, "of 255")
    warmth: float = knob(0.0, "Warmer, or cooler below 0", -1.0, 1.0)
    tint: float = knob(0.0, "Towards magenta, or green below 0", -1.0, 1.0)
    saturation: float = _saturation()
    curve: ToneCurve = knob(IDENTITY, "What becomes of each level, at last: points that a smooth curve goes through")
    edge: Edge = knob(Edge.SOFT, EDGE)


@dataclass(frozen=True)
class BackdropParams(Params):
    """The subject before a picture of one's own, a colour, or one colour that runs into another."""

    fit: Fit = knob(Fit.COVER, "How a picture is brought to this one's size")
    blur: float = knob(0.0, "Blurs the picture behind, in shares of the longer side", 0.0, 0.1)
    angle: float = knob(-90.0, "Where the first colour runs to: 0 to the right, 90 upwards", -180.0, 180.0, "degrees")
    match: float = knob(0.3, "How far the subject takes on the light and colour of what is behind it", 0.0, 1.0)
    edge: Edge = knob(Edge.MATTED, EDGE)


@dataclass(frozen=True)
class DefocusParams(Params):
    """The background out of focus, or dimmed."""

    blur: float = knob(0.01, "Blurs the background, in shares of the picture's longer side", 0.0, 0.1)
    exposure: float = knob(0.0, "Brightens it, or dims it below 0", -5.0, 2.0, "stops")
    saturation: float = _saturation()
    edge: Edge = knob(Edge.SOFT, EDGE)


@dataclass(frozen=True)
class PlaceParams(Params):
    """The subject elsewhere."""

    right: float = knob(0.0, "To the right, in shares of the picture's width", -1.0, 1.0)
    up: float = knob(0.0, "Upwards, in shares of the picture's height", -1.0, 1.0)
    scale: float = knob(1.0, "Times as large", 0.05, 8.0)
    turn: float = knob(0.0, "Turned about its middle, counterclockwise", -180.0, 180.0, "degrees")
    mirror: bool = knob(False, "Mirrored, left to right")
    twice: bool = knob(False, "Leaves it where it is too: there are two then")
    fill: Fill = knob(Fill.TEXTURE, "What fills the place that it leaves: pieces of what surrounds it, or its colours")
    margin: float = knob(0.006, "What is filled around its old place too, in shares of the longer side", 0.0, 0.1)
    edge: Edge = knob(Edge.SOFT, EDGE)


@dataclass(frozen=True)
class RemoveParams(Params):
    """The subject gone."""

    fill: Fill = knob(Fill.TEXTURE, "What fills its place: pieces of what surrounds it, or its colours run together")
    margin: float = knob(0.006, "What goes with it around its edge, in shares of the longer side", 0.0, 0.1)


@dataclass(frozen=True)
class StraightenParams(Params):
    """The whole picture turned or mirrored."""

    angle: float = knob(0.0, "Turned counterclockwise; no corner is left empty", -45.0, 45.0, "degrees")
    mirror: Mirror = knob(Mirror.NONE, "Mirrored: nothing is enlarged for that, and once more gives the picture back")
    keep_size: bool = knob(
        True,
        "Enlarges what is left when the empty corners are cut away to the size there was; off, that is the picture",
    )


def _side(what: str, most: float) -> Any:
    return knob(0.0, what, 0.0, most)


@dataclass(frozen=True)
class CropParams(Params):
    """What is cut off at each side. In the page the frame is drawn on the picture."""

    left: float = _side("Cut off at the left, in shares of the width", 0.99)
    top: float = _side("Cut off at the top, in shares of the height", 0.99)
    right: float = _side("Cut off at the right, in shares of the width", 0.99)
    bottom: float = _side("Cut off at the bottom, in shares of the height", 0.99)


@dataclass(frozen=True)
class ExtendParams(Params):
    """What is added at each side; a later turn can paint there."""

    left: float = _side("Added at the left, in shares of the width", 2.0)
    top: float = _side("Added at the top, in shares of the height", 2.0)
    right: float = _side("Added at the right, in shares of the width", 2.0)
    bottom: float = _side("Added at the bottom, in shares of the height", 2.0)
    beyond: Beyond = knob(Beyond.MIRROR, "What is there: the picture mirrored, its edge, its texture, or a colour")


@dataclass(frozen=True)
class ResizeParams(Params):
    """Another number of pixels, in the same proportions."""

    longer: int = knob(1024, "The longer side then", 16, 8192, "pixels")
    squares: bool = knob(False, "Every pixel stays one colour with hard edges, as pixel art wants it")
