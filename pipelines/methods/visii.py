"""VISII, Visual Instruction Inversion (Nguyen et al., NeurIPS 2023): an edit is learnt from one example of it.

Two pictures say what to do: one before the edit and one after it. With the network for instructions frozen, the
instruction's embedding is fitted until the network, shown the picture before, predicts the noise of the one after
(Eq. 4), with both guidance scales inside the loss. What was learnt is then done to another picture. The search begins
at the typed words, and only the vectors between the text's start and its end move.

The picture before is given as the reference of the subject, the one after as that of the background. The paper's second
loss, that the instruction points where CLIP's picture went, is left out: it needs a CLIP whose texts are the model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult, Extent
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas, avoided_text, instructions
from pipelines.diffusion.fit import fit
from pipelines.diffusion.guidance import ConcatConditioning, guided_noise
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import tokens_of
from pipelines.images import Frame, resized, to_network
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import VISIIParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like

WORDS = 10
"""Vectors that move at least: a short text, or none, still has room for an instruction."""


@dataclass(frozen=True, eq=False)
class Example:
    """One edit that was done, as the network sees it."""

    shown: Tensor
    """The picture before, ``(1, C, h, w)``, as a network for instructions is shown one: without the latent's scale."""
    z_after: Tensor
    """The latent of the picture after."""

    @classmethod
    def of(cls, bundle: ModelBundle, request: EditRequest) -> Example:
        """Of the request's references, which are of one size: its check has seen to that."""
        before, after = request.subject_reference, request.background_reference
        assert before is not None and after is not None
        frame = Frame.fitting(Extent.of(before), bundle.card.resolution, bundle.cell, bundle.halvings)
        z_before, z_after = (bundle.encode(to_network(resized(x, frame.network))) for x in (before, after))
        return cls(z_before / bundle.latent_scale, z_after)


@dataclass(frozen=True, eq=False)
class Learnt:
    """An instruction whose vectors are fitted."""

    begun: PromptEmbeds
    """The typed words."""
    moving: Tensor
    """``(1, n, D) float32``: the vectors behind the start."""

    @classmethod
    def at(cls, bundle: ModelBundle, e: PromptEmbeds, text: str) -> Learnt:
        count = max(len(tokens_of(bundle, text)) - 2, min(WORDS, e.tokens.shape[1] - 2))
        return cls(e, e.tokens[:, 1 : 1 + count].detach().clone().requires_grad_())

    @property
    def told(self) -> PromptEmbeds:
        """What the network is told."""
        first, rest = self.begun.tokens[:, :1], self.begun.tokens[:, 1 + self.moving.shape[1] :]
        return replace(self.begun, tokens=torch.cat([first, self.moving, rest], dim=1))


def learning_loss(
    bundle: ModelBundle,
    example: Example,
    e: PromptEmbeds,
    e_null: PromptEmbeds,
    noise: Tensor,
    t: int,
    params: VISIIParams,
) -> Tensor:
    """Mean of ``(eps - n)^2`` for the picture after, noised to `t` by `noise`; `eps` is guided by text and picture."""
    z_t = bundle.schedule.noised(example.z_after, noise, t)
    shown = ConcatConditioning(example.shown, params.picture_guidance)
    return (guided_noise(bundle, z_t, t, e, e_null, params.learn_guidance, shown) - noise).square().mean()


def order_of(length: int, steps: int, draws: torch.Generator) -> Sequence[int]:
    """`steps` noise levels of `length`, each as often as any other within one."""
    rounds = [torch.randperm(length, generator=draws) for _ in range(-(-steps // length))]
    return [int(t) for t in torch.cat(rounds)[:steps]] if rounds else []


def run(bundle: ModelBundle, request: EditRequest, params: VISIIParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry."""
    canvas, stages, text = Canvas.of(bundle, request), Stages(progress), " and ".join(instructions(request))
    e, e_null = canvas.prompts[text], canvas.prompts[avoided_text(request)]
    if params.embed_steps:
        e = _learnt(canvas, stages, Example.of(bundle, request), e, e_null, text, params)
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps),
        start=None,
        condition=always(e),
        e_null=e_null,
        guidance=params.guidance,
        hold=None,
        pasting=params,
        concat=ConcatConditioning(canvas.z_ref / bundle.latent_scale, params.picture_guidance),
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)


def _learnt(
    canvas: Canvas,
    stages: Stages,
    example: Example,
    e: PromptEmbeds,
    e_null: PromptEmbeds,
    text: str,
    params: VISIIParams,
) -> PromptEmbeds:
    """`e`, which says `text`, until it says the edit of `example`."""
    bundle, draws = canvas.bundle, generator(canvas.request.fitting_seed, "embeddings")
    levels = order_of(bundle.schedule.length, params.embed_steps, draws)
    learnt = Learnt.at(bundle, e, text)

    def loss(step: int) -> Tensor:
        noise = normal_like(example.z_after, draws)
        return learning_loss(bundle, example, learnt.told, e_null, noise, levels[step], params)

    with stages.stage("embeddings", params.embed_steps) as step:
        fit([learnt.moving], loss, params.embed_steps, params.embed_rate, step)
    return learnt.told.closed()
