"""Focus on Your Instruction (Guo and Lin, CVPR 2024): each instruction acts where it is looked at, and nowhere else.

A short run of the network for instructions shows where the words of each instruction are looked at. In the run that
draws, the places outside look at the empty text instead (cross-condition attention modulation), and what the
instruction adds to the noise counts inside only (mask-guided disentangled sampling). No code was ever published: that
the paper raises the contrast of the maps and drops the masks for the last quarter is known, the values are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult, Mask
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, Part, Recorder, extent_at, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import Predict, always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, instructions
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages, Step
from pipelines.diffusion.tokens import places_of
from pipelines.images import mask_at
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import FocusParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like

WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
ROUNDS = 3
"""How often a map is squared and stretched to [0, 1]."""
SIGMA = 1.0
"""Of the Gaussian over a map, in its own cells."""


@dataclass(frozen=True)
class Focus:
    """One instruction and where it acts."""

    text: str
    words: tuple[int, ...]
    """The places of its words among the tokens."""
    place: Tensor
    """``(1, 1, h, w)`` in {0, 1}, in cells of the latent."""


def contrasted(looked: Tensor, threshold: float) -> Tensor:
    """``(1, 1, h, w)`` in {0, 1}: `looked` squared and stretched `ROUNDS` times, smoothed, and cut at `threshold`."""
    for _ in range(ROUNDS):
        looked = looked.square()
        low, high = looked.amin(), looked.amax()
        looked = (looked - low) / (high - low).clamp(min=1e-12)
    reach = torch.arange(-2, 3, device=looked.device, dtype=looked.dtype)
    row = torch.softmax(-reach.square() / (2 * SIGMA**2), 0)
    kernel = (row[:, None] * row[None, :])[None, None]
    return (F.conv2d(F.pad(looked, (2, 2, 2, 2), mode="replicate"), kernel) > threshold).float()


class Modulation:
    """Cross-attention of a batch (nothing, picture, picture and each instruction): the places outside an instruction's
    part look at the empty text, which the second of the batch is told."""

    def __init__(self, foci: Sequence[Focus], extent: tuple[int, int], boost: float) -> None:
        """`boost` is how far the scores of the words are raised towards the highest one, 0 to 1."""
        self._foci, self._extent, self._boost = foci, extent, boost

    def attend(self, layer: Layer, look: Look) -> Tensor:
        out = look.seen()
        size = extent_at(layer, self._extent)
        for number, focus in enumerate(self._foci, 2):
            one = slice(number, number + 1)
            own = Look(look.q[one], look.k[one], look.v[one])
            inside = F.interpolate(focus.place, size=size).flatten(2).transpose(1, 2)[:, None] > 0.5  # (1, 1, N, 1)
            said = self._raised(own, focus.words) if self._boost else own.seen()
            empty = Look(look.q[one], look.k[1:2], look.v[1:2]).seen()
            out = torch.cat([out[:number], torch.where(inside, said, empty), out[number + 1 :]])
        return out

    def _raised(self, look: Look, words: Sequence[int]) -> Tensor:
        """What is seen where the scores of `words` are raised."""
        scores = (look.q @ look.k.transpose(-1, -2)).float() / math.sqrt(look.q.shape[-1])
        raised = torch.zeros(scores.shape[-1], device=scores.device)
        raised[list(words)] = self._boost
        scores = scores + raised * (scores.amax(-1, keepdim=True) - scores)
        return look.seen_by(scores.softmax(-1))


def focused(
    bundle: ModelBundle, shown: Tensor, foci: Sequence[Focus], e_null: PromptEmbeds, params: FocusParams
) -> Predict:
    """``eps(0, 0) + s_I (eps(c_I, 0) - eps(0, 0)) + sum_k s_T M_k (eps(c_I, c_k) - eps(c_I, 0))``; one network call of
    a batch of two more than there are instructions."""
    count = 2 + len(foci)
    e = PromptEmbeds.joined([e_null, e_null, *(bundle.embed_texts([focus.text]) for focus in foci)])
    beside = torch.cat([torch.zeros_like(shown), shown.expand(count - 1, -1, -1, -1)])
    h, w = shown.shape[-2:]
    modulation = Modulation(foci, (h, w), params.boost)
    led: dict[Layer, Attend] = dict.fromkeys(layers(bundle.unet, Kind.CROSS), modulation.attend)

    def predict(z: Tensor, t: int, _: int) -> Tensor:
        at = torch.full((count,), t, device=z.device)
        with steered(bundle.unet, led):
            eps = bundle.predict(z.expand(count, -1, -1, -1), at, e, beside)
        eps_null, eps_i = eps[:1], eps[1:2]
        guided_by = eps_null + params.picture_guidance * (eps_i - eps_null)
        for number, focus in enumerate(foci, 2):
            guided_by = guided_by + params.guidance * focus.place * (eps[number : number + 1] - eps_i)
        return guided_by

    return predict


def run(bundle: ModelBundle, request: EditRequest, params: FocusParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. What is found lies within the part that may change."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    shown, e_null = canvas.z_ref / bundle.latent_scale, canvas.prompts[avoided_text(request)]
    told = instructions(request)
    usual = guided(
        bundle,
        always(canvas.prompts[" and ".join(told)]),
        e_null,
        params.guidance,
        ConcatConditioning(shown, params.picture_guidance),
    )
    foci = [Focus(text, places_of(bundle, text, text), place) for text, place in zip(told, _parts(canvas), strict=True)]
    if params.find_mask and params.focused_share:
        with stages.stage("mask", params.mask_steps * len(foci)) as step:
            foci = [_found(canvas, step, focus, shown, e_null, params) for focus in foci]
    timesteps = bundle.schedule.timesteps(params.steps)
    until = len(timesteps) - round(params.focused_share * len(timesteps))
    inside = focused(bundle, shown, foci, e_null, params)

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        noise = normal_like(canvas.z_ref, generator(seed, "denoise"))
        return denoise(
            bundle,
            noise,
            DDIM(noise),
            timesteps,
            lambda z, t, i: (inside if i > until else usual)(z, t, i),
            after_step,
        )

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished, found=_in_pixels(canvas, foci))


def _parts(canvas: Canvas) -> list[Tensor]:
    """Where each of `instructions` may act: what is to be done to the subject on the subject, the other on the rest;
    everywhere that may change where nothing is selected."""
    request = canvas.request
    if request.mask.all() or not request.mask.any():
        subject = background = canvas.edited
    else:
        subject, background = canvas.cells(request.mask), canvas.cells(~request.mask)
    said = ((request.subject, subject), (request.background, background))
    return [place * canvas.edited for text, place in said if text.strip()]


def _found(canvas: Canvas, step: Step, focus: Focus, shown: Tensor, e_null: PromptEmbeds, params: FocusParams) -> Focus:
    """`focus` where its words are looked at in a short run; all of its part where they are looked at nowhere in it."""
    bundle, h, w = canvas.bundle, *canvas.z_ref.shape[-2:]
    recorder = Recorder((h, w), slice(-1, None))
    cross = [layer for layer in layers(bundle.unet, Kind.CROSS) if layer.part is not Part.MID]
    predict = guided(
        bundle,
        always(canvas.prompts[focus.text]),
        e_null,
        params.guidance,
        ConcatConditioning(shown, params.picture_guidance),
    )
    noise = normal_like(canvas.z_ref, generator(canvas.request.fitting_seed, f"look for {focus.text}"))
    looked: list[Tensor] = []

    def after_step(_: Tensor) -> None:
        looked.append(recorder.of(focus.words))
        step()

    with steered(bundle.unet, dict.fromkeys(nearest(cross, WORD_SCALE), recorder)):
        denoise(bundle, noise, DDIM(noise), bundle.schedule.timesteps(params.mask_steps), predict, after_step)
    mean = torch.stack(looked).mean(0)
    place = F.interpolate(contrasted(mean, params.threshold), size=(h, w)) * focus.place
    return replace(focus, place=place) if place.any() else focus


def _in_pixels(canvas: Canvas, foci: Sequence[Focus]) -> Mask:
    """All that the instructions act on, at the size of the picture."""
    size = (canvas.frame.network.height, canvas.frame.network.width)
    every = torch.stack([focus.place for focus in foci]).amax(0)
    return mask_at(F.interpolate(every, size=size)[0, 0].cpu().numpy() > 0.5, canvas.frame.original)
