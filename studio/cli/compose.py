"""``compose``: a scene from nothing, one instruction a turn."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipelines.pictures import encode_png
from studio.cli import options
from studio.cli.report import ProgressLine, answer, write
from studio.jobs.work import resolve


def compose(
    instructions: Annotated[
        Path, typer.Option(help="A text file, one instruction a line.", exists=True, dir_okay=False, readable=True)
    ],
    out: options.Out,
    model: Annotated[Path, typer.Option("--model", help="The folder of a composer.", file_okay=False)] = Path("assets")
    / "models"
    / "composer",
    seed: Annotated[int, typer.Option(help="Of the noise that every turn begins with.")] = 0,
    steps: Annotated[int, typer.Option(help="Sampler steps a turn.", min=1)] = 50,
    guidance: Annotated[float, typer.Option(help="How closely the instruction is followed; 1 is not at all.")] = 3.0,
    match: Annotated[float, typer.Option(help="How strongly the picture is drawn to what was asked; 0: not.")] = 2.0,
    strength: Annotated[
        float, typer.Option(help="Share of the noise that every turn begins with; 1: nothing else.", min=0.02, max=1.0)
    ] = 1.0,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Compose a scene by instructions.

    Each line adds one solid, like "add a red cube behind the blue sphere and left of it". The PNG shows every turn.
    """
    options.spare(out, instructions)
    text = options.read_file(instructions).decode("utf-8", errors="replace")
    began = time.perf_counter()
    composed = resolve("pipelines.compose.scenes:compose_script")(
        model, text, seed, steps, guidance, match, strength, device, ProgressLine()
    )
    write(out, encode_png(resolve("pipelines.compose.scenes:strip")(composed.pictures)))
    seconds = time.perf_counter() - began
    value = {"out": str(out), "instructions": list(composed.instructions), "seconds": round(seconds, 3)}
    answer(as_json, value, lambda: [*composed.instructions, f"{out}: {len(composed.pictures)} turns, {seconds:.1f} s"])
