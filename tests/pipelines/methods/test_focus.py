"""Focus on Your Instruction at the limits of its masks, where its outcome is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.tokens import places_of
from pipelines.methods import focus, instruct_pix2pix
from pipelines.methods.focus import Focus, contrasted, focused
from pipelines.models.bundle import ModelBundle
from pipelines.params import FocusParams, InstructParams

PARAMS = FocusParams(steps=4, find_mask=False, focused_share=1.0, paste_back=False)
EVERYWHERE = {"mask": np.ones((32, 40), np.bool_), "scope": Scope.BOTH, "background": ""}


@pytest.fixture
def bundle(load: Callable[[str], ModelBundle]) -> ModelBundle:
    return load("tiny-instruct")


def test_a_map_is_cut_around_its_peak() -> None:
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    looked = torch.exp(-((rows - 4) ** 2 + (columns - 10) ** 2) / 40)[None, None]
    wide, narrow = (contrasted(looked, share)[0, 0] for share in (0.2, 0.6))
    assert wide[4, 10] == narrow[4, 10] == 1 and wide[12, 2] == 0
    assert 0 < narrow.sum() < wide.sum() < 64 and (wide >= narrow).all()
    assert contrasted(torch.full((1, 1, 8, 8), 0.3), 0.4).sum() == 0, "a flat map points nowhere"


def test_with_everything_inside_it_is_the_plain_method(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(**EVERYWHERE)
    plain = instruct_pix2pix.run(bundle, asked, InstructParams(steps=4, paste_back=False)).candidates[0].picture
    same = focus.run(bundle, asked, PARAMS).candidates[0].picture
    assert np.abs(same.astype(int) - plain).max() <= 1
    raised = focus.run(bundle, asked, replace(PARAMS, boost=1.0)).candidates[0].picture
    assert not np.array_equal(raised, same)


def noise_seen(bundle: ModelBundle, asked: EditRequest, told: list[tuple[str, Tensor]], boost: float = 0.5) -> Tensor:
    canvas = Canvas.of(bundle, asked)
    foci = [Focus(text, places_of(bundle, text, text), place) for text, place in told]
    predict = focused(bundle, canvas.z_ref, foci, canvas.prompts[""], replace(PARAMS, boost=boost))
    return predict(torch.full_like(canvas.z_ref, 0.5), 300, 4)


def test_with_nothing_inside_no_instruction_has_a_say(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(**EVERYWHERE)
    nowhere = torch.zeros_like(Canvas.of(bundle, asked).edited)
    first, second = (noise_seen(bundle, asked, [(text, nowhere)]) for text in ("make it blue", "let it snow"))
    assert torch.equal(first, second)


def test_two_instructions_in_two_places_may_be_told_in_either_order(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(**EVERYWHERE)
    left = torch.zeros_like(Canvas.of(bundle, asked).edited)
    left[..., : left.shape[-1] // 2] = 1
    told = [("make it blue", left), ("let it snow", 1 - left)]
    assert torch.allclose(noise_seen(bundle, asked, told), noise_seen(bundle, asked, told[::-1]), atol=1e-4)
    other = noise_seen(bundle, asked, [("make it blue", 1 - left), ("let it snow", left)])
    assert not torch.allclose(noise_seen(bundle, asked, told), other, atol=1e-2)


def test_what_is_found_is_shown_and_lies_in_what_may_change(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(scope=Scope.SUBJECT, background="")
    result = focus.run(bundle, asked, replace(PARAMS, find_mask=True, mask_steps=2))
    assert [stage.name for stage in result.stages] == ["mask", "denoise"]
    assert result.found is not None and result.found.shape == asked.mask.shape and result.found.any()
    cells = Canvas.of(bundle, asked).edited
    assert result.found.mean() <= cells.mean().item() + 0.1
