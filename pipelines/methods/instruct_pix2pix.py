"""InstructPix2Pix (Brooks et al. 2023): a network trained on pairs follows an instruction about the picture.

The texts of the request are instructions here ("make it blue"), not descriptions of what a part becomes.
"""

from __future__ import annotations

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, avoided_text, instructions
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import InstructParams
from pipelines.progress import Progress, silent


def run(bundle: ModelBundle, request: EditRequest, params: InstructParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    texts = bundle.embed_texts([avoided_text(request), " and ".join(instructions(request))])
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps),
        start=None,
        condition=always(texts[1:]),
        e_null=texts[:1],
        guidance=params.guidance,
        hold=None,
        pasting=params,
        # c_I: the network was trained on the autoencoder's own latents, before they are scaled
        concat=ConcatConditioning(canvas.z_ref / bundle.latent_scale, params.picture_guidance),
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)
