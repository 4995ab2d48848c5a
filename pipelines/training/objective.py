"""The network that learns many rounds, and what it minimises: LoRA, a projection of picture tokens, an edge branch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from diffusers import ControlNetModel
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.seeds import global_draws_from
from pipelines.training.choices import Edges, Form
from pipelines.training.losses import (
    Network,
    first_round,
    multi_round_loss,
    reconstruction_loss,
    single_round_loss,
    total_loss,
)
from pipelines.training.reference import Projection, edge_branch, told, with_edges

ADAPTER = "rounds"
DECODER_CROSS_ATTENTION = r"up_blocks\..*\.attn2\.(to_q|to_k|to_v|to_out\.0)"
"""Where the paper puts its LoRA: each layer of the cross-attention in the decoder."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Triples as tensors, and what is drawn at random for them. Everything is of B."""

    z_r: Tensor
    """``(B, C, h, w)``: the reference's latent."""
    z_g: Tensor
    """The target's."""
    seen: Tensor | None
    """``(B, N, seen)``: the CLIP's tokens of the reference."""
    whole: PromptEmbeds
    first: PromptEmbeds
    second: PromptEmbeds
    nothing: PromptEmbeds
    """No text."""
    edges_r: Tensor | None
    """``(B, 3, H, W)``: the reference's edges."""
    edges_g: Tensor | None
    """The target's, which lead every round towards it, as the paper's pose does."""
    t: Tensor
    """``(B,) int64``, of the single round."""
    t_0: Tensor
    """Of the reconstruction."""
    t_1: Tensor
    t_2: Tensor
    eps: Tensor
    eps_0: Tensor
    eps_1: Tensor
    eps_2: Tensor


class Objective(nn.Module):
    """The losses of a batch. A module, so that accelerate can spread it over GPUs."""

    def __init__(
        self,
        bundle: ModelBundle,
        seen: int | None,
        rank: int,
        edges: Edges,
        loaded: ControlNetModel | None,
        form: Form,
        seed: int,
    ) -> None:
        """`seen` is the width of the CLIP's tokens; ``None`` leaves the picture's out. The bundle's own weights stay
        closed, but its network is changed: it is this objective's from now on."""
        super().__init__()
        self.form, self.edges = form, edges
        self._bundle = bundle
        self.unet = bundle.unet
        with global_draws_from(seed, "edge branch"):
            new = edges in (Edges.TRAINED, Edges.ALONE)
            self.branch: ControlNetModel | None = edge_branch(bundle) if new else loaded
        with global_draws_from(seed, "projection"):
            self.projection = None if seen is None else Projection(seen, bundle.text_widths[0])
        if edges is not Edges.ALONE:
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=DECODER_CROSS_ATTENTION)
            try:
                with global_draws_from(seed, "lora"):
                    self.unet.add_adapter(config, ADAPTER)
            except ValueError:
                raise ModelError(
                    f"the network of {bundle.card.id!r} must have cross-attention in its decoder, which the LoRA is "
                    "put on; it has none. Choose another model"
                ) from None
        if edges is Edges.LOADED and self.branch is not None:
            self.branch.requires_grad_(False)
        self.to(bundle.device)

    @property
    def bundle(self) -> ModelBundle:
        return self._bundle

    def taught(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def lora_state(self) -> dict[str, Tensor]:
        """The LoRA by PEFT's names; empty where there is none."""
        return {} if self.edges is Edges.ALONE else get_peft_model_state_dict(self.unet, adapter_name=ADAPTER)

    def network(self, edges: Tensor | None, z: Tensor) -> Network:
        """The network, led by `edges` where there is a branch for them. Where it was made for instructions it is shown
        `z`, the picture that a round begins with."""
        bundle = self.bundle
        if self.branch is not None and edges is not None:
            bundle = replace(bundle, network=with_edges(self.branch, edges))
        return partial(bundle.output, concat=bundle.picture_beside(z))

    def forward(self, batch: Batch, weight: float) -> Tensor:
        """``(4,)``: the total (Eq. 7) and its three parts; without a weight the multi-round loss is left out, and is
        0. The edge branch alone has the single round's loss only."""
        schedule = self.bundle.schedule
        seen = None if self.projection is None or batch.seen is None else self.projection(batch.seen)
        network = self.network(batch.edges_g, batch.z_r)
        single = single_round_loss(schedule, network, batch.z_g, batch.t, batch.eps, told(batch.whole, seen))
        nothing = torch.zeros_like(single)
        if self.edges is Edges.ALONE:
            return torch.stack([single, single, nothing, nothing])
        c_0 = told(batch.nothing, seen)
        reconstruction = reconstruction_loss(
            schedule, self.network(batch.edges_r, batch.z_r), batch.z_r, batch.t_0, batch.eps_0, c_0
        )
        multi = nothing
        if weight:
            z_hat = first_round(schedule, network, batch.z_r, batch.t_1, batch.eps_1, told(batch.first, seen))
            c_2, network = told(batch.second, seen), self.network(batch.edges_g, z_hat)
            multi = multi_round_loss(schedule, network, batch.z_g, z_hat, batch.t_2, batch.eps_2, c_2, self.form)
        return torch.stack([total_loss(single, reconstruction, multi, weight), single, reconstruction, multi])
