"""Paint by Example (Yang et al., CVPR 2023): a picture says what is painted in the selected place, no text does.

The network is shown the picture without that place, and where the rest is, in this order: the other way round than one
for inpainting. Cross-attention looks at one vector, which is read off the reference; guidance leads away from one that
was learnt in the place of none.
"""

from __future__ import annotations

import numpy as np
import torch

from pipelines.contract import EditRequest, EditResult, Mask, Picture
from pipelines.diffusion.candidates import Sampling, sample_candidates
from pipelines.diffusion.denoise import always
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.stages import Stages
from pipelines.masks.refine import bounds
from pipelines.models.bundle import ModelBundle
from pipelines.params import PaintByExampleParams
from pipelines.progress import Progress, silent


def example(picture: Picture, mask: Mask | None, margin: float) -> Picture:
    """What is shown of a reference: a square around what `mask` selects, as its reader cuts off what is longer, with
    `margin` of its longer side on each side; as much of that as there is, and all of the picture without a mask."""
    if mask is None:
        return picture
    rows, columns = bounds(mask)
    half = max(rows.stop - rows.start, columns.stop - columns.start) * (0.5 + margin)

    def around(part: slice, most: int) -> slice:
        middle = (part.start + part.stop) / 2
        return slice(max(0, round(middle - half)), min(most, round(middle + half)))

    return np.ascontiguousarray(picture[around(rows, mask.shape[0]), around(columns, mask.shape[1])])


def run(
    bundle: ModelBundle, request: EditRequest, params: PaintByExampleParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The subject's reference is the example."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    assert request.subject_reference is not None
    shown = example(request.subject_reference, request.subject_reference_mask, params.margin)
    e, e_null = bundle.embed_example(shown)
    how = Sampling(
        stage="denoise",
        timesteps=bundle.schedule.timesteps(params.steps),
        start=None,
        condition=always(e),
        e_null=e_null,
        guidance=params.guidance,
        hold=None,
        pasting=params,
        concat=ConcatConditioning(torch.cat([canvas.kept_latent, 1 - canvas.edited], dim=1)),
    )
    return EditResult(sample_candidates(canvas, stages, how), stages.finished)
