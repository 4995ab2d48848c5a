"""The sampling half that all methods share: one denoising run for each candidate's seed, and a picture from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipelines.contract import Candidate
from pipelines.diffusion.denoise import Condition, Hold, denoise
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.guidance import Beside
from pipelines.diffusion.stages import Previews, Stages
from pipelines.diffusion.walks import DDIM, DDPMInversion, Walk
from pipelines.models.texts import Texts
from pipelines.seeds import generator, normal_like


@dataclass(frozen=True)
class Sampling:
    """How candidates are sampled."""

    stage: str
    """Name of the stage, and of the random draws."""
    timesteps: Sequence[int]
    start: Tensor | None
    """Latent that is noised to the first timestep; ``None`` starts from pure noise."""
    condition: Condition
    e_null: Texts
    guidance: float
    hold: Hold | None
    """What is held during sampling."""
    paste_back: bool
    residual: float
    """Levels: smaller changes of the finished picture are undone."""
    beside: Beside | None = None
    """What a network made for it is shown beside the latent."""
    inverted: Texts | None = None
    """The text under which sampling follows the noise that `start` has of its own (`DDPMInversion`); ``None`` where
    it follows noise of no meaning."""

    def walk(self, z_ref: Tensor, seed: int) -> Walk:
        """The way of the candidate with that seed, for a latent like `z_ref`."""
        source = generator(seed, self.stage)
        if self.inverted is not None and self.start is not None:
            return DDPMInversion(self.start, self.inverted, source)
        return DDIM(normal_like(z_ref, source))


def sample_candidates(canvas: Canvas, stages: Stages, how: Sampling) -> tuple[Candidate, ...]:
    """One candidate for each of the request's seeds."""
    request, bundle = canvas.request, canvas.bundle
    previews, candidates = Previews(bundle), []
    with stages.stage(how.stage, len(how.timesteps) * request.candidates) as step:
        for seed in range(request.seed, request.seed + request.candidates):
            walk = how.walk(canvas.z_ref, seed)
            z = denoise(
                bundle,
                walk.noise if how.start is None else bundle.schedule.noised(how.start, walk.noise, how.timesteps[0]),
                walk,
                how.timesteps,
                how.condition,
                how.e_null,
                how.guidance,
                after_step=lambda z_0: step(previews.of(z_0)),
                hold=how.hold,
                beside=how.beside,
            )
            candidates.append(canvas.candidate(seed, z, how.paste_back, how.residual))
    return tuple(candidates)
