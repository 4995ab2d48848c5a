"""CycleDiffusion (Wu and De la Torre, ICCV 2023): picture and edit are sampled with the same noise.

A way up to the picture is drawn from the posterior that knows it; the noise that a sampler told what the picture shows
would have needed for it is given to one that is told the target (Algorithm 1, "cycle").
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.schedule import DONE
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import CycleDiffusionParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like


class SharedNoise:
    """Both branches ``(2, C, h, w)``, picture and edit, go down together with one noise."""

    def __init__(self, picture: Tensor, eta: float, source: torch.Generator) -> None:
        """`picture` is a clean latent ``(1, C, h, w)``; `eta` is DDIM's, from 0 to 1."""
        self._picture, self._eta, self._source = picture, eta, source
        self.noise = normal_like(picture, source)

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        """With ``x_next = mean(x) + sigma y`` for the picture, y cancels out of ``mean(z) + sigma y`` for the edit, so
        nothing is divided by a sigma that may be 0."""
        schedule, x = bundle.schedule, z[:1]
        if t_next == DONE:
            x_next = self._picture
        else:  # q(x_next | x, x_0): the same step, told the noise that is truly in x
            truly = schedule.noise_towards(x, self._picture, t)
            drawn = normal_like(x, self._source)
            x_next = schedule.mean(x, truly, t, t_next, self._eta) + schedule.sigma(t, t_next, self._eta) * drawn
        edit = schedule.mean(z[1:], eps[1:], t, t_next, self._eta)
        return torch.cat([x_next, x_next + edit - schedule.mean(x, eps[:1], t, t_next, self._eta)])


def run(
    bundle: ModelBundle, request: EditRequest, params: CycleDiffusionParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    texts = PromptEmbeds.joined([canvas.prompts[source], canvas.prompts[target]])
    scales = torch.tensor([params.source_guidance, params.guidance], device=bundle.device).reshape(2, 1, 1, 1)
    predict = guided(bundle, always(texts), canvas.prompts[avoided_text(request)], scales)
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        sampler = SharedNoise(canvas.z_ref, params.eta, generator(seed, "denoise"))
        start = bundle.schedule.noised(canvas.z_ref, sampler.noise, timesteps[0]).expand(2, -1, -1, -1)
        return denoise(bundle, start, sampler, timesteps, predict, after_step)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
