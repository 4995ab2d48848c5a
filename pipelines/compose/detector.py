"""Finds the world's solids in a picture: which of the 24 are there, and where. It guides no drawing: one measures what
was drawn, and another one, of another seed, tells what an instruction may speak of.

GeNeVA reads pictures with a network trained on their world; this one is for ours. A folder holds ``config.json`` and
``model.safetensors`` (fp16).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.compose.data import to_tensor
from pipelines.compose.metric import Seen, mean, score
from pipelines.compose.render import render, seen_at
from pipelines.compose.world import THINGS, Scene, sample_scene, story
from pipelines.errors import ModelError
from pipelines.models.configs import read_config
from pipelines.models.loader import fast_dtype
from pipelines.seeds import derived_seed, generator

SIDE = 64
"""Pixels a side of what it looks at; larger pictures are averaged down to it."""

TIMED = 10
"""Steps by which it is told how many there is time for."""

PRESENT = 0.5
"""A class is in the picture from this probability on, as in GeNeVA."""


def seen_in(scene: Scene) -> Seen:
    """What the renderer itself knows of a scene."""
    return {placed.thing: seen_at(placed) for placed in scene}


class Detector(nn.Module):
    """A map a class, 16 x 16: its largest value says whether the solid is there, its weight where."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        wide = 2 * width
        layers = [(3, width, 2), (width, width, 1), (width, wide, 2), (wide, wide, 1), (wide, wide, 1), (wide, wide, 1)]
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU())
                for before, after, stride in layers
            ),
            nn.Conv2d(wide, len(THINGS), 1),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 3, H, W)`` in [-1, 1] to the logit of each class ``(B, 24)`` and its place ``(B, 24, 2)``, x and y in
        fractions of the picture."""
        maps = self.body(F.interpolate(pictures, (SIDE, SIDE), mode="area")).float()
        cells = torch.arange(maps.shape[-1], device=maps.device)
        at = (cells + 0.5) / len(cells)
        weights = maps.flatten(2).softmax(2).unflatten(2, maps.shape[2:])  # (B, 24, 16, 16)
        places = torch.stack([(weights.sum(2) * at).sum(2), (weights.sum(3) * at).sum(2)], 2)
        return maps.amax((2, 3)), places

    @torch.no_grad()
    def read(self, pictures: NDArray[np.uint8]) -> list[Seen]:
        """What is in each of ``(B, H, W, 3) uint8`` RGB, and where."""
        logits, places = self(to_tensor(pictures, next(self.parameters()).device))
        there = logits.sigmoid() > PRESENT
        return [
            {THINGS[k]: (float(at[k, 0]), float(at[k, 1])) for k in found.nonzero()[:, 0].tolist()}
            for found, at in zip(there, places, strict=True)
        ]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = {"kind": "compose-detector", "width": self.width, "things": [str(thing) for thing in THINGS]}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        state = {name: tensor.detach().half().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Detector:
        """Raises `ModelError` for a folder that `save` has not written, or has of another world."""
        if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
            raise ModelError(
                f"a detector's folder holds config.json and model.safetensors; {folder} does not. Train one with: "
                "launch.py train detector"
            )
        config = read_config(folder / "config.json")
        if config.get("kind") != "compose-detector" or config.get("things") != [str(thing) for thing in THINGS]:
            raise ModelError(
                f"{folder} is no detector of this world's solids; train one with: launch.py train detector"
            )
        try:
            detector = cls(config["width"])
            state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
            detector.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"the detector in {folder} is damaged ({str(error)[:200]}); train it anew") from error
        return detector.eval().to(device)


def detector_loss(logits: Tensor, places: Tensor, there: Tensor, at: Tensor) -> Tensor:
    """Whether each class is there, ``(B, 24)``, and how far off those that are stand, ``(B, 24, 2)``."""
    off = (places - at).abs().sum(2) * there
    return F.binary_cross_entropy_with_logits(logits, there) + 4 * off.sum() / there.sum().clamp(min=1)


def train_detector(
    steps: int, seed: int = 0, batch: int = 32, say: Callable[[int, float], None] = lambda _step, _loss: None
) -> Detector:
    """Trained on scenes of its own seeds, with up to six solids, softened and with noise as drawn pictures are."""
    torch.manual_seed(derived_seed(seed, "detector"))
    detector = Detector()
    optimiser = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    source, rng = generator(seed, "detector noise"), random.Random(f"compose/detector/{seed}")
    dtype = fast_dtype(torch.device("cpu"))
    for step in range(1, steps + 1):
        scenes = [sample_scene(rng, rng.randrange(7), centred=rng.random() < 0.5) for _ in range(batch)]
        pictures, there, at = labelled(scenes)
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            logits, places = detector(_worn(pictures, source, rng))
        loss = detector_loss(logits, places, there, at)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        say(step, loss.item())
    return detector.eval()


def train_and_save(
    out: Path, minutes: float, seed: int, threads: int | None, say: Callable[[str], None]
) -> dict[str, float]:
    """What ``launch.py train detector`` does: as many steps as fit into `minutes`, then figures on the test split."""
    if threads:
        torch.set_num_threads(threads)
    began = time.perf_counter()
    train_detector(TIMED, seed)
    each = (time.perf_counter() - began) / TIMED
    steps = max(TIMED, round(60 * minutes / each))

    def tell(step: int, loss: float) -> None:
        if step % 50 == 0 or step == steps:
            say(f"step {step} of {steps}  {time.perf_counter() - began:.0f} s  loss {loss:.4f}")

    detector = train_detector(steps, seed, say=tell)
    scenes = [story("test", number).scene for number in range(500)]
    found = detector.read(np.stack([render(scene, SIDE) for scene in scenes]))
    told = mean([score(seen, seen_in(scene)) for seen, scene in zip(found, scenes, strict=True)])
    report = {"steps": steps, "seconds": round(time.perf_counter() - began, 1), **asdict(told)}
    detector.save(out)
    (out / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def labelled(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """Their pictures ``(B, 3, 64, 64)``, which classes are there ``(B, 24)``, and where ``(B, 24, 2)``."""
    there, at = torch.zeros(len(scenes), len(THINGS)), torch.zeros(len(scenes), len(THINGS), 2)
    for k, scene in enumerate(scenes):
        for placed in scene:
            there[k, THINGS.index(placed.thing)] = 1
            at[k, THINGS.index(placed.thing)] = torch.tensor(seen_at(placed))
    return to_tensor(np.stack([render(scene, SIDE) for scene in scenes]), torch.device("cpu")), there, at


def _worn(pictures: Tensor, source: torch.Generator, rng: random.Random) -> Tensor:
    """A little noise, brightness and at times softness, which a sampler's pictures have."""
    if rng.random() < 0.3:
        pictures = F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    noise = torch.randn(pictures.shape, generator=source) * rng.uniform(0, 0.08)
    return pictures * rng.uniform(0.9, 1.1) + rng.uniform(-0.08, 0.08) + noise
