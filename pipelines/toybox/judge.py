"""Reads a Toybox picture back: what stands in it, in which colour, size and pose, and where.

The judge measures edits and never guides one. It is a small network trained on its own seeds (see `train_judge`);
a folder holds ``config.json`` and ``model.safetensors`` (fp16).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.contract import Picture
from pipelines.errors import ModelError
from pipelines.models.configs import read_config
from pipelines.toybox.scene import Scene
from pipelines.toybox.words import ACTIONS, BACKGROUNDS, COLOURS, NATURAL, SIZES, SUBJECTS, Attributes

REFUSED = "none of them"
"""The answer of the subject's and the background's head for what a person would refuse: smeared, cut, two at once."""

NOBODY = "none"
"""The answer of the subject head for a picture with nobody in it; it becomes ``Attributes.subject = None``."""

HEADS: dict[str, tuple[str, ...]] = {
    "subject": (NOBODY, *SUBJECTS, REFUSED),
    "colour": (NATURAL, *COLOURS),
    "size": tuple(SIZES),
    "action": tuple(ACTIONS),
    "background": (*BACKGROUNDS, REFUSED),
}
"""Each attribute and its possible values, in the order of the network's answers."""

OF_THE_SUBJECT = ("colour", "size", "action")
"""Attributes that mean nothing in a picture without a subject."""

SIDE = 128
"""The network looks at pictures of this size; larger ones are averaged down to it."""


def attributes_of(scene: Scene) -> Attributes:
    """What is true of `scene`; colour, size and action are ``None`` when nobody is there."""
    if scene.subject is None:
        return Attributes(background=scene.background)
    subject = scene.subject
    return Attributes(subject.kind, subject.colour, subject.size, subject.action, scene.background)


@dataclass(frozen=True)
class Reading:
    """What the judge sees in one picture."""

    attributes: Attributes
    confidence: dict[str, float]
    """Probability of the chosen value of every head, 0 to 1."""


def _block(width_in: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width, 3, stride, 1), nn.GroupNorm(8, width), nn.SiLU())


class Judge(nn.Module):
    """A plain convolutional network with one linear head an attribute.

    It sees the picture with its two coordinates, because how high a subject stands is part of whether it jumps, and
    hands both the mean and the largest answer of every channel to the heads: backgrounds fill the picture, subjects
    do not.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 192)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first, second, third, last = self.widths
        self.body = nn.Sequential(
            _block(5, first, 2),  # 64 x 64
            _block(first, second, 2),  # 32 x 32
            _block(second, second, 1),
            _block(second, third, 2),  # 16 x 16
            _block(third, third, 1),
            _block(third, last, 2),  # 8 x 8
            _block(last, last, 1),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(2 * last, len(values)) for name, values in HEADS.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """``(B, 3, H, W) float32`` in [-1, 1], RGB, to logits ``(B, values)`` by head."""
        x = F.interpolate(pictures, (SIDE, SIDE), mode="area")
        line = torch.linspace(-1, 1, SIDE, device=x.device, dtype=x.dtype)
        place = torch.stack(torch.meshgrid(line, line, indexing="ij")).expand(len(x), 2, SIDE, SIDE)
        features = self.body(torch.cat([x, place], 1))
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: Sequence[Picture]) -> list[Reading]:
        """Read each of `pictures`, ``(H, W, 3) uint8`` RGB of any size."""
        return [self._read_one(picture) for picture in pictures]

    def _read_one(self, picture: Picture) -> Reading:
        weight = next(self.parameters())
        x = torch.from_numpy(np.array(picture)).to(weight.device).permute(2, 0, 1)[None].float() / 127.5 - 1
        best = {name: logits[0].softmax(0).max(0) for name, logits in self(x).items()}
        values = {name: HEADS[name][int(index)] for name, (_, index) in best.items()}
        confidence = {name: float(probability) for name, (probability, _) in best.items()}
        if values["subject"] == NOBODY:
            return Reading(Attributes(background=values["background"]), confidence)
        return Reading(Attributes(**values), confidence)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and fp16 weights; the heads are written too, so that an old folder is recognised."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {"kind": "judge", "widths": self.widths, "heads": HEADS}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        state = {name: tensor.detach().half().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Judge:
        """Read a folder written by `save`; raises `ModelError` when it is incomplete or of another world."""
        missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"a judge's folder holds config.json and model.safetensors; {folder} lacks {' and '.join(missing)}. "
                "Train one with: python -m pipelines.toybox.train judge --minutes 12"
            )
        config = read_config(folder / "config.json")
        known = {name: list(values) for name, values in HEADS.items()}
        if config.get("heads") != known:
            raise ModelError(
                f"the judge in {folder} was trained on other attributes than this world has; train it anew"
            )
        try:
            judge = cls(config["widths"])
            state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
            judge.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"the judge in {folder} is damaged ({str(error)[:200]}); train it anew") from error
        return judge.eval().to(device)
