"""What can be set on the turns that need no model; see `pipelines.params`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipelines.params import Params, knob


class Fit(StrEnum):
    """How a picture of another size is brought to this one's."""

    COVER = "cover"  # its middle fills the picture; what is over is cut off
    CONTAIN = "contain"  # all of it is seen; beside it lies a blurred copy
    STRETCH = "stretch"  # all of it, out of proportion


class Edge(StrEnum):
    """Where a part ends."""

    HARD = "hard"  # at the mask's own edge, pixel by pixel
    SOFT = "soft"  # fading over the mask's feather
    MATTED = "matted"  # as transparent as hair and fur are seen to be there


class Fill(StrEnum):
    """What a hole is filled with."""

    TEXTURE = "texture"  # pieces of what surrounds it
    SMOOTH = "smooth"  # its surroundings' colours, run together


@dataclass(frozen=True)
class RecolourParams(Params):
    """Another colour in CIELAB: the lightness of every pixel, and so the texture, stays unless it is asked to move."""

    hue: float = knob(0.0, "Turns every hue by so much", -180.0, 180.0, "degrees")
    one_hue: bool = knob(False, "Gives everything the one hue instead: 40 red, 70 orange, 100 yellow, 140 green, -75 blue")
    saturation: float = knob(1.0, "Times as colourful; 0 is grey", 0.0, 3.0)
    lightness: float = knob(0.0, "Lighter, or darker below 0 (L* of CIELAB)", -100.0, 100.0)
    edge: Edge = knob(Edge.SOFT, "Where the part that changes ends")


@dataclass(frozen=True)
class LightParams(Params):
    """Exposure and curves."""

    exposure: float = knob(0.0, "Brighter, or darker below 0", -5.0, 5.0, "stops")
    contrast: float = knob(0.0, "More contrast about middle grey, or less below 0", -1.0, 1.0)
    shadows: float = knob(0.0, "Opens the dark parts, or closes them below 0", -1.0, 1.0)
    highlights: float = knob(0.0, "Raises the bright parts, or brings them back below 0", -1.0, 1.0)
    warmth: float = knob(0.0, "Warmer, or cooler below 0", -1.0, 1.0)
    tint: float = knob(0.0, "Towards magenta, or green below 0", -1.0, 1.0)
    saturation: float = knob(1.0, "Times as colourful; 0 is grey", 0.0, 3.0)
    edge: Edge = knob(Edge.SOFT, "Where the part that changes ends")


@dataclass(frozen=True)
class BackdropParams(Params):
    """The subject before a picture of one's own."""

    fit: Fit = knob(Fit.COVER, "How the new background is brought to this picture's size")
    blur: float = knob(0.0, "Blurs the new background, in shares of the picture's longer side", 0.0, 0.1)
    match: float = knob(0.3, "How far the subject takes on the background's light and colour", 0.0, 1.0)
    edge: Edge = knob(Edge.MATTED, "Where the subject ends")


@dataclass(frozen=True)
class DefocusParams(Params):
    """The background out of focus, or dimmed."""

    blur: float = knob(0.015, "Blurs the background, in shares of the picture's longer side", 0.0, 0.1)
    exposure: float = knob(0.0, "Brightens it, or dims it below 0", -5.0, 2.0, "stops")
    saturation: float = knob(1.0, "Times as colourful; 0 is grey", 0.0, 3.0)
    edge: Edge = knob(Edge.MATTED, "Where the subject ends")


@dataclass(frozen=True)
class PlaceParams(Params):
    """The subject elsewhere."""

    right: float = knob(0.0, "To the right, in shares of the picture's width", -1.0, 1.0)
    up: float = knob(0.0, "Upwards, in shares of the picture's height", -1.0, 1.0)
    scale: float = knob(1.0, "Times as large", 0.05, 8.0)
    turn: float = knob(0.0, "Turned, counterclockwise", -180.0, 180.0, "degrees")
    mirror: bool = knob(False, "Mirrored, left to right")
    copy: bool = knob(False, "Leaves it where it is too: there are two then")
    fill: Fill = knob(Fill.TEXTURE, "What fills the place that it leaves")
    edge: Edge = knob(Edge.SOFT, "Where the subject ends")


@dataclass(frozen=True)
class RemoveParams(Params):
    """The subject gone."""

    fill: Fill = knob(Fill.TEXTURE, "What fills its place")
    margin: float = knob(0.008, "What goes with it around its edge, in shares of the longer side", 0.0, 0.1)


@dataclass(frozen=True)
class StraightenParams(Params):
    """The whole picture turned or mirrored, at the size it has."""

    angle: float = knob(0.0, "Turned, counterclockwise, and enlarged so that no corner is empty", -45.0, 45.0, "degrees")
    mirror: bool = knob(False, "Mirrored, left to right")
