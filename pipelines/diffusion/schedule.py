"""The noise schedule, DDIM's deterministic step (Song et al. 2021, Eq. 12 with sigma = 0) and the mean of DDPM's.

Symbols: `alpha_bar` is the running product of ``1 - beta``; ``z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps``
(Ho et al. 2020, Eq. 4). Stateless on purpose: diffusers' schedulers keep the last run in themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DDIMScheduler, LCMScheduler
from torch import Tensor

from pipelines.errors import ModelError

DONE = -1
"""The "timestep" after the last step."""

PUREST_NOISE = 2.0**-24
"""Least `alpha_bar`. Where the last timestep is noise alone (Lin et al. 2024) noise does not determine the picture."""


@dataclass(frozen=True)
class Schedule:
    """The table of `alpha_bar` and how the timesteps of a run are chosen."""

    alpha_bar: Tensor
    """``(T,) float32``, falling from about 1 to about 0."""
    final_alpha_bar: float
    """`alpha_bar` after the last step: that of timestep 0, or 1 where the model's configuration says so."""
    config: Mapping[str, Any]
    prediction: str
    """What the network predicts: ``epsilon``, ``v_prediction`` or ``sample``."""
    on_host: Tensor
    """`alpha_bar` in the host's memory, where a single value is read without waiting for the device."""
    consistent: bool = False
    """Whether the network says at every level what it would come to in many steps, and so is sampled in few (Luo et
    al. 2023, "Latent Consistency Models")."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """Read any Stable Diffusion ``scheduler_config.json``: the noise it was trained with, sampled by DDIM, or as a
        consistency model where its scheduler is diffusers' ``LCMScheduler``.

        That it says which noise that is, `check_parts` has seen to.
        """
        consistent = config.get("_class_name") == LCMScheduler.__name__
        scheduler = _scheduler(config, consistent)
        prediction = scheduler.config.prediction_type
        if prediction not in ("epsilon", "v_prediction", "sample"):
            raise ModelError(f"the scheduler's prediction_type {prediction!r} is not one we can sample")
        alpha_bar = scheduler.alphas_cumprod.float().clamp(min=PUREST_NOISE)
        if not torch.isfinite(alpha_bar).all() or alpha_bar.max() > 1:
            raise ModelError("the scheduler's betas must be a noise schedule, each from 0 to 1; they are not")
        return cls(
            alpha_bar=alpha_bar,
            final_alpha_bar=float(scheduler.final_alpha_cumprod),
            config=dict(scheduler.config),
            prediction=prediction,
            on_host=alpha_bar,
            consistent=consistent,
        )

    def to(self, device: torch.device) -> Schedule:
        return replace(self, alpha_bar=self.alpha_bar.to(device))

    @property
    def length(self) -> int:
        """Number of training timesteps, T."""
        return len(self.alpha_bar)

    def timesteps(self, steps: int, strength: float = 1.0) -> list[int]:
        """The last ``strength`` share of a run of `steps` steps, falling; at least one."""
        scheduler = _scheduler(self.config, self.consistent)
        most = int(scheduler.config.original_inference_steps) if self.consistent else self.length
        scheduler.set_timesteps(min(steps, most))
        # A run of all T steps with an offset would begin at T, one beyond the table.
        run = [min(int(t), self.length - 1) for t in scheduler.timesteps]
        return run[-max(1, round(len(run) * strength)) :]

    def _at(self, t: Tensor | int) -> Tensor:
        if isinstance(t, int):
            # A number in the host's memory enters a product on the device without a copy.
            return torch.tensor(self.final_alpha_bar if t == DONE else float(self.on_host[t]))
        return self.alpha_bar[t].reshape(-1, 1, 1, 1)  # (B, 1, 1, 1)

    def noised(self, z_0: Tensor, eps: Tensor, t: Tensor | int) -> Tensor:
        """``z_t``; `t` is one timestep or ``(B,)`` of them."""
        a = self._at(t)
        return a.sqrt() * z_0 + (1 - a).sqrt() * eps

    def estimate(self, z_t: Tensor, eps: Tensor, t: int) -> Tensor:
        """The picture that `eps` implies: ``(z_t - sqrt(1 - a) eps) / sqrt(a)``."""
        a = self._at(t)
        return (z_t - (1 - a).sqrt() * eps) / a.sqrt()

    def step(self, z_t: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        """One DDIM step from `t` to the less noisy `t_next`, or to `DONE`."""
        return self.noised(self.estimate(z_t, eps, t), eps, t_next)

    def mean(self, z_t: Tensor, eps: Tensor, t: int, t_next: int, eta: float = 1.0) -> Tensor:
        """The mean of one step from `t` to `t_next` (Eq. 12, sigma of Eq. 16); DDPM's with `eta` 1, DDIM's with 0."""
        a_next, sigma_squared = self._at(t_next), eta**2 * self._variance(t, t_next)
        return a_next.sqrt() * self.estimate(z_t, eps, t) + (1 - a_next - sigma_squared).clamp(min=0).sqrt() * eps

    def _variance(self, t: int, t_next: int) -> Tensor:
        a, a_next = self._at(t), self._at(t_next)
        return (1 - a_next) / (1 - a) * (1 - a / a_next)

    def sigma(self, t: int, t_next: int, eta: float = 1.0) -> Tensor:
        """The deviation of the noise that a step from `t` to `t_next` adds to `mean` (Eq. 16)."""
        return eta * self._variance(t, t_next).clamp(min=0).sqrt()

    def noise_towards(self, z_t: Tensor, z_0: Tensor, t: Tensor | int) -> Tensor:
        """The noise of which `z_t` is made where its picture is `z_0`: ``(z_t - sqrt(a) z_0) / sqrt(1 - a)``."""
        a = self._at(t)
        return (z_t - a.sqrt() * z_0) / (1 - a).sqrt()

    def share_of_picture(self, t: int) -> float:
        """``sqrt(alpha_bar)`` at `t`."""
        return float(self._at(t).sqrt())

    def noise_from(self, prediction: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The network's own output as noise (Salimans and Ho 2022, appendix D, for v)."""
        if self.prediction == "epsilon":
            return prediction
        a = self._at(t)
        if self.prediction == "v_prediction":
            return a.sqrt() * prediction + (1 - a).sqrt() * z_t
        return (z_t - a.sqrt() * prediction) / (1 - a).sqrt()

    def picture_from(self, prediction: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The picture that the network's own output implies; for v without a division by a share that may be 0."""
        a = self._at(t)
        if self.prediction == "epsilon":
            return (z_t - (1 - a).sqrt() * prediction) / a.sqrt()
        return a.sqrt() * z_t - (1 - a).sqrt() * prediction if self.prediction == "v_prediction" else prediction

    def aim(self, z_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the network's own output should be where `z_t` is made of `z_0` and `eps`."""
        if self.prediction == "epsilon":
            return eps
        a = self._at(t)
        return a.sqrt() * eps - (1 - a).sqrt() * z_0 if self.prediction == "v_prediction" else z_0


def _scheduler(config: Mapping[str, Any], consistent: bool) -> Any:
    """Diffusers' own for that configuration, of which only the noise and the choice of timesteps are of use here."""
    kind = LCMScheduler if consistent else DDIMScheduler
    return kind.from_config({**config, "_class_name": kind.__name__})
