"""LoRA files (Hu et al. 2021): finds them, tells their form, strength and family, from names, shapes and notes.

Three ways of naming are read, all safetensors: PEFT's and diffusers' (``unet.down_blocks.0….lora_A.weight``),
diffusers' older one (``….processor.to_q_lora.down.weight``), and kohya's (``lora_unet_….lora_down.weight``). Each may
be a DoRA, with a magnitude beside (Liu et al. 2024), or a LoHa (Hyeon-Woo et al. 2022). An adapter is one file, or a
folder as PEFT or diffusers saves it. A layer is called by its path in the network, with dots as far as the file has
them. This file imports no torch; `pipelines.models.adapters` puts the weights to work.

How strong a change is, is in the file (kohya's ``.alpha``), else in what PEFT noted (``adapter_config.json``, or
``lora_adapter_metadata`` in the header); where nothing is said, alpha is the rank.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pipelines.contract import LoraUse
from pipelines.errors import ModelError
from pipelines.models.configs import Allowed, Flag, Number, Table, Text, Whole, came, check, parsed, read_json
from pipelines.models.folders import LORA, ModelCard
from pipelines.models.installed import LORAS, sha256_of
from pipelines.models.other_files import MERGED, SUFFIXES, refused_by_name, told_by_tensors
from pipelines.models.weights import PICKLES, Header, read_header

SUFFIX = ".safetensors"
CONFIG = "adapter_config.json"
"""Beside the weights of an adapter that PEFT saved."""
SAVED = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")
"""The weights in a folder that PEFT, and that diffusers saved."""
NOTE = "lora_adapter_metadata"
"""Where diffusers notes the same in the header."""
MOST_RANK = 2_048
MOST_NUMBERS = 10**9
"""Of one file, twice as many as there are in a LoRA of rank 256 for the whole of Stable Diffusion XL."""

Shapes = Mapping[str, tuple[int, ...]]
Value = TypeVar("Value")

_ROLES = {
    **{
        role: rf"\.lora_{peft}(?:\.[^.]+)?\.weight|[._]lora\.{role}\.weight|\.lora_{role}\.weight"
        rf"|\.lora_linear_layer\.{role}\.weight"
        for role, peft in (("down", "A"), ("up", "B"))
    },
    "alpha": r"\.alpha",
    "magnitude": r"\.lora_magnitude_vector(?:\.[^.]+?)??(?:\.weight)?|\.dora_scale",
    **{role: rf"\.{role}(?:\.[^.]+)?" for role in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{role: rf"\.{role}(?:\.[^.]+)?" for role in ("hada_t1", "hada_t2")},
}
_KEY = re.compile(rf"(?P<layer>.+?)(?:{'|'.join(f'(?P<{role}>{ending})' for role, ending in _ROLES.items())})")
_PAIR = ("down", "up")
_HADAMARD = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
_TUCKER = ("hada_t1", "hada_t2")
_PARTS = (
    ("lora_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te_", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("base_model.model.", ""),
    ("unet.", "unet"),
)
_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}
_TRANSFORMERS = ("double_blocks", "single_blocks", "transformer_blocks_0_attn_", "joint_blocks", "diffusion_model.")

RECORDED: dict[str, Allowed] = {
    "r": Whole(1, MOST_RANK),
    "lora_alpha": Number(-1e6, 1e6),
    "alpha": Number(-1e6, 1e6),
    "rank_pattern": Table(Whole(1, MOST_RANK)),
    "alpha_pattern": Table(Number(-1e6, 1e6)),
    "use_rslora": Flag(),
    "use_dora": Flag(),
    "peft_type": Text(40),
}
"""What PEFT notes of an adapter, as far as it says how strong its change is."""
OTHERWISE = (
    *("layer_replication", "modules_to_save", "trainable_token_indices", "target_parameters", "fan_in_fan_out"),
    *("lora_bias", "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config"),
    *("kasa_config", "velora_config", "monteclora_config"),
)
"""Fields of PEFT's that change what an adapter does, in ways that are not run here."""
PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways to begin a training after which the model's own weights are what they were."""


