"""DiffEdit: the mask by hand and as diffusers finds it, and that outside it nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, StableDiffusionDiffEditPipeline

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.encode import Canvas
from pipelines.methods import diffedit
from pipelines.methods.diffedit import cut, difference
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import DiffEditParams
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
FEW = DiffEditParams(steps=5, maps=3)


def test_the_cut_is_at_half_of_what_counts() -> None:
    d = torch.tensor([[[[1.0, 1.0, 1.0, 5.0]]]])  # mean 2: counts up to 3 * 2, cut at 3
    assert cut(d, 3.0).flatten().tolist() == [0, 0, 0, 1]
    assert cut(d, 0.5).flatten().tolist() == [1, 1, 1, 1], "counts up to 1, cut at a half"
    assert not cut(torch.zeros(1, 1, 2, 2), 3.0).any(), "nothing differs: nothing is asked for"


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_equal_texts_ask_for_nothing_and_outside_the_mask_the_picture_s_latent_is_exact(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle = load(family)
    same = request_for(source="a cat", subject="a cat", background="")
    z, result = ran(monkeypatch, diffedit, bundle, same, FEW)
    z_ref = Canvas.of(bundle, same).z_ref
    assert torch.equal(z, z_ref) and result.found is not None and not result.found.any()
    asked = request_for(source="a cat", subject="a dog", background="", scope=Scope.SUBJECT)
    z, result = ran(monkeypatch, diffedit, bundle, asked, replace(FEW, mask_most=0.5))
    held = Canvas.of(bundle, asked).edited == 0
    assert torch.equal(z[held.expand_as(z)], z_ref[held.expand_as(z)]) and not torch.allclose(z, z_ref, atol=1e-2)
    assert result.found is not None and result.found.shape == asked.picture.shape[:2]
    given, _ = ran(monkeypatch, diffedit, bundle, asked, replace(FEW, find_mask=False))
    assert not torch.allclose(given[:, :, ~held[0, 0]], z_ref[:, :, ~held[0, 0]], atol=1e-2)


def test_the_mask_is_that_of_diffusers(bundle: ModelBundle) -> None:
    """Which draws all its maps at once; the noise of each is given to ours."""
    config = dict(bundle.schedule.config)
    pipe = StableDiffusionDiffEditPipeline(
        vae=bundle.vae,
        text_encoder=bundle.text_encoder,
        tokenizer=bundle.tokenizer,
        unet=bundle.unet,
        scheduler=DDIMScheduler.from_config(config),
        inverse_scheduler=DDIMInverseScheduler.from_config(config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    draw = torch.Generator().manual_seed(0)
    z_0 = torch.randn(1, 4, 16, 16, generator=draw)
    maps, guidance = 3, 4.0
    theirs = pipe.generate_mask(
        image=z_0,
        target_prompt="a dog",
        source_prompt="a cat",
        num_maps_per_mask=maps,
        mask_encode_strength=0.5,
        num_inference_steps=10,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    )
    noise = torch.randn(maps, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    t = bundle.schedule.timesteps(10, 0.5)[0]
    prompts = bundle.embed_texts(["", "a cat", "a dog"])
    pair = PromptEmbeds.joined([prompts[1:2], prompts[2:]])
    d = sum(difference(bundle, z_0, n[None], t, pair, prompts[:1], guidance) for n in noise) / maps
    ours = cut(d, 3.0)[0, 0].numpy()  # type: ignore[arg-type]
    assert np.array_equal(ours, np.asarray(theirs)[0]) and 0 < ours.mean() < 1
