"""The compiled network against the eager one: the same numbers, no second compilation, nothing left behind.

The backend here runs the traced graphs, forward and backward, operator by operator; a GPU's differs in the kernels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch._dynamo.utils import counters

from pipelines.contract import EditRequest, Picture
from pipelines.layered import method
from pipelines.models import network
from pipelines.models.adapters import lora
from pipelines.models.bundle import ModelBundle
from pipelines.models.network import Network, compiled, eager
from pipelines.params import LayeredParams, Tuned
from pipelines.progress import Cancelled

FEW = LayeredParams(steps=2, embed_steps=3, tune_steps=3, tune_rate=1e-3, tuned=Tuned.LORA, lora_rank=2, compiled=True)
GRAPHS = 4
"""Of one edit: the background's picture, the embeddings, the fine-tune, and the guidance with the update attached."""
TOLERANCE = 1e-5
"""Of the noise, whose deviation is about one, in float32."""


@pytest.fixture(scope="module")
def small(bundle: ModelBundle) -> ModelBundle:
    """With a network that is traced in a second or two."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=bundle.latent_channels,
            out_channels=bundle.latent_channels,
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            mid_block_type=None,
            block_out_channels=(8,),
            layers_per_block=1,
            cross_attention_dim=bundle.text_widths[0],
            attention_head_dim=8,
            norm_num_groups=4,
        )
    return replace(bundle, unet=unet.eval().requires_grad_(False), autocast=None)


@pytest.fixture(scope="module")
def traced() -> Network:
    return compiled("aot_eager")


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_a_compiled_edit_is_the_eager_one_and_the_next_compiles_nothing(
    small: ModelBundle, traced: Network, request_for: Callable[..., EditRequest], picture: Picture
) -> None:
    before, fast, known = small.checksum(), replace(small, network=traced), graphs()
    ours, reference = (method.run(bundle, request_for(), FEW).candidates[0] for bundle in (fast, small))
    assert np.abs(ours.picture.astype(int) - reference.picture).max() <= 1  # level
    assert graphs() - known == GRAPHS
    other = request_for(picture=255 - picture, subject="a red cat", seed=8)
    method.run(fast, other, FEW)
    assert graphs() - known == GRAPHS, "a second turn of the same size found everything compiled"

    def stop(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if stage == "fine-tune" and step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        method.run(fast, other, FEW, stop)
    assert small.checksum() == before


def test_compiled_and_eager_have_the_same_noise_and_gradient(small: ModelBundle, traced: Network) -> None:
    z = torch.randn(2, 4, 16, 20, generator=torch.Generator().manual_seed(0))

    def noise_and_gradient(bundle: ModelBundle) -> tuple[Tensor, Tensor]:
        e = bundle.embed_texts(["a dog", "a forest"]).open()
        noise = bundle.predict(z, torch.tensor([3, 700]), e)
        torch.autograd.backward(noise.square().mean())
        assert e.tokens.grad is not None
        return noise.detach(), e.tokens.grad

    for ours, reference in zip(
        noise_and_gradient(replace(small, network=traced)), noise_and_gradient(small), strict=True
    ):
        assert torch.allclose(ours, reference, rtol=0, atol=TOLERANCE)


def test_a_layer_with_something_hung_on_it_is_not_passed_by(small: ModelBundle, traced: Network) -> None:
    """As a LoRA from a file is, and after it was taken off."""
    z, t = torch.ones(1, 4, 16, 16), torch.tensor([3])
    e = small.embed_texts(["a dog"]).tokens

    @torch.no_grad()
    def difference() -> float:
        return float((traced(small.unet, z, t, e, None) - eager(small.unet, z, t, e, None)).abs().max())

    assert difference() < TOLERANCE
    hook = small.unet.conv_in.register_forward_hook(lambda module, args, out: 3 * out)
    assert difference() < TOLERANCE
    hook.remove()
    assert difference() < TOLERANCE


def test_every_update_of_a_rank_lies_at_the_same_place(small: ModelBundle) -> None:
    """Where a recorded graph reads it; and says nothing of the last one."""
    with lora(small.unet, 2, seed=1) as first:
        places, drawn = [p.data_ptr() for p in first], [p.detach().clone() for p in first]
        for p in first:
            p.data.fill_(9.0)
    with lora(small.unet, 2, seed=1) as second:
        assert [p.data_ptr() for p in second] == places
        assert all(torch.equal(p, was) for p, was in zip(second, drawn, strict=True))


def test_where_nothing_can_be_compiled_the_edit_runs_eagerly(
    small: ModelBundle, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(*_: object) -> None:
        raise RuntimeError("no C compiler")

    z, t, e = torch.ones(1, 4, 16, 16), torch.tensor([3]), small.embed_texts(["a dog"]).tokens
    call = compiled(no_compiler)
    with torch.no_grad(), caplog.at_level(logging.WARNING, network.__name__):
        for _ in range(2):
            assert torch.equal(call(small.unet, z, t, e, None), eager(small.unet, z, t, e, None))
    assert len(caplog.records) == 1 and "no C compiler" in caplog.text


def test_a_processor_and_a_lora_file_are_served_eagerly(
    bundle: ModelBundle, request_for: Callable[..., EditRequest]
) -> None:
    assert not method.compiles(replace(bundle, autocast=torch.bfloat16), request_for(), FEW)
    gpu = replace(bundle, autocast=torch.bfloat16, device=torch.device("cuda"))
    assert method.compiles(gpu, request_for(), FEW)
    assert not method.compiles(gpu, request_for(), replace(FEW, compiled=False))
    assert not method.compiles(replace(gpu, autocast=None), request_for(), FEW)
