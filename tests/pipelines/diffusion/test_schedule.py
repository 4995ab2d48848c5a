"""The schedule against diffusers' own scheduler, and the loop against its pipeline."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler
from torch import Tensor

from pipelines.diffusion.candidates import predicted
from pipelines.diffusion.denoise import Hold, always, denoise, guided
from pipelines.diffusion.fit import fit
from pipelines.diffusion.guidance import guided_noise
from pipelines.diffusion.samplers import DDIM, Consistent, DDPMInversion, Sampler
from pipelines.diffusion.schedule import DONE, Schedule
from pipelines.errors import NumericalError
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


@pytest.mark.parametrize("extra", [{"set_alpha_to_one": False, "steps_offset": 1}, {"timestep_spacing": "trailing"}])
def test_a_run_is_that_of_diffusers_ddim(extra: dict) -> None:
    scheduler = DDIMScheduler(**CONFIG, **extra)
    scheduler.set_timesteps(10)
    schedule = Schedule.from_config(dict(scheduler.config))
    timesteps = schedule.timesteps(10)
    assert timesteps == scheduler.timesteps.tolist()
    draw = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn(1, 4, 8, 8, generator=draw)
    for t, t_next in zip(timesteps, [*timesteps[1:], DONE], strict=True):
        eps = torch.randn(1, 4, 8, 8, generator=draw)
        ours = schedule.step(ours, eps, t, t_next)
        theirs = scheduler.step(eps, t, theirs).prev_sample
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_consistency_model_is_sampled_as_diffusers_does() -> None:
    scheduler = LCMScheduler(**CONFIG)
    scheduler.set_timesteps(4)
    schedule = Schedule.from_config({**scheduler.config, "_class_name": "LCMScheduler"})
    timesteps = schedule.timesteps(4)
    assert timesteps == scheduler.timesteps.tolist() and len(schedule.timesteps(1000)) == 50
    bundle = cast(ModelBundle, SimpleNamespace(schedule=schedule))
    like, draw = torch.zeros(1, 4, 8, 8), torch.Generator().manual_seed(1)
    theirs_of = torch.Generator().manual_seed(0)
    sampler = Consistent(like, torch.Generator().manual_seed(0))
    ours, theirs = sampler.noise, torch.randn(like.shape, generator=theirs_of)
    for t, t_next in zip(timesteps, [*timesteps[1:], DONE], strict=True):
        eps = torch.randn(like.shape, generator=draw)
        ours = sampler.step(bundle, ours, eps, t, t_next)
        theirs = scheduler.step(eps, t, theirs, generator=theirs_of).prev_sample
        assert torch.allclose(ours, theirs, atol=1e-3)  # which still has a thousandth of the noisy latent in it


@pytest.mark.parametrize("extra", [{"set_alpha_to_one": False, "steps_offset": 1}, {"timestep_spacing": "trailing"}])
def test_the_mean_is_that_of_diffusers_with_eta_1(extra: dict) -> None:
    scheduler = DDIMScheduler(**CONFIG, **extra)
    scheduler.set_timesteps(10)
    schedule, timesteps = Schedule.from_config(dict(scheduler.config)), scheduler.timesteps.tolist()
    draw = torch.Generator().manual_seed(0)
    z, eps = (torch.randn(1, 4, 8, 8, generator=draw) for _ in range(2))
    for t, t_next in zip(timesteps, [*timesteps[1:], DONE], strict=True):
        theirs = scheduler.step(eps, t, z, eta=1.0, variance_noise=torch.zeros_like(z)).prev_sample
        assert torch.allclose(schedule.mean(z, eps, t, t_next), theirs, atol=1e-4)


def test_a_schedule_that_ends_in_noise_alone_is_sampled_as_diffusers_does() -> None:
    """Where the last `alpha_bar` is 0, noise says nothing of the picture; the network's v still does."""
    config = {**CONFIG, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    scheduler = DDIMScheduler(**config, timestep_spacing="trailing")
    schedule = Schedule.from_config(dict(scheduler.config))
    scheduler.set_timesteps(4)
    timesteps = schedule.timesteps(4)
    assert timesteps[0] == 999 and scheduler.alphas_cumprod[999] == 0
    draw = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn(1, 4, 8, 8, generator=draw)
    for t, t_next in zip(timesteps, [*timesteps[1:], DONE], strict=True):
        v = torch.randn(1, 4, 8, 8, generator=draw)
        ours = schedule.step(ours, schedule.noise_from(v, ours, torch.tensor([t])), t, t_next)
        theirs = scheduler.step(v, t, theirs).prev_sample
        assert torch.allclose(ours, theirs, atol=5e-3)


def test_noising_takes_one_timestep_or_one_each() -> None:
    schedule = Schedule.from_config(CONFIG)
    z, eps = torch.ones(3, 4, 2, 2), torch.full((3, 4, 2, 2), 2.0)
    t = torch.tensor([0, 500, 999])
    expected = DDIMScheduler(**CONFIG).add_noise(z, eps, t)
    assert torch.allclose(schedule.noised(z, eps, t), expected)
    assert torch.allclose(schedule.noised(z[:1], eps[:1], 500), expected[1:2])
    assert torch.allclose(schedule.estimate(expected[1:2], eps[1:2], 500), z[1:2], atol=1e-4)


@pytest.mark.parametrize(("strength", "count"), [(1.0, 50), (0.7, 35), (0.02, 1), (0.001, 1)])
def test_strength_runs_the_last_part(strength: float, count: int) -> None:
    timesteps = Schedule.from_config(CONFIG).timesteps(50, strength)
    assert len(timesteps) == count and timesteps[-1] == 0 and timesteps == sorted(timesteps, reverse=True)


def test_a_run_of_every_timestep_stays_inside_the_table() -> None:
    schedule = Schedule.from_config({**CONFIG, "steps_offset": 1})
    assert max(schedule.timesteps(1000)) == schedule.length - 1


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_prediction_type_is_turned_into_noise(prediction: str) -> None:
    schedule = Schedule.from_config({**CONFIG, "prediction_type": prediction})
    z_0, eps, t = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), torch.tensor([100, 800])
    a = schedule.alpha_bar[t].reshape(-1, 1, 1, 1)
    said = {"epsilon": eps, "v_prediction": a.sqrt() * eps - (1 - a).sqrt() * z_0, "sample": z_0}[prediction]
    assert torch.allclose(schedule.noise_from(said, schedule.noised(z_0, eps, t), t), eps, atol=1e-4)


