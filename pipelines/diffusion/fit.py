"""The one optimisation loop: Adam (Kingma and Ba 2015) on whatever is open, until the steps are done or it settles."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.models.bundle import finite

READ_EVERY = 10
"""Steps. Reading a number from the device makes the host wait for it, so losses are added up there and looked at now
and then; by that the host is never more than so many steps ahead, which bounds how long cancelling takes."""

FUSED = ("cpu", "cuda")
"""Devices on which one kernel updates all parameters."""


@dataclass(frozen=True)
class EarlyStopping:
    """Early stopping by DVAR (Voronov et al. 2023, arXiv 2302.04841).

    The loss of single steps is too noisy to show that a fit has converged. One on a fixed batch of noise levels and
    noise shows it: the fit stops once that loss varies little among its last values, measured by all of them.
    """

    loss: Callable[[], Tensor]
    """The loss on the fixed batch, without gradients."""
    every: int = 25
    """Steps between two evaluations."""
    window: int = 4
    """Evaluations that must be alike."""
    share: float = 0.15
    """Largest variance of the window, as a share of the variance of all evaluations."""
    cold: float | None = None
    """The loss where the fit would have begun, had it not begun at what an earlier one found (ours). It counts as the
    first evaluation: little is measured by the whole way, and that one began near its end."""

    def reached(self, losses: Sequence[float]) -> bool:
        """Whether these evaluations, in order, say that the fit has settled."""
        losses = losses if self.cold is None else [self.cold, *losses]
        if len(losses) <= self.window:
            return False
        return statistics.pvariance(losses[-self.window :]) <= self.share * statistics.pvariance(losses)


def fit(
    parameters: Sequence[Tensor],
    loss_of_step: Callable[[int], Tensor],
    steps: int,
    rate: float,
    after_step: Callable[[], None],
    stopping: EarlyStopping | None = None,
    enough: float = 0.0,
) -> int:
    """Minimise `loss_of_step` over `parameters`, in place; the number of steps that were taken.

    Parameters and Adam's moments are float32, whatever arithmetic the loss was computed in: an update of 2e-6 would
    vanish in bfloat16. A loss below `enough` ends it. Raises `NumericalError` for a loss or a result that is not
    finite; `after_step` may raise.
    """
    assert all(p.dtype is torch.float32 and p.requires_grad for p in parameters)
    optimiser = torch.optim.Adam(parameters, lr=rate, fused=parameters[0].device.type in FUSED)
    evaluated: list[float] = []
    total, taken = torch.zeros((), device=parameters[0].device), 0
    while taken < steps and not (stopping is not None and stopping.reached(evaluated)):
        optimiser.zero_grad(set_to_none=True)  # before the step, which would hold its activations beside them
        loss = loss_of_step(taken)
        total += loss.detach()  # one number that is not finite makes the sum so
        torch.autograd.backward(loss)
        optimiser.step()
        taken += 1
        if taken % READ_EVERY == 0:
            finite(total, "the optimisation")
        if stopping is not None and taken % stopping.every == 0:
            evaluated.append(stopping.loss().item())
        after_step()
        if enough and loss.item() < enough:
            break
    largest = torch.stack([p.detach().abs().amax() for p in parameters])
    finite(torch.cat([largest, total[None]]), "the optimisation")
    return taken
