"""pix2pix-zero: its losses as diffusers has them, identity of equal texts, and memory that is asked about first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPix2PixZeroPipeline

from pipelines.contract import EditRequest
from pipelines.diffusion import attention
from pipelines.diffusion.encode import Canvas
from pipelines.errors import NotEnoughMemory
from pipelines.methods import pix2pix_zero
from pipelines.methods.pix2pix_zero import FORMS, CrossGuidance, autocorrelation, divergence, more_like_noise, moved
from pipelines.models.bundle import ModelBundle
from pipelines.params import Pix2PixZeroParams
from tests.pipelines.methods.ran import ran
from tests.pipelines.methods.test_prompt_to_prompt import OFF, alone

Ask = Callable[..., EditRequest]
FEW = Pix2PixZeroParams(steps=5, regularisation=0.0)


def test_white_noise_has_no_autocorrelation_and_is_as_noise_should_be() -> None:
    noise = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(-1, 1, 64).expand(1, 4, 64, 64)
    draws = torch.Generator().manual_seed(1)
    assert autocorrelation(noise, draws) < 0.05 < autocorrelation(ramp, draws)
    for x in (noise, ramp, 3 * noise + 1):
        assert torch.allclose(divergence(x), StableDiffusionPix2PixZeroPipeline.kl_divergence(None, x))  # type: ignore[arg-type]
    assert divergence(noise).abs() < 0.01 < divergence(3 * noise)
    skewed = 0.3 * noise + 0.5 * ramp
    better = more_like_noise(skewed, 20.0, torch.Generator().manual_seed(2))
    assert divergence(better) < divergence(skewed)

    def alike(x: torch.Tensor) -> float:
        """Of values of variance 1: what is made stronger is more alike in figures, and no less like noise."""
        return float(autocorrelation(x / x.std(), torch.Generator().manual_seed(3)))

    assert alike(better) < 0.95 * alike(skewed)
    assert torch.equal(more_like_noise(skewed, 0.0, draws), skewed)


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_equal_texts_give_the_reconstruction_however_strongly_they_guide(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle, same = load(family), request_for(source="a cat", subject="a cat", background="")
    unguided = alone(bundle, same, "a cat", replace(OFF, guidance=1.0))
    for guidance, captions in ((1.0, 1), (7.5, 1), (7.5, 3)):
        params = replace(FEW, guidance=guidance, captions=captions)
        z, result = ran(monkeypatch, pix2pix_zero, bundle, same, params)
        assert torch.allclose(z, unguided, atol=1e-3) and result.reconstruction is not None


@pytest.mark.parametrize("family", ["tiny", "tiny-xl"])
def test_the_way_is_the_mean_difference_of_captions_that_differ_in_nothing_else(
    load: Callable[[str], ModelBundle], request_for: Ask, family: str
) -> None:
    bundle = load(family)
    canvas = Canvas.of(bundle, request_for())
    cat, dog = (bundle.embed_texts([text]) for text in ("cat", "dog"))
    alone = moved(canvas, "cat", "dog", 1)
    assert torch.equal(alone.tokens, dog.tokens)
    told = [bundle.embed_texts([form.format(text) for form in FORMS[:2]]) for text in ("cat", "dog")]
    two = moved(canvas, "cat", "dog", 2)
    assert torch.allclose(two.tokens, cat.tokens + (told[1].tokens - told[0].tokens).mean(0), atol=1e-5)
    if cat.pooled is not None and two.pooled is not None:
        assert torch.allclose(two.pooled, cat.pooled + (told[1].pooled - told[0].pooled).mean(0), atol=1e-5)
    assert torch.allclose(moved(canvas, "cat", "cat", 8).tokens, cat.tokens)
    assert len(set(FORMS)) == 8 and all(form.count("{}") == 1 for form in FORMS)


def test_the_nudge_brings_the_edit_s_looks_nearer_to_the_picture_s(bundle: ModelBundle) -> None:
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    cat, dog = (bundle.embed_texts([text]) for text in ("a cat", "a dog"))
    guide = CrossGuidance(bundle, 1.0)
    with torch.no_grad():
        guide.noise(z, 300, cat)
    guide.keep(1)

    def distance(x: torch.Tensor) -> float:
        with torch.no_grad():
            guide.noise(x, 300, dog)
        kept = guide._reference[1]
        return sum(float((maps - kept[name]).square().sum()) for name, maps in guide._now.items())

    before = distance(z)
    assert distance(guide.nudged(z, 300, 1, dog)) < before
    assert all(p.grad is None for p in bundle.unet.parameters())


def test_maps_that_do_not_fit_are_told_before_anything_runs(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "free_host_bytes", lambda: 10_000)
    heard: list[str] = []
    with pytest.raises(NotEnoughMemory, match=r"need 0\.0 GiB .* take fewer steps or a smaller picture"):
        pix2pix_zero.run(bundle, request_for(), FEW, lambda stage, *_: heard.append(stage))
    assert not heard
    assert attention.free_host_bytes() == 10_000
