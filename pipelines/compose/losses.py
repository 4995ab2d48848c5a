"""The equations of CDD-ICM (Wang 2023, "A Diffusion-based Method for Multi-turn Compositional Image Generation").

Pictures are ``(B, 3, H, W) float32`` in [-1, 1]. Time steps are counted from 0, the paper's 1; t is ``(B,) int64``.
What the network says of the variance, the paper's rho, is ``v`` in [-1, 1] with rho = (v + 1) / 2, which is how
diffusers' schedulers read it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 255
"""Steps between the values of a picture's channel."""


@dataclass(frozen=True)
class Chain:
    """The noise of the forward process and what follows from it, each ``(T,) float64``."""

    beta: Tensor
    alpha_bar: Tensor
    """The product of all alphas up to t."""

    @classmethod
    def of(cls, betas: Tensor) -> Chain:
        """From the betas of a schedule, ``(T,)``; the cosine schedule of Eq. 4, say, as diffusers computes it: with
        beta at most 0.999, without which the last alpha were 0."""
        beta = betas.double()
        return cls(beta, torch.cumprod(1 - beta, 0))

    @property
    def alpha_bar_before(self) -> Tensor:
        """Of the step before; 1 before the first."""
        return torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])

    @property
    def beta_tilde(self) -> Tensor:
        """The posterior's variance, Eq. 7. The first, which is 0, is given the second's: its logarithm is taken."""
        exact = (1 - self.alpha_bar_before) / (1 - self.alpha_bar) * self.beta
        return torch.cat([exact[1:2], exact[1:]])

    def noised(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """``x_t``, by Eq. 3."""
        alpha_bar = _at(self.alpha_bar, t, x_0)
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps

    def velocity(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """``sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0`` (Salimans and Ho 2022, Appendix D)."""
        alpha_bar = _at(self.alpha_bar, t, x_0)
        return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0

    def noise_from(self, velocity: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The noise in `x_t` that a velocity implies: ``sqrt(alpha_bar) v + sqrt(1 - alpha_bar) x_t``."""
        alpha_bar = _at(self.alpha_bar, t, x_t)
        return alpha_bar.sqrt() * velocity + (1 - alpha_bar).sqrt() * x_t

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """``mu~(x_t, x_0)``, Eq. 7. In print beta stands under the root; it belongs outside (Ho et al. 2020, Eq. 7)."""
        beta, before = _at(self.beta, t, x_t), _at(self.alpha_bar_before, t, x_t)
        rest = 1 - _at(self.alpha_bar, t, x_t)
        return before.sqrt() * beta / rest * x_0 + (1 - beta).sqrt() * (1 - before) / rest * x_t

    def mean(self, x_t: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """``mu_theta``, Eq. 8, from the predicted noise."""
        beta, rest = _at(self.beta, t, x_t), 1 - _at(self.alpha_bar, t, x_t)
        return (x_t - beta / rest.sqrt() * eps) / (1 - beta).sqrt()

    def log_variance(self, v: Tensor, t: Tensor) -> Tensor:
        """``log Sigma_theta``, Eq. 9: between the posterior's (v = -1) and the forward step's (v = 1)."""
        rho = (v + 1) / 2
        return rho * _at(self.beta.log(), t, v) + (1 - rho) * _at(self.beta_tilde.log(), t, v)


def _at(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """``values[t]`` as ``(B, 1, 1, 1)``, of the dtype and on the device of `like`."""
    return values.to(like.dtype).to(t.device)[t].reshape(-1, 1, 1, 1)


# -------------------------------------------------------------------------------------------------------- denoising


def mse_loss(aim: Tensor, said: Tensor) -> Tensor:
    """``L_mse``, Eq. 10, as a mean over all elements: of noise; or of velocity, which is the same loss weighted by
    ``1 / alpha_bar``, since noise is off by ``sqrt(alpha_bar)`` of what velocity is off by."""
    return F.mse_loss(said, aim)


def vlb_loss(chain: Chain, x_0: Tensor, x_t: Tensor, t: Tensor, predicted: Tensor, v: Tensor) -> Tensor:
    """``L_vlb``, Eq. 6, in nats, as a mean over all elements.

    A KL divergence of two Gaussians, or at the first step the likelihood of the picture, whose values are discrete (Ho
    et al. 2020, Eq. 13). It teaches the variance alone: no gradient reaches the predicted noise.
    """
    mean, log_variance = chain.mean(x_t, predicted.detach(), t), chain.log_variance(v, t)
    true_mean = chain.posterior_mean(x_0, x_t, t)
    ratio = _at(chain.beta_tilde.log(), t, x_t) - log_variance
    divergence = 0.5 * (ratio.exp() - ratio - 1 + (true_mean - mean).square() * (-log_variance).exp())
    first = (t == 0).reshape(-1, 1, 1, 1)
    each: Tensor = torch.where(first, -discrete_log_likelihood(x_0, mean, log_variance), divergence)
    return each.mean()


def discrete_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The logarithm of the share of a Gaussian that falls to the value `x` of 256, those at the ends being open."""
    sharpness = (-0.5 * log_variance).exp()
    upper = torch.where(x > 1 - 1e-3, torch.inf, (x + 1 / LEVELS - mean) * sharpness)
    lower = torch.where(x < -1 + 1e-3, -torch.inf, (x - 1 / LEVELS - mean) * sharpness)
    share: Tensor = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    return share.clamp(min=1e-12).log()


def cdd_loss(mse: Tensor, vlb: Tensor, gamma: float) -> Tensor:
    """``L_cdd = L_mse + gamma L_vlb``, Eq. 11."""
    return mse + gamma * vlb


# --------------------------------------------------------------------------------------------------------- matching


def icm_loss(fused: Tensor, target: Tensor, tau: Tensor) -> Tensor:
    """``L_icm``, Eq. 12: InfoNCE both ways between what was fused and what came of it, each ``(B, d)``.

    Of noisy pictures' representations it is ``L_n-icm``.
    """
    similarity = F.normalize(fused, dim=1) @ F.normalize(target, dim=1).T / tau  # (B, B), S / tau
    own = torch.arange(len(similarity), device=similarity.device)
    return F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)


def joint_loss(cdd: Tensor, icm: Tensor, delta: float) -> Tensor:
    """``L_joint = L_cdd + delta L_icm``, Eq. 13."""
    return cdd + delta * icm


def log_match(noisy: Tensor, fused: Tensor, others: Tensor | None, tau: Tensor) -> Tensor:
    """How well each noisy picture fits what was asked, ``(B,)``: what guidance by Eq. 14 goes up.

    `noisy` and `fused` are ``(B, d)``, `others` ``(B, K, d)``: what the picture is to be told apart from, other
    instructions for the same reference. It is one row of ``-L_n-icm``. Over a batch of one that loss is constant and
    has no gradient; without `others` the similarity itself is taken, without the share that it has among others.
    """
    noisy = F.normalize(noisy, dim=1)
    own = (noisy * F.normalize(fused, dim=1)).sum(1) / tau
    if others is None:
        return own
    rest = (F.normalize(others, dim=2) @ noisy[:, :, None])[..., 0] / tau  # (B, K)
    return own - torch.cat([own[:, None], rest], 1).logsumexp(1)


# --------------------------------------------------------------------------------------------------------- guidance


def guided_mean(mean: Tensor, variance: Tensor, gradient: Tensor, psi: float) -> Tensor:
    """``mu^_theta``, Eq. 14, for the gradient of `log_match`. The paper adds the gradient of the loss, which would lead
    away from the match; its minus is in `log_match`."""
    return mean + psi * variance * gradient


def guided_noise(eps: Tensor, alpha_bar: Tensor, gradient: Tensor, psi: float) -> Tensor:
    """The same for a sampler without a variance, DDIM: ``eps - sqrt(1 - alpha_bar) psi gradient`` (Dhariwal and Nichol
    2021, Eq. 14). `alpha_bar` is a single number."""
    return eps - (1 - alpha_bar).sqrt() * psi * gradient


def classifier_free(told: Tensor, untold: Tensor, phi: float) -> Tensor:
    """``eps^_theta``, Eq. 15, from the noise predicted with the condition and without."""
    return phi * told + (1 - phi) * untold
