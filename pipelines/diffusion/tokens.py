"""Words and the tokens that stand for them: which places of a text's embedding a word has, and which of two texts'
tokens answer each other."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.errors import BadRequest
from pipelines.models.bundle import ModelBundle

GAP, MATCH, MISMATCH = 0, 1, -1
"""Scores of the alignment (Needleman and Wunsch 1970) in Prompt-to-Prompt's code."""


@dataclass(frozen=True)
class Token:
    """One token of a text, at its place in the embedding."""

    number: int
    """In the vocabulary."""
    start: int
    """Of its letters in the text; `end` is exclusive."""
    end: int


def tokens_of(bundle: ModelBundle, text: str) -> tuple[Token, ...]:
    """The tokens that the encoder reads, with its start at place 0 and its end behind the last word; padding is left
    out, and so is what lies beyond the encoder's length."""
    length = _length(bundle)
    assert bundle.tokenizer is not None
    told = bundle.tokenizer(text, truncation=True, max_length=length, return_offsets_mapping=True)
    spans = zip(told["input_ids"], told["offset_mapping"], strict=True)
    return tuple(Token(number, start, end) for number, (start, end) in spans)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without what punctuates them."""
    return [match.group().lower() for match in re.finditer(r"[^\W_]+(?:['’-][^\W_]+)*", text)]


def places_of(bundle: ModelBundle, text: str, phrase: str) -> tuple[int, ...]:
    """Where the tokens of every `phrase` in `text` stand; punctuation around it and capitals have no say.

    Raises `BadRequest` for one that the text does not have, or that lies beyond what the model reads of it.
    """
    wanted = words_of(phrase)
    pattern = r"(?<![^\W_])" + r"[\W_]+".join(map(re.escape, wanted)) + r"(?![^\W_])"
    spans = [m.span() for m in re.finditer(pattern, text.lower())] if wanted else []
    if not spans:
        raise BadRequest(f"the text {text!r:.80} has no {phrase!r:.40}; name a word that stands in it")
    tokens = tokens_of(bundle, text)
    found = tuple(
        place
        for place, token in enumerate(tokens)
        if any(token.start < end and token.end > start for start, end in spans)
    )
    if not found:
        raise BadRequest(f"the model does not read as far as {phrase!r:.40} in {text!r:.80}; say it earlier")
    return found


@dataclass(frozen=True)
class Alignment:
    """Which tokens of a source text the tokens of a target text answer to."""

    answers: Tensor
    """``(L, L) float32``: column `t` says of which source tokens target token `t` is made."""
    known: Tensor
    """``(L,) float32``: 1 for the target's tokens that answer to some of the source's, 0 for new ones."""

    def mixed(self, source: Tensor, target: Tensor, share: Tensor | float = 1.0) -> Tensor:
        """Maps of the target ``(..., L)``, those of answering tokens taken from the maps of the `source`; `share`
        ``(L,)`` in [0, 1] says how much of them."""
        taken = (self.known * share).to(source)
        return taken * (source @ self.answers.to(source)) + (1 - taken) * target


def refined(bundle: ModelBundle, source: str, target: str) -> Alignment:
    """Tokens aligned as they are (Prompt-to-Prompt's refinement): a word that was added or changed is new."""
    a, b = ([token.number for token in tokens_of(bundle, text)] for text in (source, target))
    length = _length(bundle)
    answers, known = torch.zeros(length, length), torch.zeros(length)
    for i, j in _aligned(a, b):
        answers[i, j] = known[j] = 1.0
    _pad(answers, known, len(a), len(b))
    return Alignment(answers, known)


def replaced(bundle: ModelBundle, source: str, target: str) -> Alignment:
    """Word for word (Prompt-to-Prompt's word swap): a word of `k` tokens answers to one of `l`, each to each where
    they are as many, else each to an l-th of all: as much is looked at the word as before.

    Raises `BadRequest` for texts of different numbers of words.
    """
    a, b = words_of(source), words_of(target)
    if len(a) != len(b):
        raise BadRequest(
            f"word for word, both texts must have as many words: {source!r:.80} has {len(a)}, {target!r:.80} has "
            f"{len(b)}. Say it in {len(a)} words, or choose refine"
        )
    tokens_a, tokens_b = (tokens_of(bundle, text) for text in (source, target))
    length = _length(bundle)
    answers, known = torch.zeros(length, length), torch.ones(length)
    answers[0, 0] = 1.0
    for from_, to in zip(_by_word(source, tokens_a), _by_word(target, tokens_b), strict=True):
        if len(from_) == len(to):
            for i, j in zip(from_, to, strict=True):
                answers[i, j] = 1.0
        else:
            for i in from_:
                answers[i, list(to)] = 1 / len(to)
    _pad(answers, known, len(tokens_a), len(tokens_b))
    known *= (answers.sum(0) > 0).float()  # punctuation that only one of them has
    return Alignment(answers, known)


def differing(bundle: ModelBundle, source: str, target: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The places of the source's tokens whose words the target does not have in their order, and those of the target's
    whose words the source does not have."""
    a, b = words_of(source), words_of(target)
    tokens_a, tokens_b = (_by_word(text, tokens_of(bundle, text)) for text in (source, target))
    gone: list[int] = []
    new: list[int] = []
    for tag, a_from, a_to, b_from, b_to in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            gone += [place for word in tokens_a[a_from:a_to] for place in word]
            new += [place for word in tokens_b[b_from:b_to] for place in word]
    return tuple(gone), tuple(new)


def _by_word(text: str, tokens: Sequence[Token]) -> list[list[int]]:
    """The places of each word's tokens; none where the model does not read so far."""
    spans = [match.span() for match in re.finditer(r"[^\W_]+(?:['’-][^\W_]+)*", text)]
    return [[p for p, t in enumerate(tokens) if t.start < end and t.end > start] for start, end in spans]


def _length(bundle: ModelBundle) -> int:
    assert bundle.tokenizer is not None and bundle.text_encoder is not None
    return int(min(bundle.tokenizer.model_max_length, bundle.text_encoder.config.max_position_embeddings))


def _pad(answers: Tensor, known: Tensor, source: int, target: int) -> None:
    """The ends and what pads behind them answer each other, counted from the end of each text."""
    length = len(answers)
    answers[source - 1, target - 1] = known[target - 1] = 1.0
    for place in range(target, length):
        answers[min(source + place - target, length - 1), place] = known[place] = 1.0


def _aligned(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of places of equal tokens in the best global alignment (Needleman and Wunsch 1970)."""
    score = [[GAP * (i + j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            met = score[i - 1][j - 1] + (MATCH if x == y else MISMATCH)
            score[i][j] = max(met, score[i - 1][j] + GAP, score[i][j - 1] + GAP)
    pairs, i, j = [], len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1] and score[i][j] == score[i - 1][j - 1] + MATCH:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif score[i][j] == score[i - 1][j] + GAP:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]
