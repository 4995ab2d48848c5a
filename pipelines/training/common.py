"""What every training shares: the mean of the weights, the report beside them, how it talks, the device."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipelines.models.loader import fast_dtype

Say = Callable[[str], None]
"""Takes a line for whoever watches."""


def silent(_line: str) -> None:
    """Of several processes one talks, and the others have this."""


@dataclass(frozen=True)
class Report:
    """What a training reached; written beside the weights as ``training.json``."""

    model: str
    steps: int
    seconds: float
    device: str
    seed: int
    loss: float
    parameters: int
    measured: dict[str, float]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.json").write_text(json.dumps(asdict(self), indent=2) + "\n")


def best_device(wanted: str = "auto") -> torch.device:
    """The device of that name; `auto` takes a CUDA card where there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def fast_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the device multiplies it in hardware. Elsewhere it is emulated, and a step of the
    text-to-image model that takes seconds in float32 takes minutes."""
    dtype = fast_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


class Ema:
    """A running mean of the weights, which is what gets saved."""

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.decay = decay
        self.live = list(parameters)
        self.mean = [p.detach().clone().float() for p in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.mean, [p.detach().float() for p in self.live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live weights and their mean; calling it twice changes nothing."""
        for live, mean in zip(self.live, self.mean, strict=True):
            kept = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)
