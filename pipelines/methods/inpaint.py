"""Blended Latent Diffusion (Avrahami et al. 2023, Algorithm 1): denoise, holding the kept part at every step.

Its second part (section 4.2) fits a copy of the decoder's weights to the kept pixels, so that they come back without a
seam; copying them back is the cheaper way.
A network trained for inpainting (Rombach et al. 2022, section 4.5) is shown the kept part instead, and holds it itself.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from pipelines.contract import Backbone, Candidate, EditRequest, EditResult
from pipelines.diffusion.candidates import Sampling, finished, sample_latents
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, avoided_text, target_text
from pipelines.diffusion.fit import fit
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.stages import Stages, Step
from pipelines.images import mask_at, to_network
from pipelines.models.bundle import ModelBundle
from pipelines.params import InpaintParams
from pipelines.progress import Progress, silent

DECODER_RATE = 1e-4
KEPT_WEIGHT = 100.0
"""lambda of Eq. 4."""


def kept_part(canvas: Canvas) -> ConcatConditioning:
    """Where to paint ``(1, 1, h, w)``, and the latent of the picture with that place grey: ``(1, 1 + C, h, w)``."""
    return ConcatConditioning(torch.cat([canvas.edited, canvas.kept_latent], dim=1))


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
        pasting=params,
        concat=kept_part(canvas) if shown else None,
    )
    latents = sample_latents(canvas, stages, how)
    if not params.decoder_steps:
        return EditResult(finished(canvas, latents, params), stages.finished)
    candidates: tuple[Candidate, ...] = ()
    with stages.stage("decoder", params.decoder_steps * request.candidates) as step:
        for seed, z in latents.items():
            fitted = with_fitted_decoder(canvas, z, params.decoder_steps, step)
            candidates += finished(fitted, {seed: z}, params)
    return EditResult(candidates, stages.finished)


def with_fitted_decoder(canvas: Canvas, z: Tensor, steps: int, after_step: Step) -> Canvas:
    """The canvas with a copy of its decoder that was fitted to `z` ``(1, C, h, w)``: Eq. 4, what is kept as in the
    picture, 100 times as strongly as what is edited stays as it was decoded. The bundle's own is not touched."""
    bundle = canvas.bundle
    vae = copy.deepcopy(bundle.vae)
    weights = list(vae.decoder.parameters())
    mine = replace(bundle, vae=vae)
    x = to_network(canvas.small).to(bundle.device)
    m = torch.from_numpy(mask_at(canvas.region, canvas.frame.network)).to(bundle.device)
    before = bundle.decode(z)

    def loss(_: int) -> Tensor:
        now = mine.decoded(z)
        inside, outside = ((now - before) * m).square().mean(), ((now - x) * ~m).square().mean()
        return inside + KEPT_WEIGHT * outside

    for p in weights:
        p.requires_grad_(True)
    fit(weights, loss, steps, DECODER_RATE, after_step)
    for p in weights:
        p.requires_grad_(False)
    return replace(canvas, bundle=mine)
