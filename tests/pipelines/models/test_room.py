"""A model in little memory: what is computed, what is carried away, and that all of it comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.contract import EditRequest, EditResult
from pipelines.layered import method
from pipelines.models import room
from pipelines.models.bundle import ModelBundle
from pipelines.models.loader import load_bundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.models.room import Room, products, tiled, with_room
from pipelines.params import LayeredParams, Tuned

FEW = LayeredParams(steps=2, embed_steps=2, tune_steps=2, tune_rate=1e-3, lora_rank=2, tuned=Tuned.NONE)


@pytest.fixture
def fast(bundle: ModelBundle) -> ModelBundle:
    """In the arithmetic of a GPU."""
    return replace(bundle, autocast=torch.bfloat16)


def noise(bundle: ModelBundle, e: PromptEmbeds) -> torch.Tensor:
    z = torch.randn(1, bundle.latent_channels, 16, 16, generator=torch.Generator().manual_seed(0))
    return bundle.predict(z, torch.tensor([300]), e)


@pytest.mark.parametrize("asked", list(Room))
def test_less_room_changes_no_number(fast: ModelBundle, asked: Room) -> None:
    """The weights that are rounded are those that the arithmetic rounds anyway."""
    before, e = fast.checksum(), fast.embed_texts(["a dog"])
    expected = noise(fast, e)
    with with_room(fast, asked) as bundle:
        halved = {p.dtype for p in products(bundle.unet)} == {torch.bfloat16}
        assert halved is (asked is Room.HALF)
        assert torch.equal(bundle.embed_texts(["a dog"]).tokens, e.tokens)
        assert torch.equal(noise(bundle, e), expected)
    assert fast.checksum() == before
    assert {p.dtype for p in fast.unet.parameters()} == {torch.float32}


def test_what_fails_in_little_room_leaves_the_weights_whole(fast: ModelBundle) -> None:
    before = fast.checksum()
    with pytest.raises(KeyboardInterrupt), with_room(fast, Room.HALF):
        raise KeyboardInterrupt
    assert fast.checksum() == before


def edited(bundle: ModelBundle, request: EditRequest, params: LayeredParams, asked: Room) -> EditResult:
    """As if `asked` were all that the free memory allows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "room_for", lambda *_: asked)
        return method.run(bundle, request, params)


def test_a_whole_edit_is_the_same_in_every_room(fast: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    found = [edited(fast, request_for(), FEW, asked).candidates[0].picture for asked in Room]
    assert all(np.array_equal(picture, found[0]) for picture in found[1:])


def test_a_low_rank_update_is_float32_over_rounded_weights(
    fast: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    before = fast.checksum()
    whole, halved = (
        edited(fast, request_for(), replace(FEW, tuned=Tuned.LORA), asked) for asked in (Room.PLENTY, Room.HALF)
    )
    difference = whole.candidates[0].picture.astype(int) - halved.candidates[0].picture
    assert np.abs(difference).mean() < 2  # levels: the update starts from rounded numbers
    assert fast.checksum() == before


def test_the_autoencoder_sees_tiles_and_forgets_them(
    load: Callable[[str], ModelBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TILE", 32)
    bundle = load("tiny-kl")
    z = torch.randn(1, bundle.latent_channels, 32, 32, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[int, ...]] = []
    hook = bundle.vae.decoder.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
    with tiled(bundle.vae, bundle.cell):
        x = bundle.decode(z)
    hook.remove()
    assert len(seen) > 1 and all(max(shape) <= 16 for shape in seen)
    assert x.shape == (1, 3, 64, 64)
    assert not bundle.vae.use_tiling and bundle.vae.tile_sample_min_size == 32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_parts_are_on_the_gpu_only_while_they_work(bundle: ModelBundle) -> None:
    on_gpu = load_bundle(bundle.card, torch.device("cuda"))
    places: list[str] = []
    on_gpu.text_encoder.register_forward_pre_hook(lambda part, _: places.append(device_of(part)))
    with with_room(on_gpu, Room.PARTS) as spared:
        assert (device_of(spared.vae), device_of(spared.text_encoder)) == ("cpu", "cpu")
        spared.embed_texts(["a dog"])
        assert device_of(spared.text_encoder) == "cpu"
    assert places == ["cuda"] and device_of(on_gpu.vae) == "cuda"


def device_of(part: nn.Module) -> str:
    return next(part.parameters()).device.type
