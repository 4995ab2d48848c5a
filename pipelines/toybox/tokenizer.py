"""Makes the Toybox tokenizer: CLIP's byte-pair encoding, with merges learnt from the words of the world.

The files are those of any CLIP tokenizer (``vocab.json``, ``merges.txt``), so the real classes load them. Every word
that the grammar can say is one token; other text is encoded by characters.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from pipelines.toybox.words import vocabulary

LONGEST = 32
"""Tokens of a text, its start and end included."""

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"


def _learnt_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that join each of `words` (lower-case ASCII) into one token, in the order in which they apply.

    Learnt here rather than by the library's trainer, which breaks ties between equally frequent pairs at random.
    """
    pieces = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges = []
    while pairs := Counter(pair for parts in pieces for pair in pairwise(parts)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [_merged(parts, best) for parts in pieces]
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Learn the merges from `vocabulary`, write the tokenizer to `folder` and return it as loaded from there.

    Ids are given in CLIP's order: 256 bytes, the same bytes ending a word, the merges, start, end. The end has the
    highest id, which is how CLIP's text tower finds it; it also pads, as in CLIP.
    """
    merges = _learnt_merges(vocabulary())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(byte + END_OF_WORD for byte in alphabet), *(a + b for a, b in merges), START, END]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LONGEST)
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    return CLIPTokenizer.from_pretrained(folder)
