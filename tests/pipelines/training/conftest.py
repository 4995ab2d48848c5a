"""A tiny CLIP beside the tiny models, and a trainer of both."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
)

from pipelines.contract import Picture
from pipelines.models.folders import find_model
from pipelines.training.trainer import Plan, Trainer
from pipelines.training.triples import Instruction
from tests.pipelines.conftest import write_tokenizer

PLAN = Plan(6, batch=2, warmup=2, rank=4)
COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
HALVES = ("left", "right")


class Halves:
    """A source of two colours side by side, each of which a part may change: 32 x 32, drawn in no time."""

    name = "halves"

    def count(self, split: str) -> int:
        return {"train": 10_000, "held out": 64}[split]

    def triple(self, split: str, number: int) -> tuple[Picture, Instruction, Picture]:
        states, said = self._told(split, number)
        return self._drawn(states[0]), said, self._drawn(states[2])

    def between(self, split: str, number: int) -> Picture | None:
        return self._drawn(self._told(split, number)[0][1])

    def right(self, split: str, numbers: Sequence[int], pictures: Sequence[Picture]) -> list[bool]:
        targets = [self.triple(split, number)[2] for number in numbers]
        return [np.array_equal(made, target) for made, target in zip(pictures, targets, strict=True)]

    @staticmethod
    def _drawn(state: dict[str, str]) -> Picture:
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[:, :16], picture[:, 16:] = COLOURS[state["left"]], COLOURS[state["right"]]
        return picture

    @staticmethod
    def _told(split: str, number: int) -> tuple[list[dict[str, str]], Instruction]:
        rng = random.Random(f"{split}/{number}")
        states, parts = [{half: rng.choice(list(COLOURS)) for half in HALVES}], []
        halves = rng.choices(HALVES, k=2)
        for half in halves:
            colour = rng.choice(list(COLOURS))
            parts.append(f"{half} {colour}")
            states.append({**states[-1], half: colour})
        free = halves[0] != halves[1]
        first, second = parts
        joint = " and " if free else ", then "
        return states, Instruction(first, second, first + joint + second, second + joint + first, free)


def write_tiny_clip(folder: Path) -> None:
    """The picture half sees 4 patches of 16 pixels; its tokens are 12 wide."""
    sizes = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        texts, pictures = CLIPTextConfig(**sizes), CLIPVisionConfig(**sizes, image_size=32, patch_size=16)
        CLIPModel(CLIPConfig(text_config=texts.to_dict(), vision_config=pictures.to_dict())).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder)
    write_tokenizer(folder)


@pytest.fixture(scope="session")
def folders(model_folders: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    root = tmp_path_factory.mktemp("clips")
    write_tiny_clip(root / "tiny-clip")
    return (*model_folders, root)


@pytest.fixture
def start(folders: tuple[Path, ...], tmp_path: Path) -> Callable[..., Trainer]:
    def started(
        name: str = "scratch",
        plan: Plan = PLAN,
        model: str = "tiny",
        branch: Path | None = None,
        workers: int = 0,
        device: str = "cpu",
        clip: str | None = "tiny-clip",
    ) -> Trainer:
        card = find_model(model, folders)
        return Trainer(card, clip, folders, Halves(), plan, tmp_path / name, device, branch, workers)

    return started
