"""``bench``: methods side by side on edits of the embedded world with known right answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from pipelines.catalog import method, serving
from pipelines.contract import Backbone, Quality
from pipelines.evaluation.benchmark import Editor, Row, run_benchmark
from pipelines.evaluation.cases import held_out_cases
from pipelines.evaluation.report import as_json as rows_as_json
from pipelines.evaluation.report import as_table, losses, summarise, write_sheet
from pipelines.models.folders import find_models
from studio.cli import options
from studio.cli.report import answer, say
from studio.jobs.work import lazy_engine

SHEET = "sheet.png"
PLAIN_METHODS = ",".join(m.name for m in serving(Backbone.PLAIN))


def bench(
    cases: Annotated[int, typer.Option(help="How many edits; a third each for subject, background, both.", min=1)] = 60,
    methods: Annotated[str, typer.Option(help="Names from `methods`, separated by commas.")] = PLAIN_METHODS,
    quality: Annotated[
        str, typer.Option(help="How much work each edit is given; several, separated by commas, are compared.")
    ] = Quality.STANDARD,
    seed: Annotated[int, typer.Option(help="The seed of every edit.")] = 7,
    true_masks: Annotated[bool, typer.Option("--true-masks", help="Use the scene's own masks, not a click.")] = False,
    candidates: Annotated[
        int,
        typer.Option(help="Seeds of an edit, from --seed on; the first is judged, and how they differ told.", min=1),
    ] = 1,
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
    names = [method(name.strip()).name for name in methods.split(",")]
    qualities = [options.quality_named(name.strip()) for name in quality.split(",")]
    own = options.settings_from(models, device, model)
    edits = held_out_cases(cases)
    total, done = len(edits) * len(names) * len(qualities), 0

    def tell(row: Row) -> None:
        nonlocal done
        done += 1
        found = "right" if row.both_right else row.error or "; ".join(row.wrong)
        say(f"{done} of {total}  {row.case} {row.method} {row.quality}: {found} ({row.seconds:.1f} s)")

    engine = cast(Editor, lazy_engine(own).get())
    card = find_models(own.all_model_folders).get(own.model)
    shared: dict[str, Any] = {"seed": seed, "true_masks": true_masks, "candidates": candidates, "card": card}
    rows = [
        row for level in qualities for row in run_benchmark(engine, own.model, names, level, edits, out, tell, **shared)
    ]
    sheet = sheet or out / SHEET
    write_sheet(out, rows, edits, sheet)
    say(f"pictures: {sheet}")
    answer(as_json, rows_as_json(rows), lambda: [*as_table(summarise(rows)).splitlines(), *in_words(rows)])


def in_words(rows: list[Row]) -> list[str]:
    """What the faster qualities lose against exact, where that was run as well."""
    return [
        f"{loss.method} {loss.quality}: {loss.points:+.1f} points of both right below exact, "
        f"{loss.times_faster:.1f} times as fast"
        for loss in losses(rows)
    ]
