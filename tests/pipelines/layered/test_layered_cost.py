"""What an edit may cost: guards that need no GPU and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Extent, Picture, Quality, Scope
from pipelines.errors import NotEnoughMemory
from pipelines.layered import method
from pipelines.layered.embed import optimised_embeddings
from pipelines.layered.finetune import tuned_weights
from pipelines.layered.losses import Layers
from pipelines.layered.memory import memory_of, room_for
from pipelines.layered.steps import single_steps
from pipelines.models.bundle import ModelBundle
from pipelines.models.counting import META, Counted, counted, on_meta, peak_bytes
from pipelines.models.random_models import random_bundle
from pipelines.models.room import Room
from pipelines.params import EmbedMode, LayeredParams, Start, Tuned
from pipelines.seeds import generator

FEW = LayeredParams(steps=2, embed_steps=2, tune_steps=2, tune_rate=1e-3, lora_rank=2)


def parameters_of(name: str) -> dict[str, float]:
    """Millions by part."""
    modules = random_bundle(name, META).modules
    return {part: round(sum(p.numel() for p in module.parameters()) / 1e6, 2) for part, module in modules.items()}


PUBLISHED = {
    "random-sd15": {"unet": 859.52, "vae": 83.65, "text_encoder": 123.06},
    "random-sdxl": {"unet": 2567.46, "vae": 83.65, "text_encoder": 123.06, "text_encoder_2": 694.66},
}


@pytest.mark.parametrize("name", ["random-sd15", pytest.param("random-sdxl", marks=pytest.mark.slow)])
def test_the_full_size_models_have_the_published_numbers_of_parameters(name: str) -> None:
    assert parameters_of(name) == PUBLISHED[name]


# --------------------------------------------------------------------------------------------------- encoded once


@contextmanager
def calls(bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """The pictures that are encoded inside, and the texts, as the encoder is given them."""
    pictures: list[Tensor] = []
    texts: list[Tensor] = []
    plain = ModelBundle.encode

    def encode(self: ModelBundle, x: Tensor) -> Tensor:
        pictures.append(x)
        return plain(self, x)

    monkeypatch.setattr(ModelBundle, "encode", encode)
    hook = bundle.text_encoder.register_forward_pre_hook(lambda _, args: texts.extend(args[0]))
    try:
        yield pictures, texts
    finally:
        hook.remove()
        monkeypatch.undo()


WAYS = {
    "subject": ({"scope": Scope.SUBJECT, "background": ""}, 1, 2),
    "background": ({"scope": Scope.BACKGROUND, "subject": ""}, 2, 2),
    "both": ({}, 2, 3),
}
"""The request, and how many different pictures (input, background reference) and texts it has."""


@pytest.mark.parametrize("start", list(Start))
@pytest.mark.parametrize("way", WAYS)
def test_every_picture_and_every_text_is_encoded_once(
    bundle: ModelBundle,
    request_for: Callable[..., EditRequest],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    start: Start,
) -> None:
    changes, seen, said = WAYS[way]
    composite = start is not Start.NOISE and seen > 1
    with calls(bundle, monkeypatch) as (pictures, texts):
        method.run(bundle, request_for(candidates=2, **changes), replace(FEW, start=start, strength=0.7))
    assert len(pictures) == seen + composite
    assert len(texts) == len({tuple(text.tolist()) for text in texts}) == said


def test_a_stored_state_encodes_the_picture_and_the_empty_text(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = method.run(bundle, request_for(), FEW).fitted
    with calls(bundle, monkeypatch) as (pictures, texts):
        method.run(bundle, request_for(seed=8, fitted=fitted), FEW)
    assert (len(pictures), len(texts)) == (1, 1)


# ------------------------------------------------------------------------------------------------- what is trained


@pytest.fixture
def layers() -> Layers:
    m = torch.zeros(1, 1, 16, 16)
    m[..., 4:10, 5:11] = 1
    x_obj, x_bg = torch.randn(2, 1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    return Layers(x_obj, m, x_bg, 1 - m)


def test_the_embeddings_are_fitted_without_a_gradient_on_any_weight(bundle: ModelBundle, layers: Layers) -> None:
    looked = 0

    def look(preview: Picture | None = None) -> None:
        nonlocal looked
        looked += 1
        assert all(p.grad is None and not p.requires_grad for p in bundle.unet.parameters())

    e = bundle.embed_texts(["a dog"])
    optimised_embeddings(bundle, layers, e, e, FEW, generator(0, "x"), look)
    assert looked == FEW.embed_steps


def test_a_low_rank_fit_has_gradients_on_its_own_weights_only(bundle: ModelBundle, layers: Layers) -> None:
    trained: set[str] = set()

    def look(preview: Picture | None = None) -> None:
        trained.update(name for name, p in bundle.unet.named_parameters() if p.grad is not None)

    params = replace(FEW, tuned=Tuned.LORA)
    tuned_weights(bundle, layers, bundle.embed_texts(["a dog"]), params, 0, generator(0, "x"), look)
    assert trained and all("lora_" in name for name in trained)


# --------------------------------------------------------------------------------------------------------- counted


def costs(name: str, params: LayeredParams) -> dict[str, Counted]:
    """Of one step of every stage, on the meta device: any number the host asked for would be an error there."""
    bundle = random_bundle(name, META)
    side = bundle.card.resolution
    return {stage: counted(work) for stage, work in single_steps(bundle, Extent(side, side), params).items()}


@pytest.mark.parametrize("tuned", [Tuned.UNET, Tuned.LORA])
def test_no_step_makes_the_host_wait_for_the_device(tuned: Tuned) -> None:
    found = costs("random-tiny", replace(FEW, tuned=tuned))
    assert list(found) == ["encode", "embeddings", "fine-tune", "guidance", "decode"]
    assert all(cost.tflop > 0 for cost in found.values())


EXPECTED = {
    "encode": (1.117, 110),
    "embeddings": (3.44, 1490),
    "fine-tune": (4.95, 1890),
    "guidance": (1.607, 750),
    "decode": (2.515, 136),
}
"""TFLOP of one step at 512 pixels, of which the two that train see two samples; and its operators."""


@pytest.mark.slow
def test_a_step_of_stable_diffusion_costs_what_it_must() -> None:
    """Operators that compute are about the kernels that are launched: at most five in a hundred more."""
    found = costs("random-sd15", LayeredParams())
    for stage, (tflop, operators) in EXPECTED.items():
        assert found[stage].tflop == pytest.approx(tflop, rel=0.01), stage
        assert found[stage].operators <= 1.05 * operators, stage


# ---------------------------------------------------------------------------------------------------------- memory


def test_what_will_not_fit_is_said_before_it_starts(bundle: ModelBundle) -> None:
    extent, exact = Extent(32, 32), LayeredParams()
    need = memory_of(bundle, extent, exact)
    weights = sum(p.numel() for p in bundle.unet.parameters())
    assert (need.kept, need.optimiser) == (4 * weights, 8 * weights)
    assert need.working > need.kept, "gradients are part of it"
    loaded, least = need.weights, Room.PARTS
    spared = memory_of(bundle, extent, exact, least)
    assert room_for(bundle, extent, exact, None, least) is Room.PLENTY
    assert room_for(bundle, extent, exact, need.total - loaded, least) is Room.PLENTY
    assert room_for(bundle, extent, exact, need.total - loaded - 1, least) is least
    assert room_for(bundle, extent, exact, spared.total - loaded, least) is least
    with pytest.raises(NotEnoughMemory, match=r"there are 0\.0 GiB for both; choose standard quality"):
        room_for(bundle, extent, exact, spared.total - loaded - 1, least)
    light = replace(exact, tuned=Tuned.NONE)
    assert memory_of(bundle, extent, light).total < need.total - need.optimiser
    with pytest.raises(NotEnoughMemory, match="a lower quality or a smaller model"):
        room_for(bundle, extent, light, -loaded, Room.HALF)


def test_an_edit_that_does_not_fit_is_refused_before_anything_runs(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method, "free_bytes", lambda _: 0)
    with calls(bundle, monkeypatch) as (pictures, texts), pytest.raises(NotEnoughMemory):
        method.run(bundle, request_for(), replace(FEW, tuned=Tuned.UNET))
    assert not pictures and not texts


def test_with_less_room_an_edit_needs_less(bundle: ModelBundle) -> None:
    fast, params = replace(bundle, autocast=torch.bfloat16), replace(FEW, tuned=Tuned.LORA)
    needs = [memory_of(fast, Extent(32, 32), params, room).total for room in Room]
    assert needs == sorted(needs, reverse=True) and len(set(needs)) == len(Room)


def test_the_working_memory_is_what_a_real_step_holds(bundle: ModelBundle) -> None:
    """Counted without values, and on the processor with them."""
    params, extent = LayeredParams(), Extent(32, 32)
    real = single_steps(replace(bundle, autocast=None), extent, params)
    for stage, work in single_steps(on_meta(bundle), extent, params).items():
        assert peak_bytes(work) == pytest.approx(peak_bytes(real[stage]), rel=0.25), stage


def test_no_step_leaves_anything_to_the_next(bundle: ModelBundle) -> None:
    """So the most that one step holds is the most that all of them do."""
    for tuned in (Tuned.UNET, Tuned.LORA):
        for stage, work in single_steps(on_meta(bundle), Extent(32, 32), replace(FEW, tuned=tuned)).items():
            once = peak_bytes(work)
            assert peak_bytes(lambda work=work: [work() for _ in range(3)]) <= once, (tuned, stage)


@pytest.mark.parametrize(
    "changes", [{"embed_mode": EmbedMode.LITERAL}, {"lora_rank": 16}, {"guidance": 1.0, "embed_steps": 0}]
)
def test_memory_is_counted_for_the_very_settings(bundle: ModelBundle, changes: dict[str, object]) -> None:
    """Whatever was counted before: a literal reading of Eq. 2 has one sample a step, not two."""
    extent, tuned = Extent(32, 32), Tuned.LORA if "lora_rank" in changes else Tuned.NONE
    usual = replace(FEW, tuned=tuned, embed_steps=int("embed_mode" in changes))
    other = replace(usual, **changes)

    def most(params: LayeredParams) -> int:
        return max(peak_bytes(work) for work in single_steps(on_meta(bundle), extent, params).values())

    assert memory_of(bundle, extent, usual).working == most(usual)
    assert memory_of(bundle, extent, other).working == most(other) != most(usual)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quality", "room", "gigabytes"),
    [(Quality.EXACT, Room.PLENTY, 24), (Quality.STANDARD, Room.PLENTY, 12), (Quality.DRAFT, Room.HALF, 8)],
)
def test_stable_diffusion_fits_its_cards_as_counted(quality: Quality, room: Room, gigabytes: int) -> None:
    bundle = replace(random_bundle("random-sd15", META), autocast=torch.bfloat16)
    params = settings("layered", quality)
    assert isinstance(params, LayeredParams)
    assert memory_of(bundle, Extent(512, 512), params, room).total < 0.95e9 * gigabytes
