"""Which of the segmenters a model folder or file holds."""

from __future__ import annotations

import torch

from pipelines.masks.sam import load_sam
from pipelines.masks.segmenter import Segmenter
from pipelines.models.configs import read_config
from pipelines.models.folders import TRANSFORMERS_SAM, ModelCard


def load_segmenter(card: ModelCard, device: torch.device) -> Segmenter:
    """The segmenter of `card`, on `device`; raises `ModelError` for what is missing, damaged or not safe to open."""
    model_type = read_config(card.path / "config.json").get("model_type") if card.path.is_dir() else None
    if model_type in TRANSFORMERS_SAM:
        # Imported now: these families take a second that a first click on another one does not have.
        from pipelines.masks.transformers_sam import load_transformers_sam

        return load_transformers_sam(card, model_type, device)
    return load_sam(card.path, device)