@dataclass(frozen=True)
class Recorded:
    """What PEFT noted of one part's adapter; the defaults are PEFT's."""

    shown: str
    """Where it is noted."""
    rank: int | None = None
    alpha: float = 8
    ranks: Mapping[str, int] = field(default_factory=dict)
    """By the ends of the layers' names, each an expression."""
    alphas: Mapping[str, float] = field(default_factory=dict)
    rank_stabilised: bool = False
    """Whether alpha is divided by the square root of the rank (Kalajdzievski 2023)."""
    dora: bool | None = None
    hadamard: bool = False

    def scaling(self, layer: str, rank: int) -> float:
        """By what the product of the matrices is multiplied, of a layer with this name in the network.

        Raises `ModelError` where another rank is noted than the matrices have.
        """
        noted = _matching(self.ranks, layer, self.rank)
        if noted is not None and noted != rank:
            raise ModelError(
                f"{self.shown} must say the rank of the matrices of {layer}, {rank:,}; got {noted:,}: the two are not "
                "of one adapter. Fetch both again"
            )
        alpha = _matching(self.alphas, layer, self.alpha)
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


@dataclass(frozen=True)
class LoraLayer:
    """The tensors of one changed layer, by their names in the file."""

    part: str
    """``unet``, ``text_encoder`` or ``text_encoder_2``."""
    layer: str
    """Its path in that part; kohya's have ``_`` for ``.``."""
    tensors: Mapping[str, str]
    """By their role: ``down`` and ``up``, which may have a ``magnitude`` beside (a DoRA), or the four or six of a
    LoHa; and ``alpha``."""
    rank: int
    scaling: float
    """By what the product of the matrices is multiplied, unless the file holds an ``alpha``: then that, by the rank."""

    @property
    def is_hadamard(self) -> bool:
        """Whether it is a LoHa's."""
        return "down" not in self.tensors


@dataclass(frozen=True)
class Lora:
    """One adapter: its weights and what they are."""

    weights: Path
    shapes: Shapes
    layers: tuple[LoraLayer, ...]


def read_lora(path: Path) -> Lora:
    """The adapter in a file, or in a folder as PEFT or diffusers saves it; raises `ModelError` where it is none."""
    weights, *config = files_of(path)
    header = read_header(weights)
    noted = read_json(config[0]) if config else None
    return Lora(weights, header.shapes, tuple(layers_of(header, path.name, noted)))


def files_of(path: Path) -> tuple[Path, ...]:
    """The weights of an adapter, and behind them what PEFT noted of it, if that lies there. Raises `ModelError`."""
    if not path.is_dir():
        beside = path.parent / CONFIG
        return (path, beside) if path.name == SAVED[0] and beside.is_file() else (path,)
    weights = next((path / name for name in SAVED if (path / name).is_file()), None)
    if weights is None:
        pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
        only = f"; found only {pickles[0]}, a pickle, which could run any code and is never opened" if pickles else ""
        raise ModelError(f"the folder {path.name} must hold {' or '.join(SAVED)} to be a LoRA{only}")
    return (weights, path / CONFIG) if (path / CONFIG).is_file() else (weights,)


def find_loras(folders: Iterable[Path]) -> dict[str, Path]:
    """LoRAs by name: those in the ``loras`` of each folder, and those that lie in a folder itself.

    Of two with one name the first is taken. What is none is left out here: asking for it by name says why.
    """
    return {card.id: card.path for card, fault in lora_cards(folders) if fault is None}


def lora_cards(folders: Iterable[Path]) -> list[tuple[ModelCard, str | None]]:
    """The card of every LoRA, and why it cannot be used.

    What lies in a ``loras`` and cannot be read is told of, unless there is a LoRA of that name; beside models it may
    be anything, and is left out.
    """
    found: dict[str, tuple[ModelCard, str | None]] = {}
    for folder in folders:
        for place in (folder / LORAS, folder):
            for path in _adapters(place):
                name = name_of(path)
                known, (card, fault) = found.get(name), _told(path)
                if (known is None or known[1] is not None) and (fault is None or place != folder):
                    found[name] = card, fault
    return list(found.values())


def name_of(path: Path) -> str:
    """What the LoRA at `path` is called: as its folder, or as its file without the ending."""
    return path.stem if path.suffix == SUFFIX and not path.is_dir() else path.name


def _adapters(place: Path) -> list[Path]:
    """What may be a LoRA in a folder."""
    try:
        entries = sorted(place.iterdir()) if place.is_dir() else []
        return [path for path in entries if path.suffix == SUFFIX or _saved(path)]
    except OSError:
        return []


def _saved(folder: Path) -> bool:
    """Whether PEFT or diffusers saved an adapter there."""
    return any((folder / name).is_file() for name in (CONFIG, *SAVED))


