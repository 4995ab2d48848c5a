"""LoRA files (Hu et al. 2021): finds them, tells their form and the family they were made for, from names and shapes.

Three forms are read, all safetensors: PEFT's and diffusers' (``unet.down_blocks.0….lora_A.weight``), diffusers' older
one (``….processor.to_q_lora.down.weight``), and kohya's (``lora_unet_down_blocks_0_….lora_down.weight``). A layer is
called by its path in the network with ``_`` for ``.``, the one spelling that all three have. This file imports no
torch; `pipelines.models.adapters` puts the weights to work.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipelines.contract import LoraUse
from pipelines.errors import ModelError
from pipelines.models.folders import LORA, ModelCard
from pipelines.models.own import LORAS, sha256_of
from pipelines.models.weights import PICKLES, read_header

SUFFIX = ".safetensors"
MOST_RANK = 2_048
MOST_NUMBERS = 10**9
"""Of one file, twice as many as there are in a LoRA of rank 256 for the whole of Stable Diffusion XL."""

Shapes = Mapping[str, tuple[int, ...]]

_DOWN = r"\.lora_A(?:\.default)?\.weight|[._]lora\.down\.weight|\.lora_down\.weight|\.lora_linear_layer\.down\.weight"
_UP = r"\.lora_B(?:\.default)?\.weight|[._]lora\.up\.weight|\.lora_up\.weight|\.lora_linear_layer\.up\.weight"
_KEY = re.compile(rf"(?P<layer>.+?)(?:(?P<down>{_DOWN})|(?P<up>{_UP})|(?P<alpha>\.alpha))")
_PARTS = (
    ("lora_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te_", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("base_model.model.", "unet"),
    ("unet.", "unet"),
)
_OTHERS = {
    "dora_scale": "DoRA",
    "lora_magnitude": "DoRA",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "LoCon (Tucker)",
}
_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
_TRANSFORMERS = ("double_blocks", "single_blocks", "transformer_blocks_0_attn_", "joint_blocks", "diffusion_model.")


@dataclass(frozen=True)
class LoraLayer:
    """The tensors of one changed layer, by their names in the file."""

    part: str
    """``unet``, ``text_encoder`` or ``text_encoder_2``."""
    layer: str
    """Its path in that part, with ``_`` for ``.``."""
    down: str
    up: str
    alpha: str | None


def find_loras(folders: Iterable[Path]) -> dict[str, Path]:
    """LoRA files by name: those in the ``loras`` of each folder, and those that lie in a folder itself.

    Of two with one name the first is taken. A file that is none is left out here: asking for it by name says why.
    """
    return {card.id: card.path for card, fault in lora_cards(folders) if fault is None}


def lora_cards(folders: Iterable[Path]) -> list[tuple[ModelCard, str | None]]:
    """The card of every LoRA file, and why it cannot be used.

    What lies in a ``loras`` and cannot be read is told of, unless there is a LoRA of that name; beside models it may
    be anything, and is left out.
    """
    found: dict[str, tuple[ModelCard, str | None]] = {}
    for folder in folders:
        for place in (folder / LORAS, folder):
            for path in sorted(place.glob(f"*{SUFFIX}")):
                known, (card, fault) = found.get(path.stem), _told(path)
                if (known is None or known[1] is not None) and (fault is None or place != folder):
                    found[path.stem] = card, fault
    return list(found.values())


def find_lora(name: str, folders: Sequence[Path]) -> Path:
    """The LoRA file called `name`; raises `ModelError` with the names there are, or with what is wrong with it."""
    found = find_loras(folders)
    if name in found:
        return found[name]
    for folder in folders:
        for place in (folder / LORAS, folder):
            if "/" in name or "\\" in name or not place.is_dir():
                continue
            for path in sorted(place.glob("*")):
                if path.stem == name and path.suffix in PICKLES:
                    raise ModelError(
                        f"the LoRA {path.name} is a pickle, which could run any code and is never opened; "
                        "look for it as .safetensors"
                    )
                if path.name == name + SUFFIX:
                    raise ModelError(str(_told(path)[1]))
    places = ", ".join(str(folder / LORAS) for folder in folders) or "no folder"
    raise ModelError(f"there is no LoRA called {name!r:.80} in {places}; found: {', '.join(sorted(found)) or 'none'}")


def lora_card(path: Path) -> ModelCard:
    """What a LoRA file is, as if it were a model; raises `ModelError` where it is none."""
    shapes = read_header(path).shapes
    layers_of(shapes, path.name)
    return ModelCard(path.stem, path.stem, path, LORA, family=family_of(shapes))


def lora_use(name: str, scale: float, folders: Sequence[Path]) -> LoraUse:
    """The LoRA called `name` as part of a request: with the digest of the file that is there now."""
    path = find_lora(name, folders)
    return LoraUse(name, _sha256(path, *_mark(path)), float(scale))


def lora_path(use: LoraUse, folders: Sequence[Path]) -> Path:
    """The very file that a request speaks of; raises `ModelError` where it is not here or is another one now."""
    path = find_lora(use.name, folders)
    if (now := _sha256(path, *_mark(path))) != use.sha256:
        raise ModelError(
            f"the LoRA {use.name!r} is not the file that this turn was made with (SHA-256 {use.sha256[:12]}…, here "
            f"{now[:12]}…); put that one into the folder {LORAS}, or choose the LoRA anew"
        )
    return path


def layers_of(shapes: Shapes, name: str) -> list[LoraLayer]:
    """The changed layers of a file with tensors of these shapes; raises `ModelError` where it is no LoRA in a form we
    read, or is so large that it cannot be one."""
    grouped: dict[tuple[str, str], dict[str, str]] = {}
    for key in shapes:
        match = _KEY.fullmatch(key)
        if match is None:
            other = next((form for mark, form in _OTHERS.items() if mark in key), None)
            raise ModelError(
                f"{name} is {f'a {other} file' if other else 'no LoRA'}, which is not one of the forms that are read "
                f"(PEFT, diffusers, kohya): it holds {key!r:.80}"
            )
        role = next(role for role in ("down", "up", "alpha") if match[role] is not None)
        grouped.setdefault(_place(match["layer"]), {})[role] = key
    for (_, layer), roles in grouped.items():
        if not {"down", "up"} <= set(roles):
            raise ModelError(f"{name} lacks a half of the layer {layer}; fetch it again")
        _check_rank(shapes, roles, f"{name}: the layer {layer}")
    if not grouped:
        raise ModelError(f"{name} holds no tensors, so it is no LoRA")
    if (numbers := sum(math.prod(shape) for shape in shapes.values())) > MOST_NUMBERS:
        raise ModelError(f"a LoRA must have at most {MOST_NUMBERS:,} numbers; {name} has {numbers:,}")
    return [LoraLayer(part, layer, r["down"], r["up"], r.get("alpha")) for (part, layer), r in grouped.items()]


def _check_rank(shapes: Shapes, roles: Mapping[str, str], layer: str) -> None:
    down, up = shapes[roles["down"]], shapes[roles["up"]]
    if not 2 <= len(down) <= 4 or not 2 <= len(up) <= 4:
        raise ModelError(f"{layer} must have two matrices of 2 to 4 sides; they have {len(down)} and {len(up)}")
    if not 1 <= down[0] <= MOST_RANK:
        raise ModelError(f"{layer} must have a rank from 1 to {MOST_RANK:,}; it has {down[0]:,}")
    if up[1] != down[0]:
        raise ModelError(f"{layer} must have two matrices of one rank; theirs are {down[0]:,} and {up[1]:,}")
    if "alpha" in roles and math.prod(shapes[roles["alpha"]]) != 1:
        raise ModelError(f"{layer} must have an alpha of one number; it has {math.prod(shapes[roles['alpha']]):,}")


def family_of(shapes: Shapes) -> str:
    """Which models a LoRA was made for, in words, from its layers and their widths."""
    if any(key.startswith(("lora_te2_", "text_encoder_2.")) for key in shapes):
        return "Stable Diffusion XL"
    if any(mark in key or mark in key.replace(".", "_") for key in shapes for mark in _TRANSFORMERS):
        return "a diffusion transformer, like Flux or Stable Diffusion 3"
    widths = {
        math.prod(shape[1:])
        for key, shape in shapes.items()
        if (match := _KEY.fullmatch(key)) is not None and match["down"] and re.search(r"attn2.*to[._]k", key)
    }
    if len(widths) != 1:
        return "a model that its layers do not tell"
    (width,) = widths
    return _WIDTHS.get(width, f"a model whose texts are {width} numbers wide")


def _place(layer: str) -> tuple[str, str]:
    """Part and layer of a key without its ending; a file of the U-Net alone has no prefix."""
    prefix, part = next(((p, part) for p, part in _PARTS if layer.startswith(p)), ("", "unet"))
    flat = layer.removeprefix(prefix).replace(".processor", "").replace(".", "_")
    return part, f"{flat}_0" if flat.endswith("_to_out") else flat


def _mark(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(256)
def _sha256(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  they are the cache's
    return sha256_of(path)


def _told(path: Path) -> tuple[ModelCard, str | None]:
    """The file's card, and why it is no LoRA that can be read, if so."""
    try:
        return _read(path, *_mark(path))
    except OSError as error:  # it was taken away meanwhile, or is a link that leads nowhere
        return ModelCard(path.stem, path.stem, path, LORA), f"{path.name} cannot be read ({error.strerror or error})"


@lru_cache(256)
def _read(path: Path, size: int, changed: int) -> tuple[ModelCard, str | None]:  # noqa: ARG001
    try:
        return lora_card(path), None
    except ModelError as error:
        return ModelCard(path.stem, path.stem, path, LORA), str(error)
