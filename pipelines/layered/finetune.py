"""Phase 2 of LayerDiffusion: the layered fine-tune of the network at the fixed, blended embedding (section 3.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pipelines.diffusion.fit import EarlyStopping, fit
from pipelines.diffusion.stages import Step
from pipelines.layered.losses import Draws, Layers, layer_losses
from pipelines.models.adapters import add_change, lora, lora_state, same_shapes, set_lora
from pipelines.models.bundle import ModelBundle, trainable
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import LayeredParams, Tuned


def loss_weights(layers: Layers, params: LayeredParams) -> tuple[float, float]:
    """``(lambda_obj, lambda_bg)`` of Eq. 6: (2, 1), and 3 for the object where it is small."""
    small = layers.m_obj.mean().item() < params.small_object_area
    return (params.small_object_loss if small else params.object_loss), params.background_loss


def tuning_loss(
    bundle: ModelBundle, layers: Layers, e_opt: PromptEmbeds, draws: Draws, weighing: tuple[float, float]
) -> Tensor:
    """Eq. 6 for one set of draws: ``lambda_obj L_obj + lambda_bg L_bg``."""
    lambda_obj, lambda_bg = weighing
    loss_obj, loss_bg = layer_losses(bundle, layers, e_opt, e_opt, draws)  # Eq. 4 and 5
    return lambda_obj * loss_obj + lambda_bg * loss_bg


def tuned_weights(
    bundle: ModelBundle,
    layers: Layers,
    e_opt: PromptEmbeds,
    params: LayeredParams,
    seed: int,
    source: torch.Generator,
    after_step: Step,
    begin: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Minimise Eq. 6 over the network's weights and return what changed; the network itself is left as it was.

    With `Tuned.UNET` that is ``W_fitted - W`` of every weight in bfloat16: half the size, and the same range as
    float32, which differences of 1e-6 need. With `Tuned.LORA` it is the low-rank update. `begin` is what an earlier
    call returned: where it is of the same shapes, the search begins there.
    """
    draws = Draws(source, params.timesteps_per_step, params.normalize_by_area)
    weighing = loss_weights(layers, params)

    def loss(draws: Draws) -> Tensor:
        return tuning_loss(bundle, layers, e_opt, draws, weighing)

    @torch.no_grad()
    def settled() -> Tensor:
        return loss(draws.fixed)

    def tune(parameters: Sequence[Tensor], cold: float | None) -> None:
        stopping = EarlyStopping(settled, cold=cold) if params.early_stop else None
        fit(parameters, lambda _: loss(draws), params.tune_steps, params.tune_rate, after_step, stopping)

    def begun(state: Mapping[str, Tensor], put: Callable[[Mapping[str, Tensor]], None]) -> float | None:
        """Let the network, which is as it would be cold, begin at `begin` where that fits; the loss it had cold."""
        if not begin or not same_shapes(begin, state):
            return None
        cold = settled().item() if params.early_stop else None
        put(begin)
        return cold

    if params.tuned is Tuned.LORA:
        with lora(bundle.unet, params.lora_rank, seed) as parameters:
            tune(parameters, begun(lora_state(bundle.unet), partial(set_lora, bundle.unet)))
            return lora_state(bundle.unet)
    weights = dict(bundle.unet.named_parameters())
    with trainable(list(weights.values())) as pristine:
        tune(list(weights.values()), begun(weights, partial(add_change, weights)))
        return {
            name: (w.detach() - kept).to(torch.bfloat16)
            for (name, w), kept in zip(weights.items(), pristine, strict=True)
        }
