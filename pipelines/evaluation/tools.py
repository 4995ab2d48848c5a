"""The models that the measures need, as far as they are at hand; for what is not, a sentence says what to put where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Picture
from pipelines.errors import ModelError
from pipelines.evaluation.clip import ClipEmbed, ClipTexts, clip_that_knows
from pipelines.evaluation.measures import Tools
from pipelines.evaluation.perceptual import Lpips
from pipelines.evaluation.similarity import Embed
from pipelines.models.folders import find_models
from pipelines.models.limits import NOTHING_CALIBRATED
from pipelines.models.loader import device_named


class EmbedOnce:
    """An `Embed` that looks at each picture once: several measures ask for the same ones."""

    def __init__(self, embed: Embed) -> None:
        self.name = embed.name
        self._embed = embed
        self._seen: dict[str, NDArray[np.float32]] = {}

    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """As `Embed`."""
        keys = [hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).hexdigest() for picture in pictures]
        new = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._seen}
        if new:
            self._seen |= zip(new, self._embed(list(new.values())), strict=True)
        return np.stack([self._seen[key] for key in keys])


def tools_for(model: str, folders: tuple[Path, ...], device: str) -> tuple[Tools, tuple[str, ...]]:
    """What the pictures of `model` are measured with, and a remark for each tool that is missing."""
    where, cards, remarks = device_named(device), find_models(folders), []
    said = cards[model].domain.measured_by if model in cards else NOTHING_CALIBRATED
    card = clip_that_knows(said, cards.values())
    pictures = texts = perceptual = None
    if card is None:
        remarks.append("no CLIP here knows this model's pictures; put the folder of one among the models")
    else:
        try:
            pictures, texts = EmbedOnce(ClipEmbed(card, where)), ClipTexts(card, where)
        except ModelError as error:
            remarks.append(str(error))
    try:
        perceptual = Lpips(where)
    except ModelError as error:
        remarks.append(str(error))
    return Tools(pictures, texts, perceptual), tuple(remarks)
