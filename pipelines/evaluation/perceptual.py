"""What the library torchmetrics measures: LPIPS of two pictures, FID and KID of two sets of features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from pipelines.contract import Picture
from pipelines.errors import ModelError

NETWORKS = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""LPIPS's networks, the one that papers report first, and torchvision's files with their weights."""


def weights_folder() -> Path:
    """Where torchvision looks for weights; `TORCH_HOME` moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


class Lpips:
    """LPIPS (Zhang et al. 2018) with the first of `NETWORKS` whose weights are in `weights_folder`.

    Raises `ModelError`, which says what to put where, when there is none. Nothing is fetched.
    """

    def __init__(self, device: torch.device) -> None:
        there = [net for net, file in NETWORKS.items() if (weights_folder() / file).is_file()]
        if not there:
            folder = weights_folder()
            at = f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else folder
            raise ModelError(f"LPIPS needs the weights of a network; put torchvision's {NETWORKS['alex']} into {at}")
        self.name = f"LPIPS ({there[0]})"
        self._device = device
        self._net = LearnedPerceptualImagePatchSimilarity(net_type=there[0]).to(device).eval()

    @torch.no_grad()
    def __call__(self, a: Picture, b: Picture) -> float:
        """How unlike two ``(H, W, 3) uint8`` pictures of one size are; 0 for equal ones."""
        self._net.reset()
        return float(self._net(self._tensor(a), self._tensor(b)))

    def _tensor(self, picture: Picture) -> Tensor:
        """``(1, 3, H, W) float32`` in [-1, 1]."""
        return torch.from_numpy(picture.copy()).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1


class _Given(nn.Module):
    """The library's place for a network, where the features are there already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: NDArray[np.float32], made: NDArray[np.float32]) -> float:
    """FID of features ``(N, D)`` and ``(M, D)``, N and M at least 2; see `pipelines.evaluation.measures.frechet`."""
    fid = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    for features, is_real in ((real, True), (made, False)):
        fid.update(torch.from_numpy(features).double(), real=is_real)
    return max(0.0, float(fid.compute()))  # equal sets may come out a rounding below it


def kernel_distance(real: NDArray[np.float32], made: NDArray[np.float32]) -> float:
    """KID of features ``(N, D)`` each, N at least 2, over all of them at once, where the library's own class draws
    subsets; see `pipelines.evaluation.measures.kernel`."""
    return float(poly_mmd(torch.from_numpy(real).double(), torch.from_numpy(made).double()))
