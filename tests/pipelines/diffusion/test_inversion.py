"""From a picture to noise and back, on tiny models of every family: figures of how near it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from torch import Tensor

from pipelines.diffusion.candidates import predicted
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.inversion import Path, ddim_inversion, kept_on, null_texts, reconstruction_error
from pipelines.diffusion.samplers import DDIM
from pipelines.errors import NumericalError
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds

FAMILIES = ["tiny", "tiny-v", "tiny-xl"]


def latent(bundle: ModelBundle) -> Tensor:
    return torch.randn(1, bundle.latent_channels, 8, 8, generator=torch.Generator().manual_seed(3))


def up(bundle: ModelBundle, e: PromptEmbeds, timesteps: Sequence[int], between: int = 1) -> Path:
    own = predicted(bundle, e)
    return ddim_inversion(bundle, latent(bundle), timesteps, lambda z, t, i: own(z, t), lambda _: None, between)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_guidance_the_way_down_meets_the_way_up_the_better_the_more_steps(
    load: Callable[[str], ModelBundle], family: str
) -> None:
    bundle = load(family)
    e = bundle.embed_texts(["a dog"])
    errors = []
    for steps in (6, 36):
        path = up(bundle, e, bundle.schedule.timesteps(steps, 0.5))
        z = denoise(
            bundle, path.noise, DDIM(path.noise), path.timesteps, guided(bundle, always(e), e, 1), lambda _: None
        )
        errors.append(reconstruction_error(path, z))
    assert errors[1] < 0.5 * errors[0], "random weights see noise that turns quickly: the figure is of them"


def test_the_way_up_is_that_of_diffusers_inverse_scheduler(bundle: ModelBundle) -> None:
    e, steps = bundle.embed_texts(["a dog"]), 10
    inverse = DDIMInverseScheduler.from_config(dict(bundle.schedule.config))
    inverse.set_timesteps(steps)
    z, theirs = latent(bundle), [latent(bundle)]
    with torch.no_grad():
        for t in inverse.timesteps:
            z = inverse.step(bundle.predict(z, t.reshape(1), e), t, z).prev_sample
            theirs.append(z)
    ours = up(bundle, e, bundle.schedule.timesteps(steps))
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(ours.latents, theirs, strict=True))


def test_smaller_steps_between_stay_on_the_run_s_own_timesteps(bundle: ModelBundle) -> None:
    e, timesteps = bundle.embed_texts(["a dog"]), bundle.schedule.timesteps(4, 0.5)
    coarse, fine, finest = (up(bundle, e, timesteps, between) for between in (1, 5, 50))
    assert [path.timesteps for path in (fine, finest)] == [tuple(timesteps)] * 2
    assert all(len(path.latents) == 3 for path in (coarse, fine, finest))
    far, near = ((path.noise - finest.noise).square().mean().sqrt() for path in (coarse, fine))
    assert near < 0.5 * far


@pytest.mark.parametrize("family", ["tiny", "tiny-xl"])
def test_a_fitted_empty_text_brings_a_guided_run_back(load: Callable[[str], ModelBundle], family: str) -> None:
    """A text moves what random weights predict little, so not as near as with trained ones. The model stays."""
    bundle = load(family)
    before, texts, guidance = bundle.checksum(), bundle.embed_texts(["", "a dog"]), 7.5
    e_null, e = texts[:1], texts[1:]
    path = up(bundle, e, bundle.schedule.timesteps(6, 0.5))

    def error(away: Callable[[int], PromptEmbeds]) -> float:
        run = guided(bundle, always(e), away, guidance)
        return reconstruction_error(
            path, denoise(bundle, path.noise, DDIM(path.noise), path.timesteps, run, lambda _: None)
        )

    found = null_texts(bundle, path, always(e), e_null, guidance, 20, lambda: None)
    assert len(found) == 3 and bundle.checksum() == before
    assert error(lambda i: found[3 - i]) < 0.8 * error(always(e_null))
    assert error(always(e)) == pytest.approx(error_unguided(bundle, path, e), abs=1e-4), "negative-prompt inversion"


def error_unguided(bundle: ModelBundle, path: Path, e: PromptEmbeds) -> float:
    run = guided(bundle, always(e), e, 1)
    return reconstruction_error(
        path, denoise(bundle, path.noise, DDIM(path.noise), path.timesteps, run, lambda _: None)
    )


def test_a_branch_that_is_kept_on_the_path_comes_back_exactly(bundle: ModelBundle) -> None:
    texts = bundle.embed_texts(["", "a dog", "a cat"])
    path = up(bundle, texts[1:2], bundle.schedule.timesteps(5))
    start = path.noise.expand(2, -1, -1, -1)
    run = guided(bundle, always(texts[1:]), texts[:1], 7.5)
    told = []
    z = denoise(
        bundle, start, DDIM(path.noise), path.timesteps, run, told.append, after=lambda z, t, i: kept_on(path, z, i - 1)
    )
    assert z.shape[0] == 2 and torch.equal(z[:1], latent(bundle)) and not torch.allclose(z[1:], z[:1], atol=1e-2)
    assert [estimate.shape[0] for estimate in told] == [2] * 5
    alone = denoise(
        bundle,
        path.noise,
        DDIM(path.noise),
        path.timesteps,
        guided(bundle, always(texts[2:]), texts[:1], 7.5),
        told.append,
    )
    assert torch.allclose(z[1:], alone, atol=1e-4), "branches that nothing joins are runs of their own"


def test_a_way_up_that_runs_away_is_told(bundle: ModelBundle) -> None:
    e = bundle.embed_texts(["a dog"])
    with pytest.raises(NumericalError, match=r"ran away: its noise has \d+ times the size of noise\. Take more steps"):
        ddim_inversion(
            bundle,
            latent(bundle),
            bundle.schedule.timesteps(5),
            lambda z, t, i: 100 * torch.ones_like(z),
            lambda _: None,
        )
    broken = replace(bundle, schedule=replace(bundle.schedule, final_alpha_bar=float("nan")))
    with pytest.raises(NumericalError, match="the inversion left the finite numbers"):
        up(broken, e, bundle.schedule.timesteps(5))


def test_diffusers_steps_down_as_we_do_from_where_it_went_up(bundle: ModelBundle) -> None:
    """What `Path.at` numbers: with `i` steps to go, the latent that DDIM's scheduler takes at that timestep."""
    scheduler = DDIMScheduler.from_config(dict(bundle.schedule.config))
    scheduler.set_timesteps(5)
    path = up(bundle, bundle.embed_texts(["a dog"]), bundle.schedule.timesteps(5))
    assert list(path.timesteps) == scheduler.timesteps.tolist()
    assert path.at(5) is path.noise and path.at(0) is path.latents[0]
