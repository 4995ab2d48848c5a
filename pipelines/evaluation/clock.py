"""Seconds on a device: the host waits for it before and after, because what it was told to do may not be done."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices whose product measures a device's rate."""


def settle(device: torch.device) -> None:
    """Wait until `device` has done everything it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes, to its end on the device."""
    settle(device)
    began = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - began


def matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> float:
    """TFLOP/s of a product of two square matrices in `dtype`: the best of `repeats`, after one that warms up."""
    side = MATRIX_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    took = [seconds(lambda: a @ b, device) for _ in range(1 + repeats)][1:]
    return 2 * side**3 / min(took) / 1e12
