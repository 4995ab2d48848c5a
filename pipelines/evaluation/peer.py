"""What our speed is compared with: the loop shape of the Imagic pipeline among diffusers' community examples.

Only its shape, in our words: eager, the whole network in one arithmetic, one noise level a step, Adam over everything
in that arithmetic, the loss read by the host at every step. Like the original, the embedding is fitted with the network
closed, then every weight of the network at that embedding, then a guided run is sampled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import Extent
from pipelines.evaluation.clock import seconds
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds

WARM_UP = 1
"""Steps that are not timed."""


@dataclass(frozen=True)
class PeerPace:
    """Seconds of one step, by our stages' names; one sample a step, guided sampling two."""

    arithmetic: str
    step: Mapping[str, float]

    def schedule(self, embed: int, tune: int, sample: int) -> float:
        """Seconds of so many steps of each."""
        return embed * self.step["embeddings"] + tune * self.step["fine-tune"] + sample * self.step["guidance"]


def peer_pace(bundle: ModelBundle, extent: Extent, dtype: torch.dtype, steps: int) -> PeerPace:
    """The median of `steps` steps of each stage, on a copy of the bundle's network in `dtype`."""
    unet = copy.deepcopy(bundle.unet).to(dtype)
    noise_in = replace(bundle, unet=unet, autocast=None).predict
    z = torch.zeros(
        1, bundle.latent_channels, extent.height // bundle.cell, extent.width // bundle.cell, device=bundle.device
    ).to(dtype)
    told = bundle.embed_texts(["a dog"])
    e = PromptEmbeds(told.tokens.to(dtype), None if told.pooled is None else told.pooled.to(dtype)).open()

    def train(parameters: list[Tensor], rate: float) -> Callable[[], object]:
        optimiser = torch.optim.Adam(parameters, lr=rate)

        def step() -> float:
            eps = torch.randn(z.shape).to(z)
            t = torch.randint(bundle.schedule.length, (1,), device=z.device)
            z_t = bundle.schedule.noised(z, eps, t).to(dtype)
            loss = F.mse_loss(noise_in(z_t, t, e), eps.float(), reduction="none").mean([1, 2, 3]).mean()
            torch.autograd.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            return loss.item()

        return step

    @torch.no_grad()
    def sample() -> None:
        t = torch.tensor([500, 500], device=z.device)
        eps_null, eps_e = noise_in(torch.cat([z, z]), t, PromptEmbeds.joined([e, e])).chunk(2)
        bundle.schedule.step(z, eps_null + 7.5 * (eps_e - eps_null), 500, 480)

    def pace(step: Callable[[], object]) -> float:
        return median([seconds(step, bundle.device) for _ in range(WARM_UP + steps)][WARM_UP:])

    found = {"embeddings": pace(train([e.tokens], 1e-3))}
    e = e.closed()
    unet.train().requires_grad_(True)
    found["fine-tune"] = pace(train(list(unet.parameters()), 2e-6))
    unet.eval().requires_grad_(False)
    return PeerPace(str(dtype).removeprefix("torch."), {**found, "guidance": pace(sample)})
