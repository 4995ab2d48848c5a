"""Models that find what a phrase names: CLIPSeg, Grounding DINO and SAM 3 folders.

CLIPSeg (Lueddecke & Ecker, arXiv 2112.10003) paints one soft mask, Grounding DINO (Liu et al., arXiv 2303.05499) draws
boxes, and SAM 3 (Carion et al., arXiv 2511.16719) finds every instance of a concept. Each is brought to one convention,
`Match`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Sam3Model,
    Sam3Processor,
)

from pipelines.contract import Box, Extent, Picture
from pipelines.errors import ModelError
from pipelines.masks.phrases import MOST_MATCHES, Match, PhraseFinder, box_of
from pipelines.models.configs import read_config
from pipelines.models.folders import ModelCard
from pipelines.models.loader import load_with_processor

CLIPSEG_THRESHOLD = 0.4
"""Of a pixel's probability. This and the next two are choices that were not measured on trained weights."""
DINO_THRESHOLD = 0.3
"""Of a box's score."""
SAM3_THRESHOLD = 0.5
"""Of an instance's score."""
SAM3_WORDS = 32
"""Tokens that its text encoder was trained on."""


class ClipSegFinder:
    """One soft mask for the whole phrase, cut at `CLIPSEG_THRESHOLD`."""

    classes = (CLIPSegForImageSegmentation, CLIPSegProcessor)

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self._model, self._processor, self.name = model, processor, name

    @torch.no_grad()
    def find(self, picture: Picture, phrase: str) -> tuple[Match, ...]:
        """See `PhraseFinder.find`; at most one match."""
        inputs = self._processor(text=[phrase], images=[picture], return_tensors="pt", truncation=True)
        logits = self._model(**inputs.to(self._model.device)).logits.view(1, 1, *self._side())
        chance = F.interpolate(logits, picture.shape[:2], mode="bilinear").sigmoid()[0, 0].cpu().numpy()
        mask = np.asarray(chance > CLIPSEG_THRESHOLD)
        return (Match(float(chance[mask].mean()), box_of(mask), mask),) if mask.any() else ()

    def _side(self) -> tuple[int, int]:
        side = self._model.config.vision_config.image_size
        return side, side


class GroundingDinoFinder:
    """Boxes around what the phrase names."""

    classes = (GroundingDinoForObjectDetection, GroundingDinoProcessor)

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self._model, self._processor, self.name = model, processor, name

    @torch.no_grad()
    def find(self, picture: Picture, phrase: str) -> tuple[Match, ...]:
        """See `PhraseFinder.find`. The model was trained on texts in lower case that end in a full stop."""
        extent = Extent.of(picture)
        text = phrase.lower().rstrip(".") + "."
        inputs = self._processor(images=picture, text=text, return_tensors="pt", truncation=True)
        outputs = self._model(**inputs.to(self._model.device))
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold=DINO_THRESHOLD, target_sizes=[(extent.height, extent.width)]
        )
        boxes = [(float(s), _inside(b.tolist(), extent)) for s, b in zip(found["scores"], found["boxes"], strict=True)]
        return _best([Match(score, box) for score, box in boxes if not box.is_empty])


class Sam3Finder:
    """Every instance of the phrase's concept, with its mask."""

    classes = (Sam3Model, Sam3Processor)

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self._model, self._processor, self.name = model, processor, name

    @torch.no_grad()
    def find(self, picture: Picture, phrase: str) -> tuple[Match, ...]:
        """See `PhraseFinder.find`."""
        image = self._processor(images=picture, return_tensors="pt").to(self._model.device)
        words = self._processor.tokenizer(
            [phrase], padding="max_length", max_length=SAM3_WORDS, truncation=True, return_tensors="pt"
        ).to(self._model.device)
        outputs = self._model(
            pixel_values=image["pixel_values"], input_ids=words["input_ids"], attention_mask=words["attention_mask"]
        )
        (found,) = self._processor.post_process_instance_segmentation(
            outputs, threshold=SAM3_THRESHOLD, target_sizes=[picture.shape[:2]]
        )
        masks = found["masks"].bool().cpu().numpy()
        scored = [(float(s), np.asarray(m)) for s, m in zip(found["scores"], masks, strict=True) if m.any()]
        return _best([Match(score, box_of(mask), mask) for score, mask in scored])


FINDERS: dict[str, Any] = {
    "sam3": Sam3Finder,
    "sam3_video": Sam3Finder,
    "grounding-dino": GroundingDinoFinder,
    "clipseg": ClipSegFinder,
}
"""By the ``model_type`` of a folder's configuration."""


def load_finder(card: ModelCard, device: torch.device) -> PhraseFinder:
    """The phrase finder of `card`'s folder; raises `ModelError` for files that are missing, damaged or unsafe."""
    model_type = str(read_config(card.path / "config.json").get("model_type"))
    if model_type not in FINDERS:
        raise ModelError(f"the model {card.id!r} reads no phrases: expected one of {', '.join(FINDERS)}")
    finder = FINDERS[model_type]
    model, processor = load_with_processor(card, device, *finder.classes, part="the phrase finder")
    found: PhraseFinder = finder(model, processor, card.id)
    return found


def _inside(edges: list[float], extent: Extent) -> Box:
    left, top, right, bottom = edges
    return Box(max(left, 0.0), max(top, 0.0), min(right, float(extent.width)), min(bottom, float(extent.height)))


def _best(matches: list[Match]) -> tuple[Match, ...]:
    return tuple(sorted(matches, key=lambda match: -match.score)[:MOST_MATCHES])
