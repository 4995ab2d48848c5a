"""Text2LIVE (Bar-Tal et al., ECCV 2022): a small network, trained on this one picture, paints a layer over it.

The layer has a colour and an opacity at each place; laid over the picture it is the edit. No diffusion is run: a CLIP
says how well the composite goes with the text, how well the layer alone does, over green, and whether what is where
stays as it was (the self-similarity of the keys of its last layer). A sparse layer costs less.

Ours: where the layer may be is what is selected, in the place of the relevancy map that begins the paper's. It begins
as that one flat colour, of 27, which the CLIP likes most: gradients of a small CLIP seldom find the way to another
colour. An even layer may be asked for. The network paints on a coarse grid, so that a CLIP that sees a few cells is not
answered with a texture of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.contract import Candidate, EditRequest, EditResult, Scope
from pipelines.diffusion.encode import Canvas, instructions, source_and_target
from pipelines.diffusion.fit import fit
from pipelines.diffusion.stages import Stages, Step
from pipelines.errors import ModelError
from pipelines.evaluation.clip import ClipTexts, clip_that_knows
from pipelines.images import from_network, to_network
from pipelines.masks.refine import soft_edge
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_models
from pipelines.models.loader import load_clip_vision
from pipelines.params import Text2LiveParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, global_draws_from

WIDTHS = (16, 24, 32)
"""Channels of the generator at its three sizes."""
GRID = 48
"""Cells of the layer's longer side: what is painted is as smooth as that, where it may be is not."""
VIEWS = 2
"""Random crops of the composite that the CLIP sees beside the whole."""
GREEN = (0.0, 177 / 255, 64 / 255)
LEVELS = (0.08, 0.5, 0.92)
OPACITY = 0.65
"""Of the flat colour that the layer begins as."""


class Reader:
    """Both halves of the CLIP that knows the model's pictures, with gradients through the picture's."""

    def __init__(self, bundle: ModelBundle) -> None:
        """Raises `ModelError` where there is none."""
        card = clip_that_knows(bundle.card.domain.measured_by, find_models(bundle.folders).values())
        if card is None:
            raise ModelError(
                f"Text2LIVE is led by a CLIP, and none here knows the pictures of {bundle.card.id!r}; put the folder "
                "of one (such as clip-vit-base-patch16) among the models, or choose another method"
            )
        self._device = bundle.device
        self._model, processor = load_clip_vision(card, bundle.device)
        self._mean, self._std = (
            torch.tensor(said, device=bundle.device).reshape(1, 3, 1, 1)
            for said in (processor.image_mean, processor.image_std)
        )
        self._texts = ClipTexts(card, bundle.device)
        self.side = int(self._model.config.image_size)

    def said(self, text: str) -> Tensor:
        """``(1, D)`` of length 1."""
        return torch.from_numpy(self._texts([text])).to(self._device)

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of pictures ``(B, 3, H, W)`` in [0, 1]: ``(B, D)`` of length 1, and how alike the keys of any two places
        are, ``(B, N, N)``."""
        keys: list[Tensor] = []
        last = self._model.vision_model.encoder.layers[-1].self_attn.k_proj
        hook = last.register_forward_hook(lambda _module, _in, out: keys.append(out))
        try:
            shown = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
            e = F.normalize(self._model((shown - self._mean) / self._std).image_embeds.float(), dim=-1)
        finally:
            hook.remove()
        k = F.normalize(keys[-1][:, 1:].float(), dim=-1)
        return e, k @ k.transpose(1, 2)


class Painter(nn.Module):
    """A U-Net of three sizes from a picture ``(1, 3, h, w)`` to colour and opacity ``(1, 4, h, w)``, in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.down = nn.ModuleList([_block(3, a), _block(a, b, 2), _block(b, c, 2)])
        self.up = nn.ModuleList([_block(c + b, b), _block(b + a, a)])
        self.out = nn.Conv2d(a, 4, 1)
        nn.init.zeros_(self.out.weight)

    def begin(self, colour: Tensor, opacity: float) -> None:
        """Paint that flat colour ``(3,)``."""
        assert self.out.bias is not None
        with torch.no_grad():
            self.out.bias.copy_(torch.logit(torch.cat([colour, colour.new_tensor([opacity])])))

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for block in self.down:
            x = block(x)
            kept.append(x)
        for block, finer in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, size=finer.shape[-2:], mode="bilinear"), finer], dim=1))
        return torch.sigmoid(self.out(x))


