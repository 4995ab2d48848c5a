"""What a method's sampler ends with, taken on its way to the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.models.bundle import ModelBundle
from pipelines.params import Params


def ran(
    monkeypatch: pytest.MonkeyPatch, module: Any, bundle: ModelBundle, request: EditRequest, params: Params
) -> tuple[Tensor, EditResult]:
    """All branches ``(B, C, h, w)`` of the last run, and the result."""
    ends: list[Tensor] = []
    denoise: Callable[..., Tensor] = module.denoise

    def watched(*args: Any, **kwargs: Any) -> Tensor:
        ends.append(denoise(*args, **kwargs))
        return ends[-1]

    with monkeypatch.context() as patch:
        patch.setattr(module, "denoise", watched)
        result = module.run(bundle, request, params)
    return ends[-1], result
