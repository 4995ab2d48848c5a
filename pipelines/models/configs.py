"""The JSON files of models, which anybody may have written: read in one place, each value of a type and in a range.

A library that is given ``"num_train_timesteps": 1e9`` takes gigabytes before it notices; our own code, given a list for
a number, ends in a traceback that takes the whole list of models along. So whoever asks for a value of a configuration
asks here, and what comes is what the tables below allow, or `ModelError` with the field, what was expected, and what
came. What the tables do not name is only of limited size. This file imports no torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.errors import ModelError

LARGEST_JSON = 4 * 2**20
"""Bytes of a file of configuration; an index of a thousand shards has a tenth of that."""
DEEPEST = 20
"""Levels of lists and objects in each other."""
LONGEST_TEXT = 10_000
"""Characters."""
MOST_ELEMENTS = 100_000
"""Of one list or object: the labels of a classifier are the longest there are."""

Json = Mapping[str, Any]


class Allowed(Protocol):
    """What a value may be. ``null`` always means that a field was left out."""

    def admits(self, value: Any) -> bool:
        """Whether `value`, which is not ``None``, is one."""
        ...

    def words(self) -> str:
        """What is expected, for a person."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number; one that is written as ``64.0`` is not."""

    low: int
    high: int

    def admits(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def words(self) -> str:
        return f"a whole number from {self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class Number:
    """Any number of the range."""

    low: float
    high: float

    def admits(self, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def words(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def admits(self, value: Any) -> bool:
        return isinstance(value, bool)

    def words(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Text:
    """A text of limited length, or one of a few words."""

    longest: int = 200
    choices: tuple[str, ...] = ()

    def admits(self, value: Any) -> bool:
        return isinstance(value, str) and (value in self.choices if self.choices else len(value) <= self.longest)

    def words(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else f"a text of at most {self.longest} characters"


@dataclass(frozen=True)
class Name:
    """The name of a folder beside the model."""

    def admits(self, value: Any) -> bool:
        return isinstance(value, str) and is_plain_name(value) and len(value) <= 200

    def words(self) -> str:
        return "the name of a folder beside the model, without a path"


@dataclass(frozen=True)
class Each:
    """A list of 1 to `most` values of one kind."""

    of: Allowed
    most: int = 64

    def admits(self, value: Any) -> bool:
        return isinstance(value, list) and 1 <= len(value) <= self.most and all(self.of.admits(v) for v in value)

    def words(self) -> str:
        return f"a list of 1 to {self.most}, each {self.of.words()}"


@dataclass(frozen=True)
class Levels:
    """One value for all levels of a network, or a list with one for each, which may be lists themselves."""

    of: Allowed
    most: int = 64
    nested: int = 2

    def admits(self, value: Any) -> bool:
        if not isinstance(value, list):
            return self.of.admits(value)
        inner = Levels(self.of, self.most, self.nested - 1)
        return self.nested > 0 and 1 <= len(value) <= self.most and all(inner.admits(v) for v in value)

    def words(self) -> str:
        return f"{self.of.words()}, or a list of such"


@dataclass(frozen=True)
class Table:
    """An object of at most `most` names, each with a value of one kind."""

    of: Allowed
    most: int = 5_000

    def admits(self, value: Any) -> bool:
        return isinstance(value, dict) and len(value) <= self.most and all(map(self.of.admits, value.values()))

    def words(self) -> str:
        return f"an object of at most {self.most:,} names, each with {self.of.words()}"


DEPTH, WIDTH, HEADS = Whole(0, 256), Whole(1, 65_536), Whole(1, 1_024)
WIDTHS = Each(WIDTH, 16)
SIDE = Whole(1, 4_096)
"""Pixels, or latent cells."""
SHARE = Number(0, 1)

FIELDS: dict[str, Allowed] = {
    "_class_name": Text(),
    "model_type": Text(),
    "kind": Text(),
    # U-Net and autoencoder
    "in_channels": Whole(1, 1_024),
    "out_channels": Whole(1, 1_024),
    "latent_channels": Whole(1, 1_024),
    "block_out_channels": WIDTHS,
    "encoder_block_out_channels": WIDTHS,
    "decoder_block_out_channels": WIDTHS,
    "sample_size": Levels(SIDE),
    "transformer_layers_per_block": Levels(DEPTH),
    "reverse_transformer_layers_per_block": Levels(DEPTH),
    "cross_attention_dim": Levels(WIDTH),
    "norm_num_groups": HEADS,
    "scaling_factor": Number(1e-6, 1e6),
    "addition_embed_type": Text(),
    "class_embed_type": Text(),
    "encoder_hid_dim_type": Text(),
    "num_class_embeds": WIDTH,
    # noise
    "num_train_timesteps": Whole(2, 10_000),
    "beta_start": Number(1e-9, 0.999),
    "beta_end": Number(1e-9, 0.999),
    "beta_schedule": Text(choices=("linear", "scaled_linear", "squaredcos_cap_v2")),
    "trained_betas": Each(Number(0, 0.999), 10_000),
    "prediction_type": Text(choices=("epsilon", "v_prediction", "sample")),
    "timestep_spacing": Text(choices=("leading", "linspace", "trailing")),
    "timestep_type": Text(),
    "steps_offset": Whole(0, 1_000),
    # text encoders and transformers' models
    "vocab_size": Whole(1, 1_000_000),
    "max_position_embeddings": SIDE,
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "model_max_length": Whole(1, 10**31),  # the libraries write 10^30 for "not said"
    # Segment Anything as it is kept here, and the judge
    "global_attention": Each(DEPTH, 256),
    "decoder_mlp": WIDTH,
    "labels": Each(Text(40), 3),
    "widths": Each(Whole(8, 4_096), 4),
}
"""By name, wherever in a configuration it stands: the libraries call the same thing the same."""

LIKE: tuple[tuple[re.Pattern[str], Allowed], ...] = tuple(
    (re.compile(pattern), allowed)
    for pattern, allowed in (
        (r"token_ids?$", Whole(-1, 1_000_000)),
        (r"(^|_)(layers|depths?|blocks|stages|levels)(_|$)", DEPTH),
        (r"heads|groups", HEADS),
        (r"(^|_)(kernel|stride|padding|edge|height|width|sizes?)(_|$)", Whole(0, 4_096)),
        (r"queries|points|outputs|text_len|pos_feats|conditional|ind(ex|ic)es", Whole(-4_096, 4_096)),
        (r"channels?(_|$)|(^|_)dim(_|$)|d_model|embeddings$", WIDTH),
        (r"dropout|droppath|_prob$", SHARE),
        (r"(^|_)(rate|ratio|factors?|temperature|magnitude|shift|scale|value)$", Number(-1e6, 1e6)),
    )
)
"""The numbers of the others, by what their name is like; the first that fits counts."""

CARD: dict[str, Allowed] = {
    "title": Text(),
    "notes": Text(5_000),
    "vae": Name(),
    "resolution": Whole(16, 8_192),
    "prediction_type": FIELDS["prediction_type"],
}
"""What a person says of a model, in ``card.json`` or ``NAME.json``; "" stands for nothing said."""

INDEX: dict[str, Allowed] = {
    "_class_name": Text(),
    "force_zeros_for_empty_prompt": Flag(),
    **dict.fromkeys(
        (
            *("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler", "transformer"),
            *("image_encoder", "feature_extractor"),
        ),
        Each(Text(), 2),
    ),
}
"""What ``model_index.json`` says; of each part its library and class."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder; raises `ModelError` naming the file."""
    shown = _shown(path)
    try:
        if not path.is_file():  # a pipe of that name would never end
            raise ModelError(f"{shown} is missing; copy the whole model folder, with this file in it")
        with path.open("rb") as file:
            data = file.read(LARGEST_JSON + 1)
    except OSError as error:
        raise ModelError(f"{shown} cannot be read ({error.strerror or error}); copy the model folder again") from None
    if len(data) > LARGEST_JSON:
        raise ModelError(
            f"{shown} must have at most {LARGEST_JSON >> 20} MB, as no configuration has more; it has more"
        )
    return parsed(data, shown)


def parsed(data: bytes, shown: str, longest: int = LONGEST_TEXT) -> dict[str, Any]:
    """`data` as a JSON object of finite numbers, limited depth and texts of at most `longest` characters.

    Raises `ModelError`, which calls it `shown`.
    """
    try:
        value = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ModelError(f"{shown} must have at most {DEEPEST} levels of lists and objects; it has far more") from None
    except ValueError as error:
        raise ModelError(f"{shown} cannot be read as JSON ({str(error)[:200]}); copy it again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{shown} must hold a JSON object; got {came(value)}")
    _check_size(value, shown, longest)
    return value


def read_config(path: Path) -> dict[str, Any]:
    """A part's configuration, every field as `FIELDS` and `LIKE` allow; raises `ModelError`."""
    config = read_json(path)
    _check_fields(config, _shown(path))
    return config


def read_card(path: Path) -> dict[str, Any]:
    """What a card says, without the fields in which it says nothing; raises `ModelError`."""
    return _of(CARD, {name: value for name, value in read_json(path).items() if value not in (None, "")}, path)


def read_index(path: Path) -> dict[str, Any]:
    """A ``model_index.json``, without the parts that it names as not there; raises `ModelError`."""
    nothing = (None, [None, None])
    index = _of(INDEX, {name: value for name, value in read_json(path).items() if value not in nothing}, path)
    for name, value in index.items():
        if isinstance(INDEX.get(name), Each) and len(value) != 2:
            raise ModelError(f"{_shown(path)}: {name} must be a list of its library and its class; got {came(value)}")
    return index


def _of(fields: Mapping[str, Allowed], values: dict[str, Any], path: Path) -> dict[str, Any]:
    for name, allowed in fields.items():
        if name in values:
            check(values[name], allowed, f"{_shown(path)}: {name}")
    return values


def check(value: Any, allowed: Allowed, field: str) -> None:
    """Raise `ModelError` unless `value` is left out or what is `allowed`; it names the field, expected and came."""
    if value is not None and not allowed.admits(value):
        raise ModelError(f"{field} must be {allowed.words()}; got {came(value)}")


def came(value: Any) -> str:
    """A value of strangers, in a few characters."""
    told = json.dumps(value, ensure_ascii=True, default=str)
    return told if len(told) <= 60 else f"{told[:57]}..."


def is_plain_name(name: str) -> bool:
    """True for what can be the name of a file in a folder, and nothing that leads out of it."""
    return bool(name) and name not in {".", ".."} and not set(name) & set("/\\\0")


def _shown(path: Path) -> str:
    """The file by its name and its folder's; never a path of the machine."""
    return f"{path.parent.name}/{path.name}"


def _check_fields(config: Json, shown: str) -> None:
    for name, value in config.items():
        field = f"{shown}: {name}"
        if isinstance(value, dict):
            _check_fields(value, field)
        elif name in FIELDS:
            check(value, FIELDS[name], field)
        elif like := next((allowed for pattern, allowed in LIKE if pattern.search(name)), None):
            _check_numbers(value, like, field)


def _check_numbers(value: Any, allowed: Allowed, field: str) -> None:
    """Raise `ModelError` for a number in `value` that is not `allowed`."""
    if isinstance(value, list):
        for inner in value:
            _check_numbers(inner, allowed, field)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        check(value, allowed, field)


def _check_size(value: Any, shown: str, longest: int, depth: int = 1) -> None:
    if isinstance(value, dict | list):
        if depth > DEEPEST:
            raise ModelError(f"{shown} must have at most {DEEPEST} levels of lists and objects; it has more")
        if len(value) > MOST_ELEMENTS:
            raise ModelError(f"{shown} must have at most {MOST_ELEMENTS:,} values in one list; it has {len(value):,}")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_size(inner, shown, longest, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ModelError(f"{shown} must hold finite numbers only; got {value}")
    elif isinstance(value, str) and len(value) > longest:
        raise ModelError(f"{shown} must hold texts of at most {longest:,} characters; one has {len(value):,}")
