"""Where turns come from: our own world, drawn as they are asked for, or published files; and what numbers words are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pipelines.compose.published import Published, find_published
from pipelines.compose.render import render
from pipelines.compose.world import (
    SPLITS,
    THINGS,
    TURNS,
    Depth,
    Instruction,
    Relation,
    Side,
    elsewhere,
    otherwise,
    story,
)
from pipelines.contract import Picture

PAD, UNKNOWN, END = "<pad>", "<unknown>", "<end>"


RIVALS = 4
"""As many as there are other places for what is told by two things, which are then all of them."""


@dataclass(frozen=True)
class Turns:
    """Single turns, as training wants them: the true picture before each (teacher forcing) and after it."""

    references: NDArray[np.uint8]
    """``(B, side, side, 3)`` RGB."""
    instructions: tuple[str, ...]
    targets: NDArray[np.uint8]
    rivals: tuple[tuple[str, ...], ...] | None = None
    """Of each turn `RIVALS` other instructions, which the match learns to tell from its own; ``None`` where nobody
    knows of what else could be said that it is something else."""


class Source(Protocol):
    """Turns of one world, numbered from 0 in each split."""

    side: int

    def count(self, split: str) -> int: ...

    def turns(self, split: str, numbers: Sequence[int]) -> Turns: ...

    def texts(self) -> list[str]:
        """Instructions that hold every word of the training split."""
        ...


class World:
    """Our own: nothing is stored, and a picture takes a tenth of a millisecond."""

    def __init__(self, side: int) -> None:
        self.side = side

    def count(self, split: str) -> int:
        return SPLITS[split] * TURNS

    def turns(self, split: str, numbers: Sequence[int]) -> Turns:
        told = [(story(split, number // TURNS), number % TURNS) for number in numbers]
        return Turns(
            np.stack([render(one.before(turn), self.side) for one, turn in told]),
            tuple(str(one.instructions[turn]) for one, turn in told),
            np.stack([render(one.after(turn), self.side) for one, turn in told]),
            tuple(
                rivals(one.instructions[turn], random.Random(k)) for k, (one, turn) in zip(numbers, told, strict=True)
            ),
        )

    def texts(self) -> list[str]:
        places = tuple(Relation(THINGS[0], depth, side) for depth in Depth for side in Side)
        return [str(Instruction(thing)) for thing in THINGS] + [str(Instruction(THINGS[0], places))]


def rivals(instruction: Instruction, rng: random.Random) -> tuple[str, ...]:
    """`RIVALS` alternatives: those with another place, and drawn from the others what is missing."""
    found = elsewhere(instruction)
    return tuple(map(str, found + rng.sample(otherwise(instruction), RIVALS - len(found))))


class PublishedTurns:
    """A folder of GeNeVA's files. Raises `BadRequest` where it is laid out otherwise."""

    def __init__(self, folder: Path, side: int) -> None:
        self.side = side
        self.files = {split: Published(find_published(folder, split)) for split in ("train", "validation")}
        self.places = {
            split: [(story, turn) for story, one in enumerate(file) for turn in range(len(one.instructions))]
            for split, file in self.files.items()
        }

    def count(self, split: str) -> int:
        return len(self.places[split])

    def turns(self, split: str, numbers: Sequence[int]) -> Turns:
        references, instructions, targets = [], [], []
        for number in numbers:
            which, turn = self.places[split][number]
            one = self.files[split][which]
            references.append(one.pictures[turn - 1] if turn else self.files[split].background)
            instructions.append(one.instructions[turn])
            targets.append(one.pictures[turn])
        return Turns(self._sized(references), tuple(instructions), self._sized(targets))

    def texts(self) -> list[str]:
        return [text for one in self.files["train"] for text in one.instructions]

    def _sized(self, pictures: Sequence[Picture]) -> NDArray[np.uint8]:
        size = (self.side, self.side)
        return np.stack([cv2.resize(np.asarray(one), size, interpolation=cv2.INTER_AREA) for one in pictures])


# -------------------------------------------------------------------------------------------------------- tensors


def to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """``(B, H, W, 3) uint8`` to ``(B, 3, H, W) float32`` in [-1, 1], RGB."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(x: Tensor) -> NDArray[np.uint8]:
    """And back, clipped."""
    levels = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def build_tokenizer(texts: Sequence[str], longest: int) -> PreTrainedTokenizerFast:
    """One token a word of `texts`, lower case; every other word is `UNKNOWN`. A text ends with `END`, whose id is the
    highest: by 2, which it once was, transformers' CLIP tells models that are to look for the highest instead."""
    plain = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    plain.normalizer = normalizers.Lowercase()
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in plain.pre_tokenizer.pre_tokenize_str(text.lower())})
    vocabulary = {token: number for number, token in enumerate([PAD, UNKNOWN, *words, END])}
    plain.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    plain.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, vocabulary[END])])
    return tokenizer_of(plain, longest)


def tokenizer_of(plain: Tokenizer, longest: int) -> PreTrainedTokenizerFast:
    """The same with its marks, for texts of `longest` words at most."""
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, model_max_length=longest
    )


def to_words(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], device: torch.device) -> Tensor:
    """``(B, longest) int64``; what is longer is cut, and ends with `END` all the same."""
    found = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    words: Tensor = found["input_ids"]
    return words.to(device)
