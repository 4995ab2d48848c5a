"""SDEdit (Meng et al. 2021, Algorithm 1, with DDIM steps): noise the picture up to t0, denoise it with the new text."""

from __future__ import annotations

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, avoided_text, target_text
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import SDEditParams
from pipelines.progress import Progress, silent


def run(bundle: ModelBundle, request: EditRequest, params: SDEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    texts = bundle.embed_texts([avoided_text(request), target_text(request)])
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps, params.strength),
        start=canvas.z_ref,  # x(t0) ~ N(x_guide, sigma(t0)^2)
        condition=always(texts[1:]),
        e_null=texts[:1],
        guidance=params.guidance,
        hold=None,
        pasting=params,
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)
