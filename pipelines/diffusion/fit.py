"""The one optimisation loop: Adam (Kingma and Ba 2015) on whatever is open, until the steps are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.models.bundle import finite


def fit(
    parameters: Sequence[Tensor],
    loss_of_step: Callable[[int], Tensor],
    steps: int,
    rate: float,
    after_step: Callable[[], None],
) -> None:
    """Minimise `loss_of_step` over `parameters`, in place.

    Parameters and Adam's moments are float32, whatever arithmetic the loss was computed in: an update of 2e-6 would
    vanish in bfloat16. Raises `NumericalError` for a loss or a result that is not finite; `after_step` may raise.
    """
    assert all(p.dtype is torch.float32 and p.requires_grad for p in parameters)
    optimiser = torch.optim.Adam(parameters, lr=rate)
    for step in range(steps):
        loss = finite(loss_of_step(step), "the optimisation")
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        after_step()
    for p in parameters:
        finite(p, "the optimisation")
