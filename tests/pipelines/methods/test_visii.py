"""VISII: what is learnt from an example, what of the instruction moves, and examples that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.catalog import CATALOG, alike
from pipelines.contract import EditRequest, Picture
from pipelines.diffusion.encode import Canvas
from pipelines.errors import BadRequest
from pipelines.methods import instruct_pix2pix, visii
from pipelines.methods.visii import Example, Learnt, learning_loss, order_of
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import InstructParams, VISIIParams
from pipelines.requests import check_request
from pipelines.seeds import normal_like

PARAMS = VISIIParams(steps=3, embed_steps=25, embed_rate=3e-2, paste_back=False)
Ask = Callable[..., EditRequest]


@pytest.fixture
def example(picture: Picture) -> dict[str, Picture]:
    """A picture that was turned into its negative."""
    return {"subject_reference": picture, "background_reference": 255 - picture}


@pytest.mark.parametrize("family", ["tiny-instruct", "tiny-xl-instruct"])
@pytest.mark.parametrize("identical", [False, True])
def test_the_loss_of_held_out_levels_and_noise_falls_and_the_network_stays(
    load: Callable[[str], ModelBundle],
    request_for: Ask,
    example: dict[str, Picture],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    identical: bool,
) -> None:
    bundle, before = load(family), load(family).checksum()
    if identical:
        example["background_reference"] = example["subject_reference"]
    asked = request_for(subject="go", background="", **example)
    seen, e_null = Example.of(bundle, asked), bundle.embed_texts([""])
    told: list[PromptEmbeds] = []
    always = visii.always
    monkeypatch.setattr(visii, "always", lambda e: told.append(e) or always(e))
    for steps in (0, PARAMS.embed_steps):
        visii.run(bundle, asked, replace(PARAMS, embed_steps=steps))
    assert bundle.checksum() == before

    @torch.no_grad()
    def loss(e: PromptEmbeds) -> float:
        draws = torch.Generator().manual_seed(5)
        return sum(
            float(learning_loss(bundle, seen, e, e_null, normal_like(seen.z_after, draws), t, PARAMS))
            for t in range(50, 1000, 100)
        )

    typed, learnt = told
    assert loss(learnt) < loss(typed)
    moved = (learnt.tokens != typed.tokens).any(-1)[0]
    assert not moved[0] and not moved[-1] and moved[1:-1].all(), (
        "start and end stay, for which there is no room to move"
    )


def test_without_steps_it_is_the_plain_method_and_each_vector_of_a_long_text_moves(
    load: Callable[[str], ModelBundle], request_for: Ask, example: dict[str, Picture]
) -> None:
    bundle, asked = load("tiny-instruct"), request_for(**example)
    plain = instruct_pix2pix.run(bundle, asked, InstructParams(steps=3, guidance=8.0, paste_back=False))
    same = visii.run(bundle, asked, replace(PARAMS, embed_steps=0))
    assert np.array_equal(same.candidates[0].picture, plain.candidates[0].picture)
    e = PromptEmbeds(torch.zeros(1, 77, 4))
    assert Learnt.at(bundle, e, "ab").moving.shape[1] == 10 and Learnt.at(bundle, e, "").moving.shape[1] == 10


def test_every_noise_level_comes_as_often() -> None:
    levels = order_of(10, 25, torch.Generator().manual_seed(0))
    assert sorted(levels[:10]) == sorted(levels[10:20]) == list(range(10)) != levels[:10] and len(levels) == 25
    assert order_of(10, 0, torch.Generator()) == []


def test_pictures_that_are_no_example_are_refused_in_a_sentence_and_it_is_tried_beside_no_other(
    request_for: Ask, example: dict[str, Picture]
) -> None:
    entry = CATALOG["visii"]
    with pytest.raises(BadRequest, match="learns an edit from two pictures; give the one before it as the subject's"):
        check_request(request_for(subject_reference=example["subject_reference"]), entry)
    smaller = example["background_reference"][:, :32]
    with pytest.raises(BadRequest, match="must be of one size; they have 40 x 32 and 32 x 32 pixels"):
        check_request(request_for(**{**example, "background_reference": smaller}), entry)
    check_request(request_for(subject="", background="", **example), entry)  # the example says it all
    assert entry not in alike(CATALOG["instruct"], None) and alike(entry, None) == [entry]


def test_the_pair_s_size_need_not_be_the_picture_s(
    load: Callable[[str], ModelBundle], request_for: Ask, example: dict[str, Picture]
) -> None:
    bundle = load("tiny-instruct")
    asked = request_for(**{side: np.ascontiguousarray(x[:, :32]) for side, x in example.items()})
    made = visii.run(bundle, asked, replace(PARAMS, embed_steps=2)).candidates[0].picture
    assert made.shape == asked.picture.shape and Canvas.of(bundle, asked).z_ref.shape[-1] != 16