def find_lora(name: str, folders: Sequence[Path]) -> Path:
    """The LoRA called `name`; raises `ModelError` with the names there are, or with what is wrong with it."""
    found = find_loras(folders)
    if name in found:
        return found[name]
    for folder in folders:
        for place in (folder / LORAS, folder):
            if "/" in name or "\\" in name or not place.is_dir():
                continue
            for path in sorted(place.glob("*")):
                if path.stem == name and path.suffix in SUFFIXES and (told := refused_by_name(path, "a LoRA")):
                    raise told
                if name_of(path) == name and (path.is_dir() or path.suffix == SUFFIX):
                    raise ModelError(str(_told(path)[1]))
    places = ", ".join(str(folder / LORAS) for folder in folders) or "no folder"
    raise ModelError(f"there is no LoRA called {name!r:.80} in {places}; found: {', '.join(sorted(found)) or 'none'}")


def lora_card(path: Path) -> ModelCard:
    """What a LoRA is, as if it were a model; raises `ModelError` where it is none."""
    return ModelCard(name_of(path), name_of(path), path, LORA, family=family_of(read_lora(path).shapes))


def lora_use(name: str, scale: float, folders: Sequence[Path]) -> LoraUse:
    """The LoRA called `name` as part of a request: with the digest of the files that are there now."""
    return LoraUse(name, digest_of(find_lora(name, folders)), float(scale))


def lora_path(use: LoraUse, folders: Sequence[Path]) -> Path:
    """The very LoRA that a request speaks of; raises `ModelError` where it is not here or is another one now."""
    path = find_lora(use.name, folders)
    if (now := digest_of(path)) != use.sha256:
        raise ModelError(
            f"the LoRA {use.name!r} is not the file that this turn was made with (SHA-256 {use.sha256[:12]}…, here "
            f"{now[:12]}…); put that one into the folder {LORAS}, or choose the LoRA anew"
        )
    return path


