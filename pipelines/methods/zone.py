"""ZONE (Li et al., CVPR 2024): an instruction is followed everywhere, and only the region that is meant counts.

The network for instructions draws as it always does. Where the instruction acts is read from its cross-attention: at
places that it leaves alone the start of the text is looked at, elsewhere its words and their end (section 3.2). That
rough region chooses one of a segmenter's segments, by their overlap (Region-IoU, section 3.3): of the new picture, or
of the old one where something is to be removed, and that is widened, as the hole must take its fringe along. Outside,
the picture stays as it is.

What kind of edit is asked, the verb says here, not a trained classifier. Where no segmenter is among the models the
segments are the patches in which both pictures differ. The paper's soft edge by frequencies is this studio's seam, and
its second network, which is fine-tuned otherwise, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult, Mask, Picture
from pipelines.diffusion.attention import Kind, Part, Recorder, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, latents_of
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, instructions
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages, Step
from pipelines.diffusion.tokens import tokens_of, words_of
from pipelines.images import from_network, mask_at
from pipelines.instructions import words as english
from pipelines.masks.load import load_segmenter
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.refine import grown
from pipelines.masks.segmenter import Segmenter
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import SEGMENTER, find_models, is_coarse
from pipelines.params import ZoneParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like

WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
SMALLEST = 64
"""Pixels of the network's picture that a segment has at least."""
WIDENED = 4
"""Pixels by which the region of what is removed grows."""


class Verb(StrEnum):
    """What kind of edit an instruction asks for."""

    ADD = "add"
    REMOVE = "remove"
    CHANGE = "change"


def verb_of(instruction: str) -> Verb:
    """By the first word that says so; all else is a change."""
    for word in words_of(instruction):
        if word in english.REMOVE:
            return Verb.REMOVE
        if word in english.ADD:
            return Verb.ADD
        if word in english.OPENERS:
            break
    return Verb.CHANGE


def rough(start: Tensor, end: Tensor, threshold: float) -> Tensor:
    """``(1, 1, h, w)`` in {0, 1}: where the map of the text's start is at most `threshold` above that of its end, each
    in shares of its largest value."""
    return (start / start.amax().clamp(min=1e-12) - end / end.amax().clamp(min=1e-12) <= threshold).float()


def overlap(a: Mask, b: Mask) -> float:
    """Region-IoU of two masks; 0 where both are empty."""
    return float((a & b).sum()) / max(1, int((a | b).sum()))


def meant(segments: Sequence[Mask], region: Mask) -> Mask:
    """Of `segments` the one that overlaps `region` most; `region` itself where none of some size does."""
    overlaps = [overlap(segment, region) if segment.sum() >= SMALLEST else 0.0 for segment in segments]
    return segments[int(np.argmax(overlaps))] if max(overlaps, default=0.0) > 0 else region


def segmented(segmenter: Segmenter, picture: Picture, side: int, after_place: Step) -> Iterator[Mask]:
    """What a segmenter finds at `side` x `side` places of `picture`: every alternative of each. `after_place` is called
    after each of them and may raise."""
    embedding, (height, width) = segmenter.embed(picture), picture.shape[:2]
    for row in range(side):
        for column in range(side):
            click = Click((column + 0.5) * width / side, (row + 0.5) * height / side)
            yield from segmenter.segment(embedding, MaskPrompts(clicks=(click,))).masks
            after_place()


