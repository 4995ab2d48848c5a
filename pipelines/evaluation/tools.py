"""The models that the measures need, as far as they are at hand; for what is not, a sentence says what to put where."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import ModelError
from pipelines.evaluation.clip import ClipEmbed, ClipTexts, clip_that_knows
from pipelines.evaluation.measures import Tools
from pipelines.evaluation.perceptual import Lpips
from pipelines.models.folders import find_models
from pipelines.models.limits import NOTHING_CALIBRATED
from pipelines.models.loader import device_named


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
            pictures, texts = ClipEmbed(card, where), ClipTexts(card, where)
        except ModelError as error:
            remarks.append(str(error))
    try:
        perceptual = Lpips(where)
    except ModelError as error:
        remarks.append(str(error))
    return Tools(pictures, texts, perceptual), tuple(remarks)
