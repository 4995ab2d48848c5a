"""What a fitted layer is: the two embeddings, the change of the weights, the mask and the background reference.

It is one safetensors value, so it can be stored beside a turn and used again for other seeds: candidates from a
stored state are the same, byte for byte, as from the run that fitted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from pipelines.contract import Mask, Picture
from pipelines.errors import BadRequest
from pipelines.models.adapters import with_delta, with_lora
from pipelines.models.bundle import ModelBundle
from pipelines.models.texts import Texts
from pipelines.params import Tuned

_WEIGHT = "weights."
_POOLED = ".pooled"


@dataclass(frozen=True, eq=False)
class Fitted:
    """The outcome of phases 1 and 2."""

    e_a: Texts
    """The object's text, its tokens fitted."""
    e_b: Texts
    """The background's."""
    mask: Mask
    """The object's place at the network's size."""
    tuned: Tuned
    weights: Mapping[str, Tensor]
    """What phase 2 changed; empty when it was skipped."""
    reference: Picture | None
    """The background reference at the network's size; ``None`` when the input itself supplied the background."""

    def applied(self, bundle: ModelBundle) -> AbstractContextManager[None]:
        """The network with the change of phase 2, inside the context."""
        if self.tuned is Tuned.NONE:
            return nullcontext()
        if self.tuned is Tuned.LORA:
            return with_lora(bundle.unet, self.weights)
        return with_delta(bundle.unet, self.weights)

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {"mask": torch.from_numpy(self.mask.astype(np.uint8))}
        for name, e in (("e_a", self.e_a), ("e_b", self.e_b)):
            tensors[name] = e.tokens
            if e.pooled is not None:
                tensors[name + _POOLED] = e.pooled
        if self.reference is not None:
            tensors["reference"] = torch.tensor(self.reference)
        tensors |= {_WEIGHT + name: change for name, change in self.weights.items()}
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        return safetensors.torch.save(on_cpu)

    @classmethod
    def from_bytes(cls, data: bytes, bundle: ModelBundle, mask: Mask) -> Fitted:
        """Read a stored state for `bundle` and the object at `mask` (network's size).

        Raises `BadRequest` when it is damaged or was fitted to another mask or model.
        """
        try:
            tensors = safetensors.torch.load(data)
            stored = tensors["mask"].numpy().astype(bool)
            weights = {name.removeprefix(_WEIGHT): t for name, t in tensors.items() if name.startswith(_WEIGHT)}
            e_a, e_b = (_texts(tensors, name, bundle.device) for name in ("e_a", "e_b"))
            reference = tensors.get("reference")
        except (SafetensorError, KeyError, ValueError) as error:
            raise BadRequest(f"the stored layer cannot be read ({error}); run the edit again without it") from error
        if {e_a.widths, e_b.widths} != {bundle.text_widths} or not np.array_equal(stored, mask):
            raise BadRequest("the stored layer was fitted to another model or mask; run the edit again without it")
        own = dict(bundle.unet.named_parameters())
        tuned = Tuned.NONE if not weights else Tuned.UNET if weights.keys() <= own.keys() else Tuned.LORA
        device = bundle.device
        return cls(
            e_a=e_a,
            e_b=e_b,
            mask=stored,
            tuned=tuned,
            weights={name: change.to(device) for name, change in weights.items()},
            reference=None if reference is None else reference.numpy(),
        )


def _texts(tensors: Mapping[str, Tensor], name: str, device: torch.device) -> Texts:
    pooled = tensors.get(name + _POOLED)
    return Texts(tensors[name].to(device), None if pooled is None else pooled.to(device))