def patches(made: Picture, original: Picture) -> list[Mask]:
    """The patches in which two pictures differ; from which difference on, Otsu 1979 says."""
    away = np.abs(made.astype(np.int16) - original).max(-1).astype(np.uint8)
    _, differing = cv2.threshold(cv2.GaussianBlur(away, (0, 0), 2), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, numbered = cv2.connectedComponents(differing)
    return [numbered == number for number in range(1, count)]


def the_segmenter(bundle: ModelBundle) -> Segmenter | None:
    """The segmenter among the models that sees most of a picture; ``None`` where there is none."""
    cards = [card for card in find_models(bundle.folders).values() if card.kind == SEGMENTER]
    return load_segmenter(min(cards, key=is_coarse), bundle.device) if cards else None


class Zones:
    """Where the instruction acts, taken down while a latent is sampled."""

    def __init__(self, canvas: Canvas, text: str) -> None:
        h, w = canvas.z_ref.shape[-2:]
        self._end = len(tokens_of(canvas.bundle, text)) - 1
        self._recorder = Recorder((h, w), slice(-1, None))  # of nothing, the picture, and the picture with the text
        cross = [layer for layer in layers(canvas.bundle.unet, Kind.CROSS) if layer.part is not Part.MID]
        self.attention = dict.fromkeys(nearest(cross, WORD_SCALE), self._recorder)
        self._maps: list[tuple[Tensor, Tensor]] = []

    def clear(self) -> None:
        """Before the next candidate."""
        self._maps.clear()

    def note(self) -> None:
        """After every step."""
        self._maps.append((self._recorder.of([0]), self._recorder.of([self._end])))

    def rough(self, threshold: float) -> Tensor:
        """See `rough`, for the mean over the steps."""
        start, end = (torch.stack(maps).mean(0) for maps in zip(*self._maps, strict=True))
        return rough(start, end, threshold)


def run(bundle: ModelBundle, request: EditRequest, params: ZoneParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. What is found lies within the part that may change."""
    canvas, stages, text = Canvas.of(bundle, request), Stages(progress), " and ".join(instructions(request))
    segmenter, zones = the_segmenter(bundle), Zones(canvas, text)
    predict = guided(
        bundle,
        always(canvas.prompts[text]),
        canvas.prompts[avoided_text(request)],
        params.guidance,
        ConcatConditioning(canvas.z_ref / bundle.latent_scale, params.picture_guidance),
    )
    timesteps = bundle.schedule.timesteps(params.steps)
    where: dict[int, Tensor] = {}

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        zones.clear()
        noise = normal_like(canvas.z_ref, generator(seed, "denoise"))

        def noted(z_0: Tensor) -> None:
            zones.note()
            after_step(z_0)

        with steered(bundle.unet, zones.attention):
            z = denoise(bundle, noise, DDIM(noise), timesteps, predict, noted)
        where[seed] = zones.rough(params.threshold)
        return z

    latents = latents_of(canvas, stages, "denoise", len(timesteps), sample)
    looks = 1 if segmenter is None else params.clicks**2
    with stages.stage("mask", (1 + looks) * len(latents)) as step:
        regions = {
            seed: _region(canvas, segmenter, where[seed], z, verb_of(text), params.clicks, step)
            for seed, z in latents.items()
        }
    candidates = tuple(replace(canvas, region=regions[seed]).candidate(seed, z, params) for seed, z in latents.items())
    return EditResult(candidates, stages.finished, found=regions[request.seed])


def _region(
    canvas: Canvas, segmenter: Segmenter | None, where: Tensor, z: Tensor, verb: Verb, clicks: int, step: Step
) -> Mask:
    """What of the picture changes, at its own size: all that may where nothing is found in it."""
    size = (canvas.frame.network.height, canvas.frame.network.width)
    region: Mask = F.interpolate(where, size=size)[0, 0].cpu().numpy() > 0.5
    made = from_network(canvas.bundle.decode(z))
    step()
    if segmenter is None:
        segments = patches(made, canvas.small)
        step()
    else:
        segments = list(segmented(segmenter, canvas.small if verb is Verb.REMOVE else made, clicks, step))
    chosen = meant(segments, region)
    if verb is Verb.REMOVE:
        chosen = grown(chosen, WIDENED)
    found = mask_at(chosen, canvas.frame.original) & canvas.region
    return found if found.any() else canvas.region
