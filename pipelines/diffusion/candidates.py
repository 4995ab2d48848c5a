"""The sampling half that all methods share: one denoising run for each candidate's seed, and a picture from each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipelines.contract import Candidate
from pipelines.diffusion.denoise import Condition, Hold, denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.guidance import ConcatConditioning, guided_noise
from pipelines.diffusion.samplers import DDIM, Consistent, DDPMInversion, Own, Sampler
from pipelines.diffusion.stages import Previews, Stages
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import ModelParams
from pipelines.seeds import generator, normal_like

AfterStep = Callable[[Tensor], None]
"""Called with the current estimate of the clean latent; may raise to stop."""
Sample = Callable[[int, AfterStep], Tensor]
"""The clean latent ``(B, C, h, w)`` of one seed."""


@dataclass(frozen=True)
class Sampling:
    """How candidates are sampled."""

    stage: str
    """Name of the stage, and of the random draws."""
    timesteps: Sequence[int]
    start: Tensor | None
    """Latent that is noised to the first timestep; ``None`` starts from pure noise."""
    condition: Condition
    e_null: PromptEmbeds
    guidance: float
    hold: Hold | None
    """What is held during sampling."""
    pasting: ModelParams
    """How the finished picture is put back."""
    concat: ConcatConditioning | None = None
    """What a network made for it is shown beside the latent."""
    inverted: PromptEmbeds | None = None
    """The text under which sampling follows the noise that `start` has of its own (`DDPMInversion`); ``None`` where
    it follows noise of no meaning."""

    def sampler(self, bundle: ModelBundle, z_ref: Tensor, seed: int) -> Sampler:
        """The way of the candidate with that seed, for a latent like `z_ref`."""
        source = generator(seed, self.stage)
        if self.inverted is not None and self.start is not None:
            return DDPMInversion(self.start, predicted(bundle, self.inverted), source)
        return Consistent(z_ref, source) if bundle.schedule.consistent else DDIM(normal_like(z_ref, source))


def predicted(bundle: ModelBundle, e: PromptEmbeds) -> Own:
    """The noise that one text `e` predicts, without guidance."""
    return lambda z, t: guided_noise(bundle, z, t, e, e, 1)


def sample_candidates(canvas: Canvas, stages: Stages, how: Sampling) -> tuple[Candidate, ...]:
    """One candidate for each of the request's seeds."""
    latents = sample_latents(canvas, stages, how)
    return finished(canvas, latents, how.pasting)


def sample_latents(canvas: Canvas, stages: Stages, how: Sampling) -> dict[int, Tensor]:
    """The clean latent ``(1, C, h, w)`` of each of the request's seeds."""
    bundle = canvas.bundle
    predict = guided(bundle, how.condition, how.e_null, how.guidance, how.concat)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        sampler = how.sampler(bundle, canvas.z_ref, seed)
        start = (
            sampler.noise if how.start is None else bundle.schedule.noised(how.start, sampler.noise, how.timesteps[0])
        )
        return denoise(bundle, start, sampler, how.timesteps, predict, after_step, how.hold)

    return latents_of(canvas, stages, how.stage, len(how.timesteps), sample)


def sampled(
    canvas: Canvas, stages: Stages, stage: str, steps: int, sample: Sample, pasting: ModelParams
) -> tuple[Candidate, ...]:
    """One candidate for each of the request's seeds, of `steps` steps each. Of several branches the last is the edit:
    it is shown while it runs, and becomes the picture."""
    return finished(canvas, latents_of(canvas, stages, stage, steps, sample), pasting)


def latents_of(canvas: Canvas, stages: Stages, stage: str, steps: int, sample: Sample) -> dict[int, Tensor]:
    """The last branch of what each of the request's seeds comes to, ``(1, C, h, w)`` by seed."""
    request, previews = canvas.request, Previews(canvas.bundle)
    with stages.stage(stage, steps * request.candidates) as step:
        return {
            seed: sample(seed, lambda z_0: step(previews.of(z_0[-1:])))[-1:]
            for seed in range(request.seed, request.seed + request.candidates)
        }


def finished(canvas: Canvas, latents: Mapping[int, Tensor], pasting: ModelParams) -> tuple[Candidate, ...]:
    """The pictures of clean latents, by seed."""
    return tuple(canvas.candidate(seed, z, pasting) for seed, z in latents.items())
