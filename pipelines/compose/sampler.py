"""Draws the next picture of a scene from the one before and an instruction: DDPM or DDIM with two kinds of guidance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from pipelines.compose.data import to_pictures
from pipelines.compose.losses import classifier_free, guided_mean, guided_noise, log_match
from pipelines.compose.model import Composer, Condition
from pipelines.models.bundle import finite
from pipelines.models.loader import fast_dtype
from pipelines.progress import Progress, silent
from pipelines.seeds import normal_like

STAGE = "drawing"


@dataclass(frozen=True)
class Sampling:
    """How a picture is drawn; the guidances are the paper's (Section 4.2)."""

    steps: int = 50
    """Of T, evenly spread; the paper takes 250."""
    deterministic: bool = True
    """DDIM (Song et al. 2021), as the paper samples; else DDPM with the learnt variance."""
    phi: float = 3.0
    """Classifier-free guidance, Eq. 15; 1 is none."""
    psi: float = 2.0
    """Guidance by the match, Eq. 14; 0 is none."""
    strength: float = 1.0
    """The share of the noise levels that is run, from the picture before under so much noise; 1 is the paper's, which
    begins with noise alone. There a network that was trained for hours says too little of the picture's own colours,
    and the error of each turn is the next one's beginning."""


def draw(
    composer: Composer,
    reference: Tensor,
    words: Tensor,
    sampling: Sampling,
    source: torch.Generator,
    others: Tensor | None = None,
    progress: Progress = silent,
) -> Tensor:
    """The target picture, ``(B, 3, side, side) float32`` in [-1, 1], of `reference` and `words` (see `Composer`).

    `others`, ``(B, K, words)``, are instructions that the match is to tell the asked one apart from. Raises
    `NumericalError` where the picture is not finite; `progress` is shown what the first picture is heading for, and may
    raise.
    """
    with torch.no_grad(), _fast(reference.device):
        told = composer.condition(reference, words)
        rivals = None if others is None or not sampling.psi else composer.others(reference, others).float()
        nothing = composer.unconditional(told, torch.ones(len(words), dtype=torch.bool, device=words.device))
    scheduler = _scheduler(composer, sampling)
    timesteps, x = scheduler.timesteps[-sampling.steps :], normal_like(reference, source)
    if sampling.strength < 1:
        x = scheduler.add_noise(reference, x, timesteps[:1].expand(len(x)))
    for step, t in enumerate(timesteps, 1):
        eps, v = _predicted(composer, x, t, reference, told, nothing, sampling.phi)
        gradient = match_gradient(composer, x, told.c.float(), rivals) if sampling.psi else torch.zeros(())
        if sampling.deterministic:
            eps = guided_noise(eps, scheduler.alphas_cumprod[t].to(eps), gradient, sampling.psi)
            taken = scheduler.step(eps, t, x, use_clipped_model_output=True)
            x = taken.prev_sample
        else:
            # The mean that the scheduler works out is moved after the noise was added to it, which is the same.
            taken = scheduler.step(torch.cat([eps, v], 1), t, x, generator=source)
            x = guided_mean(taken.prev_sample, _variance(scheduler, v, int(t)), gradient, sampling.psi)
        progress(STAGE, step, len(timesteps), to_pictures(taken.pred_original_sample[:1])[0])
    finite(x, "the sampler")
    return x.clamp(-1, 1)


def match_gradient(composer: Composer, x_t: Tensor, c: Tensor, rivals: Tensor | None) -> Tensor:
    """Of `log_match` with respect to `x_t`, picture by picture; `c` is ``(B, d)``, `rivals` ``(B, K, d)``."""
    with torch.enable_grad():
        x = x_t.detach().requires_grad_()
        match = log_match(composer.noisy_image(x).whole, c, rivals, composer.noisy_tau.detach())
        [gradient] = torch.autograd.grad(match.sum(), x)
    return gradient


@torch.no_grad()
def _predicted(
    composer: Composer, x: Tensor, t: Tensor, reference: Tensor, told: Condition, nothing: Condition, phi: float
) -> tuple[Tensor, Tensor]:
    """Noise with classifier-free guidance, and what is said of the variance where the instruction is told."""
    steps = t.to(x.device).expand(len(x))
    with _fast(x.device):
        if phi == 1:
            return composer.denoise(x, steps, reference, told)
        both = Condition(*(torch.cat(pair) for pair in zip(told, nothing, strict=True)))
        eps, v = composer.denoise(x.repeat(2, 1, 1, 1), steps.repeat(2), reference.repeat(2, 1, 1, 1), both)
    told_eps, untold_eps = eps.chunk(2)
    return classifier_free(told_eps, untold_eps, phi), v.chunk(2)[0]


def _scheduler(composer: Composer, sampling: Sampling) -> DDIMScheduler | DDPMScheduler:
    """From T - 1 down: at the noisiest level nothing is left of the picture, and to begin below it would show. Of more
    steps than are asked for the last ones are run where less than all noise is."""
    shared = {"beta_schedule": "squaredcos_cap_v2", "clip_sample": True, "timestep_spacing": "trailing"}
    if sampling.deterministic:
        scheduler = DDIMScheduler(composer.sizes.steps, **shared)
    else:
        scheduler = DDPMScheduler(composer.sizes.steps, variance_type="learned_range", **shared)
    scheduler.set_timesteps(min(composer.sizes.steps, round(sampling.steps / sampling.strength)))
    return scheduler


def _variance(scheduler: DDPMScheduler, v: Tensor, t: int) -> Tensor:
    """``Sigma_theta``, Eq. 9, of a step that may span several of the chain's; none at the last, which adds no noise."""
    before = int(scheduler.previous_timestep(t))
    if before < 0:
        return torch.zeros_like(v)
    alpha_bar, alpha_bar_before = scheduler.alphas_cumprod[t], scheduler.alphas_cumprod[before]
    beta = 1 - alpha_bar / alpha_bar_before
    beta_tilde = (1 - alpha_bar_before) / (1 - alpha_bar) * beta
    rho = (v + 1) / 2
    variance: Tensor = (rho * beta.log() + (1 - rho) * beta_tilde.log()).exp()
    return variance


def _fast(device: torch.device) -> torch.autocast:
    dtype = fast_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)
