"""Blended Latent Diffusion (Avrahami et al. 2023, Algorithm 1): denoise, holding the kept part at every step.

The paper's second part, fitting the decoder's weights to the kept pixels, is replaced by copying those pixels back.
"""

from __future__ import annotations

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.denoise import denoise
from pipelines.diffusion.encode import Canvas, target_text
from pipelines.diffusion.stages import Previews, Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import InpaintParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like


def run(bundle: ModelBundle, request: EditRequest, params: InpaintParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. With the whole noise schedule (`strength` 1) nothing of the edited part survives."""
    canvas, stages, previews = Canvas.of(bundle, request), Stages(progress), Previews(bundle)
    e_null, e = bundle.embed_texts(["", target_text(request)]).split(1)
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    candidates = []
    with stages.stage("denoise", len(timesteps) * request.candidates) as step:
        for seed in range(request.seed, request.seed + request.candidates):
            eps = normal_like(canvas.z_ref, generator(seed, "denoise"))
            start = eps if params.strength == 1 else bundle.schedule.noised(canvas.z_ref, eps, timesteps[0])
            z = denoise(
                bundle,
                start,
                timesteps,
                lambda i: e,
                e_null,
                params.guidance,
                lambda z_0: step(previews.of(z_0)),
                canvas.hold(eps),
            )
            candidates.append(canvas.candidate(seed, z, params.paste_back))
    return EditResult(tuple(candidates), tuple(stages.reports), weights_before="", weights_after="")
