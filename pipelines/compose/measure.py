"""Measures a composer as GeNeVA does: ``python -m pipelines.compose.measure --model FOLDER --detector FOLDER``.

Scenes of the test split are composed turn by turn; a detector reads what was drawn, and its figures are told after
every turn. What is right is read in two ways: by the same detector from the true picture, as published figures are, and
from the renderer, which knows. Rows:

=================  =====================================================================================
whole              both guidances, each turn from the picture that was drawn before
no match           without guidance by the match (psi = 0)
no free guidance   without classifier-free guidance (phi = 1)
teacher-forced     each turn from the true picture before it
no matching        a second model, trained without matching (``--without``), with classifier-free guidance
the true picture   nothing drawn: what the detector itself misses
as told            nothing drawn: all that was said is true, and the places that nobody spoke of are others
anywhere           nothing drawn: the things that were said, wherever there is room
=================  =====================================================================================
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.compose.detector import Detector, seen_in
from pipelines.compose.folder import Loaded, load_composer
from pipelines.compose.metric import Score, Seen, mean, score
from pipelines.compose.render import render
from pipelines.compose.sampler import Sampling
from pipelines.compose.scenes import next_pictures
from pipelines.compose.world import TURNS, Story, placed_as_told, story
from pipelines.seeds import generator
from pipelines.training.common import best_device

MODEL = Path("assets") / "models" / "composer"
DETECTOR = Path("assets") / "models" / "composer-detector"


@dataclass(frozen=True)
class Row:
    """One way to draw, after one turn, over all scenes."""

    name: str
    turn: int
    """From 1."""
    by_detector: Score
    """What is right is what the detector sees in the true picture: GeNeVA's figures."""
    by_renderer: Score
    """What is right is what the renderer drew."""


def drawn_turns(
    loaded: Loaded, stories: Sequence[Story], sampling: Sampling, forced: bool, seed: int = 0, batch: int = 32
) -> NDArray[np.uint8]:
    """The picture of every scene after every turn, ``(N, TURNS, side, side, 3) uint8``."""
    side = loaded.composer.sizes.side
    parts = []
    for begin in range(0, len(stories), batch):
        some = stories[begin : begin + batch]
        pictures, turns = np.stack([render([], side)] * len(some)), []
        for turn in range(TURNS):
            if forced:
                pictures = np.stack([render(one.before(turn), side) for one in some])
            told = [one.instructions[turn] for one in some]
            source = generator(seed, f"scenes from {begin}, turn {turn}")
            pictures = next_pictures(loaded, pictures, told, sampling, source)
            turns.append(pictures)
        parts.append(np.stack(turns, 1))
    return np.concatenate(parts)


def rows_of(name: str, pictures: NDArray[np.uint8], stories: Sequence[Story], detector: Detector) -> list[Row]:
    """The figures after each turn of ``(N, TURNS, side, side, 3)`` pictures."""
    side = pictures.shape[2]
    rows = []
    for turn in range(TURNS):
        scenes = [one.after(turn) for one in stories]
        found = detector.read(pictures[:, turn])
        truth = detector.read(np.stack([render(scene, side) for scene in scenes]))
        known: list[Seen] = [seen_in(scene) for scene in scenes]
        rows.append(Row(name, turn + 1, _mean(found, truth), _mean(found, known)))
    return rows


def _mean(found: Sequence[Seen], truth: Sequence[Seen]) -> Score:
    return mean([score(seen, right) for seen, right in zip(found, truth, strict=True)])


def measure(
    loaded: Loaded, detector: Detector, count: int, sampling: Sampling, without: Loaded | None = None
) -> list[Row]:
    """All rows on the first `count` scenes of the test split."""
    stories = [story("test", number) for number in range(count)]
    side = loaded.composer.sizes.side
    ways = {
        "whole": (loaded, sampling, False),
        "no match": (loaded, replace(sampling, psi=0), False),
        "no free guidance": (loaded, replace(sampling, phi=1), False),
        "teacher-forced": (loaded, sampling, True),
    }
    if without is not None:
        ways["no matching"] = (without, replace(sampling, psi=0), False)
    rows = []
    for name, (model, how, forced) in ways.items():
        rows += rows_of(name, drawn_turns(model, stories, how, forced), stories, detector)
    true = np.stack([np.stack([render(one.after(turn), side) for turn in range(TURNS)]) for one in stories])
    rows += rows_of("the true picture", true, stories, detector)
    for name, heeding in (("as told", True), ("anywhere", False)):
        scenes = [placed_as_told(one.instructions, random.Random(k), heeding) for k, one in enumerate(stories)]
        others = np.stack([np.stack([render(one[: turn + 1], side) for turn in range(TURNS)]) for one in scenes])
        rows += rows_of(name, others, stories, detector)
    return rows


def as_lines(rows: Sequence[Row]) -> list[str]:
    """A table in Markdown, in percent; of RSIM also by what the renderer knows."""
    lines = ["| row | turn | precision | recall | F1 | RSIM | RSIM, true places |", "| --- | " + "--: | " * 5 + "--: |"]
    for row in rows:
        told = row.by_detector
        figures = (told.precision, told.recall, told.f1, told.rsim, row.by_renderer.rsim)
        lines.append(f"| {row.name} | {row.turn} | " + " | ".join(f"{100 * x:.1f}" for x in figures) + " |")
    return lines


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.compose.measure", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="a composer's folder")
    parser.add_argument("--without", type=Path, help="the folder of one that was trained without matching")
    parser.add_argument("--detector", type=Path, default=DETECTOR, help="the detector's folder")
    parser.add_argument("--scenes", type=int, default=100, help="of the test split, from its first on")
    parser.add_argument("--steps", type=int, default=50, help="sampler steps a turn")
    parser.add_argument("--phi", type=float, default=3.0, help="classifier-free guidance")
    parser.add_argument("--psi", type=float, default=2.0, help="guidance by the match")
    parser.add_argument("--strength", type=float, default=1.0, help="of the noise that a turn begins with")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="a JSON file for the rows")
    asked = parser.parse_args()
    device = best_device(asked.device)
    without = None if asked.without is None else load_composer(asked.without, device)
    detector = Detector.load(asked.detector, device)
    sampling = Sampling(asked.steps, phi=asked.phi, psi=asked.psi, strength=asked.strength)
    rows = measure(load_composer(asked.model, device), detector, asked.scenes, sampling, without)
    if asked.out:
        asked.out.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print("\n".join(as_lines(rows)))  # noqa: T201  what it is for


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
