"""What a picture of the Toybox world shows, read by its CLIP: the caption that is nearest, attribute by attribute.

Zero-shot classification (Radford et al. 2021, section 3.1) over every caption that the grammar can say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel, CLIPProcessor

from pipelines.contract import Picture
from pipelines.models.folders import ModelCard
from pipelines.models.loader import load_with_processor
from pipelines.toybox.words import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    NATURAL,
    SIZES,
    SUBJECTS,
    Attributes,
    background_phrase,
    subject_phrase,
)

SHIFTS = ((0, 0), (8, 0), (-8, 0), (0, 8), (0, -8))
"""Pixels to the right and down. What a picture is taken to show is the mean over these: the patches of the vision tower
lie elsewhere in each, and of 300 held-out pictures it then takes 11 poses for others instead of 18."""

SURE = 0.6
"""Probability from which a value is taken for what the picture shows."""

NEAR = 0.8
"""Cosine of the nearest caption from which a picture is taken for one of this world. Of 150 drawn scenes the farthest
has 0.83, of 60 edited ones 0.80; flat grey has 0.79, noise and smooth colours with grain 0.75: probabilities say
nothing there, they are of captions of this world alone."""


class SceneReader:
    """Reads attributes off pictures. What it knows of a background's captions it keeps, 756 of them for each."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        self._device = device
        self._model, self._processor = load_with_processor(card, device, CLIPModel, CLIPProcessor, part="the model")
        self._subjects = list(product(SUBJECTS, (NATURAL, *COLOURS), SIZES, ACTIONS))
        self._captions: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, picture: Picture) -> Attributes:
        """What `picture` shows; ``None`` for what cannot be told."""
        shifted = [_shifted(picture, right, down) for right, down in SHIFTS]
        pixels = self._processor(images=shifted, return_tensors="pt").pixel_values.to(self._device)
        seen = F.normalize(self._model.visual_projection(self._model.vision_model(pixels).pooler_output), dim=-1)
        scale = self._model.logit_scale.exp()
        places = [
            f"{subject_phrase(kind)} {background_phrase(place)}" for place, kind in product(BACKGROUNDS, SUBJECTS)
        ]
        background = list(BACKGROUNDS)[int((self._of(places) @ seen[0]).argmax()) // len(SUBJECTS)]
        likeness = self._captions_on(background) @ seen.T  # (756, shifts)
        if likeness.mean(1).max() < NEAR:
            return Attributes(background=background)
        likely = F.softmax(scale * likeness, dim=0).mean(1).tolist()
        kind, colour, size, action = (self._surest(likely, k) for k in range(4))
        return Attributes(kind, colour, size, action, background)

    def _surest(self, likely: Sequence[float], k: int) -> str | None:
        """The value of the attribute at `k` that most of the probability falls to, if that is enough of it."""
        sums: dict[str, float] = {}
        for values, share in zip(self._subjects, likely, strict=True):
            sums[values[k]] = sums.get(values[k], 0.0) + share
        best = max(sums, key=lambda value: sums[value])
        return best if sums[best] >= SURE else None

    def _captions_on(self, background: str) -> Tensor:
        """``(756, D)`` unit vectors, in the order of `_subjects`."""
        if background not in self._captions:
            place = background_phrase(background)
            self._captions[background] = self._of([f"{subject_phrase(*values)} {place}" for values in self._subjects])
        return self._captions[background]

    def _of(self, captions: Sequence[str]) -> Tensor:
        """``(N, D)`` unit vectors."""
        inputs = self._processor(text=list(captions), padding=True, truncation=True, return_tensors="pt")
        said = self._model.text_model(**inputs.to(self._device)).pooler_output
        return F.normalize(self._model.text_projection(said), dim=-1)


def _shifted(picture: Picture, right: int, down: int) -> Picture:
    """`picture` moved by so many pixels; its edge is drawn out into what becomes free."""
    height, width = picture.shape[:2]
    moved = cv2.warpAffine(
        picture, np.array([[1, 0, right], [0, 1, down]], np.float32), (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)
