"""Recolour a part, and its light: exposure and curves. No torch here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Picture
from pipelines.errors import BadRequest
from pipelines.hand.changed import Changed, confined, share_of, window_of
from pipelines.hand.params import LightParams, RecolourParams

ROWS = 256
"""Rows that are turned into numbers at a time: memory stays small, and the processor's caches hold them."""
LEVELS = np.arange(256, dtype=np.float32) / 255
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def recolour(request: EditRequest, params: RecolourParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the colours as they are."""
    if (params.hue, params.one_hue, params.saturation, params.lightness) == (0.0, False, 1.0, 0.0):
        raise BadRequest("every setting leaves the colours as they are; turn the hue, or set saturation or lightness")
    share = share_of(request, params.edge)
    window = window_of(share > 0)
    if window is None:
        return Changed(request.picture.copy(), share > 0)
    return confined(request, recoloured(request.picture[window], params), share, window)


def recoloured(picture: Picture, params: RecolourParams) -> Picture:
    """`picture` with other colours: hue and chroma in CIELAB, at the lightness that each pixel has."""
    result = np.empty_like(picture)
    angle = np.deg2rad(params.hue)
    turning = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]], np.float32
    ) * np.array([1, params.saturation, params.saturation], np.float32)
    for top in range(0, len(picture), ROWS):
        lab = cv2.cvtColor(picture[top : top + ROWS].astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
        if params.one_hue:
            chroma = cv2.magnitude(lab[..., 1], lab[..., 2]) * np.float32(params.saturation)
            lab[..., 1], lab[..., 2] = chroma * np.float32(np.cos(angle)), chroma * np.float32(np.sin(angle))
        else:
            lab = cv2.transform(lab, turning)
        if params.lightness:
            lab[..., 0] = np.clip(lab[..., 0] + np.float32(params.lightness), 0, 100)
        result[top : top + ROWS] = cv2.convertScaleAbs(
            np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), alpha=255
        )
    return result


def light(request: EditRequest, params: LightParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the light as it is."""
    curves = curves_of(params)
    if params.saturation == 1 and np.array_equal(curves, np.tile(np.arange(256, dtype=np.uint8)[:, None], 3)):
        raise BadRequest("every setting leaves the light as it is; move one, like exposure=1")
    share = share_of(request, params.edge)
    window = window_of(share > 0)
    if window is None:
        return Changed(request.picture.copy(), share > 0)
    lit = cv2.LUT(request.picture[window], curves[None])
    return confined(request, saturated(lit, params.saturation), share, window)


def curves_of(params: LightParams) -> NDArray[np.uint8]:
    """One curve a channel, ``(256, 3) uint8``: exposure and white balance in linear light, the rest on the levels."""
    warm, tint = 0.35 * params.warmth, 0.35 * params.tint
    gains = 2.0 ** (params.exposure + np.array([warm + tint / 2, -tint / 2, -warm + tint / 2]))
    levels = _encoded(_linear(LEVELS)[:, None] * gains[None])
    levels = levels + 0.5 * params.shadows * levels * (1 - levels) ** 3 * 4
    levels = levels + 0.5 * params.highlights * levels**3 * (1 - levels) * 4
    if params.contrast:
        slope = 2.0 ** (2 * params.contrast)
        low, high = 0.5 * (2 * np.clip(levels, 0, 1)) ** slope, 1 - 0.5 * (2 * np.clip(1 - levels, 0, 1)) ** slope
        levels = np.where(levels < 0.5, low, high)
    return np.asarray(np.round(np.clip(levels, 0, 1) * 255).astype(np.uint8))


def exposed(picture: Picture, stops: float) -> Picture:
    """`picture` with so many stops more light."""
    if not stops:
        return picture
    return np.asarray(cv2.LUT(picture, curves_of(LightParams(exposure=stops))[None]))


def saturated(picture: Picture, times: float) -> Picture:
    """`picture` that many times as far from grey of the same luma."""
    if times == 1:
        return picture
    mixing = np.eye(3, dtype=np.float32) * np.float32(times) + np.float32(1 - times) * np.tile(LUMA, (3, 1))
    return np.asarray(cv2.transform(picture, mixing))


def _linear(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB levels in [0, 1] as linear light (IEC 61966-2-1)."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _encoded(light: NDArray[np.floating]) -> NDArray[np.floating]:  # type: ignore[type-arg]
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
