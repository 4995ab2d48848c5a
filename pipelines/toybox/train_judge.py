"""Trains the judge on renders of its own seeds, clean and spoilt (see `augment`), and measures it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from pipelines.toybox.augment import (
    Batch,
    Examples,
    Pictures,
    draw_examples,
    load_autoencoder,
    mixed_batch,
    round_trips,
)
from pipelines.toybox.data import HELD_OUT_SEED, JUDGE_SEED, draw_scenes
from pipelines.toybox.judge import HEADS, NOBODY, OF_THE_SUBJECT, REFUSED, Judge, attributes_of
from pipelines.toybox.scene import Scene
from pipelines.toybox.training import Schedule, train
from pipelines.training.common import Report, best_device, fast_arithmetic

IGNORED = -100
"""Label of an attribute that a picture does not have; the loss skips it."""


WEIGHTS = {"action": 2.0}
"""Weight of a head's loss where it is not 1: whether a balloon hangs upside down is the hardest question."""


REFUSED_SHARE = 0.4
"""Of the pictures with a subject, how many are spoilt; as many ways to fail as there are, few are alike."""


def labels_of(scene: Scene, subject_refused: bool = False, background_refused: bool = False) -> list[int]:
    """The index of the right answer of every head. Of a refused subject nothing else is asked."""
    true = attributes_of(scene)
    values: dict[str, str | None] = {name: getattr(true, name) for name in HEADS} | {"subject": true.subject or NOBODY}
    if subject_refused:
        values |= {"subject": REFUSED} | dict.fromkeys(OF_THE_SUBJECT)
    if background_refused:
        values["background"] = REFUSED
    return [IGNORED if value is None else HEADS[name].index(value) for name, value in values.items()]


def head_losses(answers: dict[str, Tensor], batch: Batch) -> Tensor:
    """The weighted sum over heads of the cross entropy with the truth, a scalar."""
    rows = [
        labels_of(*each) for each in zip(batch.scenes, batch.subject_refused, batch.background_refused, strict=True)
    ]
    labels = torch.tensor(rows, device=next(iter(answers.values())).device)
    losses = [
        WEIGHTS.get(name, 1.0)
        * F.cross_entropy(answers[name].float(), labels[:, k], ignore_index=IGNORED, label_smoothing=0.02)
        for k, name in enumerate(HEADS)
    ]
    return torch.stack(losses).sum()


def shares_refused(judge: Judge, examples: Examples, size: int = 256, seed: int = 0) -> dict[str, float]:
    """Of pictures spoilt in all ways the share whose subject is refused, and of the others the share that is too."""
    batch = mixed_batch(examples, size, np.random.default_rng(seed), refused=0.5)
    peopled = np.array([scene.subject is not None for scene in batch.scenes])
    with torch.no_grad():
        found = judge(batch.pictures.to(next(judge.parameters()).device))["subject"].argmax(1).cpu().numpy()
    refused = found == HEADS["subject"].index(REFUSED)
    fine = peopled & ~batch.subject_refused
    return {
        "spoilt_refused": float(refused[batch.subject_refused].mean()),
        "fine_refused": float(refused[fine].mean()),
    }


def shares_right(judge: Judge, pictures: Pictures, scenes: list[Scene]) -> dict[str, float]:
    """The share of right answers of each head, over the pictures where the question has an answer."""
    read = [reading.attributes for reading in judge.read(list(pictures))]
    true = [attributes_of(scene) for scene in scenes]
    shares = {}
    for name in HEADS:
        asked = [k for k, t in enumerate(true) if name not in OF_THE_SUBJECT or t.subject is not None]
        shares[name] = float(np.mean([getattr(read[k], name) == getattr(true[k], name) for k in asked]))
    return shares


def measure(folder: Path, vae: Path | None = None, count: int = 400, device: str = "auto") -> dict[str, float]:
    """Shares of right answers on held-out renders and, given an autoencoder, on their round trips; 0 to 1."""
    where = best_device(device)
    judge = Judge.load(folder, where)
    scenes = draw_scenes(count, HELD_OUT_SEED, workers=1)
    sets = {"renders": scenes.pictures}
    if vae is not None:
        sets["round_trips"] = round_trips(load_autoencoder(vae, where), scenes.pictures, where)
    found: dict[str, float] = {}
    for title, pictures in sets.items():
        shares = shares_right(judge, pictures, scenes.scenes)
        found |= {f"{title}/{name}": share for name, share in shares.items()}
        found[f"{title}/worst"] = min(shares.values())
    return found


def _sheet(judge: Judge, pictures: Pictures, path: Path) -> None:
    """Twelve pictures with what the judge reads in them, for a person to look at."""
    tiles = []
    for picture, reading in zip(pictures, judge.read(list(pictures)), strict=True):
        a = reading.attributes
        tile = Image.new("RGB", (256, 288), "white")
        tile.paste(Image.fromarray(picture))
        ImageDraw.Draw(tile).text((4, 260), f"{a.size} {a.colour} {a.subject}\n{a.action}, {a.background}", "black")
        tiles.append(np.asarray(tile))
    rows = [np.concatenate(tiles[k : k + 4], 1) for k in range(0, len(tiles), 4)]
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    vae: Path | None = None,
    count: int = 8000,
    share: float = 0.1,
    batch: int = 64,
    seed: int = 0,
    workers: int = 2,
) -> Report:
    """Train for `minutes` (drawing not counted) and write the folder; `vae` defaults to the embedded autoencoder.

    `share` of the `count` scenes is seen as round trips too: a quarter of a second each on one processor thread.
    """
    where = best_device(device)
    vae = vae or folder.parent / "toybox" / "vae"
    autoencoder = load_autoencoder(vae, where) if vae.is_dir() else None
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    examples = draw_examples(count, JUDGE_SEED, where, workers, autoencoder, share)
    held_out = draw_scenes(96, HELD_OUT_SEED + 50_000, workers=workers)
    to_refuse = draw_examples(96, HELD_OUT_SEED + 60_000, where, workers)
    judge = Judge().to(where).to(memory_format=torch.channels_last)

    def loss_of_batch(step: int, done: float) -> Tensor:
        drawn = mixed_batch(examples, batch, rng, refused=REFUSED_SHARE)
        with fast_arithmetic(where):
            answers = judge(drawn.pictures.to(where, memory_format=torch.channels_last))
        return head_losses(answers, drawn)

    def on_checkpoint(step: int) -> None:
        judge.eval()
        found = shares_right(judge, held_out.pictures, held_out.scenes) | shares_refused(judge, to_refuse)
        print(f"held out: {found}", flush=True)
        judge.save(folder)
        judge.train()

    schedule = Schedule(minutes=minutes, rate=2e-3, warmup_steps=60, ema=0.99)
    steps, seconds, loss = train([judge], loss_of_batch, schedule, scratch / "judge.pt", on_checkpoint)
    judge.eval().save(folder)
    _sheet(judge, held_out.pictures[:12], folder / "sample.png")
    report = Report(
        model="judge",
        steps=steps,
        seconds=seconds,
        device=str(where),
        seed=seed,
        loss=loss,
        parameters=sum(p.numel() for p in judge.parameters()),
        measured=measure(folder, vae if autoencoder is not None else None, device=str(where))
        | shares_refused(judge, to_refuse),
    )
    report.write(folder)
    return report
