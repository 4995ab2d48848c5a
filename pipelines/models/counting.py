"""What a piece of work costs, counted without doing it: tensors on the meta device have shapes and no values.

A multiply and an add are two operations; convolutions, products of matrices and attention are counted, nothing else.
Attention is counted as the fused kernel that runs on a GPU, which keeps no matrix of scores.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from pipelines.models.bundle import ModelBundle
from pipelines.models.network import eager

META = torch.device("meta")

WITHOUT_KERNEL = {
    "_unsafe_view",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "lift_fresh",
}
"""Operators beside views that compute nothing."""


@dataclass(frozen=True)
class Counted:
    """The cost of one piece of work."""

    tflop: float
    operators: int
    """Operators that compute: about the kernels that an eager run launches."""
    peak_bytes: int
    """Most bytes that were held at once by what the work itself made: activations, gradients, temporaries."""


def counted(work: Callable[[], object]) -> Counted:
    """The cost of `work`, whose tensors are all on the meta device."""
    operators = _Operators()
    with FlopCounterMode(display=False) as flop, operators, _FusedAttention():
        work()
    return Counted(flop.get_total_flops() / 1e12, operators.seen, operators.peak)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that `work` holds at once, as `Counted.peak_bytes`; counts nothing else, which is quicker."""
    operators = _Operators()
    with operators, _FusedAttention():
        work()
    return operators.peak


def on_meta(bundle: ModelBundle) -> ModelBundle:
    """The same model without its weights, in float32: for counting."""
    parts: dict[str, Any] = {name: _hollow(module) for name, module in bundle.modules.items()}
    return replace(
        bundle, **parts, schedule=bundle.schedule.to(META), device=META, autocast=None, network=eager, idle=None
    )


def _hollow(module: nn.Module) -> nn.Module:
    """A module of the same configuration on the meta device, closed to gradients."""
    kind: Any = type(module)
    with META:
        made = kind.from_config(module.config) if hasattr(kind, "from_config") else kind(module.config)
    hollow: nn.Module = made.eval().requires_grad_(False)
    return hollow


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators that compute, and the memory that their results hold."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = self.peak = self._held = 0
        self._known = WeakIdKeyDictionary()  # equal storages are not the same one

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not _is_view(func) and func.overloadpacket.__name__ not in WITHOUT_KERNEL:
            self.seen += 1
        if all(returned.alias_info is None for returned in func._schema.returns):
            for tensor in tree_iter(result):
                if isinstance(tensor, Tensor):
                    self._hold(tensor.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        size = storage.nbytes()
        weakref.finalize(storage, self._release, size)
        self._held += size
        self.peak = max(self.peak, self._held)

    def _release(self, size: int) -> None:
        self._held -= size


def _is_view(func: Any) -> bool:
    """Whether an operator's result shares the memory of an argument that it does not write."""
    return any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)


class _FusedAttention(TorchFunctionMode):
    """Attention on the meta device as one operator in each direction, as on a GPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        given = dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False)) | kwargs
        if given.get("attn_mask") is not None or not given["query"].is_meta:
            return func(*args, **kwargs)
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        return flash(given["query"], given["key"], given["value"], 0.0, given.get("is_causal", False))[0]
