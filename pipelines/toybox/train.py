"""Trains one of the embedded models: ``python -m pipelines.toybox.train MODEL --minutes N --device auto``.

The order matters twice: the autoencoder comes before text-to-image (which lives on its latents) and before the judge
(which learns to look past its round trips), and text-to-image before the models for instructions, inpainting and few
steps, which begin as it. A training that was stopped goes on from its last checkpoint in ``--scratch``; delete that
folder to begin anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from pipelines.toybox import (
    train_autoencoder,
    train_clip,
    train_few_steps,
    train_inpaint,
    train_instruct,
    train_judge,
    train_segmenter,
    train_text_to_image,
)
from pipelines.training.common import Report

MODELS = Path(__file__).resolve().parents[2] / "assets" / "models"

TRAINERS: dict[str, tuple[str, Callable[..., Report]]] = {
    "autoencoder": ("toybox/vae", train_autoencoder.main),
    "text-to-image": ("toybox", train_text_to_image.main),
    "instruct": ("toybox-instruct", train_instruct.main),
    "inpaint": ("toybox-inpaint", train_inpaint.main),
    "few-steps": ("toybox-few-steps", train_few_steps.main),
    "segmenter": ("toybox-segmenter", train_segmenter.main),
    "judge": ("toybox-judge", train_judge.main),
    "clip": ("toybox-clip", train_clip.main),
}


def main() -> None:
    """Read the command line, train, print the report as JSON."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.toybox.train", description=__doc__)
    parser.add_argument("model", choices=sorted(TRAINERS))
    parser.add_argument("--minutes", type=float, required=True, help="time budget; the learning rate follows it")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that holds the model folders")
    parser.add_argument("--scratch", type=Path, default=Path("build") / "toybox", help="checkpoints and caches")
    parser.add_argument("--threads", type=int, help="processor threads; all of them by default")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    where, trainer = TRAINERS[asked.model]
    report = trainer(asked.models / where, asked.minutes, device=asked.device, scratch=asked.scratch)
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
