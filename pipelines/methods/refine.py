"""Multi-round Thinking (Zeng et al. 2024, "Instilling Multi-round Thinking into Text-guided Image Editing").

A LoRA made by ``launch.py train rounds`` follows instructions, told the picture as well as the text: c = [Tx(s); V(I)].
Sampling begins at the noised picture and adds noise at every step, both of which the paper found better (Section 4.4).
Without such a LoRA a plain model reads an instruction as a description. One that was made for instructions (Brooks et
al. 2023) is shown the picture that each round begins with, and may be trained the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.schedule import DONE
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import RefineParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like
from pipelines.training.reference import reference_of, silence, told


class Ancestral:
    """DDPM's way with `eta` 1, DDIM's with 0 (Song et al. 2021, Eq. 12 and 16); the last step adds nothing."""

    def __init__(self, like: Tensor, eta: float, source: torch.Generator) -> None:
        self._eta, self._source = eta, source
        self.noise = normal_like(like, source)

    def step(self, bundle: ModelBundle, z: Tensor, eps: Tensor, t: int, t_next: int) -> Tensor:
        schedule = bundle.schedule
        if t_next == DONE or self._eta == 0:
            return schedule.step(z, eps, t, t_next)
        self.noise = normal_like(z, self._source)
        return schedule.mean(z, eps, t, t_next, self._eta) + schedule.sigma(t, t_next, self._eta) * self.noise


def rounds(
    bundle: ModelBundle,
    z: Tensor,
    conditions: Sequence[PromptEmbeds],
    e_null: PromptEmbeds,
    params: RefineParams,
    source: torch.Generator,
    after_step: AfterStep,
) -> Tensor:
    """What clean latents ``(B, C, h, w)`` come to, a round for each of `conditions`, which hold B texts (Eq. 1)."""
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    for c in conditions:
        sampler = Ancestral(z, params.eta, source)
        start = bundle.schedule.noised(z, sampler.noise, timesteps[0])
        beside = bundle.picture_beside(z)
        concat = None if beside is None else ConcatConditioning(beside)
        predict = guided(bundle, always(c), e_null, params.guidance, concat)
        z = denoise(bundle, start, sampler, timesteps, predict, after_step)
    return z


def instructions(request: EditRequest, two_rounds: bool) -> list[str]:
    """The text of each round."""
    texts = [text.strip() for text in (request.subject, request.background) if text.strip()]
    return texts if two_rounds else [" and ".join(texts)]


def run(bundle: ModelBundle, request: EditRequest, params: RefineParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is.

    Guidance leads away from the picture told by itself, which the training taught to stay as it is (Eq. 6); or from the
    negative text, where there is one.
    """
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    reference = reference_of(bundle)
    seen = reference.tokens([canvas.small])
    led = reference.network(bundle, [canvas.small], params.edges)
    texts = instructions(request, params.two_rounds)
    conditions = [told(canvas.prompts[text], seen) for text in texts]
    away = canvas.prompts[avoided_text(request)]
    e_null = told(silence(away) if seen is not None and not avoided_text(request) else away, seen)
    steps = len(bundle.schedule.timesteps(params.steps, params.strength))

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        return rounds(led, canvas.z_ref, conditions, e_null, params, generator(seed, "denoise"), after_step)

    candidates = sampled(canvas, stages, "denoise", steps * len(texts), sample, params)
    return EditResult(candidates, stages.finished)
