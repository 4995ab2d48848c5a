"""Loads what is there: a `ModelBundle`, the picture half of a CLIP, a language model. Only here is ``from_pretrained``.

Safetensors only, local files only; nothing is guessed and nothing is downloaded.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from pipelines.diffusion.schedule import Schedule
from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle, check_weights
from pipelines.models.configs import came, read_config, read_index
from pipelines.models.convert import original_modules
from pipelines.models.folders import ModelCard, check_other, check_parts, parts_of, said_beside
from pipelines.models.original import READERS, TOKENIZER, Reader, form_of, scheduler_config
from pipelines.models.weights import read_header, weight_files

_CLASSES: dict[str, Any] = {
    "UNet2DConditionModel": diffusers.UNet2DConditionModel,
    "AutoencoderKL": diffusers.AutoencoderKL,
    "AutoencoderTiny": diffusers.AutoencoderTiny,
    "CLIPTextModel": CLIPTextModel,
    "CLIPTextModelWithProjection": CLIPTextModelWithProjection,
    "CLIPTokenizer": CLIPTokenizer,
    "CLIPTokenizerFast": CLIPTokenizer,
    "CLIPImageProcessor": CLIPImageProcessor,
    "CLIPFeatureExtractor": CLIPImageProcessor,  # what it was called once
}


def class_of(name: str) -> Any:
    """The class of a part. That of Paint by Example is found where diffusers keeps its pipeline, which has moved: no
    other model may depend on where that is."""
    if name == "PaintByExampleImageEncoder":
        return getattr(importlib.import_module(diffusers.PaintByExamplePipeline.__module__), name)
    return _CLASSES[name]


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

    Raises `ModelError` for missing parts, weights that exist only as pickles or are not all numbers, and files that do
    not fit each other.
    """
    check_parts(card)
    _hush_libraries()
    with _loading(card):
        parts, scheduler, empty_is_zero = _original(card) if card.path.is_file() else _folder(card)
        schedule = Schedule.from_config(scheduler)
    for module in parts.values():
        if isinstance(module, torch.nn.Module):
            module.to(device).eval().requires_grad_(False)
    for part in ("unet", "vae"):
        parts[part].to(memory_format=torch.channels_last)
    _check_fit(card, parts)
    bundle = ModelBundle(
        card=card,
        tokenizer=parts.get("tokenizer"),
        text_encoder=parts.get("text_encoder"),
        unet=parts["unet"],
        vae=parts["vae"],
        schedule=schedule.to(device),
        device=device,
        autocast=fast_dtype(device),
        tokenizer_2=parts.get("tokenizer_2"),
        text_encoder_2=parts.get("text_encoder_2"),
        image_encoder=parts.get("image_encoder"),
        feature_extractor=parts.get("feature_extractor"),
        empty_is_zero=empty_is_zero,
    )
    check_weights(bundle)
    return bundle


def _folder(card: ModelCard) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The parts of a diffusers folder, its scheduler's configuration, and whether an empty text is zeros."""
    index = read_index(card.path / "model_index.json")
    parts = {part: _load_part(card, part, index[part][1]) for part in parts_of(index)}
    scheduler = read_config(card.path / "scheduler" / "scheduler_config.json")
    return parts, scheduler, bool(index.get("force_zeros_for_empty_prompt", True))


def _original(card: ModelCard) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The same of a checkpoint in one file."""
    header = read_header(card.path)
    form = form_of(header.shapes)
    try:
        parts: dict[str, Any] = dict(original_modules(card.path))
        for reader in READERS[form]:
            parts[reader.part.replace("text_encoder", "tokenizer")] = _clip_tokenizer(reader, parts[reader.part])
    except ModelError as error:
        raise ModelError(f"the checkpoint {card.path} cannot be loaded: {error}") from None
    if card.vae is not None:
        parts["vae"] = _load_part(card, "vae", "")
    return parts, scheduler_config(header, form, said_beside(card.path)), True


def _clip_tokenizer(reader: Reader, encoder: Any) -> CLIPTokenizer:
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True, pad_token=reader.pad)
    known = encoder.config.vocab_size
    if known != len(tokenizer):
        raise ModelError(
            f"its {reader.part} knows {known:,} tokens, but CLIP's vocabulary, which a one-file checkpoint is read "
            f"with, has {len(tokenizer):,}; take the diffusers folder of this model"
        )
    return tokenizer


def load_clip_vision(card: ModelCard, device: torch.device) -> tuple[Any, Any]:
    """The picture half of a CLIP, and the folder's own preparation of pictures; see `load_with_processor`."""
    return load_with_processor(card, device, CLIPVisionModelWithProjection, CLIPImageProcessor, part="the vision model")


