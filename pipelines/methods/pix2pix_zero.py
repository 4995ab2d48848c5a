"""pix2pix-zero (Parmar et al., SIGGRAPH 2023): the edit is nudged to look at its words where the picture's were.

The picture is inverted with its caption; each predicted noise is first made more like noise (section 3.2). A reference
run takes down every map of cross-attention. The edit begins at the same noise, and before each step its latent goes
down the gradient of how far its maps are from those (section 3.4, Algorithm 1). The edit's embedding is the caption's
plus a direction (section 3.1); here that is of one pair of sentences, what the picture shows and what it becomes, so
their sum is the target's. Pix2Pix-OnTheFly (Santos et al. 2024) lets a language model write several pairs; with
`captions` they are both texts in that many forms, which differ in nothing but what changes, and the direction is the
mean of theirs. The caption stands in the empty text's place, as the published code has it for real pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Kind, Layer, Look, check_room_for_maps, layers, steered, stored_bytes
from pipelines.diffusion.candidates import AfterStep, predicted, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, source_and_target
from pipelines.diffusion.inversion import Path, ddim_inversion, reconstruction_error
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import Pix2PixZeroParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator

ROUNDS, SHIFTS = 5, 5
"""Of the regularisation: rounds for each prediction, and steps on the autocorrelation in each."""
SMALLEST = 8
"""Cells a side at which the pyramid of the autocorrelation ends."""
SHIFT_SEED = 0
"""The shifts are drawn alike for every turn, so that no seed has a say."""

FORMS = (
    "{}",
    "a picture of {}",
    "there is {}",
    "this is {}",
    "we see {}",
    "look at {}",
    "it shows {}",
    "a view of {}",
)
"""What captions say around a text: the same before and after, so that the direction is of what changes alone."""

Maps = dict[str, Tensor]
"""``(h, N, K)`` by the name of the layer."""


def autocorrelation(eps: Tensor, draws: torch.Generator) -> Tensor:
    """L_pair of Eq. 2: of each channel of ``(1, C, h, w)`` at each level of a pyramid, how alike it is to itself a
    drawn shift away, squared; white noise has about 0."""
    total, x = eps.new_zeros(()), eps
    while True:
        for axis in (2, 3):
            most = x.shape[axis] // 2
            shift = int(torch.randint(1, most, (1,), generator=draws)) if most > 1 else 1
            total = total + (x * x.roll(shift, axis)).mean((0, 2, 3)).square().sum()
        if min(x.shape[2:]) <= SMALLEST:
            return total
        x = F.avg_pool2d(x, 2)


def divergence(eps: Tensor) -> Tensor:
    """L_KL of Eq. 3, as published: ``var + mean^2 - 1 - log var`` of all numbers; 0 for those of noise."""
    return eps.var() + eps.mean() ** 2 - 1 - torch.log(eps.var() + 1e-7)


def more_like_noise(eps: Tensor, weight: float, draws: torch.Generator) -> Tensor:
    """`eps` ``(1, C, h, w)`` some steps down both losses."""
    for _ in range(ROUNDS if weight else 0):
        for _ in range(SHIFTS):
            eps = eps - weight / SHIFTS * _gradient(lambda e: autocorrelation(e, draws), eps)
        eps = eps - weight * _gradient(divergence, eps)
    return eps


def _gradient(loss: object, x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(loss(x), x)  # type: ignore[operator]
    return found


def moved(canvas: Canvas, source: str, target: str, captions: int) -> PromptEmbeds:
    """The caption's embedding plus the direction from `source` to `target`: the mean of what the first `captions` forms
    of both differ by, tokens and summaries alike; with one of them it is the target's."""
    if captions == 1:
        return canvas.prompts[target]
    befores, afters = (
        PromptEmbeds.joined([canvas.prompts[form.format(text)] for form in FORMS[:captions]])
        for text in (source, target)
    )
    e = canvas.prompts[source]
    tokens = e.tokens + (afters.tokens - befores.tokens).mean(0, keepdim=True)
    if e.pooled is None or afters.pooled is None or befores.pooled is None:
        return PromptEmbeds(tokens)
    return PromptEmbeds(tokens, e.pooled + (afters.pooled - befores.pooled).mean(0, keepdim=True))


