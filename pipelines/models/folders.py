"""Finds model folders and says what each can do and what it lacks. Reads names and JSON only, never weights.

A text-to-image model is a diffusers folder (``model_index.json``). Every other one says in its ``config.json`` what it
is: a segmenter ``"_class_name": "Sam"`` or transformers' ``"model_type": "sam"`` (``sam2``), a CLIP
``"model_type": "clip"``, a judge ``"kind": "judge"``, and what finds a phrase is of one of the types in `READERS`.
Beside either may stand a ``card.json`` with a ``title`` and ``notes``: limits in words, shown in the page. A published
SAM may also be a single file (``sam_vit_b_01ec64.pth``). This file imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import ModelError

TEXT_TO_IMAGE = "text-to-image"
SEGMENTER = "segmenter"
CLIP = "clip"
COARSE = 512
"""Pixels a side up to which a segmenter's picture is a small one."""
PHRASE_FINDER = "phrase-finder"
TRANSFORMERS_SAM = ("sam", "sam2", "sam2_video")
"""Model types of segmenters in the form of transformers."""
READERS = ("sam3", "sam3_video", "grounding-dino", "clipseg")
"""Model types that find what a phrase names; one that comes earlier is asked rather than a later one."""
KINDS = (TEXT_TO_IMAGE, SEGMENTER, PHRASE_FINDER, CLIP, "judge")
_BY_CONFIG = {
    ("_class_name", "Sam"): SEGMENTER,
    **{("model_type", name): SEGMENTER for name in TRANSFORMERS_SAM},
    **{("model_type", name): PHRASE_FINDER for name in READERS},
    ("model_type", "clip"): CLIP,
    ("kind", "judge"): "judge",
}
PARTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
"""Parts of a text-to-image folder and the classes we can run."""

WEIGHED = ("unet", "vae", "text_encoder")
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


@dataclass(frozen=True)
class ModelCard:
    """What one model folder is."""

    id: str
    """Name of the folder."""
    title: str
    path: Path
    kind: str
    """One of `KINDS`."""
    resolution: int = 0
    """Longer side of the pictures it was made for, in pixels; 0 where that means nothing."""
    notes: str = ""
    """Its limits, in words for a person."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder; raises `ModelError` naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing; copy the whole model folder, with this file in it") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}); copy the model folder again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object; got {type(value).__name__}")
    return value


def cell_of(vae: dict[str, Any]) -> int:
    """Pixels a side of one latent cell, from the autoencoder's configuration: each level after the first halves."""
    levels = vae.get("encoder_block_out_channels") or vae.get("block_out_channels") or ()
    return 2 ** (len(levels) - 1) if levels else 8


def _kind(folder: Path) -> str | None:
    if (folder / "model_index.json").is_file():
        return TEXT_TO_IMAGE
    if not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json")
    return next((kind for (key, value), kind in _BY_CONFIG.items() if config.get(key) == value), None)


def _resolution(folder: Path, kind: str) -> int:
    if kind != TEXT_TO_IMAGE:
        size = read_json(folder / "config.json").get("image_size", 0)
        return size if isinstance(size, int) else 0
    try:
        cells = read_json(folder / "unet" / "config.json").get("sample_size") or 64
        return int(cells) * cell_of(read_json(folder / "vae" / "config.json"))
    except ModelError:
        return 0  # an incomplete folder is still listed; loading it says what is missing


def card_of(folder: Path) -> ModelCard | None:
    """The card of a folder or single file, or ``None`` when it is no model."""
    if folder.is_file():
        published = folder.name.startswith("sam_vit_") and folder.suffix in (".safetensors", ".pth")
        if folder.suffix == ".pth" and folder.with_suffix(".safetensors").exists():
            return None  # it was converted, or came as both
        return ModelCard(folder.stem, folder.stem, folder, SEGMENTER, 1024) if published else None
    kind = _kind(folder)
    if kind is None:
        return None
    said = read_json(folder / "card.json") if (folder / "card.json").is_file() else {}
    return ModelCard(
        id=folder.name,
        title=str(said.get("title") or folder.name.replace("-", " ").capitalize()),
        path=folder,
        kind=kind,
        resolution=_resolution(folder, kind),
        notes=str(said.get("notes", "")),
    )


