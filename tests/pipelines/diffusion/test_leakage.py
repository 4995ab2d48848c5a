"""DPL: losses by hand, rows that are learnt while the table stays, and texts that have no nouns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.contract import EditRequest
from pipelines.diffusion.attention import steered
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.inversion import inverted
from pipelines.diffusion.leakage import Looked, Nouns, leaks, nouns_of, told_without_leaks
from pipelines.diffusion.rows import token_tables
from pipelines.diffusion.stages import Stages
from pipelines.methods import prompt_to_prompt
from pipelines.models.bundle import ModelBundle
from pipelines.params import PromptToPromptParams, Return
from pipelines.progress import silent

Ask = Callable[..., EditRequest]


@pytest.mark.parametrize(
    ("source", "nouns"),
    [("a big cat jumping in the snow", ("cat", "snow")), ("a dog", ("dog",)), ("", ())],
)
def test_the_nouns_are_those_of_the_thing_and_of_the_place(source: str, nouns: tuple[str, ...]) -> None:
    assert nouns_of(source) == nouns


def test_each_loss_is_what_it_says() -> None:
    left, right = torch.zeros(2, 4), torch.zeros(2, 4)
    left[:, :2], right[:, 2:] = 0.4, 0.9
    balance, disjoint, background = leaks(torch.stack([left, right]), right)
    assert (float(balance), float(disjoint), float(background)) == pytest.approx((0.6, 0.0, 0.0))
    same = leaks(torch.stack([left, 2 * left]), left)
    assert [float(x) for x in same] == pytest.approx([0.6, 1.0, 1.0])
    assert [float(x) for x in leaks(right[None], None)] == pytest.approx([0.1, 0.0, 0.0])


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_the_table_s_own_rows_say_the_text_itself(load: Callable[[str], ModelBundle], family: str) -> None:
    bundle = load(family)
    nouns = Nouns.of(bundle, "a cat in sun", "a cat in a")
    assert [len(places) for places in nouns.places] == [3, 3] and nouns.in_target[0] == nouns.places[0]
    assert nouns.in_target[1] == (), "a noun that the target has not"
    for text, where in (("a cat in sun", nouns.places), ("a cat in a", nouns.in_target)):
        assert torch.allclose(nouns.told(bundle, text, where).tokens, bundle.embed_texts([text]).tokens, atol=1e-5)


def test_nouns_are_kept_apart_and_nothing_but_their_rows_moves(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat in sun", subject="a cat", background="in sun")
    canvas, before = Canvas.of(bundle, asked), bundle.checksum()
    timesteps = bundle.schedule.timesteps(3)
    path = inverted(canvas, Stages(silent), canvas.prompts[asked.source], timesteps)
    nouns = Nouns.of(bundle, asked.source, asked.source)
    looked = Looked(bundle, tuple(canvas.z_ref.shape[-2:]), nouns.places)  # type: ignore[arg-type]

    def loss(source_i: Callable[[int], object], i: int) -> float:
        with steered(bundle.unet, looked.attention), torch.no_grad():
            bundle.predict(path.at(i), torch.full((1,), timesteps[3 - i]), source_i(i))  # type: ignore[arg-type]
        return float(sum(w * x for w, x in zip((1.0, 0.05), leaks(looked.maps, None)[:2], strict=True)))

    plain, _ = told_without_leaks(canvas, Stages(silent), path, asked.source, asked.source, 0)
    learnt, target = told_without_leaks(canvas, Stages(silent), path, asked.source, asked.source, 15)
    assert loss(learnt, 1) < loss(plain, 1)
    assert bundle.checksum() == before and not any(table._forward_hooks for table in token_tables(bundle))
    assert torch.equal(learnt(2).tokens, target(2).tokens) and not torch.equal(learnt(1).tokens, learnt(3).tokens)


def test_in_prompt_to_prompt_it_has_a_say_and_equal_texts_still_give_the_reconstruction(
    bundle: ModelBundle, request_for: Ask
) -> None:
    params = PromptToPromptParams(steps=3, blend=False, inversion=Return.NULL_TEXT, null_steps=2)
    asked = request_for(source="a cat", subject="a dog", background="")
    usual, learnt = (prompt_to_prompt.run(bundle, asked, replace(params, noun_steps=steps)) for steps in (0, 3))
    assert [stage.name for stage in learnt.stages] == ["invert", "embeddings", "null-text", "denoise"]
    assert (usual.candidates[0].picture != learnt.candidates[0].picture).any()
    same = replace(asked, subject="a cat")
    direct = replace(params, inversion=Return.DIRECT, noun_steps=3)
    assert prompt_to_prompt.run(bundle, same, direct).reconstruction == 0
