"""LoRA (Hu et al. 2021) on the U-Net's attention, through PEFT, as a context manager that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from pipelines.seeds import global_draws_from

NAME = "layer"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


@contextmanager
def lora(unet: UNet2DConditionModel, rank: int, seed: int) -> Iterator[list[nn.Parameter]]:
    """Attach a fresh low-rank update ``W + B A`` to every attention projection; yields its trainable parameters.

    `A` is drawn from `seed`, `B` is zero, so the network is unchanged until it is fitted. Afterwards the adapter is
    detached and the very modules that stood there before are back.
    """
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=ATTENTION)
    training = unet.training
    try:
        with global_draws_from(seed, "lora"):
            unet.add_adapter(config, NAME)
        yield [p for p in unet.parameters() if p.requires_grad]
    finally:
        unet.unload_lora()
        unet.train(training).requires_grad_(False)


def lora_state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The attached update, by PEFT's names."""
    return {name: t.detach().clone() for name, t in get_peft_model_state_dict(unet, adapter_name=NAME).items()}


@contextmanager
def with_lora(unet: UNet2DConditionModel, state: Mapping[str, Tensor]) -> Iterator[None]:
    """The U-Net with a fitted update attached, for sampling."""
    rank = next(t.shape[0] for name, t in state.items() if "lora_A" in name)
    with lora(unet, rank, seed=0) as parameters:
        set_peft_model_state_dict(unet, dict(state), adapter_name=NAME)
        for p in parameters:
            p.requires_grad_(False)
        yield


@contextmanager
def with_delta(unet: UNet2DConditionModel, delta: Mapping[str, Tensor]) -> Iterator[None]:
    """The U-Net with ``W + delta`` for the named weights, for sampling; restored by copying `W` back."""
    weights = dict(unet.named_parameters())
    pristine = {name: weights[name].detach().clone() for name in delta}
    try:
        with torch.no_grad():
            for name, change in delta.items():
                weights[name].add_(change.to(weights[name]))
        yield
    finally:
        with torch.no_grad():
            for name, kept in pristine.items():
                weights[name].copy_(kept)
