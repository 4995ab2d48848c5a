"""Recolour a part, and its light: exposure, white balance, levels, a curve. No torch here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import EditRequest, Picture
from pipelines.errors import BadRequest
from pipelines.hand.changed import Changed, changing_share, confined, window_of
from pipelines.hand.params import LightParams, RecolourParams

ROWS = 256
"""Rows that are turned into numbers at a time: memory stays small, and the processor's caches hold them."""
LEVELS = np.arange(256, dtype=np.float32) / 255
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
Curve = NDArray[np.floating[Any]]


def recolour(request: EditRequest, params: RecolourParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the colours as they are."""
    if replace(params, edge=RecolourParams.edge) == RecolourParams():
        raise BadRequest("every setting leaves the colours as they are; turn the hue, like hue=120, or set another one")
    share = changing_share(request, params.edge)
    window = window_of(share > 0)
    if window is None:
        return Changed(request.picture.copy(), share > 0)
    return confined(request, recoloured(request.picture[window], params), share, window)


def recoloured(picture: Picture, params: RecolourParams) -> Picture:
    """`picture` with other colours: hue and chroma in CIELAB (CIE 1976), at the lightness that each pixel has.

    A colour that has no place in sRGB becomes the nearest level of each channel.
    """
    result = np.empty_like(picture)
    angle = np.deg2rad(params.hue)
    turning = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]], np.float32
    ) * np.array([1, params.saturation, params.saturation], np.float32)
    for top in range(0, len(picture), ROWS):
        lab = cv2.cvtColor(picture[top : top + ROWS].astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
        if params.one_hue:
            chroma = cv2.magnitude(lab[..., 1], lab[..., 2]) * np.float32(params.saturation)
            if params.added:  # black and white have no hue
                chroma += np.float32(4 * params.added / 100**2) * lab[..., 0] * (100 - lab[..., 0])
            lab[..., 1], lab[..., 2] = chroma * np.float32(np.cos(angle)), chroma * np.float32(np.sin(angle))
        else:
            lab = cv2.transform(lab, turning)
            if params.added:
                chroma = cv2.magnitude(lab[..., 1], lab[..., 2])
                lab[..., 1:] *= (1 + np.float32(params.added) / np.maximum(chroma, 1))[..., None]
        if params.lightness:
            lab[..., 0] = np.clip(lab[..., 0] + np.float32(params.lightness), 0, 100)
        back = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)  # within [0, 1]
        result[top : top + ROWS] = cv2.convertScaleAbs(back, alpha=255)
    return result


def light(request: EditRequest, params: LightParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where every setting leaves the light as it is, or black is not below
    white."""
    if replace(params, edge=LightParams.edge) == LightParams():
        raise BadRequest("every setting leaves the light as it is; move one, like exposure=1")
    if params.black >= params.white:
        raise BadRequest(f"black must lie below white; got {params.black} and {params.white}")
    share = changing_share(request, params.edge)
    window = window_of(share > 0)
    if window is None:
        return Changed(request.picture.copy(), share > 0)
    lit = cv2.LUT(request.picture[window], curves_of(params)[None])
    return confined(request, saturated(lit, params.saturation), share, window)


def curves_of(params: LightParams) -> NDArray[np.uint8]:
    """One curve a channel, ``(256, 3) uint8``: exposure and white balance in linear light, the rest on the levels."""
    warm, tint = 0.35 * params.warmth, 0.35 * params.tint
    gains = 2.0 ** (params.exposure + np.array([warm + tint / 2, -tint / 2, -warm + tint / 2]))
    levels = _encoded(_linear(LEVELS)[:, None] * gains[None])
    levels = np.clip((levels * 255 - params.black) / (params.white - params.black), 0, 1)
    levels = levels + 2 * params.shadows * levels * (1 - levels) ** 3
    levels = levels + 2 * params.highlights * levels**3 * (1 - levels)
    if params.contrast:
        slope = 2.0 ** (2 * params.contrast)
        low, high = 0.5 * (2 * np.clip(levels, 0, 1)) ** slope, 1 - 0.5 * (2 * np.clip(1 - levels, 0, 1)) ** slope
        levels = np.where(levels < 0.5, low, high)
    levels = params.curve.at(np.clip(levels, 0, 1))
    return np.asarray(np.round(np.clip(levels, 0, 1) * 255).astype(np.uint8))


def exposed(picture: Picture, stops: float) -> Picture:
    """`picture` with so many stops more light."""
    if not stops:
        return picture
    return np.asarray(cv2.LUT(picture, curves_of(LightParams(exposure=stops))[None]))


def saturated(picture: Picture, times: float) -> Picture:
    """`picture` that many times as far from the grey of its own luma (ITU-R BT.709)."""
    if times == 1:
        return picture
    mixing = np.eye(3, dtype=np.float32) * np.float32(times) + np.float32(1 - times) * np.tile(LUMA, (3, 1))
    return np.asarray(cv2.transform(picture, mixing))


def _linear(levels: Curve) -> Curve:
    """sRGB levels in [0, 1] as linear light (IEC 61966-2-1)."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _encoded(light: Curve) -> Curve:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
