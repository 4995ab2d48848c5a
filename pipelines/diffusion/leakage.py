"""DPL, Dynamic Prompt Learning (Wang et al., NeurIPS 2023): what a noun looks at stays on its own thing.

While an inverted picture is followed down, the token rows of its nouns are learnt anew at every step, from the step
before on, until each noun's map of cross-attention is strong somewhere (balance), no two nouns look at the same places
(disjoint), and the subject's does not look at the background (section 3.2). All other rows stay. The paper finds the
background by clusters of self-attention; here it is what is not selected. The target is told with the same rows where
it has the same nouns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.diffusion.attention import Kind, Layer, Look, Part, extent_at, layers, nearest, steered
from pipelines.diffusion.denoise import Condition, always
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.fit import fit
from pipelines.diffusion.inversion import Path
from pipelines.diffusion.rows import Reading, read_as, token_tables
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import places_of, tokens_of, words_of
from pipelines.instructions.description import describe, thing_and_place
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds

RATE = 1e-3
WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
WEIGHTS = (1.0, 0.05, 0.05)
"""Of balance, disjoint and background."""
STARTS, FADES = (0.3, 0.9, 0.7), (25.0, 25.0, 50.0)
"""A step's fit ends once each of them is below ``start * exp(-step / fade)``."""
DONE = 1e-12


def nouns_of(source: str) -> tuple[str, ...]:
    """The noun of a caption's thing, and that of its place."""
    thing, place = thing_and_place(source)
    described = describe(thing.split())
    said = [described.noun.split()[-1] if described is not None else "", *place.split()[-1:]]
    return tuple(word for noun in dict.fromkeys(said) for word in words_of(noun))


@dataclass(frozen=True, eq=False)
class Nouns:
    """The nouns of a text and the rows that stand for them."""

    places: tuple[tuple[int, ...], ...]
    """Where in the source's tokens each noun's are."""
    in_target: tuple[tuple[int, ...], ...]
    """The same in the target's; empty for one that it has not."""
    rows: tuple[Tensor, ...]
    """For each text encoder ``(n, D) float32``, a row for every place of all nouns, in order."""

    @classmethod
    def of(cls, bundle: ModelBundle, source: str, target: str) -> Nouns:
        numbers, said = [token.number for token in tokens_of(bundle, source)], words_of(target)
        places, there = [], []
        for noun in nouns_of(source):
            found = places_of(bundle, source, noun)
            again = places_of(bundle, target, noun) if noun in said else ()
            places.append(found)
            there.append(again if len(again) == len(found) else ())
        at = [numbers[place] for noun in places for place in noun]
        rows = tuple(table.weight.detach()[at].float().clone() for table in token_tables(bundle))
        return cls(tuple(places), tuple(there), rows)

    def told(self, bundle: ModelBundle, text: str, where: Sequence[Sequence[int]]) -> PromptEmbeds:
        """`text` with the rows of the nouns at their places `where`; with gradients."""
        kept = [(place, row) for row, place in enumerate(self._flat(where)) if place is not None]

        def reading(rows: Tensor) -> Reading:
            at, which = [place for place, _ in kept], [row for _, row in kept]
            index = torch.tensor(at, dtype=torch.long, device=rows.device)
            return lambda told: told.index_copy(1, index, rows[which][None].to(told))

        with read_as(bundle, [reading(rows) for rows in self.rows]):
            return bundle.embedded([text])

    def _flat(self, where: Sequence[Sequence[int]]) -> list[int | None]:
        """A place, or none, for every row."""
        return [
            place for noun, found in zip(self.places, where, strict=True) for place in (found or (None,) * len(noun))
        ]


