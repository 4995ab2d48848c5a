"""Toybox scenes as the picture readers (judge, CLIP) train on them: small, and spoilt in the ways of edited pictures.

Beside clean renders they see blur, noise, other brightness, JPEG, small copies blown up again, subjects pasted over
other backgrounds, and round trips through the autoencoder, whole or pasted back into the original.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.contract import Picture
from pipelines.toybox.data import Scenes, draw_scenes
from pipelines.toybox.judge import SIDE
from pipelines.toybox.negatives import Shown, spoilt_background, spoilt_subject
from pipelines.toybox.render import render_background
from pipelines.toybox.scene import Scene
from pipelines.training.common import fast_arithmetic

CHUNK = 500
"""Scenes that are in memory at full size at one time, while drawing."""

Pictures = NDArray[np.uint8]
"""``(N, H, W, 3) uint8``, RGB."""


@dataclass(frozen=True)
class Examples:
    """Parallel arrays over N pictures at the readers' size."""

    pictures: Pictures
    """``(N, 128, 128, 3) uint8``."""
    masks: NDArray[np.uint8]
    """``(N, 128, 128)``, 255 = subject."""
    plates: Pictures
    """``(N, 128, 128, 3) uint8``: the backgrounds alone."""
    scenes: list[Scene]

    @property
    def peopled(self) -> NDArray[np.int64]:
        """Indices of the pictures with a subject."""
        return np.array([k for k, scene in enumerate(self.scenes) if scene.subject is not None])

    @property
    def empty(self) -> NDArray[np.int64]:
        """Indices of the pictures with nobody in them."""
        return np.array([k for k, scene in enumerate(self.scenes) if scene.subject is None])

    def alike(self, k: int) -> NDArray[np.int64]:
        """Indices of the pictures with the subject and the background of number `k`, itself included."""
        kin = _kin(self.scenes[k])
        return np.array([other for other, scene in enumerate(self.scenes) if _kin(scene) == kin])


def _kin(scene: Scene) -> tuple[str | None, str]:
    return (scene.subject.kind if scene.subject else None, scene.background)


# -------------------------------------------------------------------------------------------------- round trips


def load_autoencoder(folder: Path, device: torch.device) -> Any:
    """The autoencoder in `folder`, of whichever diffusers class its configuration names."""
    name = json.loads((folder / "config.json").read_text())["_class_name"]
    return getattr(diffusers, name).from_pretrained(folder).float().to(device).eval()


@torch.no_grad()
def round_trips(vae: Any, pictures: Pictures, device: torch.device, noise: float = 0.0) -> Pictures:
    """`pictures` encoded and decoded again; `noise` is added to the latents, in units of their deviation."""
    out = np.empty_like(pictures)
    for start in range(0, len(pictures), 8):
        x = torch.from_numpy(pictures[start : start + 8]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with fast_arithmetic(device):
            encoded = vae.encode(x)
            latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
            latents = latents + noise * latents.std() * torch.randn_like(latents)
            y = vae.decode(latents).sample.float().clamp(-1, 1)
        out[start : start + 8] = ((y + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return out


def _pasted_back(edited: Pictures, original: Pictures, masks: NDArray[np.bool_], rng: np.random.Generator) -> Pictures:
    """Half of the pictures keep the original subject in an edited background, half the reverse; feathered seams."""
    out = edited.copy()
    for k, mask in enumerate(masks):
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.7, 3))[..., None]
        share = soft if rng.random() < 0.5 else 1 - soft
        out[k] = (edited[k] * share + original[k] * (1 - share) + 0.5).astype(np.uint8)
    return out


# ------------------------------------------------------------------------------------------------------ drawing


def _shrunk(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures])


def _first(scenes: Scenes, count: int) -> Scenes:
    return Scenes(scenes.scenes[:count], scenes.captions[:count], scenes.pictures[:count], scenes.masks[:count])


def _examples(pictures: Pictures, scenes: Scenes) -> Examples:
    plates = [render_background(scene.background, scene.background_seed) for scene in scenes.scenes]
    return Examples(
        _shrunk(pictures), _shrunk(scenes.masks.astype(np.uint8) * 255), _shrunk(np.stack(plates)), scenes.scenes
    )


def draw_examples(
    count: int, seed: int, device: torch.device, workers: int, vae: Any = None, share: float = 0.0
) -> Examples:
    """Draw `count` scenes; a `share` of them is added once more as round trips through `vae`, half pasted back."""
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, count, CHUNK):
        scenes = draw_scenes(min(CHUNK, count - start), seed + start, empty=0.2, workers=workers)
        parts.append(_examples(scenes.pictures, scenes))
        if vae is not None and (some := round(share * len(scenes.scenes))):
            chosen = _first(scenes, some)
            back = round_trips(vae, chosen.pictures, device, noise=rng.uniform(0, 0.2))
            half = some // 2
            back[:half] = _pasted_back(back[:half], chosen.pictures[:half], chosen.masks[:half], rng)
            parts.append(_examples(back, chosen))
    return Examples(
        pictures=np.concatenate([part.pictures for part in parts]),
        masks=np.concatenate([part.masks for part in parts]),
        plates=np.concatenate([part.plates for part in parts]),
        scenes=[scene for part in parts for scene in part.scenes],
    )


