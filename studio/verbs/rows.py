"""What there is to choose from, as plain rows: the models of this machine, and the methods with their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipelines.catalog import CATALOG, Method, preset, serving
from pipelines.catalog import method as find_method
from pipelines.contract import Quality
from pipelines.curves import ToneCurve
from pipelines.models.folders import ModelCard
from pipelines.models.listing import listing
from pipelines.params import knobs
from studio.settings import Settings

Value = bool | int | float | str
"""What a setting of a method can be."""


@dataclass(frozen=True)
class ModelRow:
    """One model, or LoRA file. Where it lies on the machine is not said."""

    id: str
    title: str
    kind: str
    methods: tuple[str, ...]
    """Those that run on it."""
    resolution: int
    """Longer side of the pictures that it was made for, in pixels; 0 where that means nothing."""
    usable: bool
    notes: str
    """Its limits, in words."""


@dataclass(frozen=True)
class SettingRow:
    """One setting of a method. `low` and `high` are inclusive; ``None`` for switches and choices."""

    name: str
    kind: str
    """``switch``, ``choice``, ``curve`` (text: points), ``whole number`` or ``number``."""
    default: Value
    low: float | None
    high: float | None
    unit: str
    choices: tuple[str, ...]
    help: str
    presets: Mapping[str, Value]
    """Its value in each quality."""


@dataclass(frozen=True)
class MethodRow:
    """One way to edit a picture."""

    name: str
    title: str
    paper: str
    needs_model: bool
    needs_mask: bool
    stages: tuple[str, ...]
    serves: tuple[str, ...]
    """The kinds of models that it runs on."""
    settings: tuple[SettingRow, ...]


def model_rows(settings: Settings) -> tuple[ModelRow, ...]:
    """The models and LoRA files that lie in the folders of `settings`."""
    items = listing(settings.all_model_folders, settings.own_models)
    return tuple(
        ModelRow(
            id=item.card.id,
            title=item.card.title,
            kind=item.card.kind,
            methods=tuple(m.name for m in serving(item.card.backbone)) if item.card.backbone else (),
            resolution=item.card.resolution,
            usable=item.fault is None,
            notes=item.card.notes,
        )
        for item in items
        if not item.lost
    )


def method_rows(name: str = "", card: ModelCard | None = None) -> tuple[MethodRow, ...]:
    """All methods, or the one called `name`, with what a model gives them; raises `UnknownMethod`."""
    return tuple(_row(method, card) for method in ((find_method(name),) if name else CATALOG.values()))


def _row(method: Method, card: ModelCard | None) -> MethodRow:
    presets = {quality: preset(method.name, quality, card) for quality in Quality}
    settings = tuple(
        SettingRow(
            name=name,
            kind="switch"
            if kind is bool
            else "choice"
            if issubclass(kind, StrEnum)
            else "curve"
            if kind is ToneCurve
            else "whole number"
            if kind is int
            else "number",
            default=default,
            low=spec.low,
            high=spec.high,
            unit=spec.unit,
            choices=tuple(kind) if issubclass(kind, StrEnum) else (),
            help=spec.help,
            presets={quality.value: values.get(name, default) for quality, values in presets.items()},
        )
        for name, (kind, default, spec) in knobs(method.params).items()
    )
    return MethodRow(
        method.name,
        method.title,
        method.paper,
        method.needs_model,
        method.needs_mask,
        method.stages,
        tuple(method.serves),
        settings,
    )
