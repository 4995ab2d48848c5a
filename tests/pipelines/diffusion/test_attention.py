"""Attention that is read, replaced and led, on tiny networks of every family: values, and that nothing stays on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from pipelines.diffusion.attention import (
    Kind,
    Layer,
    Look,
    Part,
    Recorder,
    layers,
    nearest,
    steered,
    stored_bytes,
)
from pipelines.engine import ASSETS
from pipelines.models.bundle import ModelBundle
from pipelines.models.random_models import random_bundle

FAMILIES = ["tiny", "tiny-v", "tiny-xl"]


def predicted(bundle: ModelBundle, z: Tensor, *texts: str) -> Tensor:
    with torch.no_grad():
        return bundle.predict(z, torch.full((len(texts),), 300), bundle.embed_texts(texts))


def latent(bundle: ModelBundle, count: int = 2, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, bundle.latent_channels, 16, 16, generator=draw)


def attention(bundle: ModelBundle) -> tuple[Layer, ...]:
    return layers(bundle.unet, Kind.CROSS) + layers(bundle.unet, Kind.SELF)


def replaced(layer: Layer, look: Look) -> Tensor:
    return look.seen_by(look.maps)


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_put_back_as_they_are_change_nothing_and_every_row_is_a_share(
    load: Callable[[str], ModelBundle], family: str
) -> None:
    bundle, rows = load(family), []

    def kept(layer: Layer, look: Look) -> Tensor:
        rows.append(look.maps.sum(-1))
        return replaced(layer, look)

    z = latent(bundle)
    usual = predicted(bundle, z, "a dog", "a cat")
    with steered(bundle.unet, dict.fromkeys(attention(bundle), kept)):
        led = predicted(bundle, z, "a dog", "a cat")
    assert torch.allclose(led, usual, atol=1e-5)
    assert len(rows) == len(attention(bundle)) > 4
    assert all(torch.allclose(row, torch.ones_like(row), atol=1e-5) for row in rows)
    with steered(bundle.unet, dict.fromkeys(attention(bundle), lambda _, look: look.seen())):
        assert torch.allclose(predicted(bundle, z, "a dog", "a cat"), usual, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_another_sample_are_seen_where_its_maps_and_values_are_taken(
    load: Callable[[str], ModelBundle], family: str
) -> None:
    """All attention of one sample led to the other's: with the same latent both predict the same."""
    bundle = load(family)
    z = latent(bundle, 1).expand(2, -1, -1, -1)

    def first(layer: Layer, look: Look) -> Tensor:
        q, k, v = (x[:1].expand(2, -1, -1, -1) for x in (look.q, look.k, look.v))
        return Look(q, k, v).seen()

    if family != "tiny-xl":  # whose second text also enters with the timestep
        with steered(bundle.unet, dict.fromkeys(attention(bundle), first)):
            a, b = predicted(bundle, z, "a dog", "a red cat")
        assert torch.allclose(a, b, atol=1e-5)
    a, b = predicted(bundle, z, "a dog", "a red cat")
    assert not torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_is_off_again_after_an_exception(load: Callable[[str], ModelBundle], family: str) -> None:
    bundle, z = load(family), latent(load(family))
    usual = predicted(bundle, z, "a dog", "a cat")
    before = dict(bundle.unet.attn_processors)

    def fails(layer: Layer, look: Look) -> Tensor:
        raise RuntimeError("stopped")

    residual = layers(bundle.unet, Kind.RESIDUAL)[-1]
    with (
        pytest.raises(RuntimeError, match="stopped"),
        steered(bundle.unet, {attention(bundle)[-1]: fails}, {residual: torch.zeros_like}),
    ):
        predicted(bundle, z, "a dog", "a cat")
    after = bundle.unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())
    assert all(not module._forward_hooks for module in bundle.unet.modules())
    assert torch.equal(predicted(bundle, z, "a dog", "a cat"), usual)


