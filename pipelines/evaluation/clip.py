"""Both halves of a CLIP folder: pictures as an `Embed`, which order swap and drift are measured with, and texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipelines.contract import Picture
from pipelines.evaluation.similarity import GREY
from pipelines.models.folders import CLIP, ModelCard
from pipelines.models.limits import MeasuredBy
from pipelines.models.loader import load_clip_text, load_clip_vision

BATCH = 16
"""Pictures embedded at once."""


def clip_that_knows(said: MeasuredBy, cards: Iterable[ModelCard]) -> ModelCard | None:
    """Of `cards` the CLIP that a model's card names for its pictures, or one that was made for no pictures in
    particular; ``None`` where neither is there."""
    clips = [card for card in cards if card.kind == CLIP]
    named = [card for card in clips if card.id == said.clip] or [card for card in clips if not card.domain.pictures]
    return named[0] if named else None


class ClipEmbed:
    """A loaded CLIP (Radford et al. 2021), told pictures only."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        self.name = card.id
        self._device = device
        self._model, self._processor = load_clip_vision(card, device)

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """``(N, D) float32`` of length 1. Nothing is cropped away: what is not square stands on grey."""
        rows = []
        for start in range(0, len(pictures), BATCH):
            some = [on_grey_square(picture) for picture in pictures[start : start + BATCH]]
            pixels: Any = self._processor(some, return_tensors="pt").pixel_values
            rows.append(F.normalize(self._model(pixels.to(self._device)).image_embeds.float(), dim=-1).cpu())
        return np.asarray(torch.cat(rows).numpy())


class ClipTexts:
    """The other half of that CLIP, told texts only."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        self._device = device
        self._model, self._tokenizer = load_clip_text(card, device)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``(N, D) float32`` of length 1; what lies beyond the model's places for tokens is cut."""
        most = self._model.config.max_position_embeddings
        told = self._tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        embeds = self._model(**told.to(self._device)).text_embeds.float()
        return np.asarray(F.normalize(embeds, dim=-1).cpu().numpy())


def on_grey_square(picture: Picture) -> Picture:
    """`picture` in the middle of a grey square."""
    height, width = picture.shape[:2]
    tall, wide = max(width - height, 0), max(height - width, 0)
    edges = (tall // 2, tall - tall // 2, wide // 2, wide - wide // 2)
    return np.asarray(cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY)))
