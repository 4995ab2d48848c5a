"""Composes a scene: one picture a turn, each drawn from the one before it and the next instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.compose.data import to_pictures, to_tensor, to_words
from pipelines.compose.folder import Kind, Loaded, checked_config, load_composer
from pipelines.compose.instructions import read_script
from pipelines.compose.render import render
from pipelines.compose.sampler import Sampling, draw
from pipelines.compose.world import Instruction, alternatives
from pipelines.contract import Picture
from pipelines.errors import BadParameter, BadRequest
from pipelines.progress import Progress, silent
from pipelines.seeds import generator
from pipelines.training.common import best_device

RIVALS = 11
"""Other instructions that the match tells the asked one apart from: with one relation there are as many."""


@dataclass(frozen=True, eq=False)
class Composed:
    """What came of a script."""

    instructions: tuple[str, ...]
    """As the model read them."""
    pictures: tuple[Picture, ...]
    """After each turn."""


def compose_script(
    folder: Path,
    text: str,
    seed: int = 0,
    steps: int = 50,
    guidance: float = 3.0,
    match: float = 2.0,
    strength: float = 1.0,
    device: str = "auto",
    progress: Progress = silent,
) -> Composed:
    """The pictures of the instructions in `text`, one a line, by the composer in `folder`, from the empty floor on.

    Raises `BadRequest` for an instruction that means nothing, `ModelError` for another folder, `BadParameter` for a
    number of steps that the chain has not.
    """
    if Kind(checked_config(folder)["world"]) is not Kind.SOLIDS:
        raise BadRequest(
            f"the composer in {folder} was trained on published pictures, and scenes begin on this world's floor: only "
            "one of the solids composes here; choose another with --model"
        )
    told = read_script(text)
    loaded = load_composer(folder, best_device(device))
    longest = loaded.composer.sizes.steps
    if not 1 <= steps <= longest:
        raise BadParameter(f"steps must be 1 to {longest}, as many as there are noise levels; got {steps}", "steps")
    sampling = Sampling(steps, phi=guidance, psi=match, strength=strength)
    picture = render([], loaded.composer.sizes.side)[None]
    pictures = []
    for turn, instruction in enumerate(told):
        told_of = part_of(progress, turn, len(told))
        picture = next_pictures(loaded, picture, [instruction], sampling, generator(seed, f"turn {turn}"), told_of)
        pictures.append(picture[0])
    return Composed(tuple(map(str, told)), tuple(pictures))


def part_of(progress: Progress, number: int, count: int) -> Progress:
    """The progress of one drawing, counted from 0, as a part of all `count` of them."""

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        progress(stage, number * total + step, count * total, preview)

    return tell


def next_pictures(
    loaded: Loaded,
    references: NDArray[np.uint8],
    instructions: Sequence[Instruction | str],
    sampling: Sampling,
    source: torch.Generator,
    progress: Progress = silent,
) -> NDArray[np.uint8]:
    """One turn of each of B scenes: ``(B, side, side, 3) uint8`` RGB before and after.

    The match tells an instruction apart from others of our own world; a text of another one is drawn without it.
    """
    device = next(loaded.composer.parameters()).device
    words = to_words(loaded.tokenizer, [str(one) for one in instructions], device)
    read = [one for one in instructions if isinstance(one, Instruction)]
    sampling = sampling if len(read) == len(instructions) else replace(sampling, psi=0.0)
    others = _rivals(loaded, read, device) if sampling.psi else None
    x = draw(loaded.composer, to_tensor(references, device), words, sampling, source, others, progress)
    return to_pictures(x)


def _rivals(loaded: Loaded, instructions: Sequence[Instruction], device: torch.device) -> Tensor:
    """Instructions that say something else of the same picture, ``(B, RIVALS, words)``."""
    found = []
    for one in instructions:
        others = [str(other) for other in alternatives(one)]
        found += [others[k % len(others)] for k in range(RIVALS)]
    return to_words(loaded.tokenizer, found, device).reshape(len(instructions), RIVALS, -1)


def strip(pictures: Sequence[Picture], side: int = 256) -> Picture:
    """The pictures beside each other, each `side` pixels, for a person to look at."""
    large = [cv2.resize(np.asarray(one), (side, side), interpolation=cv2.INTER_CUBIC) for one in pictures]
    return np.ascontiguousarray(np.concatenate(large, 1))
