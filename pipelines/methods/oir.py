"""OIR, Object-aware Inversion and Reassembly (Yang et al., ICLR 2024): each part has its own depth of inversion.

How far a picture must be inverted for an edit differs by what is edited: a colour takes few steps, another thing many.
For every part with a new text the edit is tried from several depths and the best is kept (the search metric of section
4.1): where a CLIP finds that the part is what its text says, and the rest is as it was. Each part is then taken from
its own depth down to the reassembly level, all are put together there, and the whole is inverted a little further and
sampled down under the full text, so that no seam is left (section 4.2).

Guidance leads away from what the picture shows. Every fifth depth is tried where the paper tries all. What lies outside
all parts is put back after every step here, so that the rest may count for less in the choice than in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.contract import EditRequest, EditResult, Mask, Picture
from pipelines.diffusion.candidates import AfterStep, predicted, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, source_and_target
from pipelines.diffusion.inversion import Path, inverted
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages, Step
from pipelines.errors import ModelError
from pipelines.evaluation.clip import ClipEmbed, ClipTexts, clip_that_knows
from pipelines.evaluation.similarity import GREY
from pipelines.images import from_network, mask_at
from pipelines.masks.refine import bounds
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_models
from pipelines.params import OIRParams
from pipelines.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Piece:
    """One part that becomes something else."""

    text: str
    """What it becomes."""
    target: str
    """The picture's text where only this part changes: the guided prompt."""
    place: Mask
    """At the network's size."""
    cells: Tensor
    """``(1, 1, h, w)`` in {0, 1}; no two pieces share one."""


class Scorer:
    """The CLIP that knows the model's pictures; it never sees what an answer would be."""

    def __init__(self, bundle: ModelBundle) -> None:
        """Raises `ModelError` where there is none."""
        card = clip_that_knows(bundle.card.domain.measured_by, find_models(bundle.folders).values())
        if card is None:
            raise ModelError(
                f"OIR compares its tries by a CLIP, and none here knows the pictures of {bundle.card.id!r}; put the "
                "folder of one (such as clip-vit-base-patch16) among the models, or choose another method"
            )
        self._pictures, self._texts = ClipEmbed(card, bundle.device), ClipTexts(card, bundle.device)

    def fits(self, pictures: Sequence[Picture], place: Mask, text: str) -> NDArray[np.float32]:
        """``(N,)``: how well what `pictures` show at `place` goes with `text`, as a cosine."""
        near = bounds(place)
        shown = [np.where(place[..., None], picture, np.uint8(GREY))[near] for picture in pictures]
        cosines: NDArray[np.float32] = self._pictures(shown) @ self._texts([text])[0]
        return cosines


def scaled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """`scores` in [0, 1]; all 0 where they are alike."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def best(scorer: Scorer, tries: Sequence[Picture], original: Picture, piece: Piece, rest_weight: float) -> int:
    """The number of the try that does what is asked and keeps the rest, both in shares of how the tries differ."""
    rest = ~piece.place
    away = [np.square(made.astype(np.float32) - original)[rest].sum() for made in tries]
    kept = -np.asarray(away, np.float32)
    return int(np.argmax(scaled(scorer.fits(tries, piece.place, piece.text)) + rest_weight * scaled(kept)))


def pieces_of(canvas: Canvas) -> list[Piece]:
    """The parts that a text is given for, one after the other; all of the picture where nothing is selected."""
    request = canvas.request
    whole = bool(request.mask.all()) or not request.mask.any()
    subject = np.ones_like(request.mask) if whole else request.mask
    found: list[Piece] = []
    taken = torch.zeros_like(canvas.edited)
    for text, alone, mask in (
        (request.subject.strip(), replace(request, background=""), subject),
        (request.background.strip(), replace(request, subject=""), subject if whole else ~subject),
    ):
        cells = canvas.cells(mask) * canvas.edited * (1 - taken)
        place = mask_at(mask, canvas.frame.network)
        if text and cells.any() and place.any():
            found.append(Piece(text, source_and_target(alone)[1], place, cells))
            taken = torch.maximum(taken, cells)
    return found


def depths(steps: int, every: int, least: int) -> list[int]:
    """Which numbers of steps the picture is inverted for, the last of them all."""
    return sorted({max(k, least, 1) for k in range(every, steps, every)} | {steps})


def run(bundle: ModelBundle, request: EditRequest, params: OIRParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. Nothing is drawn, so no seed has a say."""
    scorer = Scorer(bundle)
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    timesteps = bundle.schedule.timesteps(params.steps)
    path = inverted(canvas, stages, canvas.prompts[source], timesteps)
    together = round(params.together * len(timesteps))
    pieces, tried = pieces_of(canvas), depths(len(timesteps), params.every, together)
    z = path.at(together)
    with stages.stage("search", sum(tried) * len(pieces)) as step:
        for piece in pieces:
            found = _searched(canvas, scorer, piece, path, tried, together, params, step)
            z = piece.cells * found + (1 - piece.cells) * z
    m, own = canvas.edited, predicted(bundle, canvas.prompts[source])
    rest = timesteps[-2 * together :] if together else []
    predict = guided(bundle, always(canvas.prompts[target]), canvas.prompts[source], params.guidance)

    def sample(_: int, after_step: AfterStep) -> Tensor:
        with torch.no_grad():
            start = z
            for t, t_up in pairwise(reversed(rest[: len(rest) - together + 1])):
                eps = own(start, t_up)
                start = bundle.schedule.noised(bundle.schedule.estimate(start, eps, t), eps, t_up)
        return denoise(
            bundle,
            start,
            DDIM(path.noise),
            rest,
            predict,
            after_step,
            after=lambda x, _, i: m * x + (1 - m) * path.at(i - 1),
        )

    return EditResult(sampled(canvas, stages, "denoise", len(rest), sample, params), stages.finished)


def _searched(
    canvas: Canvas,
    scorer: Scorer,
    piece: Piece,
    path: Path,
    tried: Sequence[int],
    together: int,
    params: OIRParams,
    step: Step,
) -> Tensor:
    """The latent ``(1, C, h, w)`` of `piece` with `together` steps to go, from the best of the depths `tried`."""
    bundle, source = canvas.bundle, canvas.request.source.strip()
    predict = guided(bundle, always(canvas.prompts[piece.target]), canvas.prompts[source], params.guidance)
    pictures: list[Picture] = []
    levels: list[Tensor] = []

    def after(z: Tensor, _: int, i: int) -> Tensor:
        if i - 1 == together:
            levels.append(z)
        return z

    for k in tried:
        if k == together:
            levels.append(path.at(k))
        timesteps = path.timesteps[-k:]
        z = denoise(bundle, path.at(k), DDIM(path.noise), timesteps, predict, lambda _: step(), after=after)
        pictures.append(from_network(bundle.decode(z)))
    return levels[best(scorer, pictures, canvas.small, piece, params.rest_weight)]
