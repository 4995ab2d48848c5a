"""Blended Latent Diffusion (Avrahami et al. 2023, Algorithm 1): denoise, holding the kept part at every step.

The paper's second part, fitting the decoder's weights to the kept pixels, is replaced by copying those pixels back.
"""

from __future__ import annotations

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, target_text
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import InpaintParams
from pipelines.progress import Progress, silent


def run(bundle: ModelBundle, request: EditRequest, params: InpaintParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. With the whole noise schedule (`strength` 1) nothing of the edited part survives."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    texts = bundle.embed_texts(["", target_text(request)])
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps, params.strength),
        start=None if params.strength == 1 else canvas.z_ref,
        condition=always(texts[1:]),
        e_null=texts[:1],
        guidance=params.guidance,
        hold=True,
        paste_back=params.paste_back,
        residual=params.residual,
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)
