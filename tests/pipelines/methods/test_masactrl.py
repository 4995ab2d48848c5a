"""MasaCtrl: gates at their limits, identity of equal texts, and attention within masks, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.contract import EditRequest
from pipelines.diffusion.attention import Kind, Layer, Look, Part
from pipelines.methods import masactrl
from pipelines.methods.masactrl import MutualAttention, late_layers
from pipelines.models.bundle import ModelBundle
from pipelines.models.random_models import random_bundle
from pipelines.params import MasaCtrlParams, Return
from tests.pipelines.methods.ran import ran
from tests.pipelines.methods.test_prompt_to_prompt import OFF, alone

Ask = Callable[..., EditRequest]
PLAIN = MasaCtrlParams(steps=5, first_step=0, inversion=Return.NONE, masks=False)


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_equal_texts_give_the_picture_s_branch_and_no_step_a_plain_run(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle = load(family)
    same = request_for(source="a cat", subject="a cat", background="")
    z, _ = ran(monkeypatch, masactrl, bundle, same, PLAIN)
    assert torch.allclose(z[1:], z[:1], atol=1e-4)
    asked = request_for(source="a cat", subject="a dog", background="")
    never, _ = ran(monkeypatch, masactrl, bundle, asked, replace(PLAIN, first_step=5))
    plain = alone(bundle, asked, "a dog", OFF)
    assert torch.allclose(never[1:], plain, atol=1e-4)
    led, _ = ran(monkeypatch, masactrl, bundle, asked, PLAIN)
    assert torch.allclose(led[:1], never[:1], atol=1e-4) and not torch.allclose(led[1:], plain, atol=1e-3)


def test_the_layers_are_the_paper_s() -> None:
    """Of 1.x numbers 10 to 15 of 16, of XL from 64 on of 70."""
    sd, xl = (late_layers(random_bundle(name, torch.device("meta"))) for name in ("random-sd15", "random-sdxl"))
    assert [layer.place[:2] for layer in sd] == [(b, k) for b in (2, 3) for k in (0, 1, 2)]
    assert len(xl) == 6 and {layer.place[0] for layer in xl} == {1}


def test_within_masks_the_subject_sees_the_subject_and_the_background_the_background() -> None:
    """Values are 1 in the picture's subject and 0 outside, so what is seen is 1 or 0; without masks it is between."""
    layer = Layer("up_blocks.1.attentions.0.transformer_blocks.0.attn1", Part.UP, Kind.SELF, 1)
    source, edited = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    source[..., :2, :], edited[..., :2] = 1.0, 1.0
    draw = torch.Generator().manual_seed(0)
    q, k = (torch.randn(4, 2, 16, 3, generator=draw) for _ in range(2))
    v = source.reshape(1, 1, 16, 1).expand(4, 2, 16, 3).clone()
    v[1::2] = 5.0  # the edit's own values, which nobody is to see

    def seen(subject: torch.Tensor | None) -> torch.Tensor:
        mutual = MutualAttention(0, (4, 4), 0.5, subject)
        mutual.recorder.keep(replace(layer, kind=Kind.CROSS), edited.reshape(1, 1, 16, 1).expand(4, 2, 16, 1))
        mutual.tokens = (0,)
        return mutual.attend(layer, Look(q, k, v))

    masked = seen(source)
    assert torch.allclose(masked[1::2], edited.reshape(1, 1, 16, 1).expand(2, 2, 16, 3), atol=1e-5)
    everywhere = seen(torch.ones(1, 1, 4, 4))
    assert torch.allclose(everywhere, seen(None)) and torch.allclose(masked[0::2], everywhere[0::2])
    assert everywhere.min() > 0 and everywhere.max() < 1


def test_a_selected_subject_has_a_say(bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request_for(source="a cat", subject="a dog", background="")
    params = replace(PLAIN, masks=True, inversion=Return.DIRECT)
    masked, result = ran(monkeypatch, masactrl, bundle, asked, params)
    free, _ = ran(monkeypatch, masactrl, bundle, asked, replace(params, masks=False))
    whole, _ = ran(monkeypatch, masactrl, bundle, replace(asked, mask=asked.mask | True), params)
    assert not torch.allclose(masked[1:], free[1:], atol=1e-4) and torch.allclose(whole, free)
    assert result.reconstruction == 0
