"""The one denoising loop. Methods differ in where it starts, what it is told at each step, and what is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.diffusion.fit import READ_EVERY
from pipelines.diffusion.guidance import ConcatConditioning, guided_noise
from pipelines.diffusion.samplers import Sampler
from pipelines.diffusion.schedule import DONE, Schedule
from pipelines.models.bundle import ModelBundle, finite
from pipelines.models.prompt_embeds import PromptEmbeds

Condition = Callable[[int], PromptEmbeds]
"""The text to follow at loop index `i`, which falls from the number of steps to 1."""

Predict = Callable[[Tensor, int, int], Tensor]
"""The noise in `z` ``(B, C, h, w)`` at timestep `t` and loop index `i`; `B` branches may be told apart."""

Amend = Callable[[Tensor, int, int], Tensor]
"""What becomes of `z` ``(B, C, h, w)`` at timestep `t`; `i` counts the step it is called at."""


def always(e: PromptEmbeds) -> Condition:
    """The same text at every step."""
    return lambda _: e


def guided(
    bundle: ModelBundle,
    condition: Condition,
    e_null: PromptEmbeds | Condition,
    guidance: float | Tensor,
    concat: ConcatConditioning | None = None,
) -> Predict:
    """Classifier-free guidance: away from `e_null`, which may differ by step, towards the text of `condition`, which
    holds as many texts as there are branches; `guidance` may be one a branch, ``(B, 1, 1, 1)``."""
    away = always(e_null) if isinstance(e_null, PromptEmbeds) else e_null
    return lambda z, t, i: guided_noise(bundle, z, t, condition(i), away(i), guidance, concat)


@dataclass(frozen=True)
class Hold:
    """Keeps part of the latent to a known picture (Blended Latent Diffusion, Avrahami et al. 2023, Algorithm 1)."""

    z_ref: Tensor
    """Latent of the picture that is kept, ``(1, C, h, w)``."""
    edited: Tensor
    """``(1, 1, h, w)`` in [0, 1]: 1 where the sampler is free, 0 where `z_ref` is kept."""

    def blend(self, schedule: Schedule, z: Tensor, noise: Tensor, t: int) -> Tensor:
        """`z` at noise level `t`, with the kept part put back under the run's own `noise` at that level."""
        kept = self.z_ref if t == DONE else schedule.noised(self.z_ref, noise, t)
        return self.edited * z + (1 - self.edited) * kept


@torch.no_grad()
def denoise(
    bundle: ModelBundle,
    z: Tensor,
    sampler: Sampler,
    timesteps: Sequence[int],
    predict: Predict,
    after_step: Callable[[Tensor], None],
    hold: Hold | None = None,
    before: Amend | None = None,
    after: Amend | None = None,
) -> Tensor:
    """`sampler` from `z` at ``timesteps[0]`` down to a clean latent, each ``(B, C, h, w)``: of one branch or several.

    The loop index `i` counts down like the paper's t, so that the last step has ``i = 1`` whatever the scheduler's
    own timesteps are. `before` changes the latent that a step starts from, `after` the one that it leads to, which is
    told the timestep reached. `after_step` gets the current estimate of the clean latent; it may raise to stop.
    """
    schedule, steps = bundle.schedule, len(timesteps)
    for i, t, t_next in zip(range(steps, 0, -1), timesteps, [*timesteps[1:], DONE], strict=True):
        if before is not None:
            z = before(z, t, i)
        eps = predict(z, t, i)
        z_0 = schedule.estimate(z, eps, t)
        z = sampler.step(bundle, z, eps, t, t_next)
        if after is not None:
            z = after(z, t_next, i)
        if hold is not None:
            z = hold.blend(schedule, z, sampler.noise, t_next)
        if i % READ_EVERY == 0:
            finite(z_0, "the sampler")
        after_step(z_0)
    return finite(z, "the sampler")
