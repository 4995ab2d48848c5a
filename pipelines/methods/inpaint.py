"""Blended Latent Diffusion (Avrahami et al. 2023, Algorithm 1): denoise, holding the kept part at every step.

The paper's second part, fitting the decoder's weights to the kept pixels, is replaced by copying those pixels back.
A network trained for inpainting (Rombach et al. 2022, section 4.5) is shown the kept part instead, and holds it itself.
"""

from __future__ import annotations

import torch

from pipelines.contract import Backbone, EditRequest, EditResult
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, avoided_text, target_text
from pipelines.diffusion.guidance import Beside
from pipelines.diffusion.stages import Stages
from pipelines.images import mask_at, to_network
from pipelines.models.bundle import ModelBundle
from pipelines.params import InpaintParams
from pipelines.progress import Progress, silent


def kept_part(canvas: Canvas) -> Beside:
    """Where to paint ``(1, 1, h, w)``, and the latent of the picture with that place grey: ``(1, 1 + C, h, w)``."""
    hidden = mask_at(canvas.region, canvas.frame.network)
    masked = to_network(canvas.small) * torch.from_numpy(~hidden)  # (1, 3, H, W)
    return Beside(torch.cat([canvas.edited, canvas.bundle.encode(masked)], dim=1))


def run(bundle: ModelBundle, request: EditRequest, params: InpaintParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. With the whole noise schedule (`strength` 1) nothing of the edited part survives."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    shown = bundle.card.backbone is Backbone.INPAINTING
    texts = bundle.embed_texts([avoided_text(request), target_text(request)])
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps, params.strength),
        start=None if params.strength == 1 else canvas.z_ref,
        condition=always(texts[1:]),
        e_null=texts[:1],
        guidance=params.guidance,
        hold=None if shown else canvas.hold,
        paste_back=params.paste_back,
        residual=params.residual,
        beside=kept_part(canvas) if shown else None,
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)
