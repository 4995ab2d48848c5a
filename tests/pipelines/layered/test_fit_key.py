"""Layers fitted under one key are the same layers, and what is sampled from them is the same picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.catalog import CATALOG
from pipelines.contract import EditRequest, LoraUse, Picture, Scope
from pipelines.diffusion.encode import frame_of
from pipelines.layered import method
from pipelines.layered.key import SAMPLING, fit_key
from pipelines.layered.memory import memory_of, room_for
from pipelines.models.bundle import ModelBundle
from pipelines.models.room import Room
from pipelines.params import LayeredParams, Reach, Start, Tuned, knobs

Build = Callable[..., EditRequest]
FEW = LayeredParams(
    embed_steps=2, tuned=Tuned.LORA, tune_steps=2, tune_rate=1e-3, steps=3, start=Start.COMPOSITE, strength=0.7
)
KNOBS = knobs(LayeredParams)


def another(name: str) -> Any:
    """A value of that setting that is none of `FEW`."""
    wanted, _, spec = KNOBS[name]
    now = getattr(FEW, name)
    if issubclass(wanted, StrEnum):
        return next(value for value in wanted if value != now)
    if wanted is bool:
        return not now
    assert spec.low is not None and spec.high is not None
    return now + 1 if wanted is int else (now + spec.low) / 2 if now > spec.low else spec.high / 2


@pytest.mark.parametrize("name", KNOBS)
@pytest.mark.parametrize("drawn", [True, False], ids=["drawn reference", "given reference"])
def test_whatever_keeps_the_key_keeps_the_layers_and_the_picture(
    bundle: ModelBundle, request_for: Build, picture: Picture, name: str, drawn: bool
) -> None:
    """A setting that were wrongly said to reach only sampling would fail here."""
    asked = request_for(warm=b"what the turn before fitted")
    asked = asked if drawn else replace(asked, background_reference=picture[::-1].copy())
    params = replace(FEW, **{name: another(name)})
    reach = KNOBS[name][2].reach
    same = reach is Reach.SAMPLING or (reach is Reach.REFERENCE and not drawn)
    assert (fit_key(asked, params) == fit_key(asked, FEW)) is same
    if same:
        before, afresh = method.run(bundle, asked, FEW), method.run(bundle, asked, params)
        again = method.run(bundle, replace(asked, fitted=before.fitted), params)
        assert afresh.fitted == before.fitted
        assert np.array_equal(again.candidates[0].picture, afresh.candidates[0].picture)
        assert [report.name for report in again.stages] == ["guidance"]


def test_where_memory_is_short_the_room_is_the_same_with_fitted_layers(
    bundle: ModelBundle, request_for: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that were rounded to fit a card are rounded for its other seeds too, though sampling alone needs less."""
    fast, extent = replace(bundle, autocast=torch.bfloat16), frame_of(bundle, request_for()).network
    half, parts = (memory_of(fast, extent, FEW, room) for room in (Room.HALF, Room.PARTS))
    assert half.total < parts.total
    loaded = memory_of(fast, extent, FEW, Room.PLENTY).weights
    rooms: list[Room] = []

    def watched(*asked: Any) -> Room:
        rooms.append(room_for(*asked))
        return rooms[-1]

    monkeypatch.setattr(method, "free_bytes", lambda device: half.total - loaded)
    monkeypatch.setattr(method, "room_for", watched)
    before, afresh = method.run(fast, request_for(candidates=2), FEW), method.run(fast, request_for(seed=7), FEW)
    again = method.run(fast, request_for(fitted=before.fitted), FEW)
    assert rooms == [Room.HALF] * 3
    assert np.array_equal(again.candidates[0].picture, afresh.candidates[0].picture)


def test_only_settings_of_sampling_are_said_to_be_so() -> None:
    by_reach = {reach: {name for name in KNOBS if KNOBS[name][2].reach is reach} for reach in Reach}
    assert by_reach[Reach.REFERENCE] == {"steps", "guidance"}
    assert by_reach[Reach.SAMPLING] == {
        "alternate",
        "start",
        "strength",
        "blend_latents",
        "paste_back",
        "edge",
        "match_colour",
        "grain",
        "residual",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "a red dog"},
        {"background": "in a city"},
        {"scope": Scope.SUBJECT},
        {"fit_seed": 8},
        {"loras": (LoraUse("style", "0" * 64),)},
        {"loras": (LoraUse("style", "0" * 64, 0.5),)},
        {"subject_reference_mask": np.ones((32, 40), bool)},
        {"subject_reference": np.zeros((32, 40, 3), np.uint8)},
        {"background_reference": np.zeros((32, 40, 3), np.uint8)},
        {"background_reference": np.zeros((40, 32, 3), np.uint8)},
        {"picture": np.zeros((32, 40, 3), np.uint8)},
        {"mask": np.zeros((32, 40), bool)},
    ],
    ids=lambda change: ", ".join(change),
)
def test_what_is_asked_for_before_sampling_is_in_the_key(request_for: Build, change: dict[str, Any]) -> None:
    assert fit_key(request_for(**change), FEW) != fit_key(request_for(), FEW)


def test_no_field_of_a_request_is_forgotten(request_for: Build) -> None:
    """What sampling alone reads is left out; a seed counts where no other was said for the fit."""
    assert {f.name for f in dataclasses.fields(EditRequest)} > SAMPLING
    key = fit_key(request_for(), FEW)
    assert fit_key(request_for(seed=9, fit_seed=7, candidates=3, feather=0.0, fitted=b"layers"), FEW) == key
    assert fit_key(request_for(seed=9), FEW) != key
    assert fit_key(request_for(subject=" a blue dog ", background="in a forest\n"), FEW) == key, (
        "a text is read without"
    )


def test_what_another_background_or_scope_reaches(request_for: Build) -> None:
    """Where no reference is sampled, neither its steps nor its guidance matter."""
    for asked in (request_for(scope=Scope.SUBJECT), request_for(background=" ")):
        assert fit_key(asked, replace(FEW, steps=9, guidance=1.0)) == fit_key(asked, FEW)


def test_a_method_that_fits_nothing_has_no_key() -> None:
    assert [name for name, entry in CATALOG.items() if entry.fit_key is not None] == ["layered"]
