"""``methods``: the catalogue, and every setting of a method with its range and unit."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from pipelines import catalog
from pipelines.contract import Quality
from pipelines.curves import MOST_POINTS, ToneCurve
from pipelines.models.folders import ModelCard, find_models
from pipelines.params import Knob, knobs
from studio.cli.options import DEFAULTS, Json, Model, Models, settings_from
from studio.cli.report import answer, table


def methods(
    name: Annotated[str, typer.Argument(help="The method whose settings are listed; all methods without one.")] = "",
    model: Model = DEFAULTS.model,
    models: Models = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List the methods, or the settings of one.

    A setting is given to an edit as `edit --set NAME=VALUE`.
    """
    if name:
        entry = catalog.method(name)
        own = settings_from(models, model=model)
        card = find_models(own.all_model_folders).get(own.model)
        rows = [setting(entry, field, card) for field in knobs(entry.params)]
        head = [f"{entry.title}: {entry.paper}", f"Measured on: {catalog.measured_on(name, card)}", ""]
        answer(as_json, rows, lambda: [*head, *table(cells(rows))])
        return
    entries = [
        {
            "name": m.name,
            "title": m.title,
            "group": m.group,
            "when": m.when,
            "needs_model": m.needs_model,
            "needs_mask": m.needs_mask,
            "reads_source": m.hears("source"),
            "draws": m.draws,
            "paper": m.paper,
            "serves": list(m.serves),
        }
        for m in catalog.CATALOG.values()
    ]
    answer(as_json, entries, grouped)


def grouped() -> list[str]:
    """The methods by what somebody wants, each with the models that it runs on and when to take it."""
    lines: list[str] = []
    for group in catalog.Group:
        shown = [
            (m.name, ", ".join(m.serves) if m.needs_model else "any, or none", m.when)
            for m in catalog.CATALOG.values()
            if m.group is group
        ]
        if shown:
            lines += [group.capitalize(), *(f"  {line}" for line in table(shown)), ""]
    return [*lines, "`methods NAME` lists what can be set, and the paper."]


def cells(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The settings of a method as a table with its head."""
    shown = [(row["name"], *map(in_words, row["presets"].values()), row["range"], row["help"]) for row in rows]
    return [("SETTING", *(quality.upper() for quality in Quality), "RANGE", "WHAT IT IS"), *shown]


def in_words(value: Any) -> str:
    """A value as it would be typed after ``--set NAME=``."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def setting(entry: catalog.Method, field: str, card: ModelCard | None) -> dict[str, Any]:
    """One setting: its default, what may be given, and each preset's value."""
    kind, default, spec = knobs(entry.params)[field]
    presets = {quality.value: catalog.preset(entry.name, quality, card).get(field, default) for quality in Quality}
    return {"name": field, "default": default, "range": allowed(kind, spec), "help": spec.help, "presets": presets}


def allowed(kind: type, spec: Knob) -> str:
    """The values a setting takes, in words."""
    if issubclass(kind, StrEnum):
        return " | ".join(kind)
    if kind is bool:
        return "true | false"
    if kind is ToneCurve:
        return f"2 to {MOST_POINTS} points x,y of 0 to 255"
    return f"{spec.low:g} to {spec.high:g} {spec.unit}".strip()