def test_what_a_residual_layer_adds_is_changed_before_it_is_added(bundle: ModelBundle) -> None:
    layer = layers(bundle.unet, Kind.RESIDUAL, [Part.UP])[-1]
    block = bundle.unet.get_submodule(layer.name)
    x = torch.randn(1, block.conv1.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    temb = torch.zeros(1, block.time_emb_proj.in_features)
    with torch.no_grad(), steered(bundle.unet, residuals={layer: torch.zeros_like}):
        added_nothing = block(x, temb)
    assert torch.allclose(added_nothing, block.conv_shortcut(x), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "self_scales", "up_scales"),
    [
        ("random-sd15", [1, 1, 2, 2, 4, 4, 8, 4, 4, 4, 2, 2, 2, 1, 1, 1], [4, 4, 4, 2, 2, 2, 1, 1, 1]),
        ("random-sdxl", [2] * 4 + [4] * 20 + [4] * 10 + [4] * 30 + [2] * 6, [4] * 30 + [2] * 6),
    ],
)
def test_layers_of_the_published_sizes_stand_where_their_papers_have_them(
    name: str, self_scales: list[int], up_scales: list[int]
) -> None:
    """Execution order, and resolutions relative to the latent: 16 self-attention layers of 1.x, 70 of XL."""
    unet = random_bundle(name, torch.device("meta")).unet
    found = layers(unet, Kind.SELF)
    assert [layer.scale for layer in found] == self_scales
    assert [layer.scale for layer in layers(unet, Kind.CROSS, [Part.UP])] == up_scales
    coarse = nearest(layers(unet, Kind.CROSS, [Part.DOWN, Part.UP]), 4)
    assert {layer.scale for layer in coarse} == {4}
    if name == "random-sd15":
        assert [layer.name.split(".attn")[0][:26] for layer in coarse] == [
            *(f"down_blocks.2.attentions.{k}" for k in (0, 1)),
            *(f"up_blocks.1.attentions.{k}.t"[:26] for k in (0, 1, 2)),
        ]
        residual = [layer.name for layer in layers(unet, Kind.RESIDUAL, [Part.UP]) if layer.scale == 4]
        assert residual == [f"up_blocks.1.resnets.{k}" for k in (0, 1, 2)]


def test_the_embedded_network_attends_at_a_quarter_and_an_eighth() -> None:
    config = json.loads((ASSETS / "models" / "toybox" / "unet" / "config.json").read_text())
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    assert [layer.scale for layer in layers(unet, Kind.SELF)] == [4, 8, 8, 8, 8, 4, 4]
    assert [layer.scale for layer in nearest(layers(unet, Kind.CROSS, [Part.UP]), 4)] == [4, 4]


def test_a_network_without_a_resolution_is_asked_at_the_nearest(bundle: ModelBundle) -> None:
    cross = layers(bundle.unet, Kind.CROSS)
    assert {layer.scale for layer in cross} == {2} and nearest(cross, 4) == cross and nearest((), 4) == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_maps_say_how_much_is_looked_at_each_token(load: Callable[[str], ModelBundle], family: str) -> None:
    bundle, z = load(family), latent(load(family))
    cross = layers(bundle.unet, Kind.CROSS)
    recorder = Recorder((16, 16), slice(1, None))
    with steered(bundle.unet, dict.fromkeys(cross, recorder)):
        predicted(bundle, z, "", "a dog")
    every = range(12)
    assert recorder.of(every).shape == (1, 1, 8, 8)
    assert torch.allclose(recorder.of(every), torch.ones(1, 1, 8, 8), atol=1e-5)
    assert torch.allclose(sum(recorder.of([place]) for place in every), torch.ones(1, 1, 8, 8), atol=1e-5)  # type: ignore[arg-type]


def test_bytes_of_stored_maps_are_those_of_the_maps(bundle: ModelBundle) -> None:
    z, held = latent(bundle, 1), []

    def kept(layer: Layer, look: Look) -> Tensor:
        held.append(look.maps)
        return look.seen()

    chosen = attention(bundle)
    with steered(bundle.unet, dict.fromkeys(chosen, kept)):
        predicted(bundle, z, "a dog")
    assert stored_bytes(bundle.unet, chosen, (16, 16), 12, 3) == 3 * sum(m.numel() * 4 for m in held)


def test_attention_that_may_look_at_some_keys_only_sees_those() -> None:
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 5, 4, generator=draw) for _ in range(3))
    allowed = torch.tensor([True, True, False, False, False])[None, None, None]
    assert torch.allclose(Look(q, k, v).seen(allowed), Look(q, k[:, :, :2], v[:, :, :2]).seen(), atol=1e-6)


def test_sizes_that_do_not_halve_evenly_are_those_of_the_network(bundle: ModelBundle) -> None:
    z = torch.randn(1, 4, 14, 10, generator=torch.Generator().manual_seed(0))
    recorder = Recorder((14, 10))
    with steered(bundle.unet, dict.fromkeys(layers(bundle.unet, Kind.CROSS), recorder)):
        predicted(bundle, z, "a dog")
    assert recorder.of([0]).shape == (1, 1, 7, 5)
