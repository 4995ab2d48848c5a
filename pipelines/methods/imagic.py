"""Imagic (Kawar et al., CVPR 2023): an embedding near the target that reproduces the picture, and the mix of both.

(A) The target's embedding is fitted until it reproduces the picture, e_opt. (B) The network is tuned at e_opt. (C) The
edit is sampled from noise at ``eta e_tgt + (1 - eta) e_opt`` (Eq. 3). Afterwards the network is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.fit import fit
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.models.adapters import lora
from pipelines.models.bundle import ModelBundle, trainable
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import ImagicParams, Tuned
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like, sent


def reproduction_loss(bundle: ModelBundle, z_0: Tensor, e: PromptEmbeds, source: torch.Generator) -> Tensor:
    """Eq. 2 for one draw: mean of ``(eps - f(z_t, t, e))^2`` for the picture's latent ``(1, C, h, w)``."""
    t = sent(torch.randint(0, bundle.schedule.length, (1,), generator=source), bundle.device)
    eps = normal_like(z_0, source)
    return (bundle.predict(bundle.schedule.noised(z_0, eps, t), t, e) - eps).square().mean()


@contextmanager
def open_weights(bundle: ModelBundle, params: ImagicParams, seed: int) -> Iterator[Sequence[nn.Parameter | Tensor]]:
    """The parameters that (B) moves; none of it is left afterwards."""
    if params.tuned is Tuned.NONE or not params.tune_steps:
        yield ()
    elif params.tuned is Tuned.LORA:
        with lora(bundle.unet, params.lora_rank, seed) as parameters:
            yield parameters
    else:
        weights = list(bundle.unet.parameters())
        with trainable(weights):
            yield weights


def run(bundle: ModelBundle, request: EditRequest, params: ImagicParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages, seed = Canvas.of(bundle, request), Stages(progress), request.fitting_seed
    _, target = source_and_target(request)
    e_tgt, e_opt = canvas.prompts[target], canvas.prompts[target]
    if params.embed_steps:
        with stages.stage("embeddings", params.embed_steps) as step:
            e, draws = e_tgt.open(), generator(seed, "embeddings")
            fit(
                [e.tokens],
                lambda _: reproduction_loss(bundle, canvas.z_ref, e, draws),
                params.embed_steps,
                params.embed_rate,
                step,
            )
            e_opt = e.closed()
    timesteps = bundle.schedule.timesteps(params.steps)
    e_bar = e_tgt.blended(e_opt, params.eta)
    predict = guided(bundle, always(e_bar), canvas.prompts[avoided_text(request)], params.guidance)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        noise = normal_like(canvas.z_ref, generator(seed, "denoise"))
        return denoise(bundle, noise, DDIM(noise), timesteps, predict, after_step)

    with open_weights(bundle, params, seed) as weights:
        if weights:
            with stages.stage("fine-tune", params.tune_steps) as step:
                draws = generator(seed, "fine-tune")
                fit(
                    weights,
                    lambda _: reproduction_loss(bundle, canvas.z_ref, e_opt, draws),
                    params.tune_steps,
                    params.tune_rate,
                    step,
                )
        candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
