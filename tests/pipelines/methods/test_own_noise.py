"""Methods in which the edit meets the picture's own noise: told nothing new, each gives the picture back exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import CycleDiffusionPipeline, DDIMScheduler
from torch import Tensor

from pipelines.contract import EditRequest
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.methods import cycle_diffusion, ddpm_inversion, infedit, ledits_pp
from pipelines.methods.cycle_diffusion import SharedNoise
from pipelines.methods.ledits_pp import Concept, SemanticGuidance, blurred, strongest
from pipelines.models.bundle import ModelBundle
from pipelines.params import (
    CycleDiffusionParams,
    DDPMInversionParams,
    InfEditParams,
    LeditsParams,
)
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
FAMILIES = ["tiny", "tiny-v", "tiny-xl"]
EVEN = {
    ddpm_inversion: DDPMInversionParams(steps=5, guidance=3.0, source_guidance=3.0),
    cycle_diffusion: CycleDiffusionParams(steps=5, guidance=3.0, source_guidance=3.0),
    infedit: InfEditParams(steps=5, guidance=3.0, source_guidance=3.0),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", EVEN, ids=lambda module: module.__name__.rsplit(".")[-1])
def test_the_same_text_as_strongly_gives_the_picture_and_another_does_not(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str, method: object
) -> None:
    bundle, params = load(family), EVEN[method]  # type: ignore[index]
    same = request_for(source="a cat", subject="a cat", background="")
    z_ref = Canvas.of(bundle, same).z_ref
    z, _ = ran(monkeypatch, method, bundle, same, params)
    assert torch.allclose(z[-1:], z_ref, atol=1e-3)
    z, _ = ran(monkeypatch, method, bundle, replace(same, subject="a dog"), replace(params, guidance=7.5))
    assert not torch.allclose(z[-1:], z_ref, atol=1e-2)


def test_infedit_told_the_same_stands_at_the_picture_at_every_step(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates: list[Tensor] = []
    estimate = type(bundle.schedule).estimate

    def noted(schedule: object, z: Tensor, eps: Tensor, t: int) -> Tensor:
        estimates.append(estimate(schedule, z, eps, t))  # type: ignore[arg-type]
        return estimates[-1]

    same = request_for(source="a cat", subject="a cat", background="")
    z_ref = Canvas.of(bundle, same).z_ref
    monkeypatch.setattr(type(bundle.schedule), "estimate", noted)
    infedit.run(bundle, same, InfEditParams(steps=5, guidance=2.0, source_guidance=2.0))
    assert len(estimates) == 10, "one for the sampler and one to show, a step"
    assert all(torch.allclose(z_0, z_ref.expand_as(z_0), atol=1e-3) for z_0 in estimates)


def test_infedit_s_gates_have_a_say(bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    usual = InfEditParams(steps=6, guidance=3.0, threshold=0.99)
    ends = [
        ran(monkeypatch, infedit, bundle, asked, params)[0][-1:]
        for params in (
            usual,
            replace(usual, cross_share=0.0),
            replace(usual, self_share=0.0),
            replace(usual, blend=False),
        )
    ]
    for number, end in enumerate(ends):
        assert not any(torch.allclose(end, other, atol=1e-5) for other in ends[:number])


def test_cycle_diffusion_is_that_of_diffusers(bundle: ModelBundle) -> None:
    pipe = CycleDiffusionPipeline(
        vae=bundle.vae,
        text_encoder=bundle.text_encoder,
        tokenizer=bundle.tokenizer,
        unet=bundle.unet,
        scheduler=DDIMScheduler.from_config(dict(bundle.schedule.config)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    z_0 = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    theirs = pipe(
        prompt="a dog",
        source_prompt="a cat",
        image=z_0,
        strength=0.8,
        num_inference_steps=5,
        guidance_scale=4.0,
        source_guidance_scale=1.0,
        eta=0.5,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images
    texts = bundle.embed_texts(["", "a cat", "a dog"])
    timesteps = bundle.schedule.timesteps(5, 0.8)
    sampler = SharedNoise(z_0, 0.5, torch.Generator().manual_seed(5))
    predict = guided(bundle, always(texts[1:]), texts[:1], torch.tensor([1.0, 4.0]).reshape(2, 1, 1, 1))
    start = bundle.schedule.noised(z_0, sampler.noise, timesteps[0]).expand(2, -1, -1, -1)
    ours = denoise(bundle, start, sampler, timesteps, predict, lambda _: None)
    assert torch.equal(ours[:1], z_0) and torch.allclose(ours[1:], theirs, atol=1e-3)
    assert not torch.allclose(ours[1:], z_0, atol=1e-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_wanted_and_kept_out_alike_cancels_and_the_picture_comes_back(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle, params = load(family), LeditsParams(steps=5, threshold=0.5)
    everything = request_for().mask | True
    both = request_for(source="a cat", subject="a dog", background="", negative="a dog", mask=everything)
    z_ref = Canvas.of(bundle, both).z_ref
    cancelled, _ = ran(monkeypatch, ledits_pp, bundle, both, params)
    assert torch.allclose(cancelled, z_ref, atol=1e-3)
    for asked in (replace(both, negative=""), replace(both, negative="a hat")):
        z, _ = ran(monkeypatch, ledits_pp, bundle, asked, params)
        assert not torch.allclose(z, z_ref, atol=1e-2)


def test_a_concept_guides_where_it_is_strongest_and_at_a_threshold_of_none_everywhere(bundle: ModelBundle) -> None:
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    texts = bundle.embed_texts(["", "a dog"])
    here = torch.zeros(1, 1, 16, 16)
    here[..., :8] = 1.0
    dog = [
        [Concept("a dog", 2.0, (1, 2, 3, 4), share, place)] for share, place in ((0.0, None), (0.75, None), (0.0, here))
    ]
    with torch.no_grad():
        at = torch.tensor([500])
        plain = 2 * (bundle.predict(z, at, texts[1:]) - bundle.predict(z, at, texts[:1]))
        by_strength = LeditsParams(mask_by_words=False)
        everywhere, some, left = (
            SemanticGuidance(bundle, concepts, texts[1:], texts[:1], by_strength, (16, 16))(z, 500) for concepts in dog
        )
    assert torch.allclose(left, here * plain, atol=1e-5)
    assert torch.allclose(everywhere, plain, atol=1e-5)
    kept = (some != 0).any(1)
    assert kept.float().mean() == 0.25
    assert plain.abs().sum(1)[kept].min() >= plain.abs().sum(1)[~kept].max()


def test_masks_by_hand() -> None:
    x = torch.arange(10.0).reshape(1, 1, 2, 5)
    assert strongest(x, 0.0).all() and strongest(x, 0.9).sum() == 1 and strongest(x, 0.5).sum() == 5
    spot = torch.zeros(1, 1, 5, 5)
    spot[..., 2, 2] = 1.0
    soft = blurred(spot)
    assert soft.sum() == pytest.approx(1) and soft[0, 0, 2, 1] / soft[0, 0, 2, 2] == pytest.approx(math.exp(-2))
