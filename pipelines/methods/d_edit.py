"""D-Edit (Feng et al. 2024): the picture is taken apart into items, and each has words of its own.

An item is a part of the mask, the subject or the background. Cross-attention lets every place look at the words of its
own item alone (grouped cross-attention), so that one item's words cannot leak into another. Each item is given a few
new words, which are fitted until they say what the picture shows there, and then the projections of cross-attention
are tuned at them. The edit says an item's new text instead, and the item that stays goes on with its own words.

New words are rows of the token table that stand before what is known of the item; the table itself is never touched.
Guidance leads away from the empty text where the published code has zeros, which no model was told in its training, and
the seam is the turn's feather where that code has a ring of 15 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, extent_at, layers, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text
from pipelines.diffusion.fit import fit
from pipelines.diffusion.rows import Reading, read_as, token_tables
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.instructions.description import thing_and_place
from pipelines.models.adapters import lora
from pipelines.models.bundle import ModelBundle, trainable
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import DEditParams, Tunes
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like, sent

PROJECTIONS = ("attn2.to_q", "attn2.to_k", "attn2.to_v")
"""The layers that are tuned: of cross-attention what asks, what answers and what is seen."""


@dataclass(frozen=True, eq=False)
class Item:
    """One part of the picture."""

    place: Tensor
    """``(1, 1, h, w)`` in [0, 1]: its share of each cell of the latent; all items' sum to 1."""
    known: str
    """What is known to be there."""
    text: str
    """What it becomes; empty where it stays."""
    words: tuple[Tensor, ...]
    """``(n, D)`` for each text encoder: the rows of its new words."""


def items_of(canvas: Canvas, count: int) -> tuple[Item, Item]:
    """The subject and the background, with `count` new words each: drawn like the rows of the token table."""
    request, draws = canvas.request, generator(canvas.request.fitting_seed, "new words")
    share = canvas.frame.latent_share(request.mask).to(canvas.bundle.device)
    thing, place = thing_and_place(request.source)
    tables = token_tables(canvas.bundle)

    def item(place: Tensor, known: str, text: str) -> Item:
        return Item(place, known, text.strip(), tuple(_like(table.weight, count, draws) for table in tables))

    return item(share, thing, request.subject), item(1 - share, place, request.background)