def load_clip_text(card: ModelCard, device: torch.device) -> tuple[Any, Any]:
    """The text half of a CLIP, and its tokenizer; see `load_with_processor`."""
    return load_with_processor(card, device, CLIPTextModelWithProjection, CLIPTokenizer, part="the text model")


def load_with_processor(
    card: ModelCard, device: torch.device, model_class: Any, processor_class: Any, *, part: str
) -> tuple[Any, Any]:
    """A transformers model of one folder, float32 and in evaluation mode, and what prepares its inputs.

    Raises `ModelError` for missing or unreadable files and for weights that exist only as pickles; `part` is what the
    message calls the model.
    """
    _hush_libraries()
    check_other(card)
    folder = os.fspath(card.path)
    with _loading(card):
        model, info = model_class.from_pretrained(
            folder, output_loading_info=True, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
        processor = processor_class.from_pretrained(folder, local_files_only=True)
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
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"the language model {shown!r} cannot be loaded ({type(error).__name__}): expected a folder, or a hub name "
            "that was downloaded before, with a tokenizer and safetensors weights"
        ) from error
    # A weight that is not in the file would be drawn at random; the output layer may be the embedding's.
    if missing := sorted(set(info["missing_keys"])):
        raise ModelError(f"the language model {shown!r} lacks {len(missing)} weights, first {missing[0]}")
    return tokenizer, model.to(device_named(device)).eval()


def load_control_net(folder: Path, bundle: ModelBundle) -> diffusers.ControlNetModel:
    """A ControlNet (Zhang et al. 2023) for the bundle's network: on its device, float32, closed to gradients.

    Raises `ModelError` where the folder holds none, or one of another network.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder.name} must be a ControlNet's folder; it has no config.json. Name the folder that has one"
        )
    config = read_config(folder / "config.json")
    for name in ("cross_attention_dim", "in_channels", "block_out_channels"):
        theirs, ours = (
            list(one) if isinstance(one, tuple) else one for one in (config.get(name), bundle.unet.config[name])
        )
        if theirs != ours:
            raise ModelError(
                f"the ControlNet {folder.name} must be of the network of {bundle.card.id!r}, {name} {ours}; it has "
                f"{came(theirs)}. Choose one for this model"
            )
    _hush_libraries()
    card = ModelCard(folder.name, folder.name, folder, "control-net")
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "torch_dtype": torch.float32}
    with _loading(card):
        loaded, info = diffusers.ControlNetModel.from_pretrained(os.fspath(folder), output_loading_info=True, **options)
    _check_whole(card, "the ControlNet", info)
    branch: diffusers.ControlNetModel = loaded.to(bundle.device).eval().requires_grad_(False)
    return branch


@contextmanager
def _loading(card: ModelCard, part: str = "") -> Iterator[None]:
    """Around the libraries: whatever they trip over in files that are damaged or of another model is a `ModelError`.

    They raise anything at all: one of them raises bare exceptions.
    """
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"the model {card.id!r} in {card.path} cannot be loaded: {part and part + ': '}{reason}"
        ) from error


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
    if part.startswith("tokenizer") or part == "feature_extractor":
        return class_of(name).from_pretrained(folder, local_files_only=True)
    if part == "vae" and card.vae is not None:
        folder, name = card.vae, read_config(card.vae / "config.json")["_class_name"]
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    options["dtype" if part.endswith("encoder") or part == "text_encoder_2" else "torch_dtype"] = torch.float32
    if variant := weight_files(folder, part).variant:
        options["variant"] = variant
    with _loading(card, part):
        loaded, info = class_of(name).from_pretrained(os.fspath(folder), output_loading_info=True, **options)
    _check_whole(card, part, info)
    return loaded


def _check_fit(card: ModelCard, parts: dict[str, Any]) -> None:
    """The parts must speak of the same latents and texts."""
    unet, vae = parts["unet"].config, parts["vae"].config
    if unet.out_channels != vae.latent_channels:
        raise ModelError(
            f"the model {card.id!r} has parts of different models: its U-Net makes {unet.out_channels} channels, "
            f"its autoencoder {vae.latent_channels}"
        )
    told, reader = "texts", "text encoder"
    width = sum(parts[name].config.hidden_size for name in ("text_encoder", "text_encoder_2") if name in parts)
    if "image_encoder" in parts:
        told, reader, width = "examples", "image encoder", parts["image_encoder"].proj_size
    if unet.cross_attention_dim != width:
        raise ModelError(
            f"the model {card.id!r} has parts of different models: its U-Net expects {told} of width "
            f"{unet.cross_attention_dim}, its {reader} makes {width}"
        )
