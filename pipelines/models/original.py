"""One-file checkpoints in the original form of Stable Diffusion 1.x, 2.x and XL, as they are shared.

Such a file holds the numbers of every part and no configuration, so the shapes tell it: how wide and how deep each
part is. What shapes cannot tell is the family's: the number of attention heads, the noise it was trained with, the
autoencoder's scale, what the network predicts. This file reads names and shapes; `loader` turns the tensors over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.errors import ModelError
from pipelines.models.configs import CARD
from pipelines.models.weights import Header

UNET = "model.diffusion_model."
VAE = "first_stage_model."
MOST_LAYERS = 200
"""Of one part. A file of a few bytes can name a layer of any number, and all before it would be built."""
HEAD = 64
"""Channels of one attention head, in every text encoder and in the networks of 2.x and XL."""

TOKENIZER = Path(__file__).resolve().parents[2] / "assets" / "tokenizer"
"""CLIP's vocabulary, which all of Stable Diffusion reads with and no checkpoint holds."""

Shapes = Mapping[str, tuple[int, ...]]

EDM = {
    "edm_vpred.sigma_max": "it predicts v over EDM's continuous noise levels, as CosXL does",
    "edm_mean": "it was trained with EDM's noise on latents of its own mean and deviation, as Playground 2.5 was",
}
"""Keys by which a checkpoint says that it follows EDM (Karras et al. 2022), and what each means."""
OUR_NOISE = "what is sampled here is the noise schedule of Stable Diffusion; choose a model trained with that"
"""What follows the reason why a model of other noise cannot be used."""


class Form(StrEnum):
    """The families, by the text encoder that is in the file."""

    SD1 = "Stable Diffusion 1.x"
    SD2 = "Stable Diffusion 2.x"
    XL = "Stable Diffusion XL"


@dataclass(frozen=True)
class Reader:
    """One text encoder of a family."""

    part: str
    prefix: str
    open_clip: bool
    """Whether its tensors have OpenCLIP's names."""
    act: str
    pad: str
    """The token that fills what the text leaves."""


READERS = {
    Form.SD1: (Reader("text_encoder", "cond_stage_model.transformer.", False, "quick_gelu", "<|endoftext|>"),),
    Form.SD2: (Reader("text_encoder", "cond_stage_model.model.", True, "gelu", "!"),),
    Form.XL: (
        Reader("text_encoder", "conditioner.embedders.0.transformer.", False, "quick_gelu", "<|endoftext|>"),
        Reader("text_encoder_2", "conditioner.embedders.1.model.", True, "gelu", "!"),
    ),
}
SCALE = {Form.SD1: 0.18215, Form.SD2: 0.18215, Form.XL: 0.13025}
"""What the autoencoder's latents are multiplied by."""


def is_original(header: Header) -> bool:
    """Whether the file holds a network in the original form."""
    return f"{UNET}input_blocks.0.0.weight" in header.shapes


def form_of(shapes: Shapes) -> Form:
    """Raises `ModelError` for a file of no family we know, of other noise than theirs, or that lacks a whole part."""
    found = [form for form, readers in READERS.items() if all(_has(shapes, r.prefix) for r in readers)]
    if not found and _has(shapes, "conditioner.embedders.0.model."):
        raise ModelError("it is the refiner of Stable Diffusion XL, which only finishes what another model began")
    if not found:
        raise ModelError(
            "it holds a U-Net but no text encoder of Stable Diffusion 1.x, 2.x or XL; take the full checkpoint"
        )
    if not _has(shapes, f"{VAE}decoder."):
        raise ModelError("it holds no autoencoder (first_stage_model); take the full checkpoint")
    if edm := next((told for key, told in EDM.items() if key in shapes), None):
        raise ModelError(f"{edm}; {OUR_NOISE}")
    return found[0]


def _has(shapes: Shapes, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in shapes)


def prediction_of(header: Header, form: Form, said: Mapping[str, Any]) -> str:
    """What the network predicts: as the card beside the file says, or the file's own note, or as its family usually
    does (2.x as published with 768 pixels, which predicts v; its 512 pixels and its inpainting predict noise)."""
    noted = header.notes.get("modelspec.prediction_type", "")
    if told := said.get("prediction_type") or {"v": "v_prediction", "epsilon": "epsilon"}.get(noted):
        return str(told)
    if "v_pred" in header.shapes:
        return "v_prediction"
    inputs = _shape(header.shapes, f"{UNET}input_blocks.0.0.weight", 4)[1]
    return "v_prediction" if form is Form.SD2 and inputs == 4 and resolution_of(header, form, said) > 512 else "epsilon"


def resolution_of(header: Header, form: Form, said: Mapping[str, Any]) -> int:
    """Pixels a side, as the card says, or the file's own note, or as its family usually has."""
    noted = re.match(r"(\d{2,4})(?!\d)", header.notes.get("modelspec.resolution", ""))
    told: int = said.get("resolution") or (int(noted[1]) if noted else 0)
    if CARD["resolution"].admits(told):
        return told
    if form is Form.SD2:
        return 768 if _shape(header.shapes, f"{UNET}input_blocks.0.0.weight", 4)[1] == 4 else 512
    return {Form.SD1: 512, Form.XL: 1024}[form]


def scheduler_config(header: Header, form: Form, said: Mapping[str, Any]) -> dict[str, Any]:
    """The noise that all of Stable Diffusion was trained with."""
    return {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "prediction_type": prediction_of(header, form, said),
        "rescale_betas_zero_snr": "ztsnr" in header.shapes,
    }


