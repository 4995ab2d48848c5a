"""Turns an original one-file checkpoint over into the parts of a bundle, with diffusers' own conversion of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines.errors import ModelError
from pipelines.models.original import READERS, Reader, form_of, reader_config, unet_config, vae_config
from pipelines.models.weights import read_header


def original_modules(path: Path) -> dict[str, nn.Module]:
    """The networks in `path` by the names they would have in a diffusers folder, float32, on the CPU.

    Raises `ModelError` for a file of no family we know, or whose parts lack weights.
    """
    shapes = read_header(path).shapes
    form = form_of(shapes)
    tensors: Mapping[str, Tensor] = safetensors.torch.load_file(path)
    unet, vae = unet_config(shapes, form), vae_config(shapes, form)
    parts = {
        "unet": _filled(
            "unet", lambda: UNet2DConditionModel.from_config(unet), convert_ldm_unet_checkpoint(tensors, unet)
        ),
        "vae": _filled("vae", lambda: AutoencoderKL.from_config(vae), convert_ldm_vae_checkpoint(tensors, vae)),
    }
    for reader in READERS[form]:
        parts[reader.part] = _reader(reader, CLIPTextConfig(**reader_config(shapes, reader)), tensors)
    return parts


def _reader(reader: Reader, config: CLIPTextConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    kind = CLIPTextModel if reader.part == "text_encoder" else CLIPTextModelWithProjection
    if reader.open_clip:
        with init_empty_weights():
            empty = kind(config)
        weights = convert_open_clip_checkpoint(empty, tensors, prefix=reader.prefix)
    else:
        weights = convert_ldm_clip_checkpoint(tensors, remove_prefix=reader.prefix)
    return _filled(reader.part, lambda: kind(config), weights)


def _filled(part: str, build: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> nn.Module:
    """The module that `build` makes, with `weights` for its numbers; what it does not know is left out."""
    with init_empty_weights():
        module = build()
    own = {name: t.float() for name, t in weights.items()}
    if part.startswith("text_encoder"):  # whose outer name some files, and newer versions of the library, leave out
        outer = "text_model." if any(name.startswith("text_model.") for name in module.state_dict()) else ""
        bare = {name.removeprefix("text_model."): t for name, t in own.items()}
        own = {name if name.startswith("text_projection") else outer + name: t for name, t in bare.items()}
    missing = module.load_state_dict(own, strict=False, assign=True).missing_keys
    if missing:
        raise ModelError(f"its {part} lacks {len(missing)} weights, first {missing[0]}")
    return module
