"""Plug-and-Play: no injection is a plain run, all of it follows the picture, and the layers are the paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.contract import EditRequest
from pipelines.diffusion.candidates import predicted
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.inversion import ddim_inversion
from pipelines.diffusion.samplers import DDIM
from pipelines.methods import plug_and_play
from pipelines.methods.plug_and_play import Injection
from pipelines.models.bundle import ModelBundle
from pipelines.models.random_models import random_bundle
from pipelines.params import PlugAndPlayParams
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
FEW = PlugAndPlayParams(steps=5)
OFF = replace(FEW, feature_share=0.0, attention_share=0.0)


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_without_injection_it_is_a_plain_run_from_the_inverted_picture(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle, asked = load(family), request_for()
    canvas, timesteps = Canvas.of(bundle, asked), bundle.schedule.timesteps(5)
    own = predicted(bundle, canvas.prompts[""])
    path = ddim_inversion(bundle, canvas.z_ref, timesteps, lambda z, t, i: own(z, t), lambda _: None)
    run = guided(bundle, always(canvas.prompts["a blue dog in a forest"]), canvas.prompts[""], FEW.guidance)
    plain = denoise(bundle, path.noise, DDIM(path.noise), timesteps, run, lambda _: None)
    z, _ = ran(monkeypatch, plug_and_play, bundle, asked, OFF)
    assert torch.allclose(z, plain, atol=1e-4)
    both = [replace(OFF, feature_share=0.8), replace(OFF, attention_share=0.8)]
    features, looks = (ran(monkeypatch, plug_and_play, bundle, asked, params)[0] for params in both)
    assert not torch.allclose(features, plain, atol=1e-4) and not torch.allclose(looks, plain, atol=1e-4)
    assert not torch.allclose(features, looks, atol=1e-4)


def test_told_the_same_it_follows_the_picture_up_to_what_inversion_loses(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a dog", subject="a dog", background="")
    z_ref = Canvas.of(bundle, asked).z_ref

    def far(params: PlugAndPlayParams) -> float:
        return float((ran(monkeypatch, plug_and_play, bundle, asked, params)[0] - z_ref).square().mean())

    unguided = replace(FEW, guidance=1.0, feature_share=1.0, attention_share=1.0)
    assert far(unguided) < 0.5 * far(replace(OFF, guidance=7.5))


def test_it_is_injected_where_the_paper_has_it() -> None:
    """Of 1.x decoder layer 4's features, and self-attention of layers 4 to 11."""
    injection = Injection(random_bundle("random-sd15", torch.device("meta")), FEW)
    assert injection.residual.name == "up_blocks.1.resnets.1"
    assert [layer.place[:2] for layer in injection.attention] == [(1, 1), (1, 2)] + [
        (b, k) for b in (2, 3) for k in (0, 1, 2)
    ]
