"""Files of weights: which one of a part is loaded, and what its header says. No number is read, and no torch imported.

A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON: name to dtype, shape and
place of each tensor) and the tensors' bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ModelError

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file holds."""

    shapes: Mapping[str, tuple[int, ...]]
    notes: Mapping[str, str]
    """What its maker wrote beside the tensors."""


def read_header(path: Path) -> Header:
    """The header of `path`; raises `ModelError` when the file is damaged or cut off."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror})") from None
    return read_start(path, size, path.name)


def read_start(path: Path, size: int, name: str) -> Header:
    """The same of a file called `name`, of whose `size` bytes `path` holds no less than the header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LONGEST_HEADER):
                raise ValueError("its first bytes give no length that fits the file")
            told = json.loads(file.read(length))
        notes = told.pop("__metadata__", None) or {}
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in told.items()}
        end = 8 + length + max((int(entry["data_offsets"][1]) for entry in told.values()), default=0)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(f"{name} is not safetensors, or damaged ({error}); copy or download it again") from None
    if size != end:
        raise ModelError(
            f"{name} is {'cut off' if size < end else 'longer than it says'}: its header promises {end:,} bytes, "
            f"there are {size:,}; copy or download it again"
        )
    return Header(shapes, {str(key): str(value) for key, value in notes.items()})


@dataclass(frozen=True)
class WeightFiles:
    """The files that one part is loaded from."""

    paths: tuple[Path, ...]
    variant: str | None
    """``fp16`` where only that is there; the library that loads the part wants to be told."""


def base_name(part: str) -> str:
    """What the libraries call the file of a part's weights."""
    return "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"


def weight_files(folder: Path, part: str) -> WeightFiles:
    """What is loaded for the part in `folder`: the full weights if they are there, in one file or in several, else
    those in half precision. Raises `ModelError` when a file is missing or damaged."""
    base = base_name(part)
    for variant in (None, "fp16"):
        dot = f".{variant}" if variant else ""
        whole, index = folder / f"{base}{dot}.safetensors", folder / f"{base}.safetensors.index{dot}.json"
        if whole.is_file() or index.is_file():
            paths = (whole,) if whole.is_file() else _shards(index)
            for path in paths:
                read_header(path)
            return WeightFiles(paths, variant)
    missing = f"{base}.safetensors is missing"
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if not pickles:
        raise ModelError(missing)
    maker = f"transformers.{_TEXT[part]}" if part in _TEXT else "diffusers.AutoModel"
    raise ModelError(
        f"{missing}; found only {pickles[0]}, a pickle, which could run any code and is never opened. If you trust it, "
        f"convert it with {maker}: from_pretrained of the folder {folder.name}, use_safetensors=False, and then "
        "save_pretrained"
    )


_TEXT = {"text_encoder": "CLIPTextModel", "text_encoder_2": "CLIPTextModelWithProjection"}


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index.name} cannot be read ({error}); copy or download it again") from None
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent or not names:
        raise ModelError(f"{', '.join(absent) or 'every file'} that {index.name} names is missing; copy it again")
    return tuple(index.parent / name for name in names)
