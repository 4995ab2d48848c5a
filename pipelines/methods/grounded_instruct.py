"""Grounded-InstructPix2Pix (Shagidanov et al., ICASSP 2024): an instruction acts on what it is about.

The network for instructions draws as it always does; over the last steps the latent outside the part that the
instruction is about is put back on the way that the picture's own inversion takes. The paper finds that part from the
instruction's nouns with a detector; here it is what was selected, by a click or by its name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, instructions
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.inversion import ddim_inversion
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.params import GroundedParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like


def run(bundle: ModelBundle, request: EditRequest, params: GroundedParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The inversion stops where the blending begins, told the instruction without guidance."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    shown = canvas.z_ref / bundle.latent_scale
    e, e_null = (canvas.prompts[text] for text in (" and ".join(instructions(request)), avoided_text(request)))
    timesteps = bundle.schedule.timesteps(params.steps)
    last = timesteps[-max(1, round(params.blend_share * len(timesteps))) :]
    with stages.stage("invert", len(last)) as step:

        def own(z: Tensor, t: int, _: int) -> Tensor:
            return bundle.predict(z, torch.full((1,), t, device=z.device), e, shown)

        path = ddim_inversion(bundle, canvas.z_ref, last, own, lambda _: step())
    predict = guided(bundle, always(e), e_null, params.guidance, ConcatConditioning(shown, params.picture_guidance))
    m = canvas.edited

    def after(z: Tensor, _: int, i: int) -> Tensor:
        """With `i - 1` steps to go, where the path reaches so far."""
        return m * z + (1 - m) * path.at(i - 1) if i - 1 <= len(last) else z

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        noise = normal_like(canvas.z_ref, generator(seed, "denoise"))
        return denoise(bundle, noise, DDIM(noise), timesteps, predict, after_step, after=after)

    return EditResult(sampled(canvas, stages, "denoise", len(timesteps), sample, params), stages.finished)
