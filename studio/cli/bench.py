"""``bench``: methods side by side on edits of the embedded world with known right answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from pipelines.contract import Quality
from pipelines.evaluation.benchmark import Row, Setup, run_benchmark
from pipelines.evaluation.cases import held_out_cases
from pipelines.evaluation.chains import TURNS, Measurer, TurnRow, make_chain, run_chains
from pipelines.evaluation.entrants import ALL, EVERY_ABLATION, left_out, named
from pipelines.evaluation.page import Told, write_page
from pipelines.evaluation.report import as_json as rows_as_json
from pipelines.evaluation.report import as_table, losses, summarise, turns_as_table, write_sheet
from pipelines.models.folders import find_models
from studio.cli import options
from studio.cli.report import answer, say
from studio.jobs.work import lazy_engine, resolve

SHEET = "sheet.png"
PAGE = "index.html"
TOOLS = "pipelines.evaluation.tools:tools_for"
"""Brings torch, so only when a report is written."""


def bench(
    cases: Annotated[int, typer.Option(help="How many edits; a third each for subject, background, both.", min=1)] = 60,
    methods: Annotated[
        str,
        typer.Option(
            help=f"Names from `methods`, separated by commas; {ALL}: every one that runs on the model; "
            f"{EVERY_ABLATION}: LayerDiffusion's, which are called layered:a to layered:k."
        ),
    ] = ALL,
    quality: Annotated[
        str, typer.Option(help="How much work each edit is given; several, separated by commas, are compared.")
    ] = Quality.STANDARD,
    seed: Annotated[int, typer.Option(help="The seed of every edit.")] = 7,
    true_masks: Annotated[bool, typer.Option("--true-masks", help="Use the scene's own masks, not a click.")] = False,
    candidates: Annotated[
        int,
        typer.Option(help="Seeds of an edit, from --seed on; the first is judged, and how they differ told.", min=1),
    ] = 1,
    noise: Annotated[
        float,
        typer.Option(help="Edit each picture once more with noise of so many levels on it; 0 is off.", min=0, max=128),
    ] = 0,
    chains: Annotated[int, typer.Option(help="How many chains of several turns are run as well.", min=0)] = 0,
    turns: Annotated[int, typer.Option(help="Turns of a chain.", min=1, max=20)] = TURNS,
    report: Annotated[
        Path | None, typer.Option(help="A folder for all of it as one page, index.html.", file_okay=False)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="A PNG of before, mask, result and true answer; in --out by default.", dir_okay=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="The folder for rows and pictures; a stopped run goes on there.")
    ] = Path("build") / "bench",
    model: options.Model = options.DEFAULTS.model,
    models: options.Models = [],  # noqa: B006  typer copies it
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure the methods on known edits.

    Counts how often each does what was asked and keeps the rest.
    """
    qualities = [options.quality_named(name.strip()) for name in quality.split(",")]
    own = options.settings_from(models, device, model)
    cards = find_models(own.all_model_folders)
    card = cards.get(own.model)
    without = left_out(card, cards.values())
    names = named([name.strip() for name in methods.split(",")], without)
    for name, reason in without.items():
        say(f"not here: {name}: {reason}")
    edits, lines = held_out_cases(cases), [make_chain(number, turns) for number in range(chains)]
    total, done = (len(edits) + len(lines) * turns) * len(names) * len(qualities), 0

    def tell(row: Row) -> None:
        nonlocal done
        done += 1
        found = "right" if row.both_right else row.error or "; ".join(row.wrong)
        say(f"{done} of {total}  {row.case} {row.method} {row.quality}: {found} ({row.seconds:.1f} s)")

    def tell_turn(row: TurnRow) -> None:
        nonlocal done
        done += 1
        found = row.error or ("all so far is right" if row.still_right else "not all so far is right")
        say(f"{done} of {total}  {row.chain} turn {row.turn} {row.method} {row.quality}: {found} ({row.seconds:.1f} s)")

    ready = lazy_engine(own)
    ready.warm_up(own.model)  # so that the first edit's seconds are an edit's
    engine = cast(Measurer, ready.get())
    setups = [Setup(own.model, level, seed, true_masks, candidates, card, noise) for level in qualities]
    rows = [row for setup in setups for row in run_benchmark(engine, names, edits, out, setup, tell)]
    turn_rows = [row for setup in setups for row in run_chains(engine, names, lines, out, setup, tell_turn)]
    sheet = sheet or out / SHEET
    write_sheet(out, rows, edits, sheet)
    say(f"pictures: {sheet}")
    if report is not None:
        title = card.title if card else own.model
        facts = {
            "model": f"{title} ({own.model})",
            "edits": str(cases),
            "chains": f"{chains} of {turns} turns" if chains else "none",
            "quality": ", ".join(qualities),
            "masks": "the scenes' own" if true_masks else "one click each",
            "seeds": f"from {seed} on, {candidates} an edit",
            "device": ready.describe(),
        }
        tools, remarks = resolve(TOOLS)(own.model, own.all_model_folders, device)
        told = Told(title, facts, out, rows, edits, tools, turn_rows, lines, without, remarks)
        write_page(told, report / PAGE)
        say(f"report: {report / PAGE}")
    answer(
        as_json,
        rows_as_json(rows, turn_rows),
        lambda: [*as_table(summarise(rows)).splitlines(), *in_words(rows), *turns_as_table(turn_rows)],
    )


def in_words(rows: list[Row]) -> list[str]:
    """What the faster qualities lose against exact, where that was run as well."""
    return [
        f"{loss.method} {loss.quality}: {loss.points:+.1f} points of both right below exact, "
        f"{loss.times_faster:.1f} times as fast"
        for loss in losses(rows)
    ]