def is_coarse(card: ModelCard) -> bool:
    """Whether a segmenter sees so little of a picture that its masks are best drawn along the picture's edges."""
    return card.kind == SEGMENTER and 0 < card.resolution <= COARSE


def phrase_finder(folders: Iterable[Path]) -> ModelCard | None:
    """The model that reads phrases, the most able one where there are several."""
    cards = [card for card in find_models(folders).values() if card.kind == PHRASE_FINDER]
    able = [READERS.index(read_json(card.path / "config.json")["model_type"]) for card in cards]
    return cards[able.index(min(able))] if cards else None


def find_models(folders: Iterable[Path]) -> dict[str, ModelCard]:
    """Every model directly under `folders`, by id; of two with one name the first is taken.

    A folder that cannot be read is left out here: asking for it by name says why.
    """
    found: dict[str, ModelCard] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                card = card_of(path)
            except ModelError:
                continue
            if card is not None:
                found.setdefault(card.id, card)
    return found


def find_model(name: str, folders: Iterable[Path], kind: str = TEXT_TO_IMAGE) -> ModelCard:
    """The model of that name and kind; raises `ModelError` with the names there are."""
    folders = tuple(folders)
    found = find_models(folders)
    if name in found and found[name].kind == kind:
        return found[name]
    for folder in folders:
        if is_plain_name(name) and (folder / name).is_dir() and name not in found:
            card_of(folder / name)  # says what is wrong with its files, if anything is
            raise ModelError(
                f"{folder / name} is not a model folder; a {kind} model needs "
                f"{'model_index.json' if kind == TEXT_TO_IMAGE else 'config.json'} in it"
            )
    names = ", ".join(sorted(card.id for card in found.values() if card.kind == kind)) or "none"
    places = ", ".join(str(folder) for folder in folders) or "no folder"
    raise ModelError(f"there is no {kind} model called {name!r} in {places}; found: {names}")


def is_plain_name(name: str) -> bool:
    """True for what can be the name of a file in a folder, and nothing that leads out of it."""
    return bool(name) and name not in {".", ".."} and not set(name) & set("/\\\0")


def fault_of(card: ModelCard) -> str | None:
    """Why a model cannot be used, or ``None``; its weights are not opened."""
    if card.kind != TEXT_TO_IMAGE:
        has_weights = card.path.is_file() or any(card.path.glob("*.safetensors"))
        return None if has_weights else f"the model {card.id!r} in {card.path} has no weights (*.safetensors)"
    try:
        check_parts(card)
    except ModelError as error:
        return str(error)
    return None


def check_parts(card: ModelCard) -> None:
    """Every part present, of a class we run, with its weights as safetensors; else `ModelError` naming all faults."""
    index = read_json(card.path / "model_index.json")
    faults = [fault for part, classes in PARTS.items() for fault in _faults(card.path, index, part, classes)]
    if not (card.path / "scheduler" / "scheduler_config.json").is_file():
        faults.append("scheduler/scheduler_config.json is missing")
    if faults:
        raise ModelError(
            f"the model {card.id!r} in {card.path} cannot be used: {'; '.join(faults)}. "
            "Expected a complete diffusers folder of a Stable Diffusion 1.x or 2.x model, with safetensors weights."
        )


def _faults(folder: Path, index: dict[str, Any], part: str, classes: tuple[str, ...]) -> list[str]:
    place = folder / part
    named = index.get(part)
    cls = named[1] if isinstance(named, list) and len(named) == 2 else None
    if cls not in classes:
        return [f"{part} must be {' or '.join(classes)}, but model_index.json names {cls}"]
    if not place.is_dir():
        return [f"the folder {part} is missing"]
    if part not in WEIGHED:
        known = any((place / name).is_file() for name in ("vocab.json", "tokenizer.json"))
        return [] if known else [f"{part}/vocab.json is missing"]
    if not (place / "config.json").is_file():
        return [f"{part}/config.json is missing"]
    if any(place.glob("*.safetensors")):
        return []
    pickles = sorted(path.name for path in place.iterdir() if path.suffix in PICKLES)
    if pickles:
        return [
            f"{part} has its weights only as a pickle ({pickles[0]}), which could run any code and is never opened; "
            "convert it to safetensors"
        ]
    return [f"{part} has no weights (*.safetensors)"]