class Looked:
    """What each noun looked at in the last network call, with gradients."""

    def __init__(self, bundle: ModelBundle, extent: tuple[int, int], places: Sequence[Sequence[int]]) -> None:
        self._extent, self._places = extent, places
        self._maps: dict[str, Tensor] = {}
        cross = [layer for layer in layers(bundle.unet, Kind.CROSS) if layer.part is not Part.MID]
        self.attention = dict.fromkeys(nearest(cross, WORD_SCALE), self._attend)

    def _attend(self, layer: Layer, look: Look) -> Tensor:
        maps = look.maps
        mean = maps[-1].mean(0).transpose(0, 1)  # (K, N)
        self._maps[layer.name] = mean.reshape(-1, *extent_at(layer, self._extent))
        return look.seen_by(maps)

    @property
    def maps(self) -> Tensor:
        """``(nouns, h, w)``: averaged over the layers, smoothed."""
        mean = torch.stack(list(self._maps.values())).mean(0)
        each = torch.stack([mean[list(places)].sum(0) for places in self._places])
        reach = torch.tensor([0.25, 0.5, 0.25], device=each.device)
        kernel = (reach[:, None] * reach[None, :])[None, None]
        return F.conv2d(F.pad(each[:, None], (1, 1, 1, 1), mode="replicate"), kernel)[:, 0]


def leaks(maps: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Balance, disjoint and background of `maps` ``(nouns, h, w)``, the subject's first; `background` ``(h, w)`` in
    [0, 1]. What there is nothing of is 0."""
    flat = maps.flatten(1)
    balance = (1 - flat.amax(1)).amax()
    pairs = [F.cosine_similarity(flat[a], flat[b], dim=0) for a, b in combinations(range(len(flat)), 2)]
    disjoint = torch.stack(pairs).mean() if pairs else balance * 0
    behind = balance * 0 if background is None else F.cosine_similarity(flat[0], background.flatten(), dim=0)
    return balance, disjoint, behind


def told_without_leaks(
    canvas: Canvas, stages: Stages, path: Path, source: str, target: str, inner_steps: int
) -> tuple[Condition, Condition]:
    """The source's and the target's text at each step, nouns learnt in at most `inner_steps` steps; reported as the
    stage ``embeddings``. Without any the texts are as they are."""
    bundle, e = canvas.bundle, (canvas.prompts[source], canvas.prompts[target])
    if not inner_steps:
        return always(e[0]), always(e[1])
    nouns = Nouns.of(bundle, source, target)
    h, w = canvas.z_ref.shape[-2:]
    looked = Looked(bundle, (h, w), nouns.places)
    found: list[tuple[PromptEmbeds, PromptEmbeds]] = []
    steps = len(path.timesteps)
    with stages.stage("embeddings", steps) as step, steered(bundle.unet, looked.attention):
        for k, t in enumerate(path.timesteps):
            if nouns.places:
                _learn(canvas, nouns, looked, path.at(steps - k), source, t, inner_steps, k)
                with torch.no_grad():
                    e = nouns.told(bundle, source, nouns.places), nouns.told(bundle, target, nouns.in_target)
            found.append(e)
            step()
    return (lambda i: found[steps - i][0]), (lambda i: found[steps - i][1])


def _learn(
    canvas: Canvas, nouns: Nouns, looked: Looked, z: Tensor, source: str, t: int, inner_steps: int, number: int
) -> None:
    """The rows of `nouns`, in place, at the latent `z` of timestep `t`, which is step `number`."""
    bundle, mask = canvas.bundle, canvas.request.mask
    selected = bool(mask.any()) and not bool(mask.all())
    limits = [start * math.exp(-number / fade) for start, fade in zip(STARTS, FADES, strict=True)]

    def loss(_: int) -> Tensor:
        bundle.predict(z, torch.full((1,), t, device=z.device), nouns.told(bundle, source, nouns.places))
        maps = looked.maps
        size = (maps.shape[-2], maps.shape[-1])
        background = F.adaptive_avg_pool2d(1 - canvas.cells(mask), size)[0, 0] if selected else None
        losses = leaks(maps, background)
        total = torch.stack([weight * part for weight, part in zip(WEIGHTS, losses, strict=True)]).sum()
        reached = all(float(part.detach()) <= limit for part, limit in zip(losses, limits, strict=True))
        return total * 0 if reached else total

    for row in nouns.rows:
        row.requires_grad_()
    fit(nouns.rows, loss, inner_steps, RATE, lambda: None, enough=DONE)
    for row in nouns.rows:
        row.requires_grad_(False)
