"""What errors of torch and of a GPU's driver mean to a person: too little memory, a device that is broken, or a bug.

Whatever raised them holds pictures, activations and optimisers in its frames; those are let go first, for they are the
memory that the next edit needs.
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pipelines.errors import DeviceFault, NotEnoughMemory, PipelineError

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|ALLOC_FAILED|bad_alloc", re.I)
_BROKEN = re.compile(
    r"\b(CUDA|HIP|XPU) (driver )?error|device-side assert|CUBLAS_STATUS_|CUDNN_STATUS_|cuDNN error", re.I
)
"""After these a context is not to be trusted, even where a later call happens to succeed."""


@contextmanager
def in_words(advice: str, release: Callable[[], None]) -> Iterator[None]:
    """Inside, an error of memory or of the device becomes a `NotEnoughMemory`, ending in `advice`, or a `DeviceFault`.

    `release` then lets go of what the next edit can do without.
    """
    problem: PipelineError | None = None
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        problem = meaning(error, advice)
        if problem is None:
            raise
        traceback.clear_frames(error.__traceback__)
    if isinstance(problem, NotEnoughMemory):
        release()
        free_memory()
    if problem is not None:
        raise problem


def meaning(error: MemoryError | RuntimeError, advice: str) -> PipelineError | None:
    """What a person is told of `error`; ``None`` where it is a bug."""
    words = " ".join(str(error).split("\n", 1)[0].split())[:200]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(words):
        return NotEnoughMemory(f"there was not enough memory for this, and nothing was changed. {advice}")
    if _BROKEN.search(words):
        return DeviceFault(
            f"the GPU failed ({words}), and nothing of this was kept. Try again; if it comes back, another program may "
            "be using the GPU, or its driver needs a restart"
        )
    return None


def free_memory() -> None:
    """Give back what only garbage and the allocator's caches hold."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing where CUDA was never used
