"""The equations of CDD-ICM on pictures of two pixels, worked out by hand, and their gradients by finite differences."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from pipelines.compose.losses import (
    Chain,
    cdd_loss,
    classifier_free,
    discrete_log_likelihood,
    guided_mean,
    guided_noise,
    icm_loss,
    joint_loss,
    log_match,
    mse_loss,
    vlb_loss,
)

CHAIN = Chain.of(torch.tensor([0.2, 0.5]))  # alpha_bar 0.8 and 0.4, beta_tilde of the second 0.2 / 0.6 * 0.5 = 1 / 6
LAST, FIRST = torch.tensor([1]), torch.tensor([0])
ONE = torch.tensor(1.0, dtype=torch.float64)


def two_pixels(left: float, right: float) -> Tensor:
    return torch.tensor([left, right], dtype=torch.float64).reshape(1, 1, 1, 2)


X_0, X_T, EPS = two_pixels(1, -1), two_pixels(1.2, 0), two_pixels(0.5, -0.5)


def pixels(x: Tensor) -> list[float]:
    return x.flatten().tolist()


# ------------------------------------------------------------------------------------------------------- the chain


def test_eq_3_noises() -> None:
    a, b = math.sqrt(0.4), math.sqrt(0.6)
    assert pixels(CHAIN.noised(X_0, EPS, LAST)) == pytest.approx([a + 0.5 * b, -a - 0.5 * b])


def test_eq_7_is_the_posterior() -> None:
    of_x_0, of_x_t = math.sqrt(0.8) * 0.5 / 0.6, math.sqrt(0.5) * 0.2 / 0.6
    mean = pixels(CHAIN.posterior_mean(X_0, X_T, LAST))
    assert mean == pytest.approx([of_x_0 + 1.2 * of_x_t, -of_x_0])
    assert CHAIN.beta_tilde.tolist() == pytest.approx([1 / 6, 1 / 6])


def test_eq_8_is_the_mean_from_the_noise() -> None:
    scaled = 0.5 / math.sqrt(0.6) * 0.5
    expected = [(1.2 - scaled) / math.sqrt(0.5), scaled / math.sqrt(0.5)]
    assert pixels(CHAIN.mean(X_T, EPS, LAST)) == pytest.approx(expected)


def test_eq_8_of_the_true_noise_is_eq_7() -> None:
    """What the two are for: the network that predicts the noise knows the posterior."""
    x_t = CHAIN.noised(X_0, EPS, LAST)
    torch.testing.assert_close(CHAIN.mean(x_t, EPS, LAST), CHAIN.posterior_mean(X_0, x_t, LAST))


def test_eq_9_lies_between_both_variances() -> None:
    v = two_pixels(-1, 1)
    assert pixels(CHAIN.log_variance(v, LAST).exp()) == pytest.approx([1 / 6, 0.5])
    middle = math.sqrt(1 / 6 * 0.5)
    assert pixels(CHAIN.log_variance(two_pixels(0, 0), LAST).exp()) == pytest.approx([middle, middle])


def test_the_chain_is_that_of_diffusers() -> None:
    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2", variance_type="learned_range", clip_sample=False)
    chain = Chain.of(scheduler.betas)
    assert chain.beta.max() <= 0.999 + 1e-6
    torch.manual_seed(0)
    x_0, eps, v = torch.randn(3, 1, 3, 4, 4).unbind(0)
    for level in (1, 400, 999):
        t = torch.tensor([level])
        torch.testing.assert_close(chain.noised(x_0, eps, t), scheduler.add_noise(x_0, eps, t), rtol=1e-4, atol=1e-4)
        variance = scheduler._get_variance(level, predicted_variance=v)
        torch.testing.assert_close(chain.log_variance(v, t), variance, rtol=1e-3, atol=1e-3)


def test_velocity_tells_the_noise() -> None:
    v, x_t = CHAIN.velocity(X_0, EPS, LAST), CHAIN.noised(X_0, EPS, LAST)
    a, b = math.sqrt(0.4), math.sqrt(0.6)
    assert pixels(v) == pytest.approx([0.5 * a - b, -0.5 * a + b])
    torch.testing.assert_close(CHAIN.noise_from(v, x_t, LAST), EPS)
    off = CHAIN.noise_from(v + 1, x_t, LAST) - EPS
    assert pixels(off) == pytest.approx([a, a]), "a mistake in velocity weighs the less the noisier the picture is"


# --------------------------------------------------------------------------------------------------------- denoising


def test_eq_10_is_a_mean_of_squares() -> None:
    assert mse_loss(EPS, two_pixels(0.5, 1.5)).item() == pytest.approx(4 / 2)


def test_eq_6_is_a_divergence_of_gaussians() -> None:
    """Both pixels by hand: the variances' part with v = 1, 0.5 against 1 / 6, and the means' part."""
    apart = [pixels(CHAIN.posterior_mean(X_0, X_T, LAST))[k] - pixels(CHAIN.mean(X_T, EPS, LAST))[k] for k in range(2)]
    by_hand = [0.5 * (1 / 3 - math.log(1 / 3) - 1 + d * d / 0.5) for d in apart]
    found = vlb_loss(CHAIN, X_0, X_T, LAST, EPS, two_pixels(1, 1))
    assert found.item() == pytest.approx(sum(by_hand) / 2)


def test_eq_6_is_nothing_where_the_network_knows() -> None:
    x_t = CHAIN.noised(X_0, EPS, LAST)
    assert vlb_loss(CHAIN, X_0, x_t, LAST, EPS, two_pixels(-1, -1)).item() == pytest.approx(0, abs=1e-12)


def test_eq_6_at_the_first_step_is_a_likelihood() -> None:
    x_0 = two_pixels(0, 1)
    mean, log_variance = CHAIN.mean(x_0, EPS, FIRST), CHAIN.log_variance(two_pixels(0, 0), FIRST)
    expected = -discrete_log_likelihood(x_0, mean, log_variance).mean()
    assert vlb_loss(CHAIN, x_0, x_0, FIRST, EPS, two_pixels(0, 0)).item() == pytest.approx(expected.item())


def test_the_likelihood_of_a_value_is_its_share_of_the_gaussian() -> None:
    x, zero = two_pixels(0, 1), two_pixels(0, 0)
    found = pixels(discrete_log_likelihood(x, zero, zero).exp())
    upwards = 0.5 * math.erfc((1 - 1 / 255) / math.sqrt(2))  # the last value takes all that is above
    assert found == pytest.approx([math.erf(1 / 255 / math.sqrt(2)), upwards])


def test_the_shares_of_all_values_are_one() -> None:
    x = (2 * torch.arange(256, dtype=torch.float64) / 255 - 1).reshape(1, 1, 1, 256)
    mean, log_variance = torch.full_like(x, 0.3), torch.full_like(x, -2.0)
    assert discrete_log_likelihood(x, mean, log_variance).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_the_variational_bound_teaches_the_variance_alone() -> None:
    predicted, v = EPS.clone().requires_grad_(), two_pixels(0.2, 0.1).requires_grad_()
    vlb_loss(CHAIN, X_0, X_T, LAST, predicted, v).backward()
    assert predicted.grad is None
    assert v.grad is not None and v.grad.abs().min() > 0


def test_eq_11_and_13_weigh() -> None:
    assert cdd_loss(ONE, 2 * ONE, 1.5).item() == 4
    assert joint_loss(4 * ONE, 5 * ONE, 0.1).item() == 4.5


# ---------------------------------------------------------------------------------------------------------- matching

OWN = torch.eye(2, dtype=torch.float64)


def test_eq_12_looks_both_ways() -> None:
    """Both targets are alike, so S = [[1, 1], [0, 0]]: the rows cannot tell them apart, the columns are e : 1."""
    targets = torch.tensor([[3.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    rows, columns = math.log(2), math.log(math.e + 1) - 1 / 2
    assert icm_loss(OWN, targets, ONE).item() == pytest.approx(rows + columns)


def test_eq_12_is_sharper_at_a_lower_temperature() -> None:
    for tau in (1.0, 0.5):
        expected = 2 * math.log(1 + math.exp(-1 / tau))
        assert icm_loss(OWN, OWN, tau * ONE).item() == pytest.approx(expected)


def test_eq_12_of_a_single_pair_has_no_gradient_and_the_match_has() -> None:
    noisy, fused = torch.tensor([[0.3, 0.8]], requires_grad=True), torch.tensor([[1.0, 0.1]])
    [none] = torch.autograd.grad(icm_loss(fused, noisy, ONE.float()), noisy)
    assert none.abs().max() < 1e-7
    for others in (None, torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])):
        [some] = torch.autograd.grad(log_match(noisy, fused, others, ONE.float()).sum(), noisy)
        assert some.abs().max() > 0.1


def test_the_match_is_the_share_among_the_others() -> None:
    noisy = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    others = torch.tensor([[[0.0, 5.0], [-1.0, 0.0]]], dtype=torch.float64)  # similarities 0 and -1, its own 1
    assert log_match(noisy, 3 * noisy, None, ONE).item() == pytest.approx(1)
    expected = 1 - math.log(math.e + 1 + 1 / math.e)
    assert log_match(noisy, 3 * noisy, others, ONE).item() == pytest.approx(expected)


def test_the_match_of_a_batch_is_a_row_of_eq_12() -> None:
    torch.manual_seed(1)
    noisy, fused = torch.randn(2, 3, 5, dtype=torch.float64).unbind(0)
    rest = torch.stack([fused[[k for k in range(3) if k != own]] for own in range(3)])
    columns = -log_match(noisy, fused, rest, 0.4 * ONE).mean()
    similarity = torch.nn.functional.normalize(noisy) @ torch.nn.functional.normalize(fused).T / 0.4
    assert columns.item() == pytest.approx(-similarity.log_softmax(1).diagonal().mean().item())


# ---------------------------------------------------------------------------------------------------------- guidance


def test_eq_14_and_15_by_hand() -> None:
    assert pixels(guided_mean(two_pixels(1, 2), two_pixels(0.5, 0.1), two_pixels(1, -1), 2)) == pytest.approx([2, 1.8])
    assert pixels(guided_noise(EPS, torch.tensor(0.75), two_pixels(1, -1), 2)) == pytest.approx([-0.5, 0.5])
    assert pixels(classifier_free(two_pixels(1, 0), two_pixels(0.5, 1), 3)) == pytest.approx([2, -2])
    assert torch.equal(classifier_free(EPS, X_0, 1), EPS)


# --------------------------------------------------------------------------------------------------------- gradients


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(2)
    a, b = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind(0)
    others = torch.randn(3, 2, 4, dtype=torch.float64)
    tau = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    v = two_pixels(0.3, -0.2).requires_grad_()
    x_t = X_T.clone().requires_grad_()
    assert torch.autograd.gradcheck(mse_loss, (X_0, x_t))
    assert torch.autograd.gradcheck(lambda v, x: vlb_loss(CHAIN, X_0, x, LAST, EPS, v), (v, x_t))
    middle = two_pixels(0.1, -0.2)  # a likelihood that is not cut off
    assert torch.autograd.gradcheck(lambda v: vlb_loss(CHAIN, middle, middle, FIRST, 0 * EPS, v), (v,))
    assert torch.autograd.gradcheck(icm_loss, (a, b, tau))
    assert torch.autograd.gradcheck(lambda a, b: log_match(a, b, others, tau), (a, b))
