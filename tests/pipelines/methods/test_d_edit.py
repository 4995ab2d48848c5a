"""D-Edit: grouped attention by hand, words that are fitted without a trace in the token table, and what is tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.attention import Kind, Layer, Look, Part, layers, steered
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.rows import token_tables
from pipelines.methods import d_edit
from pipelines.methods.d_edit import (
    GroupedAttention,
    Item,
    items_of,
    open_projections,
    reproduction_loss,
    spoken,
    together,
)
from pipelines.models.bundle import ModelBundle
from pipelines.params import DEditParams, Tunes
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
FEW = DEditParams(
    embed_steps=20, embed_rate=3e-2, tunes=Tunes.NOTHING, tune_steps=20, tune_rate=3e-3, timesteps_per_step=2, steps=3
)
LAYER = Layer("up_blocks.0.attentions.0.transformer_blocks.0.attn2", Part.UP, Kind.CROSS, 2)


def looks(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 2, n, 3, generator=draw) for n in (6, tokens, tokens))  # type: ignore[return-value]


def test_every_place_sees_the_words_of_its_own_item_and_one_item_everywhere_is_usual_attention() -> None:
    q, k, v = looks(8)
    left = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).expand(4, 6)[None, None]  # seen at 2 x 3 by the layer
    seen = GroupedAttention([left, 1 - left]).attend(LAYER, Look(q, k, v)).unflatten(2, (2, 3))
    first, second = (Look(q, k[:, :, half], v[:, :, half]).seen() for half in (slice(0, 4), slice(4, 8)))
    assert torch.allclose(seen[..., 0, :], first.unflatten(2, (2, 3))[..., 0, :], atol=1e-6)
    assert torch.allclose(seen[..., 1:, :], second.unflatten(2, (2, 3))[..., 1:, :], atol=1e-6)
    alone = GroupedAttention([torch.ones(1, 1, 4, 6)]).attend(LAYER, Look(q, k, v))
    assert torch.allclose(alone, Look(q, k, v).seen(), atol=1e-6)
    half = torch.full((1, 1, 4, 6), 0.5)
    both = GroupedAttention([half, half]).attend(LAYER, Look(q, k.repeat(1, 1, 2, 1), v.repeat(1, 1, 2, 1)))
    assert torch.allclose(both, Look(q, k, v).seen(), atol=1e-6), "shares of a cell sum to 1"


def test_the_items_are_the_parts_and_know_their_half_of_the_source(bundle: ModelBundle, request_for: Ask) -> None:
    asked = request_for(source="a cat in the snow", subject=" a dog ", background="")
    subject, background = items_of(Canvas.of(bundle, asked), 3)
    assert torch.allclose(subject.place + background.place, torch.ones_like(subject.place))
    assert (subject.known, subject.text) == ("a cat", "a dog") and (background.known, background.text) == (
        "in the snow",
        "",
    )
    table = bundle.text_encoder.get_input_embeddings().weight
    assert subject.words[0].shape == (3, table.shape[1]) and not torch.equal(subject.words[0], background.words[0])


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_rows_of_the_table_as_new_words_say_what_the_words_themselves_do(
    load: Callable[[str], ModelBundle], request_for: Ask, family: str
) -> None:
    bundle = load(family)
    canvas, before = Canvas.of(bundle, request_for()), bundle.checksum()
    readers = [(bundle.tokenizer, bundle.text_encoder), (bundle.tokenizer_2, bundle.text_encoder_2)]
    rows = [
        encoder.get_input_embeddings().weight[tokenizer("a b", add_special_tokens=False)["input_ids"]].detach()
        for tokenizer, encoder in readers
        if encoder is not None
    ]
    for text in ("dog", ""):
        said = spoken(canvas, rows, text).tokens
        assert torch.allclose(said, bundle.embed_texts([f"a b {text}"]).tokens, atol=1e-5)
    assert spoken(canvas, [row.repeat(9, 1) for row in rows], "dog").tokens.shape == said.shape, "as many as it has"
    assert not any(table._forward_hooks for table in token_tables(bundle)) and bundle.checksum() == before


def test_each_fit_lowers_the_loss_of_fixed_draws_and_leaves_the_model_as_it_was(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a dog", background="", scope=Scope.SUBJECT)
    canvas, before = Canvas.of(bundle, asked), bundle.checksum()
    items: list[Item] = []
    losses: list[float] = []

    @torch.no_grad()
    def loss() -> float:
        e = together([spoken(canvas, item.words, item.known) for item in items])
        led = dict.fromkeys(layers(bundle.unet, Kind.CROSS), GroupedAttention([item.place for item in items]).attend)
        with steered(bundle.unet, led):
            return float(reproduction_loss(canvas, e, torch.Generator().manual_seed(1), 16))

    def noted(*args: Any) -> list[Item]:
        items[:] = items_of(*args)
        return items

    denoise = d_edit.denoise
    monkeypatch.setattr(d_edit, "items_of", noted)
    monkeypatch.setattr(d_edit, "denoise", lambda *args, **kw: losses.append(loss()) or denoise(*args, **kw))
    for params in (replace(FEW, embed_steps=0), FEW, *(replace(FEW, tunes=t) for t in Tunes if t is not Tunes.NOTHING)):
        d_edit.run(bundle, asked, params)
        assert bundle.checksum() == before
    drawn, fitted, *tuned = losses
    assert len(tuned) == 2 and max(tuned) < fitted < drawn


def test_what_is_tuned_is_cross_attention_and_is_closed_again_whatever_happens(bundle: ModelBundle) -> None:
    before, params = bundle.checksum(), replace(FEW, tunes=Tunes.PROJECTIONS)
    names = {id(p): name for name, p in bundle.unet.named_parameters()}

    def stopped() -> None:
        with open_projections(bundle, params, 7) as weights, torch.no_grad():
            assert {names[id(p)].split(".")[-2] for p in weights} == {"to_q", "to_k", "to_v"}
            assert all(".attn2." in names[id(p)] and p.requires_grad for p in weights)
            for p in weights:
                p += 1
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert bundle.checksum() == before and not any(p.requires_grad for p in bundle.unet.parameters())


def test_what_is_kept_is_the_picture_s_and_words_are_fitted_only_where_they_are_said(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a dog", background="", scope=Scope.SUBJECT)
    z, result = ran(monkeypatch, d_edit, bundle, asked, FEW)
    canvas = Canvas.of(bundle, asked)
    outside = (canvas.edited == 0).expand_as(z)
    assert outside.any() and torch.equal(z[outside], canvas.z_ref[outside])
    assert [stage.name for stage in result.stages] == ["embeddings", "denoise"]
    keeps, _ = ran(monkeypatch, d_edit, bundle, asked, replace(FEW, keep_words=True))
    assert not torch.allclose(keeps, z, atol=1e-4)
    both = request_for(scope=Scope.BOTH)
    assert [stage.name for stage in d_edit.run(bundle, both, FEW).stages] == ["denoise"]
