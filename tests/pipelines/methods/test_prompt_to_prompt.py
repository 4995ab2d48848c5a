"""Prompt-to-Prompt: identity of equal texts, gates at their limits, words that answer each other, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipelines.contract import EditRequest
from pipelines.diffusion.candidates import predicted
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, source_and_target
from pipelines.diffusion.inversion import ddim_inversion
from pipelines.diffusion.samplers import DDIM
from pipelines.errors import BadRequest
from pipelines.methods import prompt_to_prompt
from pipelines.models.bundle import ModelBundle
from pipelines.params import PromptToPromptParams, Return, WordsMeet
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
PLAIN = PromptToPromptParams(steps=5, inversion=Return.NONE, blend=False)
OFF = replace(PLAIN, cross_share=0.0, self_share=0.0)


def alone(bundle: ModelBundle, request: EditRequest, text: str, params: PromptToPromptParams) -> Tensor:
    """The same noise sampled with `text`, and nothing else done."""
    canvas, timesteps = Canvas.of(bundle, request), bundle.schedule.timesteps(params.steps)
    own = predicted(bundle, canvas.prompts[request.source])
    path = ddim_inversion(bundle, canvas.z_ref, timesteps, lambda z, t, i: own(z, t), lambda _: None)
    run = guided(bundle, always(canvas.prompts[text]), canvas.prompts[""], params.guidance)
    return denoise(bundle, path.noise, DDIM(path.noise), timesteps, run, lambda _: None)


@pytest.mark.parametrize(
    ("subject", "background", "target"),
    [
        ("a dog", "in a forest", "a dog in a forest"),
        ("a dog", "", "a dog in the snow"),
        ("", "in a forest", "a cat in a forest"),
        ("", "", "a cat in the snow"),
    ],
)
def test_what_the_texts_leave_out_stays_as_the_picture_has_it(
    request_for: Ask, subject: str, background: str, target: str
) -> None:
    asked = request_for(source=" a cat in the snow", subject=subject, background=background)
    assert source_and_target(asked) == ("a cat in the snow", target)
    assert source_and_target(replace(asked, source=""))[1] == f"{subject} {background}".strip()


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_equal_texts_give_the_reconstruction(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    asked = request_for(source="a cat", subject="a cat", background="")
    for words in WordsMeet:
        z, _ = ran(monkeypatch, prompt_to_prompt, load(family), asked, replace(PLAIN, words=words))
        assert torch.allclose(z[1:], z[:1], atol=1e-4)


def test_without_a_share_of_the_steps_the_edit_is_a_run_of_its_own_and_the_picture_s_branch_always_is(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    z, _ = ran(monkeypatch, prompt_to_prompt, bundle, asked, OFF)
    usual = alone(bundle, asked, "a dog", OFF)
    assert torch.allclose(z[1:], usual, atol=1e-4)
    for params in (PLAIN, replace(PLAIN, weight=3.0), replace(PLAIN, blend=True)):
        led, _ = ran(monkeypatch, prompt_to_prompt, bundle, asked, params)
        assert torch.allclose(led[:1], alone(bundle, asked, "a cat", params), atol=1e-4)
        assert not torch.allclose(led[1:], usual, atol=1e-3)


def test_each_share_and_the_weight_has_a_say_of_its_own(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    ends = [
        ran(monkeypatch, prompt_to_prompt, bundle, asked, params)[0][1:]
        for params in (
            OFF,
            replace(OFF, words=WordsMeet.REPLACE, cross_share=0.5),
            replace(OFF, cross_share=0.5),
            replace(OFF, self_share=0.5),
            replace(OFF, weight=3.0),
        )
    ]
    for number, end in enumerate(ends):
        assert not any(torch.allclose(end, other, atol=1e-4) for other in ends[:number])


def test_what_neither_text_s_own_words_look_at_is_the_picture_s(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    params = replace(PLAIN, blend=True, blend_from=0.0, inversion=Return.DIRECT)
    nothing, result = ran(monkeypatch, prompt_to_prompt, bundle, asked, replace(params, blend_threshold=1.0))
    z_ref = Canvas.of(bundle, asked).z_ref
    assert torch.equal(nothing[1:], nothing[:1]) and torch.equal(nothing[:1], z_ref), "a mask of nothing"
    assert result.reconstruction == 0
    everything, _ = ran(monkeypatch, prompt_to_prompt, bundle, asked, replace(params, blend_threshold=0.0))
    unmasked, _ = ran(monkeypatch, prompt_to_prompt, bundle, asked, replace(params, blend=False))
    assert torch.allclose(everything, unmasked, atol=1e-5), "a mask of everything"
    some, _ = ran(monkeypatch, prompt_to_prompt, bundle, asked, replace(params, blend_threshold=0.99))
    kept = (some[1:] == some[:1]).all(1)
    assert 0 < kept.float().mean() < 1


def test_the_picture_s_branch_comes_back_as_the_inversion_says(bundle: ModelBundle, request_for: Ask) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    came_back = {
        how: prompt_to_prompt.run(bundle, asked, replace(PLAIN, inversion=how)).reconstruction for how in Return
    }
    assert came_back[Return.DIRECT] == 0
    assert all(error is not None and error > 0 for how, error in came_back.items() if how is not Return.DIRECT)
    assert came_back[Return.NULL_TEXT] < came_back[Return.NONE]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("source", "told"),
    [("a red cat", "'a red cat' has 3, 'a dog' has 2"), ("", "it must be known what the picture shows")],
)
def test_word_for_word_there_must_be_as_many_in_both(
    bundle: ModelBundle, request_for: Ask, source: str, told: str
) -> None:
    asked, before = request_for(source=source, subject="a dog", background=""), bundle.checksum()
    with pytest.raises(BadRequest, match=told):
        prompt_to_prompt.run(bundle, asked, replace(PLAIN, words=WordsMeet.REPLACE))
    assert bundle.checksum() == before