def unet_config(shapes: Shapes, form: Form) -> dict[str, Any]:
    """The ``config.json`` that the network would have in a diffusers folder; raises `ModelError` where it is none."""
    levels: list[list[tuple[int, int]]] = [[]]  # of each block: channels, and transformers in its attention
    for i in range(1, _count(shapes, rf"{UNET}input_blocks\.(\d+)\.")):
        block = f"{UNET}input_blocks.{i}."
        if f"{block}0.op.weight" in shapes:
            levels.append([])
        else:
            depth = _count(shapes, rf"{block}1\.transformer_blocks\.(\d+)\.")
            levels[-1].append((_shape(shapes, f"{block}0.in_layers.2.weight", 4)[0], depth))
    if not all(levels):
        raise ModelError("its U-Net must have blocks at every level; it has a level without any")
    channels = [level[0][0] for level in levels]
    depths = [level[0][1] for level in levels]
    reads = [name for name in shapes if name.startswith(UNET) and name.endswith("attn2.to_k.weight")]
    words = {_shape(shapes, name, 2)[1] for name in reads}
    if len(words) != 1:
        raise ModelError(f"its U-Net must read texts of one width; its layers read {sorted(words) or 'none'}")
    linear = any(name.endswith("1.proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)]
    config: dict[str, Any] = {
        "in_channels": _shape(shapes, f"{UNET}input_blocks.0.0.weight", 4)[1],
        "out_channels": _shape(shapes, f"{UNET}out.2.weight", 4)[0],
        "block_out_channels": channels,
        "layers_per_block": len(levels[0]),
        "down_block_types": down,
        "up_block_types": up,
        "transformer_layers_per_block": [max(depth, 1) for depth in depths],
        "cross_attention_dim": words.pop(),
        "use_linear_projection": linear,
        # By an old mistake of that library this field is the number of heads.
        "attention_head_dim": 8 if form is Form.SD1 else [max(width // HEAD, 1) for width in channels],
    }
    if form is Form.XL:
        told = _shape(shapes, f"{UNET}label_emb.0.0.weight", 2)[1]
        summary = _shape(shapes, f"{READERS[form][1].prefix}text_projection", 2)[1]
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (told - summary) // 6,
            "projection_class_embeddings_input_dim": told,
        }
    return config


def vae_config(shapes: Shapes, form: Form) -> dict[str, Any]:
    """The ``config.json`` that the autoencoder would have in a diffusers folder; raises `ModelError` for none."""
    levels = _count(shapes, rf"{VAE}encoder\.down\.(\d+)\.")
    channels = [_shape(shapes, f"{VAE}encoder.down.{level}.block.0.conv1.weight", 4)[0] for level in range(levels)]
    return {
        "block_out_channels": channels,
        "layers_per_block": _count(shapes, rf"{VAE}encoder\.down\.0\.block\.(\d+)\."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "latent_channels": _shape(shapes, f"{VAE}decoder.conv_in.weight", 4)[1],
        "scaling_factor": SCALE[form],
    }


def reader_config(shapes: Shapes, reader: Reader) -> dict[str, Any]:
    """The ``config.json`` that a text encoder would have in a diffusers folder; raises `ModelError` for none."""
    if reader.open_clip:
        table, places = "token_embedding.weight", "positional_embedding"
        layer, inner = r"transformer\.resblocks\.(\d+)\.", "transformer.resblocks.0.mlp.c_fc.weight"
    else:
        # Some leave out the outer name, as newer versions of the library do.
        outer = "text_model." if _has(shapes, f"{reader.prefix}text_model.") else ""
        table, places = f"{outer}embeddings.token_embedding.weight", f"{outer}embeddings.position_embedding.weight"
        layer, inner = rf"{outer}encoder\.layers\.(\d+)\.", f"{outer}encoder.layers.0.mlp.fc1.weight"
    vocabulary, width = _shape(shapes, reader.prefix + table, 2)
    layers = _count(shapes, re.escape(reader.prefix) + layer)
    projection = f"{reader.prefix}text_projection"
    summary = _shape(shapes, projection, 2)[1] if projection in shapes else width
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": _shape(shapes, reader.prefix + inner, 2)[0],
        # 2.x reads the last layer but one, so the last is not built.
        "num_hidden_layers": layers - 1 if reader.open_clip and reader.part == "text_encoder" else layers,
        "num_attention_heads": max(width // HEAD, 1),
        "max_position_embeddings": _shape(shapes, reader.prefix + places, 2)[0],
        "hidden_act": reader.act,
        "projection_dim": summary,
    }


def _shape(shapes: Shapes, name: str, sides: int) -> tuple[int, ...]:
    """The shape of a tensor that must be there, with that many sides and no empty one; raises `ModelError`."""
    found = shapes.get(name)
    if found is None:
        raise ModelError(f"it lacks {name}; take the full checkpoint")
    if len(found) != sides or 0 in found:
        told = "x".join(map(str, found)) or "a single number"
        raise ModelError(f"{name} must have {sides} sides of 1 or more; it is {told}")
    return found


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that `pattern` finds at the start of a name; raises `ModelError` for a number
    that no model has."""
    found = {match[1] for name in shapes if (match := re.match(pattern, name))}
    if any(len(number) > 4 or int(number) >= MOST_LAYERS for number in found):
        longest = max(found, key=lambda number: (len(number), number))
        raise ModelError(f"a part must have at most {MOST_LAYERS} layers; it names one of number {longest:.20}")
    return max(map(int, found), default=-1) + 1
