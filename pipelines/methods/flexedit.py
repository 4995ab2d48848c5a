"""FlexEdit (Nguyen et al. 2024): a mask that adapts to what is drawn, and an object that is led to its place.

The picture is inverted. Before a step the edit's latent goes down the gradient of two losses on where the new object's
words are looked at: its centre is to be the old object's, and it is to be as large. After a step all but the adaptive
mask comes back from the inversion: the old object's place, and wherever the new one is looked at now, which
self-attention makes whole (its own map times that of the words). So a long thing may take the place of a round one.

No code was published, and neither weights, rates nor the number of iterations are known: those here are ours. The old
object is what is selected; where the subject's text is empty nothing is led and the mask is that of the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult, Scope
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, Part, extent_at, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, latents_of
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.inversion import inverted
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import places_of
from pipelines.images import mask_at
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import FlexEditParams
from pipelines.pasting import edited_region
from pipelines.progress import Progress, silent

WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
STEEPNESS = 20.0
"""Of the smooth step that counts the cells of an object for its size."""


def place_and_size(looked: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Centre ``(2,)`` (x, y) and share of the picture of what is looked at in ``(1, 1, h, w)``, both in [0, 1]."""
    h, w = looked.shape[-2:]
    x = (torch.arange(w, device=looked.device) + 0.5) / w
    y = (torch.arange(h, device=looked.device) + 0.5) / h
    mass = looked / looked.sum()
    centre = torch.stack([(mass.sum((0, 1, 2)) * x).sum(), (mass.sum((0, 1, 3)) * y).sum()])
    return centre, torch.sigmoid(STEEPNESS * (stretched(looked) - threshold)).mean()


def stretched(looked: Tensor) -> Tensor:
    """`looked` in [0, 1]."""
    low, high = looked.amin(), looked.amax()
    return (looked - low) / (high - low).clamp(min=1e-12)


class Watched:
    """What the last sample of the batch looked at in the last network call, with gradients where there are any."""

    def __init__(self, bundle: ModelBundle, extent: tuple[int, int], tokens: tuple[int, ...]) -> None:
        """`tokens` are the new object's; `extent` is the latent's."""
        self._extent, self._tokens = extent, list(tokens)
        self._words: dict[str, Tensor] = {}
        self._selves: dict[str, Tensor] = {}
        read: dict[Layer, Attend] = {}
        for kind, look in ((Kind.CROSS, self._cross), (Kind.SELF, self._self)):
            found = [layer for layer in layers(bundle.unet, kind) if layer.part is not Part.MID]
            read |= dict.fromkeys(nearest(found, WORD_SCALE), look)
        self.attention: Mapping[Layer, Attend] = read

    def _cross(self, layer: Layer, look: Look) -> Tensor:
        maps = look.maps
        self._words[layer.name] = maps[-1, ..., self._tokens].sum(-1).mean(0).reshape(1, 1, *self._size(layer))
        return look.seen_by(maps)

    def _self(self, layer: Layer, look: Look) -> Tensor:
        maps = look.maps
        self._selves[layer.name] = maps[-1].mean(0)
        return look.seen_by(maps)

    def _size(self, layer: Layer) -> tuple[int, int]:
        return extent_at(layer, self._extent)

    @property
    def size(self) -> tuple[int, int]:
        """``(h, w)`` of the maps."""
        return self._size(next(iter(self.attention)))

    @property
    def looked(self) -> Tensor:
        """``(1, 1, h, w)``: how much is looked at the object's words, averaged over the layers."""
        return torch.stack(list(self._words.values())).mean(0)

    @property
    def whole(self) -> Tensor:
        """The same carried on to the places that each of them looks at, by self-attention."""
        alike = torch.stack(list(self._selves.values())).mean(0)
        return (alike @ self.looked.flatten()).reshape_as(self.looked)


def run(bundle: ModelBundle, request: EditRequest, params: FlexEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. Nothing is drawn, so no seed has a say; what is pasted back lies outside the adaptive mask
    of the last step."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    e_target, e_null = canvas.prompts[target], canvas.prompts[avoided_text(request)]
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    h, w = canvas.z_ref.shape[-2:]
    subject = request.subject.strip()
    watched = Watched(bundle, (h, w), places_of(bundle, target, subject)) if subject else None
    path = inverted(canvas, stages, canvas.prompts[source], timesteps)
    predict = guided(bundle, always(e_target), e_null, params.guidance)
    until = len(timesteps) - round(params.lead_share * len(timesteps))
    m = canvas.edited

    def before(z: Tensor, t: int, i: int) -> Tensor:
        if watched is None or i <= until or not params.lead:
            return z
        for _ in range(params.rounds):
            z = led(canvas, watched, z, t, e_target, params)
        return z

    def after(z: Tensor, _: int, i: int) -> Tensor:
        nonlocal m
        m = canvas.edited if watched is None else adapted(canvas, watched, params.threshold)
        return m * z + (1 - m) * path.at(i - 1)

    def sample(_: int, after_step: AfterStep) -> Tensor:
        with steered(bundle.unet, watched.attention if watched is not None else {}):
            return denoise(
                bundle, path.noise, DDIM(path.noise), timesteps, predict, after_step, before=before, after=after
            )

    latents = latents_of(canvas, stages, "denoise", len(timesteps), sample)
    reached = _reaching(canvas, m)
    candidates = tuple(reached.candidate(seed, z, params) for seed, z in latents.items())
    return EditResult(candidates, stages.finished, found=reached.region)


def led(canvas: Canvas, watched: Watched, z: Tensor, t: int, e: PromptEmbeds, params: FlexEditParams) -> Tensor:
    """`z` a step down the losses of the object's place and size; the step is `params.lead` long whatever the slope."""
    share = F.adaptive_avg_pool2d(canvas.cells(canvas.request.mask), watched.size)
    wanted_centre, wanted_size = place_and_size(share, params.threshold)
    with torch.enable_grad():
        x = z.detach().requires_grad_()
        canvas.bundle.predict(x, torch.full((1,), t, device=x.device), e)
        centre, size = place_and_size(watched.looked, params.threshold)
        loss = (centre - wanted_centre).square().sum() + (size - wanted_size).square()
        (gradient,) = torch.autograd.grad(loss, x)
    return z - params.lead * gradient / gradient.square().mean().sqrt().clamp(min=1e-12)


def adapted(canvas: Canvas, watched: Watched, threshold: float) -> Tensor:
    """``(1, 1, h, w)`` in {0, 1}: all that may change, and where the new object is now, as far as that is subject."""
    if canvas.request.scope is not Scope.SUBJECT:
        return canvas.edited
    now = (stretched(watched.whole.detach()) > threshold).float()
    return torch.maximum(canvas.edited, F.interpolate(now, size=canvas.edited.shape[-2:]))


def _reaching(canvas: Canvas, m: Tensor) -> Canvas:
    """The canvas whose region is that of the mask `m`."""
    request = canvas.request
    if request.scope is not Scope.SUBJECT or torch.equal(m, canvas.edited):
        return canvas
    size = (canvas.frame.network.height, canvas.frame.network.width)
    added = F.interpolate(m - canvas.edited, size=size)[0, 0].cpu().numpy() > 0.5
    grown = request.mask | mask_at(added, canvas.frame.original)
    return replace(canvas, region=edited_region(grown, request.scope, request.feather))
