"""Builds the form of a method's settings from its parameter class: the page has no list of settings of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import gradio as gr

from pipelines.catalog import CATALOG, Method, preset
from pipelines.contract import Quality
from pipelines.curves import LONGEST, ToneCurve
from pipelines.models.folders import ModelCard
from pipelines.params import Knob, knobs
from studio.ui import text
from studio.ui.language import figure, say


@dataclass(frozen=True)
class Form:
    """The settings of one method; `components` are in the order of the parameter class."""

    method: Method
    group: gr.Column
    components: dict[str, gr.components.Component]


def build_forms(chosen: str) -> tuple[Form, ...]:
    """One form a method; only that of `chosen` is shown."""
    return tuple(_build(method, shown=name == chosen) for name, method in CATALOG.items())


def _build(method: Method, shown: bool) -> Form:
    with gr.Column(visible=shown, elem_classes="p-knobs") as group:
        note = say("For when {when}.", when=say(method.when)) + f"\n\n{say(method.paper)}."
        note += f" {say(text.NOT_LAYERDIFFUSE)}" if method.name == "layered" else ""
        gr.Markdown(note, elem_classes="p-paper")
        components = {
            name: _component(method.name, name, kind, default, knob)
            for name, (kind, default, knob) in knobs(method.params).items()
        }
    return Form(method, group, components)


def _component(method: str, name: str, kind: type, default: Any, knob: Knob) -> gr.components.Component:
    """A switch, a choice, a curve (which `curve.js` draws) or a number. Ranges are told here and checked by
    `pipelines.params.checked`, once."""
    common: dict[str, Any] = {
        "elem_id": f"knob-{method}-{name}",
        "label": say(text.label(name, method)),
        "info": _info(knob),
        "elem_classes": "p-knob",
        "container": True,
    }
    if kind is bool:
        return gr.Checkbox(value=default, **common)
    if issubclass(kind, StrEnum):
        return gr.Radio([(say(choice), str(choice)) for choice in kind], value=str(default), **common)
    if kind is ToneCurve:
        return gr.Textbox(
            value=default, lines=1, max_length=LONGEST, **common | {"elem_classes": "p-knob p-curve-knob"}
        )
    return gr.Number(value=default, precision=0 if kind is int else None, **common)


def _info(knob: Knob) -> str:
    if knob.low is None or knob.high is None:
        return say(knob.help)
    unit = f" {say(knob.unit)}" if knob.unit else ""
    low, high = figure(knob.low), figure(knob.high)
    return say("{help}: {low} to {high}", help=say(knob.help), low=low, high=high) + unit


def values_of(name: str, quality: Quality, changes: Mapping[str, Any], card: ModelCard | None = None) -> list[Any]:
    """What the form of the method `name` shows: its preset on the model of `card` with `changes` over it, in the form's
    order."""
    shown = {**preset(name, quality, card), **changes}
    return [shown.get(field, default) for field, (_, default, _) in knobs(CATALOG[name].params).items()]


def changes_of(name: str, quality: Quality, values: Sequence[Any], card: ModelCard | None = None) -> dict[str, Any]:
    """What the person set differently from the preset; an emptied field goes back to it."""
    names = list(knobs(CATALOG[name].params))
    before = values_of(name, quality, {}, card)
    return {
        field: value
        for field, value, usual in zip(names, values, before, strict=True)
        if value not in (None, "") and value != usual
    }
