"""Whether a picture is of the kind that a model was made for, told by how smooth it is. No torch here.

A drawing is flat or shaded evenly nearly everywhere and has its detail in few places; a photograph has grain, texture
or blur in most. What is a smooth photograph, an even sky and nothing else, looks like a drawing to this.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipelines.contract import Extent, Picture
from pipelines.models.folders import ModelCard

SIDE = 256
"""Pixels to which the longer side is shrunk: grain that nobody sees at that size is no texture."""
LEVELS = 2
"""Of 255: by how much three neighbours may leave a straight line in a smooth place."""


def smooth_share(picture: Picture) -> float:
    """The share of `picture` ``(H, W, 3) uint8`` that is flat or shaded evenly, 0 to 1."""
    image = Image.fromarray(picture)
    if max(image.size) > SIDE:
        small = Extent(*image.size).fitted_inside(Extent(SIDE, SIDE))
        image = image.resize((small.width, small.height), Image.Resampling.BOX)
    x = np.asarray(image, np.int16)
    if min(x.shape[:2]) < 3:
        return 1.0
    middle = 2 * x[1:-1, 1:-1]
    along, across = x[1:-1, 2:] + x[1:-1, :-2] - middle, x[2:, 1:-1] + x[:-2, 1:-1] - middle
    bent = np.maximum(np.abs(along), np.abs(across)).max(axis=2)
    return float((bent <= LEVELS).mean())


def misfit(picture: Picture, card: ModelCard) -> str:
    """Why `picture` is not what the model of `card` was made for, in words; empty where it is, or the card says
    nothing."""
    wanted = card.domain.pictures
    if wanted is None or smooth_share(picture) >= wanted.smooth:
        return ""
    told = "This looks like a photograph: what is drawn into it will hardly fit."
    return f"{card.title} was made for {wanted.made_for}. {told}"