def _block(given: int, made: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(given, made, 3, stride, 1, padding_mode="replicate")
    return nn.Sequential(convolution, nn.GroupNorm(4, made), nn.LeakyReLU(0.2))


def laid(colour: Tensor, alpha: Tensor, under: Tensor) -> Tensor:
    """The layer over what lies under it."""
    return alpha * colour + (1 - alpha) * under


@dataclass(frozen=True, eq=False)
class Task:
    """What is painted over, where, and what is wanted of it."""

    reader: Reader
    x: Tensor
    """The picture ``(1, 3, H, W)`` in [0, 1] at the CLIP's scale."""
    place: Tensor
    """``(1, 1, H, W)`` in [0, 1]: where the layer may be."""
    target: Tensor
    source: Tensor | None
    """Texts ``(1, D)``; ``None`` where it is not known what the picture shows."""
    layer_text: Tensor
    seen: Tensor
    alike: Tensor
    """Of the picture itself; see `Reader.seen`."""
    params: Text2LiveParams

    @classmethod
    def of(cls, canvas: Canvas, reader: Reader, place: NDArray[np.float32], params: Text2LiveParams) -> Task:
        request, device = canvas.request, canvas.bundle.device
        source, target = source_and_target(request)
        longer = max(canvas.small.shape[:2])
        size = [max(1, round(side * reader.side / longer)) for side in canvas.small.shape[:2]]
        x = (to_network(canvas.small).to(device) + 1) / 2
        x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        m = torch.from_numpy(place)[None, None].to(device)
        with torch.no_grad():
            seen, alike = reader.seen(x)
        return cls(
            reader=reader,
            x=x,
            place=F.interpolate(m, size=size, mode="bilinear", antialias=True),
            target=reader.said(target),
            source=reader.said(source) if source and source != target else None,
            layer_text=reader.said(" ".join([*instructions(request), "over a green screen"])),
            seen=seen,
            alike=alike,
            params=params,
        )

    def painted(self, painter: Painter) -> Tensor:
        """Colour and opacity ``(1, 4, H, W)`` at the CLIP's scale, wherever the layer may be."""
        return F.interpolate(painter(self.coarse), size=self.x.shape[-2:], mode="bilinear")

    @property
    def coarse(self) -> Tensor:
        """The picture on the layer's grid."""
        scale = GRID / max(self.x.shape[-2:])
        size = [max(4, round(side * scale)) for side in self.x.shape[-2:]]
        return F.interpolate(self.x, size=size, mode="bilinear", antialias=True)

    def fits(self, e: Tensor) -> Tensor:
        """``(B,)``: how far what is seen is from the text, and its way from the picture from that of the
        texts."""
        far = 1 - (e @ self.target.T)[:, 0]
        if self.source is None:
            return far
        return far + 1 - F.cosine_similarity(e - self.seen, self.target - self.source)

    def alone(self, colour: Tensor, alpha: Tensor) -> Tensor:
        """``(B,)``: how far the layer alone, over green, is from its text."""
        green = self.x.new_tensor(GREEN).reshape(1, 3, 1, 1)
        return 1 - (self.reader.seen(laid(colour, alpha, green))[0] @ self.layer_text.T)[:, 0]

    def loss(self, layer: Tensor, draws: torch.Generator) -> Tensor:
        """All of it, for the layer as it is."""
        colour, alpha = layer[:, :3], layer[:, 3:] * self.place
        composite, p = laid(colour, alpha, self.x), self.params
        views = [composite, *(cropped(composite, self.place, draws, self.reader.side) for _ in range(VIEWS))]
        e, _ = self.reader.seen(torch.cat([F.interpolate(v, size=(self.reader.side,) * 2) for v in views]))
        total = self.fits(e).mean()
        if p.structure:
            total = total + p.structure * (self.reader.seen(composite)[1] - self.alike).square().mean()
        if p.screen:
            total = total + p.screen * self.alone(colour, alpha).mean()
        if p.evenness:
            mean = (layer * self.place).sum((2, 3), keepdim=True) / self.place.sum()
            total = total + p.evenness * ((layer - mean).square() * self.place).sum() / self.place.sum()
        return total + p.sparsity * (alpha.mean() + (2 * torch.sigmoid(5 * alpha) - 1).mean())

    @torch.no_grad()
    def best_colour(self) -> Tensor:
        """``(3,)``: of the flat layers that there are, the one that fits best."""
        palette = torch.tensor(list(product(LEVELS, repeat=3)), device=self.x.device).reshape(-1, 3, 1, 1)
        alpha = OPACITY * self.place
        far = torch.cat([self.fits(self.reader.seen(laid(colour[None], alpha, self.x))[0]) for colour in palette])
        if self.params.screen:
            far = far + self.params.screen * torch.cat([self.alone(colour[None], alpha) for colour in palette])
        return palette[int(far.argmin())].flatten()


def cropped(x: Tensor, place: Tensor, draws: torch.Generator, side: int) -> Tensor:
    """A random part of `x` that holds all of `place`, flipped every other time, at ``side x side``."""

    def part(along: Tensor) -> slice:
        there = along.nonzero().flatten().tolist() or [0]
        least, most, length = there[0], there[-1] + 1, len(along)
        start = int(torch.randint(0, least + 1, (1,), generator=draws))
        return slice(start, int(torch.randint(most, length + 1, (1,), generator=draws)))

    rows, columns = (part(place[0, 0].amax(dim) > 0.05) for dim in (1, 0))
    shown = F.interpolate(x[..., rows, columns], size=(side, side), mode="bilinear")
    return shown.flip(-1) if int(torch.randint(0, 2, (1,), generator=draws)) else shown


def where(request: EditRequest) -> NDArray[np.float32]:
    """``(H, W)`` in [0, 1]: where the layer may be, its edge as soft as the mask's."""
    if request.scope is Scope.BOTH:
        return np.ones(request.mask.shape, np.float32)
    soft = soft_edge(request.mask, request.feather).astype(np.float32)
    return soft if request.scope is Scope.SUBJECT else 1 - soft


def run(bundle: ModelBundle, request: EditRequest, params: Text2LiveParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry."""
    reader = Reader(bundle)
    canvas, stages, place = Canvas.of(bundle, request), Stages(progress), where(request)
    task = Task.of(canvas, reader, place, params)
    candidates: tuple[Candidate, ...] = ()
    with stages.stage("layer", params.steps * request.candidates) as step:
        for seed in range(request.seed, request.seed + request.candidates):
            candidates += (_candidate(canvas, task, place, seed, step),)
    return EditResult(candidates, stages.finished)


def _candidate(canvas: Canvas, task: Task, place: NDArray[np.float32], seed: int, after_step: Step) -> Candidate:
    params = task.params
    with global_draws_from(seed, "layer"):
        painter = Painter().to(canvas.bundle.device)
    if params.from_colour:
        painter.begin(task.best_colour(), OPACITY)
    draws = generator(seed, "crops")

    def tell() -> None:
        with torch.no_grad():
            layer = task.painted(painter)
            after_step(from_network(laid(layer[:, :3], layer[:, 3:] * task.place, task.x) * 2 - 1))

    fit(list(painter.parameters()), lambda _: task.loss(task.painted(painter), draws), params.steps, params.rate, tell)
    with torch.no_grad():
        layer = painter(task.coarse)
        size = place.shape
        colour, alpha = (
            F.interpolate(part, size=size, mode=mode).clamp(0, 1).cpu()
            for part, mode in ((layer[:, :3], "bicubic"), (layer[:, 3:], "bilinear"))
        )
        alpha = alpha * torch.from_numpy(place)
        under = torch.from_numpy(canvas.request.picture).permute(2, 0, 1)[None].float() / 255
        made = (laid(colour, alpha, under)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return canvas.finished(seed, made, params)
