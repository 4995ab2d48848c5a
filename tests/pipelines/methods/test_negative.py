"""A negative text: guidance leads away from it, in every method; without one, nothing is as it was not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.guidance import guided_noise
from pipelines.engine import Engine
from pipelines.errors import BadRequest
from pipelines.hints.contract import Kind
from pipelines.hints.texts import hints_of_negative
from pipelines.layered.key import fit_key
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_model
from pipelines.params import InpaintParams, InstructParams, LayeredParams, Params, RefineParams, SDEditParams, Start
from pipelines.requests import LONGEST_TEXT

QUICK: dict[str, Any] = {"embed_steps": 1, "tune_steps": 1, "steps": 3}
CASES: dict[str, tuple[str, str, Params]] = {
    "layered": ("tiny", "layered", replace(LayeredParams(), **QUICK)),
    "layered, inverted": ("tiny", "layered", replace(LayeredParams(), **QUICK, start=Start.INVERTED)),
    "sdedit": ("tiny-kl", "sdedit", replace(SDEditParams(), steps=3)),
    "inpaint": ("tiny-v", "inpaint", replace(InpaintParams(), steps=3)),
    "inpaint, shown": ("tiny-inpainting", "inpaint", replace(InpaintParams(), steps=3)),
    "instruct": ("tiny-xl-instruct", "instruct", replace(InstructParams(), steps=3)),
    "refine": ("tiny", "refine", replace(RefineParams(), steps=3)),
    "xl": ("tiny-xl", "sdedit", replace(SDEditParams(), steps=3)),
}
Ask = Callable[..., EditRequest]


@pytest.fixture(scope="module")
def engine(model_folders: tuple[Path, ...]) -> Engine:
    return Engine(model_folders, device="cpu")


@pytest.mark.parametrize("case", CASES)
def test_it_has_a_say_and_space_around_it_has_none(engine: Engine, request_for: Ask, case: str) -> None:
    model, method, params = CASES[case]

    def picture(negative: str) -> np.ndarray[Any, Any]:
        return engine.edit(model, method, request_for(negative=negative), params).candidates[0].picture

    plain, away = picture(""), picture("snow")
    assert not np.array_equal(plain, away)
    assert np.array_equal(plain, picture("  ")) and np.array_equal(away, picture(" snow "))


@pytest.mark.parametrize("guidance", [1.0])
def test_without_guidance_there_is_nothing_to_lead_away_from(engine: Engine, request_for: Ask, guidance: float) -> None:
    params = replace(SDEditParams(), steps=3, guidance=guidance)
    pictures = [
        engine.edit("tiny", "sdedit", request_for(negative=negative), params).candidates[0].picture
        for negative in ("", "snow")
    ]
    assert np.array_equal(*pictures)


def test_it_stands_where_the_empty_text_stands_in_guidance(bundle: ModelBundle) -> None:
    """As diffusers has it: ``eps_neg + s (eps_e - eps_neg)``."""
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    texts, t = bundle.embed_texts(["snow", "a dog"]), torch.tensor([500])
    away, towards = (bundle.predict(z, t, texts[i : i + 1]) for i in (0, 1))
    found = guided_noise(bundle, z, 500, texts[1:], texts[:1], 7.5)
    assert torch.allclose(found, away + 7.5 * (towards - away), atol=1e-4)


def test_layers_that_were_fitted_without_it_are_found_with_it(request_for: Ask) -> None:
    """But for those that were fitted to a picture which the model drew, away from it."""
    params = LayeredParams()
    for scope, same in ((Scope.SUBJECT, True), (Scope.BOTH, False)):
        asked = request_for(scope=scope)
        assert (fit_key(asked, params) == fit_key(replace(asked, negative="snow"), params)) is same
        assert fit_key(asked, params) == fit_key(replace(asked, negative="  "), params)


def test_it_is_refused_where_it_is_too_long(engine: Engine, request_for: Ask) -> None:
    with pytest.raises(BadRequest, match="the negative text may have 1000 characters; got 1001"):
        engine.edit("tiny", "sdedit", request_for(negative="x" * (LONGEST_TEXT + 1)), SDEditParams())


def test_weights_in_it_are_plain_words_and_what_is_not_read_is_marked(model_folders: tuple[Path, ...]) -> None:
    card = find_model("tiny", model_folders)
    assert hints_of_negative("snow", card, 7.5) == () == hints_of_negative("no snow, remove it", None, None)
    weight, cut = hints_of_negative("(blue:1.3) " + "snow " * 10, card, 7.5)
    assert weight.kind is Kind.SYNTAX and weight.part == "negative" and not weight.fixes
    assert "weights and options do nothing" in weight.says
    assert cut.kind is Kind.CUT and cut.says.startswith("Tiny reads 10 tokens: nothing from")
