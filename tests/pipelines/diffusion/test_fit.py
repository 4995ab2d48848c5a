"""The optimisation loop: what it reads from the device, what it refuses, when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.diffusion.fit import READ_EVERY, EarlyStopping, fit
from pipelines.diffusion.stages import Stages
from pipelines.errors import NumericalError


def nothing() -> None: ...


def parabola(p: Tensor) -> Callable[[int], Tensor]:
    return lambda _: (p - 3).square().sum()


class Reads(TorchDispatchMode):
    """Counts how often the host asks a tensor for its number."""

    seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_minimum_is_found_in_all_the_steps() -> None:
    p = torch.zeros(4, requires_grad=True)
    assert fit([p], parabola(p), 200, 0.1, nothing) == 200
    assert torch.allclose(p, torch.full((4,), 3.0), atol=0.05)


def test_the_host_reads_a_number_every_ten_steps_only() -> None:
    p = torch.zeros(4, requires_grad=True)
    with Reads() as reads:
        fit([p], parabola(p), 100, 0.1, nothing)
    assert reads.seen == 100 // READ_EVERY + 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("bad", [0, 3, 24])
def test_one_loss_that_is_not_finite_stops_the_fit(value: float, bad: int) -> None:
    """Also one that spoils no gradient, and one in the steps after the last reading."""
    p, taken = torch.zeros(4, requires_grad=True), 0

    def step() -> None:
        nonlocal taken
        taken += 1

    with pytest.raises(NumericalError, match="the optimisation"):
        fit([p], lambda k: p.square().sum() + (value if k == bad else 0.0), 25, 0.1, step)
    assert bad <= taken <= bad + READ_EVERY


def test_a_result_that_is_not_finite_is_never_given_back() -> None:
    """The last step's loss was finite, and its update was not."""
    p = torch.ones(1, requires_grad=True)
    with pytest.raises(NumericalError):
        fit([p], lambda _: p.sum(), 1, 1e39, nothing)


def test_adam_keeps_two_float32_moments_a_parameter() -> None:
    p, held = torch.zeros(1000, requires_grad=True), 0

    def measure(optimiser: torch.optim.Optimizer, *_: object) -> None:
        nonlocal held
        held = sum(t.numel() * t.element_size() for state in optimiser.state.values() for t in state.values())

    hook = register_optimizer_step_post_hook(measure)
    try:
        fit([p], parabola(p), 1, 0.1, nothing)
    finally:
        hook.remove()
    assert 2 * 4 * 1000 <= held <= 2 * 4 * 1000 + 8, "and one counter"


SERIES = {
    "too few to tell": ([5.0, 1.0, 1.0], False),
    "still falling": ([5.0, 4.0, 3.0, 2.0, 1.0], False),
    "has fallen": ([9.0, 5.0, 2.0, 1.1, 1.0, 1.0, 1.1], True),
    "never moved": ([1.0] * 5, True),
    "noise throughout": ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0], False),
}


@pytest.mark.parametrize("name", SERIES)
def test_settling_compares_the_last_values_with_all(name: str) -> None:
    losses, expected = SERIES[name]
    assert EarlyStopping(lambda: torch.zeros(())).reached(losses) is expected


@pytest.mark.parametrize(
    ("cold", "losses", "expected"),
    [
        (9.0, [1.2, 1.1, 1.0, 1.0], True),
        (None, [1.2, 1.1, 1.0, 1.0], False),
        (None, [1.2, 1.1, 1.0, 1.0, 0.9], False),
        (9.0, [1.1, 1.0, 1.0], False),
        (5.0, [4.0, 3.0, 2.0, 1.0], False),
    ],
)
def test_what_an_earlier_fit_spared_counts_as_way_that_was_gone(
    cold: float | None, losses: list[float], expected: bool
) -> None:
    assert EarlyStopping(lambda: torch.zeros(()), cold=cold).reached(losses) is expected


def test_a_fit_that_settles_ends_early_and_close_to_the_minimum() -> None:
    p = torch.zeros(4, requires_grad=True)
    taken = fit([p], parabola(p), 2000, 0.1, nothing, EarlyStopping(torch.no_grad()(lambda: (p - 3).square().sum())))
    assert 100 <= taken < 400
    assert torch.allclose(p, torch.full((4,), 3.0), atol=0.05)


def test_a_stage_that_ends_early_is_told_as_finished() -> None:
    told: list[tuple[int, int]] = []
    stages = Stages(lambda name, step, total, preview=None: told.append((step, total)))
    with stages.stage("embeddings", 50) as step:
        step()
        step()
    assert told == [(1, 50), (2, 50), (50, 50)]
    assert stages.finished[0].steps == 2