def digest_of(path: Path) -> str:
    """SHA-256 of a LoRA's weights; where PEFT's notes lie beside them, which change what they do, of both digests."""
    digests = [_sha256(file, *_mark(file)) for file in files_of(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def layers_of(header: Header, name: str, noted: Mapping[str, Any] | None = None) -> list[LoraLayer]:
    """The changed layers of a file with this header, of which PEFT `noted` this; raises `ModelError` where it is no
    LoRA in a form we read, or is so large that it cannot be one."""
    shapes = header.shapes
    grouped: dict[tuple[str, str], dict[str, str]] = {}
    for key in shapes:
        match = _KEY.fullmatch(key)
        if match is None:
            other, todo = told_by_tensors([key]) or told_by_tensors(shapes) or ("no LoRA", "")
            raise ModelError(
                f"{name} is {'in no form of LoRA' if other == 'a LoRA' else other}, which is not one of the forms that "
                f"are read (LoRA, DoRA and LoHa of PEFT, diffusers, kohya): it holds {key!r:.80}"
                + (f"; {todo}" if todo and other != "a LoRA" else "")
            )
        role = next(role for role in _ROLES if match[role] is not None)
        roles = grouped.setdefault(_place(match["layer"]), {})
        if role in roles:
            raise ModelError(
                f"{name} must hold one adapter; it has {roles[role]!r:.80} and {key!r:.80}: save one of them alone"
            )
        roles[role] = key
    if not grouped:
        raise ModelError(f"{name} holds no tensors, so it is no LoRA")
    if (numbers := sum(math.prod(shape) for shape in shapes.values())) > MOST_NUMBERS:
        raise ModelError(f"a LoRA must have at most {MOST_NUMBERS:,} numbers; {name} has {numbers:,}")
    recorded = _recorded(header, name, noted)
    return [_layer(shapes, place, roles, name, recorded) for place, roles in grouped.items()]


def _layer(
    shapes: Shapes, place: tuple[str, str], roles: Mapping[str, str], name: str, recorded: Mapping[str, Recorded]
) -> LoraLayer:
    part, path = place
    said = recorded.get(part)
    shown = f"{name}: the layer {path}"
    is_hadamard = "down" not in roles and any(role in roles for role in (*_HADAMARD, *_TUCKER))
    needed = {*(_HADAMARD if is_hadamard else _PAIR), *(_TUCKER if roles.keys() & set(_TUCKER) else ())}
    if not needed <= roles.keys():
        raise ModelError(f"{name} lacks a half of the layer {path}; fetch it again")
    if mixed := roles.keys() - needed - {"alpha"} - (set() if is_hadamard else {"magnitude"}):
        raise ModelError(f"{shown} must be of one form; it has {roles[min(mixed)]!r:.80} beside")
    if "alpha" in roles and math.prod(shapes[roles["alpha"]]) != 1:
        raise ModelError(f"{shown} must have an alpha of one number; it has {math.prod(shapes[roles['alpha']]):,}")
    rank = _hadamard_rank(shapes, roles, shown) if is_hadamard else _rank(shapes, roles, shown)
    if said is not None and (said.hadamard != is_hadamard or said.dora not in (None, "magnitude" in roles)):
        form = "LoHa" if is_hadamard else "DoRA" if "magnitude" in roles else "LoRA"
        told = "LoHa" if said.hadamard else "DoRA" if said.dora else "LoRA without magnitudes"
        raise ModelError(f"{said.shown} calls it a {told}; {shown} is of a {form}. Fetch both again")
    scaling = 1.0 if said is None or "alpha" in roles else said.scaling(path, rank)
    return LoraLayer(part, path, roles, rank, scaling)


def _rank(shapes: Shapes, roles: Mapping[str, str], layer: str) -> int:
    down, up = shapes[roles["down"]], shapes[roles["up"]]
    if not 2 <= len(down) <= 4 or not 2 <= len(up) <= 4:
        raise ModelError(f"{layer} must have two matrices of 2 to 4 sides; they have {len(down)} and {len(up)}")
    _check_rank(down[0], layer)
    if up[1] != down[0]:
        raise ModelError(f"{layer} must have two matrices of one rank; theirs are {down[0]:,} and {up[1]:,}")
    return down[0]


def _hadamard_rank(shapes: Shapes, roles: Mapping[str, str], layer: str) -> int:
    matrices = [shapes[roles[role]] for role in _HADAMARD]
    kernels = [shapes[roles[role]] for role in _TUCKER if role in roles]
    if any(len(shape) != 2 for shape in matrices) or any(len(shape) != 4 for shape in kernels):
        raise ModelError(f"{layer} must have four matrices of 2 sides, and kernels of 4 or none; they have others")
    _check_rank(matrices[1][0], layer)
    ranks = {shape[0 if kernels else 1] for shape in matrices[::2]} | {shape[0] for shape in matrices[1::2]}
    ranks |= {side for shape in kernels for side in shape[:2]}
    if len(ranks) != 1:
        raise ModelError(f"{layer} must have matrices of one rank; theirs are {', '.join(map(str, sorted(ranks)))}")
    return matrices[1][0]


def _check_rank(rank: int, layer: str) -> None:
    if not 1 <= rank <= MOST_RANK:
        raise ModelError(f"{layer} must have a rank from 1 to {MOST_RANK:,}; it has {rank:,}. Fetch it again")


# ------------------------------------------------------------------------------------------------ what PEFT notes


def _recorded(header: Header, name: str, noted: Mapping[str, Any] | None) -> dict[str, Recorded]:
    """What is noted of the adapter of each part, beside the file or in its header."""
    parts = ("unet", "text_encoder", "text_encoder_2")
    if noted is not None:
        return dict.fromkeys(parts, _recorded_of(noted, CONFIG))
    if NOTE not in header.notes:
        return {}
    shown = f"{NOTE} in the header of {name}"
    told = parsed(header.notes[NOTE].encode("utf-8", "replace"), shown)
    of_parts = {
        part: {key.removeprefix(f"{part}."): value for key, value in told.items() if key.startswith(f"{part}.")}
        for part in parts
    }
    if not any(of_parts.values()):
        return dict.fromkeys(parts, _recorded_of(told, shown)) if told else {}
    return {part: _recorded_of(values, shown) for part, values in of_parts.items() if values}


def _recorded_of(values: Mapping[str, Any], shown: str) -> Recorded:
    """Raises `ModelError` for values that cannot be, and for an adapter that does something else than is run here."""
    for key, allowed in RECORDED.items():
        check(values.get(key), allowed, f"{shown}: {key}")
    kind = str(values.get("peft_type") or "LORA").upper()
    if kind not in ("LORA", "LOHA"):
        raise ModelError(f"{shown} calls it {came(kind)}; what is read are LORA and LOHA, so {MERGED}")
    for key in OTHERWISE:
        if values.get(key):
            raise ModelError(f"{shown} asks for {key} ({came(values[key])}), which is not run here; {MERGED}")
    if values.get("bias") not in (None, "none"):
        raise ModelError(f"{shown}: bias must be none; got {came(values['bias'])}, which is not run here; {MERGED}")
    if (start := values.get("init_lora_weights")) not in PLAIN_STARTS:
        raise ModelError(
            f"{shown}: init_lora_weights is {came(start)}, by which the model's own weights were changed too; save it "
            "with PEFT's path_initial_model_for_weight_conversion, which makes a plain LoRA of it"
        )
    ranks, alphas = values.get("rank_pattern") or {}, values.get("alpha_pattern") or {}
    for key in (*ranks, *alphas):
        _check_pattern(key, shown)
    alpha = values.get("alpha" if kind == "LOHA" else "lora_alpha")
    return Recorded(
        shown,
        values.get("r"),
        8 if alpha is None else alpha,
        ranks,
        alphas,
        bool(values.get("use_rslora")),
        values.get("use_dora"),
        kind == "LOHA",
    )


_PLAIN = re.compile(r"\^?[\w.]+")
_QUANTIFIERS = re.compile(r"[*+?{]")


def _check_pattern(pattern: str, shown: str) -> None:
    """Raise `ModelError` for an expression that is none, or that could take for ever: these come from strangers."""
    if _PLAIN.fullmatch(pattern):
        return
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise ModelError(f"{shown}: a pattern must be a layer's name or an expression; got {came(pattern)}") from None
    if len(pattern) > 200 or len(_QUANTIFIERS.findall(pattern)) > 1:
        raise ModelError(
            f"{shown}: a pattern must be a layer's name, or an expression with one repetition; got {came(pattern)}"
        )


def _matching(patterns: Mapping[str, Value], layer: str, otherwise: Value) -> Value:
    """The value of the first pattern that the end of the layer's name fits, as PEFT finds it."""
    for pattern, value in patterns.items():
        if _PLAIN.fullmatch(pattern):
            plain = pattern.removeprefix("^")
            fits = layer == plain or (plain == pattern and layer.endswith(f".{plain}"))
        else:
            fits = re.match(rf"(.*\.)?({pattern})$", layer) is not None
        if fits:
            return value
    return otherwise


def family_of(shapes: Shapes) -> str:
    """Which models a LoRA was made for, in words, from its layers and their widths."""
    if any(key.startswith(("lora_te2_", "text_encoder_2.")) for key in shapes):
        return "Stable Diffusion XL"
    if any(mark in key or mark in key.replace(".", "_") for key in shapes for mark in _TRANSFORMERS):
        return "a diffusion transformer, like Flux or Stable Diffusion 3"
    widths = {
        math.prod(shape[1:])
        for key, shape in shapes.items()
        if (match := _KEY.fullmatch(key)) is not None
        and (match["down"] or match["hada_w1_b"])
        and re.search(r"attn2.*to[._]k", key)
    }
    if len(widths) != 1:
        return "a model that its layers do not tell"
    (width,) = widths
    return _WIDTHS.get(width, f"a model whose texts are {width} numbers wide")


def _place(layer: str) -> tuple[str, str]:
    """Part and path of a key without its ending; what names no part is of the U-Net, unless it is named as in CLIP."""
    prefix, part = next(((p, part) for p, part in _PARTS if layer.startswith(p)), ("", ""))
    path = layer.removeprefix(prefix).replace(".processor", "")
    if not part:
        part = "text_encoder" if path.startswith(("text_model.", "encoder.layers.")) else "unet"
    if part != "unet":
        path = re.sub(r"\.to_(q|k|v|out)$", r".\1_proj", path)  # so diffusers once called CLIP's
    return part, f"{path}.0" if path.endswith(".to_out") else path


def _mark(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(256)
def _sha256(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  they are the cache's
    return sha256_of(path)


def _told(path: Path) -> tuple[ModelCard, str | None]:
    """The LoRA's card, and why it is none that can be read, if so."""
    nothing = ModelCard(name_of(path), name_of(path), path, LORA)
    try:
        return _read(path, tuple(_mark(file) for file in files_of(path)))
    except ModelError as error:  # nothing in the folder
        return nothing, str(error)
    except OSError as error:  # it was taken away meanwhile, or is a link that leads nowhere
        return nothing, f"{path.name} cannot be read ({error.strerror or error})"


@lru_cache(256)
def _read(path: Path, marks: tuple[tuple[int, int], ...]) -> tuple[ModelCard, str | None]:  # noqa: ARG001
    try:
        return lora_card(path), None
    except ModelError as error:
        return ModelCard(name_of(path), name_of(path), path, LORA), str(error)
