"""The equations of many rounds on pictures of two pixels, worked out by hand, and their gradients by differences."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipelines.diffusion.schedule import Schedule
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.training.choices import Decay, Form
from pipelines.training.losses import (
    Network,
    first_round,
    multi_round_loss,
    reconstruction_loss,
    single_round_loss,
    total_loss,
    weight_at,
)

ALPHA_BAR = torch.tensor([0.64, 0.36], dtype=torch.float64)  # roots 0.8 and 0.6; of the rest 0.6 and 0.8
NOISE = Schedule(ALPHA_BAR, 1.0, {}, "epsilon", ALPHA_BAR)
VELOCITY = replace(NOISE, prediction="v_prediction")
PICTURE = replace(NOISE, prediction="sample")
EARLY, LATE = torch.tensor([0]), torch.tensor([1])


def two_pixels(left: float, right: float) -> Tensor:
    return torch.tensor([left, right], dtype=torch.float64).reshape(1, 1, 1, 2)


def told(value: float) -> PromptEmbeds:
    return PromptEmbeds(torch.full((1, 1, 1), value, dtype=torch.float64))


def quarter(z_t: Tensor, t: Tensor, c: PromptEmbeds) -> Tensor:
    """A quarter of what it sees, and what it is told."""
    return 0.25 * z_t + c.tokens.sum()


Z_R, Z_G, EPS = two_pixels(1, -1), two_pixels(1, 0), two_pixels(0.5, -0.5)
EPS_2 = two_pixels(0, 1)


def pixels(x: Tensor) -> list[float]:
    return x.flatten().tolist()


def test_eq_1_is_the_picture_of_one_step() -> None:
    # z_{r,t} = 0.6 (1, -1) + 0.8 (0.5, -0.5) = (1, -1)
    assert pixels(first_round(NOISE, quarter, Z_R, LATE, EPS, told(0))) == pytest.approx([0.8 / 0.6, -0.8 / 0.6])
    assert pixels(first_round(VELOCITY, quarter, Z_R, LATE, EPS, told(0))) == pytest.approx([0.4, -0.4])
    assert pixels(first_round(PICTURE, quarter, Z_R, LATE, EPS, told(0))) == pytest.approx([0.25, -0.25])
    heard = first_round(NOISE, quarter, Z_R, LATE, EPS, told(0.5))  # noise 0.75 and 0.25
    assert pixels(heard) == pytest.approx([(1 - 0.8 * 0.75) / 0.6, (-1 - 0.8 * 0.25) / 0.6])


def test_eq_4_is_the_noise_that_leads_to_the_target() -> None:
    # z' = 0.8 (4/3, -4/3) + 0.6 (0, 1) = (16/15, -7/15); eps* = (z' - 0.8 (1, 0)) / 0.6 = (4/9, -7/9)
    z_hat = first_round(NOISE, quarter, Z_R, LATE, EPS, told(0))
    expected = ((4 / 15 - 4 / 9) ** 2 + (-7 / 60 + 7 / 9) ** 2) / 2
    assert multi_round_loss(NOISE, quarter, Z_G, z_hat, EARLY, EPS_2, told(0)).item() == pytest.approx(expected)
    # of the velocity: z' = (0.32, 0.28), eps* = (-0.8, 7/15), v* = 0.8 eps* - 0.6 (1, 0) = (-1.24, 28/75)
    z_hat = first_round(VELOCITY, quarter, Z_R, LATE, EPS, told(0))
    expected = ((0.08 + 1.24) ** 2 + (0.07 - 28 / 75) ** 2) / 2
    assert multi_round_loss(VELOCITY, quarter, Z_G, z_hat, EARLY, EPS_2, told(0)).item() == pytest.approx(expected)


def test_eq_2_in_one_step_is_the_picture_itself() -> None:
    z_hat = first_round(NOISE, quarter, Z_R, LATE, EPS, told(0))
    left, right = (16 / 15 - 0.6 * 4 / 15) / 0.8, (-7 / 15 + 0.6 * 7 / 60) / 0.8
    expected = ((left - 1) ** 2 + right**2) / 2
    loss = multi_round_loss(NOISE, quarter, Z_G, z_hat, EARLY, EPS_2, told(0), Form.PICTURE)
    assert loss.item() == pytest.approx(expected)


def test_a_second_round_that_finds_the_target_costs_nothing() -> None:
    for schedule in (NOISE, VELOCITY, PICTURE):

        def knowing(z_t: Tensor, t: Tensor, c: PromptEmbeds, schedule: Schedule = schedule) -> Tensor:
            return schedule.aim(Z_G, schedule.noise_towards(z_t, Z_G, t), t)

        for form in Form:
            loss = multi_round_loss(schedule, knowing, Z_G, Z_R, EARLY, EPS_2, told(0), form)
            assert loss.item() == pytest.approx(0, abs=1e-12)


def test_eq_5_and_6_are_of_one_round() -> None:
    # z_{g,t} = 0.6 (1, 0) + 0.8 (0.5, -0.5) = (1, -0.4); a quarter of it and 0.1: (0.35, 0)
    single = single_round_loss(NOISE, quarter, Z_G, LATE, EPS, told(0.1)).item()
    assert single == pytest.approx((0.15**2 + 0.5**2) / 2)
    # v = 0.6 eps - 0.8 z_g = (-0.5, -0.3)
    assert single_round_loss(VELOCITY, quarter, Z_G, LATE, EPS, told(0.1)).item() == pytest.approx(
        (0.85**2 + 0.3**2) / 2
    )
    # z_{r,t} = (1, -1), of no text
    reconstruction = reconstruction_loss(NOISE, quarter, Z_R, LATE, EPS, told(0)).item()
    assert reconstruction == pytest.approx(0.25**2)


def test_eq_7_weighs_the_rounds() -> None:
    one, two, three = (torch.tensor(float(k)) for k in (1, 2, 4))
    assert total_loss(one, two, three, 0.5).item() == 5


def test_the_weight_falls_along_a_line_or_not_at_all() -> None:
    assert [weight_at(Decay.LINEAR, step, 5) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert [weight_at(Decay.FIXED, step, 5) for step in (0, 4)] == [1, 1]
    assert [weight_at(Decay.NONE, step, 5) for step in (0, 4)] == [0, 0]
    assert weight_at(Decay.LINEAR, 0, 1) == 1


# --------------------------------------------------------------------------------------------------------- gradients


def networks(p: Tensor) -> Network:
    """Not linear in what it sees or in its three weights."""
    return lambda z_t, t, c: torch.tanh(p[0] * z_t + p[1] * c.tokens.sum()) + p[2] * (1 + t.double())


def many_rounds(schedule: Schedule, form: Form) -> Callable[[Tensor], Tensor]:
    def loss(p: Tensor) -> Tensor:
        network = networks(p)
        z_hat = first_round(schedule, network, Z_R, LATE, EPS, told(0.3))
        return multi_round_loss(schedule, network, Z_G, z_hat, EARLY, EPS_2, told(-0.2), form)

    return loss


@pytest.mark.parametrize("schedule", [NOISE, VELOCITY, PICTURE], ids=lambda schedule: schedule.prediction)
@pytest.mark.parametrize("form", list(Form))
def test_the_gradient_goes_through_both_rounds(schedule: Schedule, form: Form) -> None:
    loss, p = many_rounds(schedule, form), torch.tensor([0.7, 0.4, -0.3], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(loss(p), p)
    by_differences = [
        (loss(p.detach() + step) - loss(p.detach() - step)).item() / 2e-6
        for step in 1e-6 * torch.eye(3, dtype=torch.float64)
    ]
    assert found.tolist() == pytest.approx(by_differences, rel=1e-6, abs=1e-8)
    z_hat = first_round(schedule, networks(p), Z_R, LATE, EPS, told(0.3)).detach()
    cut = multi_round_loss(schedule, networks(p), Z_G, z_hat, EARLY, EPS_2, told(-0.2), form)
    (of_the_second_alone,) = torch.autograd.grad(cut, p)
    assert (found - of_the_second_alone).abs().max() > 1e-2


@pytest.mark.parametrize("schedule", [NOISE, VELOCITY, PICTURE], ids=lambda schedule: schedule.prediction)
def test_the_gradients_of_one_round(schedule: Schedule) -> None:
    for of in (single_round_loss, reconstruction_loss):
        p = torch.tensor([0.7, 0.4, -0.3], dtype=torch.float64, requires_grad=True)
        (found,) = torch.autograd.grad(of(schedule, networks(p), Z_G, LATE, EPS, told(0.3)), p)
        by_differences = [
            (
                of(schedule, networks(p.detach() + step), Z_G, LATE, EPS, told(0.3))
                - of(schedule, networks(p.detach() - step), Z_G, LATE, EPS, told(0.3))
            ).item()
            / 2e-6
            for step in 1e-6 * torch.eye(3, dtype=torch.float64)
        ]
        assert found.tolist() == pytest.approx(by_differences, rel=1e-6, abs=1e-8)
