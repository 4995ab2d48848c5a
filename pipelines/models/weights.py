"""Files of weights: which one of a part is loaded, and what its header says. No number is read, and no torch imported.

A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON: name to dtype, shape and
place of each tensor) and the tensors' bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import ModelError
from pipelines.models.configs import Each, Text, Whole, came, check, is_plain_name, parsed, read_json

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
LONGEST_HEADER = 16 * 2**20
"""Bytes. The format allows 100 MB, which take gigabytes to parse; what trainers note in a file may be a few of them."""
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
}
"""Of one number, by the format's name for its type."""
DTYPE, SHAPE, OFFSETS = Text(choices=tuple(BITS)), Each(Whole(0, 2**40), 8), Each(Whole(0, 2**50), 2)


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
            if not 2 <= length <= size - 8:
                raise ModelError(
                    f"{name} is not safetensors, or damaged (its first bytes give no length that fits the file); copy "
                    "or download it again"
                )
            if length > LONGEST_HEADER:
                raise ModelError(
                    f"the header of {name} must have at most {LONGEST_HEADER >> 20} MB; it has {length >> 20} MB"
                )
            told = parsed(file.read(length), f"the header of {name}", LONGEST_HEADER)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror})") from None
    notes = told.pop("__metadata__", None) or {}
    if not isinstance(notes, dict):
        raise ModelError(f"the header of {name}: __metadata__ must be an object of texts; got {came(notes)}")
    end = 8 + length + _checked_bytes(told, f"the header of {name}")
    if size != end:
        raise ModelError(
            f"{name} is {'cut off' if size < end else 'longer than it says'}: its header promises {end:,} bytes, "
            f"there are {size:,}; copy or download it again"
        )
    shapes = {tensor: tuple(entry["shape"]) for tensor, entry in told.items()}
    return Header(shapes, {str(key): str(value) for key, value in notes.items()})


def _checked_bytes(tensors: Mapping[str, Any], shown: str) -> int:
    """How many bytes the tensors fill, one behind the other, each as many as its shape and type need."""
    places: list[tuple[int, int, str]] = []
    for name, entry in tensors.items():
        field = f"{shown}: {name[:200]}"
        if not isinstance(entry, dict):
            raise ModelError(f"{field} must be an object with dtype, shape and data_offsets; got {came(entry)}")
        for key, allowed in (("dtype", DTYPE), ("shape", SHAPE), ("data_offsets", OFFSETS)):
            value = entry.get(key)
            if value is None or (value != [] or key != "shape"):
                check("nothing" if value is None else value, allowed, f"{field}: {key}")
        needed = math.prod(entry["shape"]) * BITS[entry["dtype"]] / 8
        begin, end = entry["data_offsets"][0], entry["data_offsets"][-1]
        if end - begin != needed:
            raise ModelError(
                f"{field}: {came(entry['shape'])} of {entry['dtype']} must fill {needed:,.0f} bytes; it fills "
                f"{end - begin:,}"
            )
        places.append((begin, end, field))
    filled = 0
    for begin, end, field in sorted(places):
        if begin != filled:
            raise ModelError(f"{field} must begin where the tensor before it ends, at {filled:,}; got {begin:,}")
        filled = end
    return filled


@dataclass(frozen=True)
class WeightFiles:
    """The files that one part is loaded from."""

    paths: tuple[Path, ...]
    variant: str | None
    """``fp16``, say, where only that is there; the library that loads the part wants to be told."""


def base_name(part: str) -> str:
    """What the libraries call the file of a part's weights."""
    return "model" if part in _READERS else "diffusion_pytorch_model"


def weight_files(folder: Path, part: str) -> WeightFiles:
    """What is loaded for the part in `folder`: the full weights if they are there, in one file or in several, else
    another copy, in half precision or not averaged. Raises `ModelError` when a file is missing or damaged."""
    base = base_name(part)
    for variant in _variants(folder, base):
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
    maker = _READERS.get(part, "diffusers.AutoModel")
    raise ModelError(
        f"{missing}; found only {pickles[0]}, a pickle, which could run any code and is never opened. If you trust it, "
        f"convert it with {maker}: from_pretrained of the folder {folder.name}, use_safetensors=False, and then "
        "save_pretrained"
    )


def _variants(folder: Path, base: str) -> list[str | None]:
    """The copies of the weights that there may be, the best first; `None` is the one without a name."""
    said = re.compile(rf"{base}(?:\.safetensors\.index)?\.(\w+)\.(?:safetensors|json)")
    named = {match[1] for path in folder.iterdir() if (match := said.fullmatch(path.name))} - {"safetensors"}
    order = {name: place for place, name in enumerate(("fp32", "bf16", "fp16", "ema"))}
    return [None, *sorted(named, key=lambda name: (order.get(name, len(order)), name))]


_READERS = {
    "text_encoder": "transformers.CLIPTextModel",
    "text_encoder_2": "transformers.CLIPTextModelWithProjection",
    "image_encoder": "PaintByExampleImageEncoder of diffusers.PaintByExamplePipeline's module",
}
"""Parts that are of transformers' form, by the class that makes them."""


def _shards(index: Path) -> tuple[Path, ...]:
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) and is_plain_name(name) for name in files.values()):
        raise ModelError(f"{index.name}: weight_map must name a file for every weight; got {came(files)}")
    names = sorted(set(files.values()))
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent or not names:
        raise ModelError(f"{', '.join(absent) or 'every file'} that {index.name} names is missing; copy it again")
    return tuple(index.parent / name for name in names)
