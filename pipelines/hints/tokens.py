"""Where the part of a text that a model reads ends, from its tokenizer's files alone: no weights, no torch.

A text encoder reads so many tokens, its start and end included (``model_max_length`` in ``tokenizer_config.json``), and
what is beyond is cut before it reads anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from pipelines.hints.contract import Span
from pipelines.models.folders import ModelCard
from pipelines.models.original import TOKENIZER

FRAME = 2
"""Tokens that stand for the start and the end of a text."""
UNLIMITED = 10**6
"""What a tokenizer says that has no limit of its own is more than this."""
# As CLIP's tokenizer in transformers cuts a text, which cannot be asked here: it is torch's neighbour.
_END = "<|endoftext|>"
_WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


@dataclass(frozen=True, eq=False)
class TextReader:
    """A model's tokenizer."""

    limit: int
    """Tokens that it reads of a text."""
    tokenizer: Tokenizer

    def tokens(self, text: str) -> list[Span]:
        """Which characters each token of `text` stands for."""
        # Half a character would be refused, and a hint refuses nothing.
        whole = text.encode("utf-8", "replace").decode()
        return list(self.tokenizer.encode(whole, add_special_tokens=False).offsets)

    def unread_from(self, text: str) -> int | None:
        """Where the word begins with which the model stops reading `text`; ``None`` where it reads all of it."""
        tokens = self.tokens(text)
        if len(tokens) <= self.limit:
            return None
        start = tokens[self.limit][0]
        while start and not text[start - 1].isspace():
            start -= 1
        return start


def text_reader(card: ModelCard) -> TextReader | None:
    """The tokenizer of a text-to-image model; ``None`` where its files do not say how it reads."""
    folder = TOKENIZER if card.path.is_file() else card.path / "tokenizer"
    changed = tuple(file.stat().st_mtime_ns for file in sorted(folder.glob("*"))) if folder.is_dir() else ()
    return _reader(folder, card.path, changed)


@lru_cache(maxsize=4)
def _reader(folder: Path, model: Path, changed: tuple[int, ...]) -> TextReader | None:  # noqa: ARG001  names the files
    try:
        limit, tokenizer = _limit(folder, model), _tokenizer(folder)
    except Exception:  # noqa: BLE001  files of strangers, read by a library: a model whose texts it cannot read gets no mark
        return None
    return None if limit is None else TextReader(limit, tokenizer)


def _limit(folder: Path, model: Path) -> int | None:
    said = [_json(folder / "tokenizer_config.json").get("model_max_length")]
    if model.is_dir():
        said.append(_json(model / "text_encoder" / "config.json").get("max_position_embeddings"))
    limits = [int(n) for n in said if isinstance(n, int | float) and not isinstance(n, bool) and FRAME < n < UNLIMITED]
    return min(limits) - FRAME if limits else None


def _json(file: Path) -> dict[str, Any]:
    value = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return value if isinstance(value, dict) else {}


def _tokenizer(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
        whole.no_truncation()
        whole.no_padding()
        return whole
    vocab, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(BPE(vocab, merges, end_of_word_suffix="</w>", fuse_unk=False, unk_token=_END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer
