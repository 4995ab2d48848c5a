"""Fitting that begins at what the parent turn fitted: as far as that fits, and not a bit further."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult, Mask, Picture, Scope
from pipelines.diffusion.fit import EarlyStopping
from pipelines.layered import embed, finetune, method
from pipelines.layered.key import fit_key
from pipelines.models.bundle import ModelBundle
from pipelines.params import LayeredParams, Tuned
from pipelines.progress import Cancelled

Build = Callable[..., EditRequest]
FAR = LayeredParams(
    embed_steps=3,
    embed_rate=0.05,
    tuned=Tuned.LORA,
    tune_steps=3,
    tune_rate=0.02,
    lora_rank=2,
    steps=2,
    warm_start=True,
)
"""What the parent fits: it goes a long way from where it began."""
NEAR = replace(FAR, embed_steps=1, embed_rate=1e-6, tune_steps=1, tune_rate=1e-8)
"""What the turn fits: Adam's first step is as long as its rate, so it ends where it began."""
KINDS = [Tuned.LORA, Tuned.UNET]


def stored(result: EditResult) -> dict[str, Tensor]:
    assert result.fitted is not None
    return safetensors.torch.load(result.fitted)


def weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() for name, t in tensors.items() if name.startswith("weights.")}


def spoilt(data: bytes, change: Callable[[dict[str, Tensor]], Any]) -> bytes:
    tensors = safetensors.torch.load(data)
    change(tensors)
    return safetensors.torch.save(tensors)


@pytest.fixture
def parent(bundle: ModelBundle, request_for: Build) -> EditResult:
    return method.run(bundle, request_for(), FAR)


@pytest.fixture
def second(request_for: Build, parent: EditResult) -> Build:
    """Builds the request of the turn after `parent`, on its picture; keywords replace fields."""

    def build(**changes: Any) -> EditRequest:
        return request_for(**{"picture": parent.candidates[0].picture, "warm": parent.fitted, **changes})

    return build


@pytest.mark.parametrize(
    ("said", "warm"),
    [
        ({}, {"e_a", "e_b"}),
        ({"subject": " a blue dog\n"}, {"e_a", "e_b"}),
        ({"subject": "a red cat"}, {"e_b"}),
        ({"background": "in a city"}, {"e_a"}),
        ({"subject": "in a forest", "background": "a blue dog"}, set()),
    ],
    ids=["the same texts", "but for space", "another subject", "another background", "in each other's place"],
)
def test_an_embedding_begins_at_the_parents_where_its_text_is_the_same(
    bundle: ModelBundle, second: Build, parent: EditResult, said: dict[str, str], warm: set[str]
) -> None:
    before, after = stored(parent), stored(method.run(bundle, second(**said), NEAR))
    for name, text in (("e_a", second(**said).subject), ("e_b", second(**said).background)):
        cold = bundle.embed_texts([text.strip()]).tokens
        begun = before[name] if name in warm else cold
        assert torch.allclose(after[name], begun, atol=1e-5)
        assert not torch.allclose(before[name], cold, atol=1e-2), "the two beginnings can be told apart"


@pytest.mark.parametrize("tuned", KINDS)
def test_the_change_of_the_weights_begins_at_the_parents(
    bundle: ModelBundle, request_for: Build, second: Build, tuned: Tuned
) -> None:
    """Whatever the texts: the picture is the same one."""
    before = weights(stored(method.run(bundle, request_for(), replace(FAR, tuned=tuned))))
    parents = method.run(bundle, request_for(), replace(FAR, tuned=tuned)).fitted
    asked = second(warm=parents, subject="a red cat", background="in a city")
    warm, cold = (
        weights(stored(method.run(bundle, replace(asked, warm=warm), replace(NEAR, tuned=tuned))))
        for warm in (parents, None)
    )
    assert before.keys() == warm.keys() == cold.keys()
    for name, change in before.items():
        assert torch.allclose(warm[name], change, rtol=2e-2, atol=1e-6), name
    assert max((cold[name] - change).abs().max().item() for name, change in before.items()) > 0.01


