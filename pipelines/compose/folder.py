"""A composer's folder: ``config.json`` (sizes and world), ``tokenizer.json``, and fp16 weights.

Beside them, in ``reader``, may lie a detector that tells what stands in a picture, against which an instruction is
checked. It is not the one that measures: that one was trained from another seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from pipelines.compose.data import tokenizer_of
from pipelines.compose.detector import Detector
from pipelines.compose.model import Composer, Sizes
from pipelines.errors import ModelError
from pipelines.models.bundle import checksum_of, uncounted
from pipelines.models.configs import read_config
from pipelines.models.folders import COMPOSER

READER = "reader"
TRAIN = "train one with: launch.py train compose --minutes 60"
FILES = ("config.json", "tokenizer.json", "model.safetensors")


class Kind(StrEnum):
    """What a model was trained on."""

    SOLIDS = "solids"
    """Our own world, whose instructions can be checked."""
    PUBLISHED = "published"
    """Files of GeNeVA's, whose instructions are anybody's."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A composer with what reads its instructions."""

    composer: Composer
    tokenizer: PreTrainedTokenizerFast
    kind: Kind
    reader: Detector | None = None
    count: Callable[[int], None] = uncounted
    """Told of every pass how many samples go through the network."""

    def checksum(self) -> str:
        """Over every parameter and buffer; see `ModelBundle.checksum`."""
        return checksum_of({"composer": self.composer} | ({} if self.reader is None else {READER: self.reader}))


def save_composer(folder: Path, loaded: Loaded) -> None:
    """Write all files of a folder; the weights last, and under another name until they are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"kind": COMPOSER, "world": loaded.kind, "sizes": asdict(loaded.composer.sizes)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "tokenizer.json").write_text(loaded.tokenizer.backend_tokenizer.to_str(pretty=True) + "\n")
    state = {name: tensor.detach().half().cpu().contiguous() for name, tensor in loaded.composer.state_dict().items()}
    part = folder / "model.safetensors.part"
    try:
        save_file(state, part, metadata={"format": "pt"})
        part.replace(folder / "model.safetensors")
    finally:
        part.unlink(missing_ok=True)


def checked_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says; raises `ModelError` where the folder is not a composer's."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"a composer's folder holds {', '.join(FILES)}; {folder} lacks {', '.join(missing)}; {TRAIN}")
    config = read_config(folder / "config.json")
    if config.get("kind") != COMPOSER or config.get("world") not in list(Kind):
        raise ModelError(
            f"{folder} must hold a composer, of kind {COMPOSER!r}; it is {config.get('kind', 'another')!r}; {TRAIN}"
        )
    return config


def load_composer(folder: Path, device: torch.device) -> Loaded:
    """Float32, in evaluation mode, closed to gradients. Raises `ModelError`."""
    config = checked_config(folder)
    try:
        sizes = sizes_from(config["sizes"])
        tokenizer = tokenizer_of(_tokenizer(folder / "tokenizer.json"), sizes.words)
        composer = Composer(sizes, len(tokenizer), tokenizer.eos_token_id)
        state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        composer.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise ModelError(f"the composer in {folder} is damaged ({str(error)[:200]}); {TRAIN}") from error
    reader = Detector.load(folder / READER, device).requires_grad_(False) if (folder / READER).is_dir() else None
    return Loaded(composer.to(device).eval().requires_grad_(False), tokenizer, Kind(config["world"]), reader)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path.name}: {error}") from error


def sizes_from(told: dict[str, Any]) -> Sizes:
    """The sizes that a configuration tells; raises `TypeError` for other names."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Sizes(**fields)
