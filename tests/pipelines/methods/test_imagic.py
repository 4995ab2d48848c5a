"""Imagic: both fits bring the picture nearer, the mix is that of its equation, and the network is as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.contract import EditRequest
from pipelines.diffusion.encode import Canvas
from pipelines.methods import imagic
from pipelines.methods.imagic import open_weights, reproduction_loss
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import ImagicParams, Tuned
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
FEW = ImagicParams(embed_steps=20, embed_rate=3e-2, tune_steps=20, tune_rate=3e-3, steps=3)


def test_each_fit_lowers_the_loss_of_fixed_draws(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(subject="a dog", background="")
    z_0, e_tgt = Canvas.of(bundle, asked).z_ref, bundle.embed_texts(["a dog"])
    seen: list[tuple[float, PromptEmbeds]] = []

    def loss(e: PromptEmbeds) -> float:
        draws = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return sum(float(reproduction_loss(bundle, z_0, e, draws)) for _ in range(12))

    guided = imagic.guided

    def noted(*args: object) -> object:
        seen.append((0.0, args[1](1)))  # type: ignore[operator]
        return guided(*args)  # type: ignore[arg-type]

    denoise = imagic.denoise

    def measured(*args: object, **kwargs: object) -> object:
        seen.append((loss(seen[0][1]), seen[0][1]))
        return denoise(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(imagic, "guided", noted)
    monkeypatch.setattr(imagic, "denoise", measured)
    before = bundle.checksum()
    imagic.run(bundle, asked, replace(FEW, eta=0.0))  # sampled at e_opt itself, with the tuned network
    e_opt = seen[0][1]
    assert bundle.checksum() == before
    assert loss(e_opt) < loss(e_tgt), "the embedding"
    assert seen[1][0] < loss(e_opt), "and the network at it"


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_the_share_of_the_target_has_a_say_in_sampling_alone(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle, asked = load(family), request_for(subject="a dog", background="")
    params = replace(FEW, embed_steps=4, tune_steps=0)
    e_tgt = bundle.embed_texts(["a dog"])
    told: list[PromptEmbeds] = []
    guided = imagic.guided
    monkeypatch.setattr(imagic, "guided", lambda *args: told.append(args[1](1)) or guided(*args))
    for eta in (0.0, 0.5, 1.0):
        imagic.run(bundle, asked, replace(params, eta=eta))
    fitted, half, target = told
    assert torch.allclose(target.tokens, e_tgt.tokens) and not torch.allclose(fitted.tokens, e_tgt.tokens)
    assert torch.allclose(half.tokens, (fitted.tokens + e_tgt.tokens) / 2, atol=1e-6)


@pytest.mark.parametrize("tuned", [Tuned.LORA, Tuned.UNET])
def test_what_is_opened_is_closed_again_whatever_happens(bundle: ModelBundle, tuned: Tuned) -> None:
    before = bundle.checksum()

    def stopped() -> None:
        with open_weights(bundle, replace(FEW, tuned=tuned), 7) as weights, torch.no_grad():
            assert weights and all(p.requires_grad for p in weights)
            for p in weights:
                p += 1
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert bundle.checksum() == before and not any(p.requires_grad for p in bundle.unet.parameters())


def test_imagic_samples_from_noise(bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request_for(subject="a dog", background="")
    params = replace(FEW, embed_steps=0, tune_steps=0)
    ends = [
        ran(monkeypatch, imagic, bundle, which, params)[0]
        for which in (asked, replace(asked, picture=255 - asked.picture))
    ]
    assert torch.equal(*ends), "nothing of the picture but what was fitted"