def test_another_mask_and_another_seed_begin_warm_all_the_same(
    bundle: ModelBundle, second: Build, parent: EditResult, mask: Mask
) -> None:
    after = stored(method.run(bundle, second(mask=np.roll(mask, 6, 1), seed=99), NEAR))
    assert torch.allclose(after["e_a"], stored(parent)["e_a"], atol=1e-5)


def test_a_summary_stays_that_of_the_text(load: Callable[[str], ModelBundle], request_for: Build) -> None:
    """XL's is never fitted, so there is nothing in it to go on from."""
    xl = load("tiny-xl")
    before = method.run(xl, request_for(), FAR)
    after = stored(method.run(xl, request_for(warm=before.fitted), NEAR))
    assert torch.allclose(after["e_a"], stored(before)["e_a"], atol=1e-5)
    assert torch.equal(after["e_a.pooled"], xl.embed_texts(["a blue dog"]).pooled)


NOTHING_OF_IT = {
    "no parent": lambda data: None,
    "cut off": lambda data: data[:-100],
    "nonsense": lambda data: b"nonsense",
    "nothing": lambda data: b"",
    "stored before origins were": lambda data: spoilt(data, lambda t: t.pop("origin")),
    "an origin of a kind": lambda data: spoilt(data, lambda t: t.update(origin=torch.zeros(3, 32))),
    "an origin of a size": lambda data: spoilt(data, lambda t: t.update(origin=torch.zeros(2, 32, dtype=torch.uint8))),
    "no texts": lambda data: spoilt(data, lambda t: t.pop("e_b")),
    "a mask of a kind": lambda data: spoilt(data, lambda t: t.update(mask=torch.zeros(4, dtype=torch.bfloat16))),
}


@pytest.mark.parametrize("spoil", NOTHING_OF_IT.values(), ids=NOTHING_OF_IT)
def test_what_cannot_be_read_or_is_of_before_begins_cold(
    bundle: ModelBundle, second: Build, parent: EditResult, spoil: Callable[[bytes], bytes | None]
) -> None:
    """Layers and picture are, byte for byte, those of a turn that was given none."""
    assert parent.fitted is not None
    given = method.run(bundle, second(warm=spoil(parent.fitted)), FAR)
    without = method.run(bundle, second(), replace(FAR, warm_start=False))
    assert given.fitted == without.fitted
    assert np.array_equal(given.candidates[0].picture, without.candidates[0].picture)


PART_OF_IT: dict[str, Callable[[bytes], bytes]] = {
    "texts not finite": lambda data: spoilt(data, lambda t: [t[name].fill_(torch.nan) for name in ("e_a", "e_b")]),
    "texts of another length": lambda data: spoilt(
        data, lambda t: t.update({name: t[name][:, :4].contiguous() for name in ("e_a", "e_b")})
    ),
    "texts in half": lambda data: spoilt(data, lambda t: t.update({name: t[name].half() for name in ("e_a", "e_b")})),
}


@pytest.mark.parametrize("spoil", PART_OF_IT.values(), ids=PART_OF_IT)
def test_texts_that_do_not_fit_begin_cold(
    bundle: ModelBundle, second: Build, parent: EditResult, spoil: Callable[[bytes], bytes]
) -> None:
    assert parent.fitted is not None
    params = replace(FAR, tuned=Tuned.NONE)
    given, without, warm = (
        method.run(bundle, second(warm=warm), params).fitted for warm in (spoil(parent.fitted), None, parent.fitted)
    )
    assert given == without != warm


WRONG = ["kind", "not finite", "a layer is missing", "a shape is another"]


