"""Grounded-InstructPix2Pix: the plain method inside, the picture itself outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.encode import Canvas
from pipelines.methods import grounded_instruct, instruct_pix2pix
from pipelines.models.bundle import ModelBundle
from pipelines.params import GroundedParams, InstructParams
from tests.pipelines.methods.ran import ran

PARAMS = GroundedParams(steps=6, paste_back=False)


@pytest.fixture
def bundle(load: Callable[[str], ModelBundle]) -> ModelBundle:
    return load("tiny-instruct")


def test_where_everything_may_change_it_is_the_plain_method(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    asked = request_for(scope=Scope.BOTH)
    plain = instruct_pix2pix.run(bundle, asked, InstructParams(steps=6, paste_back=False))
    for share in (0.1, 1.0):
        grounded = grounded_instruct.run(bundle, asked, replace(PARAMS, blend_share=share))
        assert np.array_equal(grounded.candidates[0].picture, plain.candidates[0].picture)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_outside_the_latent_ends_as_the_pictures_own(
    monkeypatch: pytest.MonkeyPatch, bundle: ModelBundle, request_for: Callable[..., EditRequest], share: float
) -> None:
    asked = request_for(scope=Scope.SUBJECT)
    canvas = Canvas.of(bundle, asked)
    z, result = ran(monkeypatch, grounded_instruct, bundle, asked, replace(PARAMS, blend_share=share))
    outside = (canvas.edited == 0).expand_as(z)
    assert outside.any() and torch.equal(z[outside], canvas.z_ref[outside])
    assert not torch.allclose(z[~outside], canvas.z_ref[~outside], atol=1e-2)
    [inversion, _] = result.stages
    assert (inversion.name, inversion.steps) == ("invert", max(1, round(6 * share)))
