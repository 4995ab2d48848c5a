"""Loads what is there: a `ModelBundle`, the picture half of a CLIP, a language model. Only here is ``from_pretrained``.

Safetensors only, local files only; nothing is guessed and nothing is downloaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from pipelines.diffusion.schedule import Schedule
from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import PARTS, WEIGHED, ModelCard, check_parts, read_json

_CLASSES: dict[str, Any] = {
    "UNet2DConditionModel": diffusers.UNet2DConditionModel,
    "AutoencoderKL": diffusers.AutoencoderKL,
    "AutoencoderTiny": diffusers.AutoencoderTiny,
    "CLIPTextModel": CLIPTextModel,
    "CLIPTokenizer": CLIPTokenizer,
    "CLIPTokenizerFast": CLIPTokenizer,
}

UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)
"""What the libraries raise over files that are missing, damaged or of another model."""


def device_named(wanted: str) -> torch.device:
    """``auto`` takes a CUDA device where there is one, else the CPU."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ModelError(f"there is no device called {wanted!r}; choose auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("the device cuda was asked for, but torch sees none here; choose auto or cpu")
    return device


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it in hardware (elsewhere it is slower than float32), else ``None``."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device.type != "cpu":
        return None
    probes = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.bfloat16 if any(probe is not None and probe() for probe in probes) else None


def load_bundle(card: ModelCard, device: torch.device) -> ModelBundle:
    """Load `card`'s parts, float32, in evaluation mode, closed to gradients.

    Raises `ModelError` for missing parts, weights that exist only as pickles, and files that do not fit each other.
    """
    check_parts(card)
    _hush_libraries()
    index = read_json(card.path / "model_index.json")
    try:
        parts = {part: _load_part(card, part, index[part][1]) for part in PARTS}
        schedule = Schedule.from_config(read_json(card.path / "scheduler" / "scheduler_config.json"))
    except ModelError:
        raise
    except UNREADABLE as error:
        raise _unloadable(card, error) from error
    for part in WEIGHED:
        parts[part].to(device).eval().requires_grad_(False)
    for part in ("unet", "vae"):
        parts[part].to(memory_format=torch.channels_last)
    _check_fit(card, parts)
    return ModelBundle(
        card=card,
        tokenizer=parts["tokenizer"],
        text_encoder=parts["text_encoder"],
        unet=parts["unet"],
        vae=parts["vae"],
        schedule=schedule.to(device),
        device=device,
        autocast=fast_dtype(device),
    )


def load_clip_vision(card: ModelCard, device: torch.device) -> tuple[Any, Any]:
    """The picture half of a CLIP, and the folder's own preparation of pictures; see `load_with_processor`."""
    return load_with_processor(card, device, CLIPVisionModelWithProjection, CLIPImageProcessor, part="the vision model")


def load_with_processor(
    card: ModelCard, device: torch.device, model_class: Any, processor_class: Any, *, part: str
) -> tuple[Any, Any]:
    """A transformers model of one folder, float32 and in evaluation mode, and what prepares its inputs.

    Raises `ModelError` for missing or unreadable files and for weights that exist only as pickles; `part` is what the
    message calls the model.
    """
    _hush_libraries()
    folder = os.fspath(card.path)
    try:
        model, info = model_class.from_pretrained(
            folder, output_loading_info=True, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
        processor = processor_class.from_pretrained(folder, local_files_only=True)
    except (*UNREADABLE, ImportError) as error:
        raise _unloadable(card, error) from error
    _check_whole(card, part, info)
    return model.to(device).eval().requires_grad_(False), processor


def load_language_model(name: str, device: str) -> tuple[Any, Any]:
    """Tokenizer and causal language model of a folder, or of a hub name that was downloaded before.

    Raises `ModelError` for missing or unreadable files, and for weights that are not there or only as pickles.
    """
    _hush_libraries()
    shown = Path(name).name  # never a path of the machine
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model, info = AutoModelForCausalLM.from_pretrained(
            name, use_safetensors=True, dtype="auto", output_loading_info=True, **options
        )
    except (*UNREADABLE, ImportError) as error:
        raise ModelError(
            f"the language model {shown!r} cannot be loaded ({type(error).__name__}): expected a folder, or a hub name "
            "that was downloaded before, with a tokenizer and safetensors weights"
        ) from error
    # A weight that is not in the file would be drawn at random; the output layer may be the embedding's.
    if missing := sorted(set(info["missing_keys"])):
        raise ModelError(f"the language model {shown!r} lacks {len(missing)} weights, first {missing[0]}")
    return tokenizer, model.to(device_named(device)).eval()


def _unloadable(card: ModelCard, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return ModelError(f"the model {card.id!r} in {card.path} cannot be loaded: {reason}")


def _check_whole(card: ModelCard, part: str, info: dict[str, Any]) -> None:
    """No weight left out; one that is missing would be drawn at random."""
    # Buffers such as position ids come and go between library versions.
    missing = [key for key in info["missing_keys"] if not key.endswith("position_ids")]
    if missing or info.get("mismatched_keys"):
        wrong = missing or [str(key) for key in info["mismatched_keys"]]
        raise ModelError(f"the model {card.id!r}: {part} lacks {len(wrong)} of its weights, first {wrong[0]}")


def _hush_libraries() -> None:
    """No progress bars and warnings about our own files in the terminal: what matters is checked here and raised."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _load_part(card: ModelCard, part: str, name: str) -> Any:
    folder = card.path / part
    if part not in WEIGHED:
        return _CLASSES[name].from_pretrained(folder, local_files_only=True)
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    options["dtype" if part == "text_encoder" else "torch_dtype"] = torch.float32
    if all(".fp16." in path.name for path in folder.glob("*.safetensors")):
        options["variant"] = "fp16"
    loaded, info = _CLASSES[name].from_pretrained(os.fspath(folder), output_loading_info=True, **options)
    _check_whole(card, part, info)
    return loaded


def _check_fit(card: ModelCard, parts: dict[str, Any]) -> None:
    """The parts must speak of the same latents and texts."""
    unet, vae, text = parts["unet"].config, parts["vae"].config, parts["text_encoder"].config
    if unet.in_channels != vae.latent_channels or unet.out_channels != vae.latent_channels:
        raise ModelError(
            f"the model {card.id!r} is not a plain text-to-image model: its U-Net takes {unet.in_channels} channels, "
            f"its autoencoder makes {vae.latent_channels}"
        )
    if unet.cross_attention_dim != text.hidden_size:
        raise ModelError(
            f"the model {card.id!r} has parts of different models: its U-Net expects texts of width "
            f"{unet.cross_attention_dim}, its text encoder makes {text.hidden_size}"
        )