# ----------------------------------------------------------------------------------------------------- spoiling


@dataclass(frozen=True)
class Batch:
    """What a reader is trained on at one step."""

    pictures: Tensor
    """``(N, 3, 128, 128) float32`` in [-1, 1], RGB."""
    masks: Tensor
    """``(N, 128, 128) float32``, the share of each pixel that the subject covers."""
    scenes: list[Scene]
    subject_refused: NDArray[np.bool_]
    """``(N,)``, True where the subject was spoilt so that a person would refuse it."""
    background_refused: NDArray[np.bool_]


def mixed_batch(examples: Examples, size: int, rng: np.random.Generator, alike: int = 0, refused: float = 0.0) -> Batch:
    """A batch as edited pictures are; a quarter with its subject pasted over another background.

    Of those with a subject a share of `refused` is spoilt as `negatives` does it, a sixth as many in the background.
    `alike` of them, at most three quarters, show one kind of subject on one background: told apart by colour, size and
    pose alone.
    """
    chosen = np.concatenate(
        [
            rng.choice(examples.alike(rng.choice(examples.peopled)), alike) if alike else np.empty(0, np.int64),
            rng.integers(0, len(examples.scenes), size - size // 4 - alike),
            rng.choice(examples.peopled, size // 4),
        ]
    )
    pictures, masks, plates = (x[chosen].copy() for x in (examples.pictures, examples.masks, examples.plates))
    scenes = [examples.scenes[k] for k in chosen]
    for k in range(size - size // 4, size):
        other = rng.choice(examples.empty)
        pictures[k] = _pasted_over(pictures[k], masks[k], examples.pictures[other], rng)
        plates[k] = examples.pictures[other]
        scenes[k] = replace(scenes[k], background=examples.scenes[other].background)
    subject_refused, background_refused = np.zeros((2, size), bool)
    for k in map(int, np.flatnonzero(rng.random(size) < refused)):
        if scenes[k].subject is not None:
            this = Shown(pictures[k], masks[k], plates[k], scenes[k].subject.kind)
            other = _shown(examples, rng.choice(examples.peopled))
            if rng.random() < 1 / 7:
                pictures[k], background_refused[k] = spoilt_background(this, other, rng), True
            else:
                pictures[k], subject_refused[k] = spoilt_subject(this, other, rng), True
    return Batch(
        spoilt(pictures, rng), torch.from_numpy(masks).float() / 255, scenes, subject_refused, background_refused
    )


def _shown(examples: Examples, k: int) -> Shown:
    subject = examples.scenes[k].subject
    return Shown(examples.pictures[k], examples.masks[k], examples.plates[k], subject.kind if subject else "")


def _pasted_over(picture: Picture, mask: NDArray[np.uint8], plate: Picture, rng: np.random.Generator) -> Picture:
    """The subject cut out, without its shadow, and pasted over `plate` with a soft seam."""
    wide = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=int(rng.integers(0, 3)))
    soft = cv2.GaussianBlur(wide.astype(np.float32) / 255, (0, 0), rng.uniform(0.4, 2))[..., None]
    over: Picture = (picture * soft + plate * (1 - soft) + 0.5).astype(np.uint8)
    return over


def _as_jpeg(picture: Picture, quality: int) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _spoilt_one(picture: Picture, rng: np.random.Generator) -> Picture:
    """JPEG, blur, a small copy blown up again, or (half of the time) nothing."""
    kind = rng.integers(0, 6)
    if kind == 0:
        return _as_jpeg(picture, int(rng.integers(25, 90)))
    if kind == 1:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.6)), np.uint8)
    if kind == 2:
        scale = rng.uniform(0.35, 0.9)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    return picture


def spoilt(pictures: Pictures, rng: np.random.Generator) -> Tensor:
    """``(N, 128, 128, 3) uint8`` to ``(N, 3, 128, 128) float32`` in [-1, 1]: brighter, blurred, noisy and so on.

    Channels are moved by at most 6 %: more would turn a natural colour into a painted one.
    """
    x = np.stack([_spoilt_one(picture, rng) for picture in pictures]).astype(np.float32) / 127.5 - 1
    bright, contrast, loud, noisy = rng.random((4, len(x), 1, 1, 1), np.float32)
    gain = 0.94 + 0.12 * rng.random((len(x), 1, 1, 3), np.float32)
    x = (x + 1) * gain * (0.85 + 0.3 * bright) - 1 + 0.15 * (contrast - 0.5) * x
    x += 0.12 * loud * (noisy < 0.4) * rng.standard_normal(x.shape, np.float32)
    out: Tensor = torch.from_numpy(x.clip(-1, 1)).permute(0, 3, 1, 2)
    return out
