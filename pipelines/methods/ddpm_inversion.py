"""An edit-friendly DDPM noise space (Huberman-Spiegelglas et al., CVPR 2024): the edit meets the picture's own noise.

The picture is noised to every level independently; what the network, told what the picture shows, cannot predict
between two levels is the picture's own noise (Algorithm 1). Sampling with another text and that noise keeps the
picture's structure. The first levels are skipped (T_skip): the picture's noised latent begins the run.
"""

from __future__ import annotations

from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.guidance import guided_noise
from pipelines.diffusion.samplers import DDPMInversion
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import DDPMInversionParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator


def run(
    bundle: ModelBundle, request: EditRequest, params: DDPMInversionParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    e_source, e_target, e_null = (canvas.prompts[text] for text in (source, target, avoided_text(request)))
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    predict = guided(bundle, always(e_target), e_null, params.guidance)

    def own(x: Tensor, t: int) -> Tensor:
        return guided_noise(bundle, x, t, e_source, e_null, params.source_guidance)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        sampler = DDPMInversion(canvas.z_ref, own, generator(seed, "denoise"))
        start = bundle.schedule.noised(canvas.z_ref, sampler.noise, timesteps[0])
        return denoise(bundle, start, sampler, timesteps, predict, after_step)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
