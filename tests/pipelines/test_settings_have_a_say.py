"""Every setting of every method changes the picture, or is said to change nothing with the others as they are.

Both ways round: what is said to be idle must not change a single pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from skimage import data

from pipelines.catalog import CATALOG, settings
from pipelines.contract import EditRequest, Quality, Scope
from pipelines.curves import ToneCurve
from pipelines.engine import Engine
from pipelines.layered.plan import plan_of
from pipelines.params import Params, knobs
from tests.pipelines.conftest import model_for

FEW = {"steps": 4, "embed_steps": 2, "tune_steps": 2, "tune_rate": 1e-2, "embed_rate": 1e-1, "lora_rank": 2}
EVENTS = {
    "compiled": "a GPU",
    "early_stop": "a fit that settles",
    "warm_start": "a turn before that was fitted",
    "residual": "small changes",
    "small_object_loss": "a small subject",
    "small_object_area": "a subject of about that size",
    "edges": "a LoRA with an edge branch",
    "window": "a subject that is small in a large picture",
    "context": "the same",
    "match_colour": "the same",
    "grain": "the same",
}
"""Settings that wait for something which these edits do not have: not idle, and without a say here."""
OTHERS: dict[str, Any] = {"guidance": 2.0, "strength": 0.6, "margin": 1.0}

CASES = [
    ("layered", Quality.DRAFT, Scope.BOTH, "a blue dog", "in a forest"),
    ("layered", Quality.STANDARD, Scope.SUBJECT, "a blue dog", ""),
    ("layered", Quality.EXACT, Scope.BOTH, "a blue dog", "in a forest"),
    ("sdedit", Quality.STANDARD, Scope.BOTH, "a blue dog", "in a forest"),
    ("inpaint", Quality.STANDARD, Scope.SUBJECT, "a blue dog", ""),
    ("inpaint", Quality.STANDARD, Scope.BOTH, "a blue dog", "in a forest"),
    ("d-edit", Quality.STANDARD, Scope.SUBJECT, "a blue dog", ""),
    ("d-edit", Quality.DRAFT, Scope.BOTH, "a blue dog", "in a forest"),
    ("flexedit", Quality.STANDARD, Scope.SUBJECT, "a blue dog", ""),
    ("flexedit", Quality.STANDARD, Scope.BACKGROUND, "", "in a forest"),
    ("instruct", Quality.STANDARD, Scope.SUBJECT, "make it blue", ""),
    ("paint-by-example", Quality.STANDARD, Scope.SUBJECT, "", ""),
    ("refine", Quality.STANDARD, Scope.BOTH, "make it blue", "in a forest"),
    ("refine", Quality.DRAFT, Scope.SUBJECT, "make it blue", ""),
]


@pytest.fixture(scope="module")
def engine(model_folders: tuple) -> Engine:
    return Engine(model_folders, device="cpu")


def base(name: str, quality: Quality) -> Params:
    preset = settings(name, quality)
    return replace(preset, **{field: few for field, few in FEW.items() if getattr(preset, field, 0)})


def another(name: str, kind: type, value: Any) -> Any:
    """A value of the setting that is not `value`."""
    if kind is bool:
        return not value
    if issubclass(kind, StrEnum):
        return next(choice for choice in kind if choice != value)
    if kind is ToneCurve:
        return ToneCurve("0,0 96,60 255,255")
    if name in OTHERS and value != OTHERS[name]:
        return OTHERS[name]
    return value + 1 if kind is int else value * 0.5 or 0.5


def edited(engine: Engine, name: str, request: EditRequest, params: Params) -> np.ndarray:
    return engine.edit(model_for(name), name, request, params).candidates[0].picture


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quality", "scope", "subject", "background"), CASES)
def test_a_setting_changes_the_picture_or_is_said_to_change_nothing(
    engine: Engine,
    request_for: Callable[..., EditRequest],
    name: str,
    quality: Quality,
    scope: Scope,
    subject: str,
    background: str,
) -> None:
    request = request_for(scope=scope, subject=subject, background=background)
    if not CATALOG[name].reads:
        request = replace(request, subject_reference=request.picture, subject_reference_mask=request.mask)
    params = base(name, quality)
    usual, idle = edited(engine, name, request, params), CATALOG[name].idle(request, params)
    assert set(idle) <= set(knobs(params))
    silent, lying = [], []
    for field, (kind, _, _) in knobs(params).items():
        changed = replace(params, **{field: another(field, kind, getattr(params, field))})
        differs = not np.array_equal(edited(engine, name, request, changed), usual)
        if field in idle and differs:
            lying.append(field)
        if field not in idle and field not in EVENTS and not differs:
            silent.append(field)
    assert (silent, lying) == ([], [])


def test_with_one_text_the_blend_is_that_one(request_for: Callable[..., EditRequest]) -> None:
    exact = settings("layered", Quality.EXACT)
    asked = request_for(scope=Scope.BACKGROUND, subject="")
    assert {"alternate", "subject_weight", "strength"} <= set(CATALOG["layered"].idle(asked, exact))
    plan = plan_of(asked, exact)
    assert (plan.fits_object, plan.fits_background, plan.alternates, plan.alpha) == (False, True, False, 0)


@pytest.mark.parametrize(
    ("quality", "subject", "background", "fitted"),
    [
        (Quality.DRAFT, "a dog", "in a forest", (True, True)),
        (Quality.STANDARD, "a dog", "in a forest", (True, True)),
        (Quality.EXACT, "a dog", "in a forest", (True, True)),
        (Quality.STANDARD, "a dog", "", (True, False)),
        (Quality.STANDARD, "", "in a forest", (False, True)),
    ],
)
def test_no_text_is_fitted_that_nobody_reads(
    request_for: Callable[..., EditRequest],
    quality: Quality,
    subject: str,
    background: str,
    fitted: tuple[bool, bool],
) -> None:
    plan = plan_of(request_for(subject=subject, background=background), settings("layered", quality))
    assert (plan.fits_object, plan.fits_background) == fitted


def test_the_third_phase_of_the_paper_runs_at_every_quality(request_for: Callable[..., EditRequest]) -> None:
    """Eq. 8 alternates, and the blend of Eq. 3 is followed in between."""
    for quality in Quality:
        idle = CATALOG["layered"].idle(request_for(), settings("layered", quality))
        assert not {"alternate", "subject_weight"} & set(idle), quality


BY_HAND: list[tuple[str, dict[str, Any], Scope, str]] = [
    ("recolour", {"hue": 50.0, "saturation": 0.8}, Scope.SUBJECT, ""),
    ("recolour", {"hue": 50.0}, Scope.BOTH, ""),
    ("light", {"exposure": 0.3, "saturation": 1.2}, Scope.BACKGROUND, ""),
    ("light", {"exposure": 0.3}, Scope.BOTH, ""),
    ("backdrop", {}, Scope.BACKGROUND, "navy to white"),
    ("backdrop", {}, Scope.BACKGROUND, "a picture"),
    ("defocus", {}, Scope.BACKGROUND, ""),
    ("place", {"right": 0.2, "scale": 0.8}, Scope.BOTH, ""),
    ("place", {"right": 0.2, "twice": True}, Scope.BOTH, ""),
    ("remove", {}, Scope.SUBJECT, ""),
    ("straighten", {"angle": 4.0}, Scope.BOTH, ""),
    ("crop", {"left": 0.1}, Scope.BOTH, ""),
    ("extend", {"right": 0.25}, Scope.BOTH, ""),
    ("resize", {"longer": 80}, Scope.BOTH, ""),
]
BESIDE: dict[str, Any] = {
    "black": 20,
    "white": 200,
    "angle": 30.0,
    "turn": 20.0,
    "margin": 0.02,
    "added": 20.0,
    "lightness": 10.0,
}


@pytest.mark.parametrize(("name", "settings_of", "scope", "behind"), BY_HAND)
def test_a_setting_of_a_turn_by_hand_changes_the_picture_or_is_said_to_change_nothing(
    request_for: Callable[..., EditRequest], name: str, settings_of: dict[str, Any], scope: Scope, behind: str
) -> None:
    picture = np.ascontiguousarray(data.astronaut()[:180, 120:360])
    mask = np.zeros((180, 240), bool)
    mask[40:140, 70:150] = True
    own = data.coffee()[:150, :400] if behind == "a picture" else None
    request = request_for(picture=picture, mask=mask, scope=scope, background=behind, background_reference=own)
    params = settings(name, Quality.STANDARD, settings_of)
    engine = Engine((), device="cpu")
    usual, idle = edited(engine, name, request, params), CATALOG[name].idle(request, params)
    assert set(idle) <= set(knobs(params))
    silent, lying = [], []
    for field, (kind, _, _) in knobs(params).items():
        value = BESIDE.get(field, another(field, kind, getattr(params, field)))
        differs = not np.array_equal(edited(engine, name, request, replace(params, **{field: value})), usual)
        if field in idle and differs:
            lying.append(field)
        if field not in idle and not differs:
            silent.append(field)
    assert (silent, lying) == ([], [])


def test_the_cases_by_hand_are_all_there_are() -> None:
    assert {name for name, *_ in BY_HAND} == {name for name, entry in CATALOG.items() if not entry.needs_model}
