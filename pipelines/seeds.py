"""Named generators from one seed: every random draw of a turn comes from here.

A purpose is a short name such as ``"reference"`` or ``"fine-tune"``. Two purposes never share draws, so a change in
one phase (more steps, another mode) leaves the noise of the others as it was. Draws are made on the CPU and moved,
so that a seed means the same noise on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derived_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for `purpose`."""
    digest = hashlib.sha256(f"palimpsest/{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator for `purpose`."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


def normal_like(reference: Tensor, source: torch.Generator) -> Tensor:
    """Standard normal noise of `reference`'s shape, dtype and device."""
    return sent(torch.randn(reference.shape, generator=source, dtype=reference.dtype), reference.device)


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """`drawn` on `device`, without waiting for what the device still has to do."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn.to(device)


@contextmanager
def global_draws_from(seed: int, purpose: str) -> Iterator[None]:
    """For libraries that draw from torch's global generator: seeded inside, left as it was found afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, purpose))
        yield
