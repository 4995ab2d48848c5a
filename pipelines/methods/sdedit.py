"""SDEdit (Meng et al. 2021, Algorithm 1, with DDIM steps): noise the picture up to t0, denoise it with the new text."""

from __future__ import annotations

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.denoise import denoise
from pipelines.diffusion.encode import Canvas, target_text
from pipelines.diffusion.stages import Previews, Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import SDEditParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like


def run(bundle: ModelBundle, request: EditRequest, params: SDEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages, previews = Canvas.of(bundle, request), Stages(progress), Previews(bundle)
    e_null, e = bundle.embed_texts(["", target_text(request)]).split(1)
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    candidates = []
    with stages.stage("denoise", len(timesteps) * request.candidates) as step:
        for seed in range(request.seed, request.seed + request.candidates):
            eps = normal_like(canvas.z_ref, generator(seed, "denoise"))
            z = denoise(
                bundle,
                bundle.schedule.noised(canvas.z_ref, eps, timesteps[0]),  # x(t0) ~ N(x_guide, sigma(t0)^2)
                timesteps,
                lambda i: e,
                e_null,
                params.guidance,
                lambda z_0: step(previews.of(z_0)),
            )
            candidates.append(canvas.candidate(seed, z, params.paste_back))
    return EditResult(tuple(candidates), tuple(stages.reports), weights_before="", weights_after="")
