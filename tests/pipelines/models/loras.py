"""Random LoRA files in the forms that people have, for a bundle's own layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from pipelines.models.adapters import original_name
from pipelines.models.bundle import ModelBundle

RANK = 2
Update = dict[tuple[str, str], tuple[Tensor, Tensor]]
"""``(part, layer)`` to ``(A, B)``."""


def attention(name: str) -> bool:
    return name.endswith(("to_q", "to_k", "to_v", "to_out.0", "q_proj", "v_proj"))


def update_for(
    parts: Mapping[str, nn.Module], chosen: Callable[[str], bool] = attention, seed: int = 0, size: float = 0.5
) -> Update:
    """A random update of the chosen linear and convolution layers."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random) * size

    found: Update = {}
    for part, module in parts.items():
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d) and chosen(name):
                out, *rest = layer.weight.shape
                found[part, name] = draw(RANK, *rest), draw(out, RANK, *[1] * (len(rest) - 1))
    return found


def parts_of(bundle: ModelBundle, *names: str) -> dict[str, nn.Module]:
    return {name: bundle.modules[name] for name in names or ("unet", "text_encoder")}


def as_peft(update: Update, alpha: float = RANK) -> dict[str, Tensor]:
    """As PEFT and diffusers write it: no alpha, so it is the rank, and another one is in the weights already."""
    tensors = {}
    for (part, layer), (a, b) in update.items():
        tensors[f"{part}.{layer}.lora_A.weight"], tensors[f"{part}.{layer}.lora_B.weight"] = a, b * alpha / RANK
    return tensors


def as_kohya(update: Update, alpha: float = RANK, original: nn.Module | None = None) -> dict[str, Tensor]:
    """As kohya's scripts write it; with `original`, a U-Net, by the names of the original code, as for XL."""
    tensors = {}
    for (part, layer), (a, b) in update.items():
        called = original_name(layer, original) if original is not None and part == "unet" else layer
        outer = "" if part == "unet" or called.startswith("text_model.") else "text_model."
        stem = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + (outer + called).replace(".", "_")
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = a, b
        tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
    return tensors


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({name: t.contiguous() for name, t in tensors.items()}, path, metadata)
    return path