@pytest.mark.parametrize(
    ("tuned", "wrong"), [(Tuned.LORA, "rank"), *((tuned, wrong) for tuned in KINDS for wrong in WRONG)]
)
def test_a_change_of_the_weights_that_does_not_fit_begins_cold(
    bundle: ModelBundle, request_for: Build, second: Build, tuned: Tuned, wrong: str
) -> None:
    params = replace(FAR, tuned=tuned, embed_steps=0)
    earlier = {
        "rank": replace(params, lora_rank=3),
        "kind": replace(params, tuned=next(kind for kind in KINDS if kind is not tuned)),
    }.get(wrong, params)
    before = method.run(bundle, request_for(), earlier).fitted
    assert before is not None

    def spoil(tensors: dict[str, Tensor]) -> None:
        name = next(name for name in tensors if name.startswith("weights."))
        if wrong == "not finite":
            tensors[name].view(-1)[0] = torch.inf
        if wrong == "a layer is missing":
            del tensors[name]
        if wrong == "a shape is another":
            tensors[name] = tensors[name][None].contiguous()

    given, without, warm = (
        method.run(bundle, second(warm=warm), params).fitted
        for warm in (spoilt(before, spoil), None, method.run(bundle, request_for(), params).fitted)
    )
    assert given == without != warm


def test_layers_of_another_model_begin_cold(
    bundle: ModelBundle, load: Callable[[str], ModelBundle], request_for: Build, second: Build
) -> None:
    """Though all of them would fit: both models have networks of the same shape."""
    before = method.run(load("tiny-kl"), request_for(), FAR).fitted
    assert method.run(bundle, second(warm=before), FAR).fitted == method.run(bundle, second(warm=None), FAR).fitted


def test_a_phase_without_steps_takes_nothing_over(bundle: ModelBundle, second: Build) -> None:
    asked = second()
    after = stored(method.run(bundle, asked, replace(FAR, embed_steps=0, tune_steps=0)))
    assert torch.equal(after["e_a"], bundle.embed_texts(["a blue dog"]).tokens) and not weights(after)


@pytest.mark.parametrize("tuned", KINDS)
def test_stopping_early_measures_by_the_whole_way_from_a_cold_beginning(
    bundle: ModelBundle, request_for: Build, second: Build, monkeypatch: pytest.MonkeyPatch, tuned: Tuned
) -> None:
    """What the fit is told of the way it was spared is the loss with which it begins cold, in each phase."""
    made: list[tuple[float | None, float]] = []

    def stopping(loss: Callable[[], Tensor], cold: float | None = None) -> EarlyStopping:
        made.append((cold, loss().item()))
        return EarlyStopping(loss, cold=cold)

    for phase in (embed, finetune):
        monkeypatch.setattr(phase, "EarlyStopping", stopping)
    params = replace(FAR, tuned=tuned, early_stop=True, tune_rate=2e-3)
    for embed_steps in (3, 0):  # without phase 1, phase 2 tells the same texts, warm or cold
        some = replace(params, embed_steps=embed_steps)
        before = method.run(bundle, request_for(), some).fitted
        made.clear()
        for warm in (None, before):
            method.run(bundle, second(warm=warm), some)
        phases = len(made) // 2
        assert [cold for cold, _ in made[:phases]] == [None] * phases
        (_, began), (cold, begins) = made[0], made[phases]
        assert cold == began != begins


def test_stopping_early_takes_fewer_steps_from_where_the_parent_stopped(
    bundle: ModelBundle, request_for: Build
) -> None:
    """The same edit once more, so that there is hardly any way left."""
    params = LayeredParams(embed_steps=300, embed_rate=0.03, tuned=Tuned.NONE, steps=2, early_stop=True)
    asked = request_for(background_reference=request_for().picture[::-1].copy())
    first = method.run(bundle, asked, params)
    again = method.run(bundle, replace(asked, warm=first.fitted), replace(params, warm_start=True))
    steps = [next(s.steps for s in result.stages if s.name == "embeddings") for result in (first, again)]
    assert steps[1] < steps[0] < 300, steps


