"""ViTMatte (Yao et al., arXiv 2305.15272): a network that tells how transparent each pixel at an edge is, from a
picture and a trimap. A folder of transformers' ``VitMatteForImageMatting`` holds one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import VitMatteForImageMatting, VitMatteImageProcessor

from pipelines.contract import Picture
from pipelines.models.folders import ModelCard
from pipelines.models.loader import load_with_processor


class ViTMatte:
    """A `pipelines.contract.Matte`. It holds nothing but frozen weights, so any number of threads may ask at once."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor

    @torch.no_grad()
    def __call__(self, picture: Picture, trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Matte`."""
        height, width = trimap.shape
        pixels = self._processor(images=picture, trimaps=trimap, return_tensors="pt")["pixel_values"]
        alphas = self._model(pixel_values=pixels.to(self._model.device)).alphas  # (1, 1, H, W), padded below and right
        return np.asarray(alphas[0, 0, :height, :width].float().cpu().numpy())


def load_vitmatte(card: ModelCard, device: torch.device) -> ViTMatte:
    """The network of `card`'s folder; raises `ModelError` for files that are missing, damaged or not safe to open."""
    return ViTMatte(
        *load_with_processor(
            card, device, VitMatteForImageMatting, VitMatteImageProcessor, part="the network that mattes"
        )
    )
