"""Phase 3 of LayerDiffusion: the iterative guidance that samples the edit (section 3.2.3)."""

from __future__ import annotations

from torch import Tensor

from pipelines.contract import Candidate, Scope
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import Condition, Hold
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.stages import Stages
from pipelines.images import edited_region
from pipelines.layered.plan import Follows, LayeredPlan
from pipelines.masks.moved import both_places
from pipelines.models.texts import Texts
from pipelines.params import LayeredParams, Start


def told(plan: LayeredPlan, steps: int, e_a: Texts, e_opt: Texts) -> Condition:
    """The text of each of `steps` steps, as `LayeredPlan.follows` says."""
    return lambda i: e_a if plan.follows(i, steps) is Follows.OBJECT else e_opt


def holding(canvas: Canvas, composite: Tensor | None, plan: LayeredPlan) -> Hold | None:
    """What sampling holds. One part changes: the other part, to the input, at every step. Both do (ours): what is not
    near the object, to the `composite`, for as long as it is settled where the object is and how large."""
    if plan.holds_input:
        return canvas.hold
    if not plan.holds_composite:
        return None
    assert composite is not None
    request = canvas.request
    free = canvas.cells(edited_region(both_places(request.mask, request.motion), Scope.SUBJECT, request.feather))
    return Hold(composite, free, plan.holds_composite)


def guided_candidates(
    canvas: Canvas,
    stages: Stages,
    e_a: Texts,
    e_opt: Texts,
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
        condition=told(plan, len(timesteps), e_a, e_opt),
        e_null=canvas.prompts[avoided_text(canvas.request)],
        guidance=params.guidance,
        hold=holding(canvas, composite, plan),
        paste_back=params.paste_back,
        residual=params.residual,
        inverted=canvas.prompts[""] if params.start is Start.INVERTED else None,
    )
    return sample_candidates(canvas, stages, how)
