"""LEDITS++ (Brack et al., CVPR 2024): several concepts guide at once, each where it belongs.

The picture is inverted as in the edit-friendly DDPM space. Each concept adds its own guidance (Eq. 6), masked by where
its words are looked at (M1, Eq. 8) and by where its guidance is strongest (M2, Eq. 9). What the subject and what the
background become are one concept each; what is to be kept out is one with the opposite sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Kind, Part, Recorder, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import denoise
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.guidance import guided_noise
from pipelines.diffusion.samplers import DDPMInversion
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import places_of
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LeditsParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator

WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
BLUR = 0.5
"""Sigma of the 3 x 3 Gaussian over the maps of words, in their own cells."""


@dataclass(frozen=True)
class Concept:
    """One text that guides."""

    text: str
    scale: float
    """s_e of Eq. 6; negative for what is to be kept out."""
    tokens: tuple[int, ...]
    """The places of its words."""
    threshold: float
    """lambda of Eq. 8 and 9."""
    place: Tensor | None = None
    """``(1, 1, h, w)`` in {0, 1}: where it may act (the user's mask of the published code); ``None`` for everywhere."""


def concepts_of(canvas: Canvas, params: LeditsParams) -> list[Concept]:
    """Towards what the parts become, each in its place where that is selected; away from what is to be kept out."""
    request, s = canvas.request, params.guidance
    subject = background = None
    if params.within_selection and not request.mask.all():
        subject, background = canvas.cells(request.mask), canvas.cells(~request.mask)
    said = [
        (request.subject.strip(), s, params.threshold, subject),
        (request.background.strip(), s, params.background_threshold, background),
        (avoided_text(request), -s, params.threshold, None),
    ]
    return [
        Concept(text, scale, places_of(canvas.bundle, text, text), threshold, place)
        for text, scale, threshold, place in said
        if text
    ]


def strongest(x: Tensor, share: float) -> Tensor:
    """Where ``(1, 1, h, w)`` reaches its `share`-quantile: 1, elsewhere 0."""
    return (x >= x.flatten().float().quantile(share)).float()


def blurred(x: Tensor) -> Tensor:
    """3 x 3 Gaussian of sigma `BLUR`, the edge reflected."""
    side = math.exp(-1 / (2 * BLUR**2))
    row = torch.tensor([side, 1.0, side], device=x.device) / (1 + 2 * side)
    kernel = (row[:, None] * row)[None, None]
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect" if min(x.shape[-2:]) > 1 else "replicate"), kernel)


class SemanticGuidance:
    """Eq. 6: the noise of what the picture shows, and of each concept what it adds within its mask."""

    def __init__(
        self,
        bundle: ModelBundle,
        concepts: Sequence[Concept],
        e_concepts: PromptEmbeds,
        e_null: PromptEmbeds,
        params: LeditsParams,
        extent: tuple[int, int],
    ) -> None:
        """`e_concepts` holds one text a concept; `extent` is the latent's ``(h, w)``."""
        self._bundle, self._concepts, self._params = bundle, concepts, params
        self._texts = PromptEmbeds.joined([e_null, e_concepts])
        self.recorder = Recorder(extent, slice(1, None))

    def __call__(self, z: Tensor, t: int) -> Tensor:
        """What all concepts add ``(1, C, h, w)``; one network call of a batch of one more than there are."""
        count = 1 + len(self._concepts)
        at = torch.full((count,), t, device=z.device)
        eps = self._bundle.predict(z.expand(count, -1, -1, -1), at, self._texts)
        guides = eps[1:] - eps[:1]
        added = torch.zeros_like(z)
        for number, concept in enumerate(self._concepts):
            guide = guides[number : number + 1]
            added = added + concept.scale * self._mask(number, concept, guide) * guide
        return added

    def _mask(self, number: int, concept: Concept, guide: Tensor) -> Tensor:
        share = concept.threshold
        m = strongest(guide.abs().sum(1, keepdim=True), share)  # M2
        if concept.place is not None:
            m = m * concept.place
        if self._params.mask_by_words:
            looked = blurred(self.recorder.of(concept.tokens)[number : number + 1])
            m = m * strongest(F.interpolate(looked, size=guide.shape[-2:]), share)  # M1
        return m


def run(bundle: ModelBundle, request: EditRequest, params: LeditsParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    concepts = concepts_of(canvas, params)
    e_null, e_source = canvas.prompts[""], canvas.prompts[request.source.strip()]
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    h, w = canvas.z_ref.shape[-2:]
    guiding = SemanticGuidance(
        bundle, concepts, PromptEmbeds.joined([canvas.prompts[c.text] for c in concepts]), e_null, params, (h, w)
    )
    cross = [layer for layer in layers(bundle.unet, Kind.CROSS) if layer.part is not Part.MID]
    read = dict.fromkeys(nearest(cross, WORD_SCALE) if params.mask_by_words else (), guiding.recorder)

    def own(x: Tensor, t: int) -> Tensor:
        """The noise that what the picture shows explains; the same in the picture's branch and the edit's, so that
        without a concept the picture comes back."""
        return guided_noise(bundle, x, t, e_source, e_null, params.source_guidance)

    def predict(z: Tensor, t: int, _: int) -> Tensor:
        base = own(z, t)
        with steered(bundle.unet, read):
            return base + guiding(z, t)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        sampler = DDPMInversion(canvas.z_ref, own, generator(seed, "denoise"))
        start = bundle.schedule.noised(canvas.z_ref, sampler.noise, timesteps[0])
        return denoise(bundle, start, sampler, timesteps, predict, after_step)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
