"""Phase 3 of LayerDiffusion: the iterative guidance that samples the edit (section 3.2.3)."""

from __future__ import annotations

from torch import Tensor

from pipelines.contract import Candidate
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import Condition, always
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.stages import Stages
from pipelines.models.texts import Texts
from pipelines.params import LayeredParams


def alternating(e_a: Texts, e_opt: Texts) -> Condition:
    """Eq. 8: ``D(I_t | e_a)`` where t is even, ``D(I_t | e_opt)`` elsewhere.

    The paper's t is the loop index, which falls to 1, so the last step follows `e_opt`. A scheduler's own timesteps
    (981, 961, ..., 1) are all odd or all even, and would never alternate.
    """
    return lambda i: e_a if i % 2 == 0 else e_opt


def guided_candidates(
    canvas: Canvas, stages: Stages, e_a: Texts, e_opt: Texts, start: Tensor | None, params: LayeredParams
) -> tuple[Candidate, ...]:
    """Sample the edit for each seed, from pure noise, or (ours) from the composite's latent `start`."""
    how = Sampling(
        stage="guidance",
        timesteps=canvas.bundle.schedule.timesteps(params.steps, 1.0 if start is None else params.strength),
        start=start,
        condition=alternating(e_a, e_opt) if params.alternate else always(e_opt),
        e_null=canvas.prompts[""],
        guidance=params.guidance,
        hold=params.blend_latents,
        paste_back=params.paste_back,
        residual=params.residual,
    )
    return sample_candidates(canvas, stages, how)