def test_without_the_setting_nothing_is_taken_over(bundle: ModelBundle, second: Build) -> None:
    off = replace(FAR, warm_start=False)
    given, without, on = (
        method.run(bundle, second(warm=warm), params).fitted
        for warm, params in ((second().warm, off), (None, off), (second().warm, FAR))
    )
    assert given == without != on


@pytest.mark.parametrize("tuned", list(Tuned))
def test_the_same_turn_after_the_same_parent_has_the_same_bytes(
    bundle: ModelBundle, request_for: Build, second: Build, tuned: Tuned
) -> None:
    params = replace(FAR, tuned=tuned)
    before = method.run(bundle, request_for(), params).fitted
    first = method.run(bundle, second(warm=before, candidates=2), params)
    again = method.run(bundle, second(warm=before), params)
    cold = method.run(bundle, second(warm=None), params)
    assert again.fitted == first.fitted != cold.fitted
    assert np.array_equal(again.candidates[0].picture, first.candidates[0].picture)
    sampled = method.run(bundle, second(warm=before, fitted=first.fitted, seed=8, fit_seed=7), params)
    assert np.array_equal(sampled.candidates[0].picture, first.candidates[1].picture)


@pytest.mark.parametrize("tuned", KINDS)
@pytest.mark.parametrize("error", [None, Cancelled, RuntimeError])
@pytest.mark.parametrize("stage", ["embeddings", "fine-tune", "guidance"])
def test_the_models_weights_are_as_they_were_however_it_ends(
    bundle: ModelBundle,
    request_for: Build,
    second: Build,
    tuned: Tuned,
    error: type[Exception] | None,
    stage: str,
) -> None:
    params = replace(FAR, tuned=tuned)
    warm = method.run(bundle, request_for(), params).fitted
    during: set[str] = set()

    def stop(at: str, step: int, total: int, preview: Picture | None = None) -> None:
        if (at, step) == (stage, 1):
            during.add(bundle.checksum())
            if error is not None:
                raise error

    before, kinds = bundle.checksum(), [type(module) for module in bundle.unet.modules()]
    with nullcontext() if error is None else pytest.raises(error):
        method.run(bundle, second(warm=warm), params, stop)
    assert bundle.checksum() == before
    assert [type(module) for module in bundle.unet.modules()] == kinds
    assert not any(p.requires_grad or p.grad is not None for p in bundle.unet.parameters())
    assert (during == {before}) is (stage == "embeddings"), "while it was tuned it was another network"


# ------------------------------------------------------------------------------------------------------ the fit's name


def test_the_key_of_a_cold_fit_is_pinned_so_that_kept_layers_are_found() -> None:
    blank = np.zeros((32, 40, 3), np.uint8)
    asked = EditRequest(
        picture=blank,
        mask=np.eye(32, 40, dtype=bool),
        subject="a blue dog",
        background="in a forest",
        scope=Scope.BOTH,
        seed=7,
    )
    assert fit_key(asked, LayeredParams()) == "dafa717f1eaf306b82783882fe040c89ec48ea83c434e510c760364aff5d4d4b"
    matted = replace(asked, matte=lambda picture, _: np.ones(picture.shape[:2], np.float32))
    assert fit_key(matted, LayeredParams()) == fit_key(asked, LayeredParams()), "edges are matted after the fit"
    assert fit_key(asked, replace(LayeredParams(), latent_steps=5)) != fit_key(asked, LayeredParams())


def test_the_key_names_what_a_fit_begins_at_only_where_it_begins_there(request_for: Build) -> None:
    off, on = replace(FAR, warm_start=False), FAR
    cold = fit_key(request_for(), off)
    assert fit_key(request_for(warm=b"layers"), off) == cold
    assert fit_key(request_for(), on) == cold, "the same layers come of it"
    assert len({cold, fit_key(request_for(warm=b"layers"), on), fit_key(request_for(warm=b"others"), on)}) == 3
    assert fit_key(request_for(warm=b"layers"), on) == fit_key(request_for(warm=b"layers"), on)
