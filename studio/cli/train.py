"""``train``: models of one's own, in the time that there is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.training.choices import Decay, Edges, Form
from studio.cli import options
from studio.cli.report import answer, say
from studio.jobs.work import resolve

train = typer.Typer(help="Train a model.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)

Minutes = Annotated[
    float,
    typer.Option(help="How long it may take; a few steps are timed first.", min=0.1, show_default=False),
]
Seed = Annotated[int, typer.Option(help="Of the first weights, the batches and the noise.")]
Threads = Annotated[int | None, typer.Option(help="Processor threads; all of them by default.", min=1)]


@train.command()
def compose(
    minutes: Annotated[
        float | None, typer.Option(help="How long it may take; a few steps are timed first.", min=0.01)
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Instead of minutes: so many steps of drawing, half as many of each other stage.", min=1),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder of the model.", file_okay=False)] = Path("assets")
    / "models"
    / "composer",
    scratch: Annotated[
        Path, typer.Option(help="The folder of the checkpoint; a stopped training goes on there.", file_okay=False)
    ] = Path("build") / "compose",
    size: Annotated[str, typer.Option(help="small, for two processor cores, or paper, for GPUs.")] = "small",
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of i-CLEVR or CoDraw, as GeNeVA's files; without it, our own world.", file_okay=False
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Turns a step.", min=2)] = 32,
    begin: Annotated[
        Path | None,
        typer.Option("--from", help="The folder of a composer to begin at; take another --seed.", file_okay=False),
    ] = None,
    seed: Seed = 0,
    without_matching: Annotated[
        bool, typer.Option("--without-matching", help="Leave image-text matching out, to see what it is good for.")
    ] = False,
    device: options.Device = "auto",
    threads: Threads = None,
    as_json: options.Json = False,
) -> None:
    """Train a model that composes scenes by instructions (CDD-ICM).

    On several GPUs start it with accelerate: accelerate launch launch.py train compose.
    """
    report: dict[str, Any] = resolve("pipelines.compose.trainer:train_composer")(
        out, scratch, minutes, say, size, data, batch, seed, not without_matching, device, threads, steps, begin
    )
    told = f"{out}: {report['steps']} steps in {report['seconds'] / 60:.1f} minutes, loss {report['loss']:.4f}"
    answer(as_json, report, lambda: [told])


@train.command()
def rounds(
    minutes: Annotated[
        float | None, typer.Option(help="How long it may take; a few steps are timed first.", min=0.01)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of minutes: so many steps.", min=1)] = None,
    model: Annotated[str, typer.Option(help="A model by its name or folder: the embedded one, or any SD.")] = "toybox",
    clip: Annotated[
        str | None, typer.Option(help="The CLIP that tells the reference picture; the model's own by default.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of FashionIQ or Fashion200k; without it, the toy world.", file_okay=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="The folder of the LoRA; in loras it is listed.", file_okay=False)
    ] = Path("assets") / "models" / "loras" / "rounds",
    scratch: Annotated[
        Path, typer.Option(help="The folder of the checkpoint; a stopped training goes on there.", file_okay=False)
    ] = Path("build") / "rounds",
    batch: Annotated[int, typer.Option(help="Triples a step, on each GPU.", min=1)] = 8,
    rate: Annotated[float, typer.Option(help="AdamW's rate at its highest.", min=1e-7, max=1.0)] = 3e-4,
    rank: Annotated[int, typer.Option(help="Of the LoRA.", min=1, max=256)] = 16,
    weight: Annotated[
        Decay, typer.Option(help="Of the multi-round loss: falling to 0, fixed at 1, or none, the baseline.")
    ] = Decay.LINEAR,
    form: Annotated[
        Form, typer.Option(help="The second round is compared by its noise, or by its picture.")
    ] = Form.NOISE,
    edges: Annotated[
        Edges, typer.Option(help="An edge branch: none, trained along, loaded from --branch, or trained alone.")
    ] = Edges.NONE,
    branch: Annotated[Path | None, typer.Option(help="The folder of a ControlNet for edges.", file_okay=False)] = None,
    seed: Seed = 0,
    device: options.Device = "auto",
    threads: Threads = None,
    workers: Annotated[int, typer.Option(help="Processes that draw or read pictures ahead.", min=0)] = 0,
    as_json: options.Json = False,
) -> None:
    """Train a LoRA that edits by instruction and holds out for many rounds.

    It learns from triples of a picture, an instruction of two parts and what comes of it. On several GPUs start it with
    accelerate: accelerate launch launch.py train rounds.
    """
    report: dict[str, Any] = resolve("pipelines.training.trainer:train_rounds")(
        out=out,
        scratch=scratch,
        minutes=minutes,
        say=say,
        model=model,
        clip=clip,
        data=data,
        steps=steps,
        batch=batch,
        rate=rate,
        rank=rank,
        decay=weight,
        form=form,
        edges=edges,
        branch=branch,
        seed=seed,
        device=device,
        threads=threads,
        workers=workers,
    )
    told = f"{out}: {report['steps']} steps in {report['seconds'] / 60:.1f} minutes, loss {report['loss']:.4f}"
    answer(as_json, report, lambda: [told])


@train.command()
def detector(
    minutes: Minutes,
    out: Annotated[Path, typer.Option("--out", help="The folder of the detector.", file_okay=False)] = Path("assets")
    / "models"
    / "composer-detector",
    seed: Seed = 0,
    threads: Threads = None,
    as_json: options.Json = False,
) -> None:
    """Train the network that finds the solids in a picture.

    With it composed scenes are measured.
    """
    report: dict[str, Any] = resolve("pipelines.compose.detector:train_and_save")(out, minutes, seed, threads, say)
    told = f"{out}: {report['steps']} steps; finds {report['f1']:.1%} (F1), RSIM {report['rsim']:.1%}"
    answer(as_json, report, lambda: [told])
