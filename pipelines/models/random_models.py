"""Models of the published sizes with random weights, made in memory: what an edit costs does not depend on what the
weights say, so speed and memory are measured on these where no checkpoint is at hand.

The configurations are those of the published Stable Diffusion 1.5 and XL base folders; ``random-tiny`` is a toy of the
same shape, which any processor edits with in seconds.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pipelines.diffusion.schedule import Schedule
from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import TEXT_TO_IMAGE, ModelCard
from pipelines.models.loader import fast_dtype
from pipelines.seeds import global_draws_from

START, END = "<|startoftext|>", "<|endoftext|>"

SCHEDULER = MappingProxyType(
    {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
)


@dataclass(frozen=True)
class Sizes:
    """The configuration of every part; what is left out is the library's default, as in the published files."""

    title: str
    resolution: int
    """Pixels a side."""
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    texts: tuple[Mapping[str, Any], ...]
    """One text encoder, or XL's two."""


def _down_up(down: tuple[bool, ...], up: tuple[bool, ...]) -> dict[str, tuple[str, ...]]:
    """The kinds of the U-Net's blocks; true for those with attention."""
    return {
        "down_block_types": tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in down),
        "up_block_types": tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in up),
    }


def _autoencoder(channels: tuple[int, ...], **others: Any) -> dict[str, Any]:
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "latent_channels": 4,
        **others,
    }


_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "projection_dim": 768,
}

SIZES: Mapping[str, Sizes] = MappingProxyType(
    {
        "random-sd15": Sizes(
            title="Random SD 1.5",
            resolution=512,
            unet={
                **_down_up((True, True, True, False), (False, True, True, True)),
                "sample_size": 64,
                "block_out_channels": (320, 640, 1280, 1280),
                "layers_per_block": 2,
                "cross_attention_dim": 768,
                "attention_head_dim": 8,
            },
            vae=_autoencoder((128, 256, 512, 512), layers_per_block=2, sample_size=512),
            texts=(_CLIP_L,),
        ),
        "random-sdxl": Sizes(
            title="Random SDXL",
            resolution=1024,
            unet={
                **_down_up((False, True, True), (True, True, False)),
                "sample_size": 128,
                "block_out_channels": (320, 640, 1280),
                "layers_per_block": 2,
                "cross_attention_dim": 2048,
                "attention_head_dim": (5, 10, 20),
                "transformer_layers_per_block": (1, 2, 10),
                "use_linear_projection": True,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": 2816,
            },
            vae=_autoencoder((128, 256, 512, 512), layers_per_block=2, sample_size=1024, scaling_factor=0.13025),
            texts=(
                _CLIP_L,
                {
                    **_CLIP_L,
                    "hidden_size": 1280,
                    "intermediate_size": 5120,
                    "num_hidden_layers": 32,
                    "num_attention_heads": 20,
                    "hidden_act": "gelu",
                    "projection_dim": 1280,
                },
            ),
        ),
        "random-tiny": Sizes(
            title="Random tiny",
            resolution=64,
            unet={
                **_down_up((True, False), (False, True)),
                "sample_size": 16,
                "block_out_channels": (32, 64),
                "layers_per_block": 1,
                "cross_attention_dim": 32,
                "attention_head_dim": 4,
                "norm_num_groups": 8,
            },
            vae=_autoencoder((16, 16, 16), norm_num_groups=4, sample_size=64),
            texts=(
                {
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "vocab_size": 128,
                    "max_position_embeddings": 16,
                },
            ),
        ),
    }
)


def random_bundle(name: str, device: torch.device, seed: int = 0) -> ModelBundle:
    """The model of `SIZES` of that name, its weights drawn from `seed`; on the meta device it has none.

    Raises `ModelError` for another name.
    """
    if name not in SIZES:
        raise ModelError(f"there is no random model called {name!r}; choose one of {', '.join(SIZES)}")
    sizes = SIZES[name]
    with global_draws_from(seed, "weights"), device:
        unet = UNet2DConditionModel(in_channels=4, out_channels=4, **sizes.unet)
        vae = AutoencoderKL(**sizes.vae)
        texts = [
            (CLIPTextModel if number == 0 else CLIPTextModelWithProjection)(_text_config(config))
            for number, config in enumerate(sizes.texts)
        ]
    for part in (unet, vae):
        part.to(memory_format=torch.channels_last)
    tokenizers = [_tokenizer(_text_config(config)) for config in sizes.texts]
    second = {} if len(texts) == 1 else {"tokenizer_2": tokenizers[1], "text_encoder_2": _frozen(texts[1])}
    return ModelBundle(
        card=ModelCard(name, sizes.title, Path(name), TEXT_TO_IMAGE, sizes.resolution),
        tokenizer=tokenizers[0],
        text_encoder=_frozen(texts[0]),
        unet=_frozen(unet),
        vae=_frozen(vae),
        schedule=Schedule.from_config(SCHEDULER).to(device),
        device=device,
        autocast=None if device.type == "meta" else fast_dtype(device),
        **second,
    )


def _text_config(config: Mapping[str, Any]) -> CLIPTextConfig:
    last = config["vocab_size"] - 1
    return CLIPTextConfig(**config, bos_token_id=last - 1, eos_token_id=last, pad_token_id=last)


def _frozen(part: nn.Module) -> Any:
    return part.eval().requires_grad_(False)


def _tokenizer(config: CLIPTextConfig) -> CLIPTokenizer:
    """CLIP's byte-pair encoding without merges: every letter is a token, and the last two numbers frame the text."""
    letters = string.ascii_lowercase + string.digits
    vocab = {token: number for number, token in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    vocab |= {START: config.bos_token_id, END: config.eos_token_id}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=config.max_position_embeddings)
