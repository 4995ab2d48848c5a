"""From a picture to noise, so that a sampler that is told what the picture shows finds its way back to it.

DDIM's steps are followed upwards (Song et al. 2021, section 4.3; Dhariwal and Nichol 2021, appendix F). What guidance
makes of the way down is another way: null-text inversion fits the empty text to the way up (Mokady et al., CVPR 2023),
negative-prompt inversion says the picture's own text in its place (Miyake et al. 2023), and direct inversion keeps the
picture itself on the way and lets guidance work on the edit alone (Ju et al., ICLR 2024). Edit-friendly DDPM inversion
is a sampler: `pipelines.diffusion.samplers.DDPMInversion`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pipelines.diffusion.candidates import predicted
from pipelines.diffusion.denoise import Condition, Predict, always
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.fit import fit
from pipelines.diffusion.schedule import DONE
from pipelines.diffusion.stages import Stages
from pipelines.errors import NumericalError
from pipelines.models.bundle import ModelBundle, finite
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import Return

log = logging.getLogger(__name__)

LARGEST = 10.0
"""Root mean square of an inverted latent, which is about 1; beyond this the way up has run away."""
NULL_TEXT_RATE = 1e-2
ENOUGH, ENOUGH_MORE = 1e-5, 2e-5
"""Null-text inversion ends a step's fit below ``ENOUGH + ENOUGH_MORE * step`` (the published code's values)."""


@dataclass(frozen=True, eq=False)
class Path:
    """The latents ``z*`` of a picture at every timestep of a run."""

    timesteps: tuple[int, ...]
    """Falling, as the run takes them."""
    latents: tuple[Tensor, ...]
    """``(1, C, h, w)`` each; number `i` is the latent with `i` steps to go: the first is the picture's own."""

    @property
    def noise(self) -> Tensor:
        """``z*`` at the first timestep: where a run begins."""
        return self.latents[-1]

    def at(self, i: int) -> Tensor:
        """``z*`` with `i` steps to go."""
        return self.latents[i]


@torch.no_grad()
def ddim_inversion(
    bundle: ModelBundle,
    z_0: Tensor,
    timesteps: Sequence[int],
    predict: Predict,
    after_step: Callable[[Tensor], None],
    between: int = 1,
) -> Path:
    """Follow the noise that `predict` sees in the picture's latent `z_0` ``(1, C, h, w)`` up to ``timesteps[0]``.

    Each of the run's steps is taken in `between` smaller ones, whose latents are not kept; `predict` is told the
    number of the run's step. Raises `NumericalError` where the latent grows beyond every noise.
    """
    schedule, z, latents = bundle.schedule, z_0, [z_0]
    rising = [DONE, *reversed(timesteps)]
    for i, (low, high) in enumerate(pairwise(rising), 1):
        for t, t_up in pairwise(_levels(low, high, between)):
            eps = predict(z, t_up, i)  # at the less noisy latent, told the noisier level
            z = schedule.noised(schedule.estimate(z, eps, t), eps, t_up)
        after_step(schedule.estimate(z, eps, high))
        latents.append(z)
    if finite(z, "the inversion").square().mean().sqrt() > LARGEST:
        raise NumericalError(
            f"the inversion of the picture ran away: its noise has {z.std().item():.0f} times the size of noise. "
            "Take more steps, or say better what the picture shows"
        )
    return Path(tuple(timesteps), tuple(latents))


def _levels(low: int, high: int, between: int) -> list[int]:
    """From `low` to `high` in at most `between` steps, each of at least one timestep."""
    count = max(1, min(between, high - max(low, 0)))
    first = max(low, 0)
    return [low, *(round(first + (high - first) * k / count) for k in range(1, count)), high]


def null_texts(
    bundle: ModelBundle,
    path: Path,
    condition: Condition,
    e_null: PromptEmbeds,
    guidance: float,
    inner_steps: int,
    after_step: Callable[[], None],
) -> list[PromptEmbeds]:
    """Null-text inversion: for each step an empty text with which a guided step meets the path again.

    Fitted from `e_null` on, each from the last one's values, in at most `inner_steps` steps of Adam. The first is that
    of the noisiest step.
    """
    schedule, found, z = bundle.schedule, [], path.noise
    steps = len(path.timesteps)
    for k, (t, t_next) in enumerate(pairwise([*path.timesteps, DONE])):
        goal = path.at(steps - 1 - k)
        at = torch.full((1,), t, device=z.device)
        with torch.no_grad():
            eps_e = bundle.predict(z, at, condition(steps - k))
        u = e_null.open()

        def step(u: PromptEmbeds, z: Tensor = z, t: int = t, t_next: int = t_next, eps_e: Tensor = eps_e) -> Tensor:
            eps_null = bundle.predict(z, torch.full((1,), t, device=z.device), u)
            return schedule.step(z, eps_null + guidance * (eps_e - eps_null), t, t_next)

        def loss(
            _: int, step: Callable[[PromptEmbeds], Tensor] = step, u: PromptEmbeds = u, goal: Tensor = goal
        ) -> Tensor:
            return (step(u) - goal).square().mean()

        fit(
            [u.tokens],
            loss,
            inner_steps,
            NULL_TEXT_RATE * (1 - k / 100) if k < 100 else NULL_TEXT_RATE / 100,
            lambda: None,
            enough=ENOUGH + ENOUGH_MORE * k,
        )
        e_null = u.closed()
        found.append(e_null)
        with torch.no_grad():
            z = step(e_null)
        after_step()
    return found


def inverted(canvas: Canvas, stages: Stages, e: PromptEmbeds, timesteps: Sequence[int], between: int = 1) -> Path:
    """The path of the canvas' picture, told what it shows; reported as the stage ``invert``."""
    own = predicted(canvas.bundle, e)
    with stages.stage("invert", len(timesteps)) as step:
        return ddim_inversion(
            canvas.bundle, canvas.z_ref, timesteps, lambda z, t, i: own(z, t), lambda _: step(), between
        )


def empty_texts(
    canvas: Canvas,
    stages: Stages,
    path: Path,
    e: PromptEmbeds | Condition,
    how: Return,
    guidance: float,
    inner_steps: int,
) -> Condition:
    """What guidance leads away from at each step, so that the way down meets `path` as `how` says; fitting is reported
    as the stage ``null-text``. With a guidance of 1 it has no say and nothing is fitted."""
    null = canvas.prompts[avoided_text(canvas.request)]
    condition = always(e) if isinstance(e, PromptEmbeds) else e
    if how is Return.NEGATIVE_PROMPT:
        return condition
    if how is not Return.NULL_TEXT or guidance == 1:
        return always(null)
    with stages.stage("null-text", len(path.timesteps)) as step:
        found = null_texts(canvas.bundle, path, condition, null, guidance, inner_steps, step)
    return lambda i: found[len(found) - i]


def kept_on(path: Path, z: Tensor, i: int) -> Tensor:
    """Direct inversion: the first branch of `z` ``(B, C, h, w)`` back on the path with `i` steps to go, the others as
    they are."""
    return torch.cat([path.at(i), z[1:]])


def reconstruction_error(path: Path, z: Tensor) -> float:
    """Root mean square difference of a sampled latent `z` to the picture's own, whose size is about 1; 0 is exact."""
    error = (z - path.at(0)).square().mean().sqrt().item()
    log.info("the inverted picture came back within %.4f of its latent", error)
    return error