class CrossGuidance:
    """The maps of the reference run, and the step that brings the edit's nearer to them."""

    def __init__(self, bundle: ModelBundle, rate: float) -> None:
        self._bundle, self._rate = bundle, rate
        self.layers = layers(bundle.unet, Kind.CROSS)
        self._reference: dict[int, Maps] = {}
        self._now: Maps = {}

    def _attend(self, layer: Layer, look: Look) -> Tensor:
        maps = look.maps
        self._now[layer.name] = maps[-1]
        return look.seen_by(maps)

    def noise(self, z: Tensor, t: int, e: PromptEmbeds) -> Tensor:
        """What the network predicts for `z` ``(1, C, h, w)``; its maps are taken down."""
        with steered(self._bundle.unet, dict.fromkeys(self.layers, self._attend)):
            return self._bundle.predict(z, torch.full((1,), t, device=z.device), e)

    def keep(self, i: int) -> None:
        """The maps of the last call are those of the reference with `i` steps to go. They wait in the host's memory."""
        self._reference[i] = {name: maps.detach().cpu() for name, maps in self._now.items()}

    def nudged(self, z: Tensor, t: int, i: int, e: PromptEmbeds) -> Tensor:
        """Eq. 6: `z` one step down the squared distance of its maps to the reference's, with `i` steps to go."""
        with torch.enable_grad():
            x = z.detach().requires_grad_()
            self.noise(x, t, e)
            kept = self._reference[i]
            loss = torch.stack(
                [(maps - kept[name].to(maps)).square().sum((1, 2)).mean() for name, maps in self._now.items()]
            ).sum()
            (gradient,) = torch.autograd.grad(loss, x)
        self._now.clear()
        return z - self._rate * gradient


def run(
    bundle: ModelBundle, request: EditRequest, params: Pix2PixZeroParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is; no seed has a say.

    Raises `NotEnoughMemory` before anything is computed where the maps of the reference run would not fit.
    """
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    e_source, e_target = canvas.prompts[source], moved(canvas, source, target, params.captions)
    timesteps = bundle.schedule.timesteps(params.steps)
    guide = CrossGuidance(bundle, params.cross_guidance)
    h, w = canvas.z_ref.shape[-2:]
    check_room_for_maps(stored_bytes(bundle.unet, guide.layers, (h, w), e_source.tokens.shape[1], len(timesteps)))
    path = _inverted(canvas, stages, e_source, timesteps, params.regularisation)
    errors: list[float] = []
    with stages.stage("reference", len(timesteps)) as step, torch.no_grad():

        def remembered(z: Tensor, t: int, i: int) -> Tensor:
            eps = guide.noise(z, t, e_source)
            guide.keep(i)
            return eps

        z = denoise(bundle, path.noise, DDIM(path.noise), timesteps, remembered, lambda _: step())
        errors.append(reconstruction_error(path, z))
    predict = guided(bundle, always(e_target), e_source, params.guidance)

    def nudged(z: Tensor, t: int, i: int) -> Tensor:
        return guide.nudged(z, t, i, e_target) if params.cross_guidance else z

    def sample(_: int, after_step: AfterStep) -> Tensor:
        return denoise(bundle, path.noise, DDIM(path.noise), timesteps, predict, after_step, before=nudged)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished, reconstruction=errors[0])


def _inverted(canvas: Canvas, stages: Stages, e: PromptEmbeds, timesteps: list[int], weight: float) -> Path:
    own, draws = predicted(canvas.bundle, e), generator(SHIFT_SEED, "invert")
    with stages.stage("invert", len(timesteps)) as step:
        return ddim_inversion(
            canvas.bundle,
            canvas.z_ref,
            timesteps,
            lambda z, t, _: more_like_noise(own(z, t), weight, draws),
            lambda _: step(),
        )
