"""Sampling: what a seed means, both samplers, and that guidance by the match raises it and its opposite lowers it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from pipelines.compose.losses import guided_mean, log_match
from pipelines.compose.model import Composer
from pipelines.compose.sampler import Sampling, _scheduler, _variance, draw, match_gradient
from pipelines.progress import Cancelled
from pipelines.seeds import generator

FEW = Sampling(steps=8, phi=1, psi=0)


@pytest.fixture
def reference() -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=generator(0, "reference")) * 2 - 1


@pytest.fixture
def others(words: Tensor) -> Tensor:
    return torch.stack([words.flip(0), words.roll(1, 1)], 1)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_seed_is_a_picture(
    composer: Composer, reference: Tensor, words: Tensor, others: Tensor, deterministic: bool
) -> None:
    sampling = replace(FEW, deterministic=deterministic, phi=2, psi=1)
    one, same, other = (
        draw(composer, reference, words, sampling, generator(seed, "test"), others) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert one.shape == reference.shape and one.abs().max() <= 1
    assert (one - other).abs().max() > 0.05


def test_ddpm_makes_noise_on_the_way_and_ddim_none(composer: Composer, reference: Tensor, words: Tensor) -> None:
    sampling = replace(FEW, deterministic=True)
    state = generator(1, "test")
    draw(composer, reference, words, sampling, state)
    one_draw = generator(1, "test")
    torch.randn(reference.shape, generator=one_draw)
    assert torch.equal(state.get_state(), one_draw.get_state())
    state = generator(1, "test")
    draw(composer, reference, words, replace(sampling, deterministic=False), state)
    assert not torch.equal(state.get_state(), one_draw.get_state())


@pytest.mark.parametrize("deterministic", [True, False])
def test_less_than_all_noise_leaves_the_picture_nearer(
    composer: Composer, reference: Tensor, words: Tensor, deterministic: bool
) -> None:
    told: list[tuple[int, int]] = []
    ways = [replace(FEW, strength=strength, deterministic=deterministic) for strength in (0.1, 0.5, 1.0)]
    off = [
        (
            draw(
                composer,
                reference,
                words,
                way,
                generator(1, "test"),
                progress=lambda _, step, total, preview=None: told.append((step, total)),
            )
            - reference
        )
        .abs()
        .mean()
        for way in ways
    ]
    assert off[0] < off[1] < off[2]
    assert told == 3 * [(step, FEW.steps) for step in range(1, FEW.steps + 1)]


def test_each_guidance_has_a_say(composer: Composer, reference: Tensor, words: Tensor, others: Tensor) -> None:
    plain, free, matched = (
        draw(composer, reference, words, replace(FEW, phi=phi, psi=psi), generator(1, "test"), others)
        for phi, psi in ((1, 0), (4, 0), (1, 4))
    )
    assert (plain - free).abs().max() > 1e-3
    assert (plain - matched).abs().max() > 1e-3


def test_sampling_begins_at_pure_noise_and_its_steps_are_even(composer: Composer) -> None:
    timesteps = _scheduler(composer, replace(FEW, steps=8)).timesteps.tolist()
    assert timesteps == [39, 34, 29, 24, 19, 14, 9, 4]


def test_eq_9_of_every_step_is_the_chains(composer: Composer) -> None:
    scheduler = _scheduler(composer, Sampling(steps=composer.sizes.steps, deterministic=False))
    assert isinstance(scheduler, DDPMScheduler)
    v = torch.linspace(-1, 1, 5).reshape(1, 1, 1, 5)
    for t in (1, 17, 39):
        expected = composer.chain.log_variance(v, torch.tensor([t])).exp()
        torch.testing.assert_close(_variance(scheduler, v, t), expected, rtol=1e-3, atol=1e-6)
    assert not _variance(scheduler, v, 0).any()


def similarity(composer: Composer, x: Tensor, reference: Tensor, words: Tensor) -> Tensor:
    return F.cosine_similarity(composer.noisy_image(x).whole, composer.condition(reference, words).c)


@pytest.mark.parametrize("rivals", [False, True], ids=["similarity", "among others"])
@pytest.mark.parametrize("batch", [1, 2])
def test_eq_14_raises_the_match(
    composer: Composer, reference: Tensor, words: Tensor, others: Tensor, rivals: bool, batch: int
) -> None:
    """A step along the gradient, also of a single picture, for which the paper's loss would have none."""
    c = composer.condition(reference, words).c[:batch]
    apart = composer.others(reference, others)[:batch] if rivals else None
    x = torch.randn(reference.shape, generator=generator(3, "test"))[:batch]

    def match(x: Tensor) -> Tensor:
        return log_match(composer.noisy_image(x).whole, c, apart, composer.noisy_tau)

    gradient = match_gradient(composer, x, c, apart)
    variance = torch.full_like(x, 0.01)
    assert (match(guided_mean(x, variance, gradient, 2)) > match(x)).all()
    assert (match(guided_mean(x, variance, gradient, -2)) < match(x)).all()


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_guided_picture_fits_better(
    composer: Composer, reference: Tensor, words: Tensor, deterministic: bool
) -> None:
    fits = {
        psi: similarity(
            composer,
            draw(
                composer,
                reference,
                words,
                replace(FEW, steps=20, psi=psi, deterministic=deterministic),
                generator(5, "test"),
            ),
            reference,
            words,
        )
        for psi in (-8.0, 0.0, 8.0)
    }
    assert (fits[8.0] > fits[0.0]).all() and (fits[0.0] > fits[-8.0]).all()


def test_pictures_of_a_batch_do_not_see_each_other(composer: Composer, reference: Tensor, words: Tensor) -> None:
    c = composer.condition(reference, words).c
    x = torch.randn(reference.shape, generator=generator(3, "test"))
    both = match_gradient(composer, x, c, None)
    torch.testing.assert_close(both[1:], match_gradient(composer, x[1:], c[1:], None))


def test_drawing_can_be_stopped(composer: Composer, reference: Tensor, words: Tensor) -> None:
    steps = []

    def progress(stage: str, step: int, total: int, preview: object = None) -> None:
        steps.append((stage, step, total))
        if step == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        draw(composer, reference, words, FEW, generator(1, "test"), progress=progress)
    assert steps == [("drawing", k, 8) for k in (1, 2, 3)]
