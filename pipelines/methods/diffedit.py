"""DiffEdit (Couairon et al., ICLR 2023): the picture is painted anew where two texts see different noise.

Step 1 finds the mask: the picture is noised, and where the noise predicted for the target differs from that predicted
for what the picture shows, the texts ask for a change. Step 2 inverts the picture by DDIM. Step 3 samples with the
target inside the mask; outside, the inverted latent of the same level is put back after every step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult, Mask
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.guidance import guided_noise
from pipelines.diffusion.inversion import inverted
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.images import mask_at
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import DiffEditParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like

CUT = 0.5
"""Of the largest difference that counts."""


@torch.no_grad()
def difference(
    bundle: ModelBundle, z_0: Tensor, noise: Tensor, t: int, texts: PromptEmbeds, e_null: PromptEmbeds, guidance: float
) -> Tensor:
    """``(1, 1, h, w)``: mean over the channels of how far apart the noise is that the two `texts` see at `t`."""
    z_t = bundle.schedule.noised(z_0, noise, t).expand(2, -1, -1, -1)
    seen = guided_noise(bundle, z_t, t, texts, e_null, guidance)
    return (seen[1:] - seen[:1]).abs().mean(1, keepdim=True)


def cut(d: Tensor, most: float) -> Tensor:
    """The mask of a mean difference: clamped at `most` times its mean, scaled to [0, 1] and cut at 0.5. Where nothing
    differs nothing is asked for."""
    limit = d.mean() * most
    return (d.clamp(max=limit) > CUT * limit).float() if limit > 0 else torch.zeros_like(d)


def in_pixels(canvas: Canvas, m: Tensor) -> Mask:
    """A mask ``(1, 1, h, w)`` of latent cells at the size of the picture."""
    size = (canvas.frame.network.height, canvas.frame.network.width)
    seen: Mask = F.interpolate(m, size=size)[0, 0].cpu().numpy() > CUT
    return mask_at(seen, canvas.frame.original)


def run(bundle: ModelBundle, request: EditRequest, params: DiffEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. What it finds lies within the part that may change."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    prompts, e_null = canvas.prompts, canvas.prompts[avoided_text(request)]
    pair = PromptEmbeds.joined([prompts[source], prompts[target]])
    t_mask = bundle.schedule.timesteps(params.steps, params.mask_strength)[0]
    seeds = range(request.seed, request.seed + request.candidates)
    masks: dict[int, Tensor] = {}
    with stages.stage("mask", params.maps * request.candidates) as step:
        for seed in seeds:
            draws, d = generator(seed, "mask"), torch.zeros_like(canvas.edited)
            for _ in range(params.maps):
                noise = normal_like(canvas.z_ref, draws)
                d = d + difference(bundle, canvas.z_ref, noise, t_mask, pair, e_null, params.guidance) / params.maps
                step()
            masks[seed] = cut(d, params.mask_most) * canvas.edited if params.find_mask else canvas.edited
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    path = inverted(canvas, stages, prompts[source], timesteps)
    predict = guided(bundle, always(prompts[target]), e_null, params.guidance)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        m = masks[seed]
        return denoise(
            bundle,
            path.noise,
            DDIM(path.noise),
            timesteps,
            predict,
            after_step,
            after=lambda z, _, i: m * z + (1 - m) * path.at(i - 1),
        )

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished, found=in_pixels(canvas, masks[request.seed]))
