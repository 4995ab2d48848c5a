"""Phase 3 of LayerDiffusion: the iterative guidance that samples the edit (section 3.2.3)."""

from __future__ import annotations

from torch import Tensor

from pipelines.contract import Candidate
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import Condition
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.stages import Stages
from pipelines.layered.plan import Follows, LayeredPlan
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LayeredParams, Start


def told(plan: LayeredPlan, e_a: PromptEmbeds, e_opt: PromptEmbeds) -> Condition:
    """The text of each step, as `LayeredPlan.follows` says."""
    return lambda i: e_a if plan.follows(i) is Follows.OBJECT else e_opt


def guided_candidates(
    canvas: Canvas,
    stages: Stages,
    e_a: PromptEmbeds,
    e_opt: PromptEmbeds,
    composite: Tensor | None,
    plan: LayeredPlan,
    params: LayeredParams,
) -> tuple[Candidate, ...]:
    """Sample the edit for each seed, from pure noise, or (ours) from the composite, in noise of no meaning or its own.

    `composite` is the latent of the object over its background, ``(1, C, h, w)``, where the plan uses it.
    """
    timesteps = canvas.bundle.schedule.timesteps(params.steps, plan.strength)
    how = Sampling(
        stage="guidance",
        timesteps=timesteps,
        start=None if params.start is Start.NOISE else composite,
        condition=told(plan, e_a, e_opt),
        e_null=canvas.prompts[avoided_text(canvas.request)],
        guidance=params.guidance,
        hold=canvas.hold if plan.holds_input else None,
        pasting=params,
        inverted=canvas.prompts[""] if params.start is Start.INVERTED else None,
    )
    return sample_candidates(canvas, stages, how)
