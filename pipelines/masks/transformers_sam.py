"""Segment Anything as transformers keeps it, behind the `Segmenter` protocol: folders of SAM, SAM-HQ, SAM 2, EdgeTAM
and the tracker of SAM 3.

SAM-HQ (Ke et al., arXiv 2306.01567) is SAM with one more answer from earlier features. SAM 2 (Ravi et al., arXiv
2408.00714), EdgeTAM (Zhou et al., arXiv 2501.07256) and SAM 3 (Carion et al., arXiv 2511.16719) answer pictures here; a
folder of a video model holds those weights too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import (
    EdgeTamModel,
    Sam2ImageProcessor,
    Sam2Model,
    Sam3ImageProcessor,
    Sam3TrackerModel,
    SamHQModel,
    SamImageProcessor,
    SamModel,
)
from transformers.utils import is_timm_available

from pipelines.contract import Box, Extent, Picture
from pipelines.errors import ModelError
from pipelines.masks.passes import LABELS, Pass, ask, check_shape
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import Embedding, SegmenterAnswer
from pipelines.models.folders import ModelCard
from pipelines.models.loader import load_with_processor

CLASSES = {
    "sam": (SamModel, SamImageProcessor),
    "sam_hq": (SamHQModel, SamImageProcessor),
    "sam2": (Sam2Model, Sam2ImageProcessor),
    "sam2_video": (Sam2Model, Sam2ImageProcessor),
    "edgetam": (EdgeTamModel, Sam2ImageProcessor),
    "edgetam_video": (EdgeTamModel, Sam2ImageProcessor),
    "sam3_tracker": (Sam3TrackerModel, Sam3ImageProcessor),
}
"""By the ``model_type`` of a folder's configuration."""


@dataclass(frozen=True, eq=False)
class _Features:
    """An embedded picture."""

    maps: dict[str, Any]
    """What the network is given of it, by the names of its arguments: a map ``(1, C, h, w) float32`` of SAM, beside it
    an earlier feature, ``(1, h, w, D) float32``, of SAM-HQ, and three maps from fine to coarse of the later ones."""
    frame: Extent
    """What the network sees of the picture: SAM keeps the aspect and pads, the later ones stretch to their square."""


class TransformersSegmenter:
    """A loaded network of these. It holds nothing but frozen weights, so any number of threads may ask at once."""

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.name = name
        self._model = model
        self._processor = processor
        self._pads = isinstance(model, SamModel | SamHQModel)

    @torch.no_grad()
    def embed(self, picture: Picture) -> Embedding:
        """See `Segmenter.embed`. The features are 4 MB for SAM, 17 MB for SAM-HQ, 16 MB for SAM 2."""
        extent = Extent.of(picture)
        if self._pads:
            check_shape(extent, self._processor.size["longest_edge"])
        prepared = self._processor(picture, return_tensors="pt")
        pixels: Tensor = prepared["pixel_values"]
        height, width = prepared["reshaped_input_sizes"][0].tolist() if self._pads else pixels.shape[-2:]
        found = self._model.get_image_embeddings(pixels.to(self._model.device))
        maps = {"image_embeddings": found}
        if isinstance(self._model, SamHQModel):  # which keeps a feature for each of its global layers, and reads one
            maps = {"image_embeddings": found[0], "intermediate_embeddings": found[1][:1]}
        tensors = [one for kept in maps.values() for one in ([kept] if isinstance(kept, Tensor) else kept)]
        size = sum(one.nbytes for one in tensors)
        return Embedding(extent, self.name, _Features(maps, Extent(width, height)), size)

    def segment(self, embedding: Embedding, prompts: MaskPrompts) -> SegmenterAnswer:
        """See `Segmenter.segment`."""
        embedding.check_made_by(self.name)
        decode = partial(self._decode, embedding.features, embedding.extent)
        return ask(decode, embedding.extent, prompts, LABELS)

    @torch.no_grad()
    def _decode(
        self,
        features: _Features,
        extent: Extent,
        clicks: Sequence[Click] = (),
        box: Box | None = None,
        before: Tensor | None = None,
        alternatives: bool = False,
    ) -> Pass:
        """See `Decoder`. The logits are ``(4h, 4w) float32`` each, for an embedding of ``h x w``."""
        device = self._model.device
        scale = torch.tensor([features.frame.width / extent.width, features.frame.height / extent.height])
        points = torch.tensor([(click.x, click.y) for click in clicks]).view(1, 1, -1, 2) * scale
        labels = torch.tensor([int(click.include) for click in clicks]).view(1, 1, -1)
        corners = None if box is None else torch.tensor([[box.left, box.top], [box.right, box.bottom]]) * scale
        found = self._model(
            **features.maps,
            input_points=points.to(device) if clicks else None,
            input_labels=labels.to(device) if clicks else None,
            input_boxes=None if corners is None else corners.view(1, 1, 4).to(device),
            input_masks=None if before is None else before[None, None],
            multimask_output=alternatives,
        )
        logits = found.pred_masks[0]  # (1, K, 4h, 4w)
        sizes = [(extent.height, extent.width)]
        if self._pads:
            frame = [(features.frame.height, features.frame.width)]
            (masks,) = self._processor.post_process_masks([logits], sizes, frame)
        else:
            (masks,) = self._processor.post_process_masks([logits], sizes)
        return Pass(masks[0].cpu().numpy(), found.iou_scores[0, 0].float().cpu().numpy(), tuple(logits[0]))


def load_transformers_sam(card: ModelCard, model_type: str, device: torch.device) -> TransformersSegmenter:
    """The segmenter of `card`'s folder; raises `ModelError` for files that are missing, damaged or not safe to open."""
    if model_type.startswith("edgetam") and not is_timm_available():
        raise ModelError(
            f"the model {card.id!r} has a network of timm, which is not here; install it: pip install timm"
        )
    model, processor = load_with_processor(card, device, *CLASSES[model_type], part="the segmenter")
    return TransformersSegmenter(model, processor, card.id)