def test_guidance_extrapolates_from_the_empty_text(load: Callable[[str], ModelBundle]) -> None:
    bundle = load("tiny")
    texts = bundle.embed_texts(["", "a dog"])
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        null, told = (guided_noise(bundle, z, 500, texts[k : k + 1], texts[:1], 1.0) for k in (0, 1))
        guided = guided_noise(bundle, z, 500, texts[1:], texts[:1], 3.0)
    assert torch.allclose(guided, null + 3 * (told - null), atol=2e-2)


@pytest.mark.parametrize("way", [DDIM, DDPMInversion])
def test_the_held_part_ends_as_the_picture(bundle: ModelBundle, way: type[Sampler]) -> None:
    draw = torch.Generator().manual_seed(0)
    z_ref, noise = (torch.randn(1, 4, 8, 8, generator=draw) for _ in range(2))
    edited = torch.zeros(1, 1, 8, 8)
    edited[..., :4] = 1
    e = bundle.embed_texts([""])
    sampler = DDIM(noise) if way is DDIM else DDPMInversion(z_ref, predicted(bundle, e), draw)
    z = denoise(
        bundle,
        noise,
        sampler,
        bundle.schedule.timesteps(4),
        guided(bundle, always(e), e, 1.0),
        lambda _: None,
        Hold(z_ref, edited),
    )
    assert torch.equal(z[..., 4:], z_ref[..., 4:])
    assert not torch.allclose(z[..., :4], z_ref[..., :4])


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_an_inverted_picture_told_nothing_new_comes_back_and_told_something_does_not(
    bundle: ModelBundle, strength: float
) -> None:
    """What the picture's own noise is for: without an edit every level leads back to it, whatever the draws."""
    draw = torch.Generator().manual_seed(0)
    z_ref = torch.randn(1, bundle.latent_channels, 8, 8, generator=draw)
    texts, timesteps = bundle.embed_texts(["", "a dog"]), bundle.schedule.timesteps(6, strength)

    def sampled(e: PromptEmbeds, seed: int) -> Tensor:
        sampler = DDPMInversion(z_ref, predicted(bundle, texts[:1]), torch.Generator().manual_seed(seed))
        start = bundle.schedule.noised(z_ref, sampler.noise, timesteps[0])
        return denoise(bundle, start, sampler, timesteps, guided(bundle, always(e), texts[:1], 1.0), lambda _: None)

    for seed in (1, 2):
        assert torch.allclose(sampled(texts[:1], seed), z_ref, atol=1e-4)
    told = [sampled(texts[1:], seed) for seed in (1, 2)]
    assert not torch.allclose(told[0], z_ref, atol=1e-2) and not torch.allclose(told[0], told[1], atol=1e-3)


def test_fit_minimises_in_float32_and_refuses_what_is_not_finite() -> None:
    x = torch.zeros(3, requires_grad=True)
    steps: list[None] = []
    fit([x], lambda step: (x - 1).square().sum(), 200, 0.1, lambda: steps.append(None))
    assert torch.allclose(x, torch.ones(3), atol=1e-2) and len(steps) == 200
    with pytest.raises(NumericalError, match="the optimisation left the finite numbers"):
        fit([x], lambda step: x.sum() * float("nan"), 3, 0.1, lambda: None)
    with pytest.raises(AssertionError):
        fit([torch.zeros(1, dtype=torch.bfloat16, requires_grad=True)], lambda step: x.sum(), 1, 0.1, lambda: None)