def _like(table: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """``(count, D) float32`` from the normal distribution that the rows of `table` ``(V, D)`` have."""
    mean, deviation = table.detach().float().mean(0), table.detach().float().std(0)
    return (mean + deviation * sent(torch.randn(count, table.shape[1], generator=draws), table.device)).contiguous()


def spoken(canvas: Canvas, words: Sequence[Tensor], text: str) -> PromptEmbeds:
    """The new words and then `text`, with gradients. XL's summary is that of the text alone: it reaches every place of
    the picture at once, so no mask could keep one item's words out of it."""

    def behind_the_start(rows: Tensor) -> Reading:
        return lambda told: torch.cat([told[:, :1], rows[None].to(told), told[:, 1:]], dim=1)[:, : told.shape[1]]

    summary = canvas.prompts[text].pooled
    with read_as(canvas.bundle, [behind_the_start(rows) for rows in words]):
        said = replace(canvas.bundle, empty_is_zero=False).embedded([text])  # new words alone are no empty text
    return replace(said, pooled=summary)


class GroupedAttention:
    """Every place looks at the words of its own item: ``sum_i M_i * Attn(q, k_i, v_i)``, a softmax each.

    What the network is told are the items' texts one after the other, in one sequence of as many tokens each.
    """

    def __init__(self, places: Sequence[Tensor]) -> None:
        """`places` are ``(1, 1, h, w)`` in [0, 1] and sum to 1."""
        self._places, self._extent = places, (places[0].shape[-2], places[0].shape[-1])

    def attend(self, layer: Layer, look: Look) -> Tensor:
        count, size = len(self._places), extent_at(layer, self._extent)
        seen = torch.zeros((), device=look.q.device)
        for place, k, v in zip(self._places, look.k.chunk(count, 2), look.v.chunk(count, 2), strict=True):
            m = F.adaptive_avg_pool2d(place, size).flatten(2).transpose(1, 2)[:, None]  # (1, 1, N, 1)
            seen = seen + m * Look(look.q, k, v).seen()
        return seen


def together(texts: Sequence[PromptEmbeds]) -> PromptEmbeds:
    """What the network is told for `GroupedAttention`."""
    whole = texts[0]
    for text in texts[1:]:
        whole = whole.followed_by(text)
    return whole


@contextmanager
def open_projections(bundle: ModelBundle, params: DEditParams, seed: int) -> Iterator[Sequence[nn.Parameter]]:
    """The parameters that are tuned; none of it is left afterwards."""
    if params.tunes is Tunes.NOTHING or not params.tune_steps:
        yield ()
    elif params.tunes is Tunes.LORA:
        with lora(bundle.unet, params.lora_rank, seed, PROJECTIONS) as parameters:
            yield parameters
    else:
        named = bundle.unet.named_parameters()
        weights = [p for name, p in named if name.rpartition(".")[0].endswith(PROJECTIONS)]
        with trainable(weights):
            yield weights


def reproduction_loss(canvas: Canvas, e: PromptEmbeds, draws: torch.Generator, count: int) -> Tensor:
    """Mean of ``(eps - f(z_t, t, e))^2`` over `count` noise levels of the picture."""
    bundle, z_0 = canvas.bundle, canvas.z_ref.expand(count, -1, -1, -1)
    t = sent(torch.randint(0, bundle.schedule.length, (count,), generator=draws), bundle.device)
    eps = normal_like(z_0, draws)
    return (bundle.predict(bundle.schedule.noised(z_0, eps, t), t, e.expanded(count)) - eps).square().mean()


def run(bundle: ModelBundle, request: EditRequest, params: DEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. Words that nobody goes by are not fitted."""
    canvas, stages, seed = Canvas.of(bundle, request), Stages(progress), request.fitting_seed
    items = items_of(canvas, params.new_words)
    grouped = GroupedAttention([item.place for item in items])
    led: dict[Layer, Attend] = dict.fromkeys(layers(bundle.unet, Kind.CROSS), grouped.attend)
    timesteps = bundle.schedule.timesteps(params.steps)
    with open_projections(bundle, params, seed) as weights, steered(bundle.unet, led):
        if params.embed_steps and (weights or params.keep_words or not all(item.text for item in items)):
            _fit_words(canvas, stages, items, params)
        with torch.no_grad():
            shown = [spoken(canvas, item.words, item.known) for item in items]
        if weights:
            with stages.stage("fine-tune", params.tune_steps) as step:
                draws, e = generator(seed, "fine-tune"), together(shown)
                fit(
                    weights,
                    lambda _: reproduction_loss(canvas, e, draws, params.timesteps_per_step),
                    params.tune_steps,
                    params.tune_rate,
                    step,
                )
        with torch.no_grad():
            e = together([_said(canvas, item, own, params.keep_words) for item, own in zip(items, shown, strict=True)])
        e_null = together([canvas.prompts[avoided_text(request)]] * len(items))
        predict = guided(bundle, always(e), e_null, params.guidance)

        def sample(seed: int, after_step: AfterStep) -> Tensor:
            noise = normal_like(canvas.z_ref, generator(seed, "denoise"))
            return denoise(bundle, noise, DDIM(noise), timesteps, predict, after_step, canvas.hold)

        candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)


def _fit_words(canvas: Canvas, stages: Stages, items: Sequence[Item], params: DEditParams) -> None:
    """The new words of all items, in place, until they say what the picture shows."""
    rows = [row.requires_grad_() for item in items for row in item.words]
    draws = generator(canvas.request.fitting_seed, "embeddings")

    def loss(_: int) -> Tensor:
        e = together([spoken(canvas, item.words, item.known) for item in items])
        return reproduction_loss(canvas, e, draws, params.timesteps_per_step)

    with stages.stage("embeddings", params.embed_steps) as step:
        fit(rows, loss, params.embed_steps, params.embed_rate, step)


def _said(canvas: Canvas, item: Item, own: PromptEmbeds, keeps: bool) -> PromptEmbeds:
    """What an item is called in the edit: its own words where it stays, else its new text, before which the new words
    may stand too."""
    if not item.text:
        return own
    return spoken(canvas, item.words, item.text) if keeps else canvas.prompts[item.text]
