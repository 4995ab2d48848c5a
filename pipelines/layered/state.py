"""What a fitted layer is: the two embeddings, the change of the weights, the mask and the background reference.

It is one safetensors value, so it can be stored beside a turn and used again for other seeds: candidates from a
stored state are the same, byte for byte, as from the run that fitted it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from pipelines.contract import EditRequest, Mask, Picture
from pipelines.errors import BadRequest
from pipelines.models.adapters import with_delta, with_lora
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import Tuned

_WEIGHT = "weights."
_POOLED = ".pooled"
_ORIGIN = "origin"


@dataclass(frozen=True)
class Origin:
    """What layers were fitted of, as SHA-256, so that a later turn can tell which of them it may begin at."""

    model: bytes
    """The model's name."""
    subject: bytes
    """The object's text."""
    background: bytes

    @classmethod
    def of(cls, bundle: ModelBundle, request: EditRequest) -> Origin:
        said = (bundle.card.id, request.subject.strip(), request.background.strip())
        return cls(*(hashlib.sha256(text.encode()).digest() for text in said))

    def to_tensor(self) -> Tensor:
        """``(3, 32) uint8``."""
        return torch.tensor([list(self.model), list(self.subject), list(self.background)], dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, stored: Tensor) -> Origin:
        return cls(*(bytes(row.tolist()) for row in stored))


@dataclass(frozen=True, eq=False)
class Fitted:
    """The outcome of phases 1 and 2."""

    e_a: PromptEmbeds
    """The object's text, its tokens fitted."""
    e_b: PromptEmbeds
    """The background's."""
    mask: Mask
    """The object's place at the network's size."""
    tuned: Tuned
    weights: Mapping[str, Tensor]
    """What phase 2 changed; empty when it was skipped."""
    reference: Picture | None
    """The background reference at the network's size; ``None`` when the input itself supplied the background."""
    origin: Origin | None = None
    """``None`` for a state that was stored before states had one."""

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
        if self.origin is not None:
            tensors[_ORIGIN] = self.origin.to_tensor()
        tensors |= {_WEIGHT + name: change for name, change in self.weights.items()}
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        return safetensors.torch.save(on_cpu)

    @classmethod
    def from_bytes(cls, data: bytes, bundle: ModelBundle, mask: Mask) -> Fitted:
        """Read a stored state for `bundle` and the object at `mask` (network's size).

        Raises `BadRequest` when it is damaged or was fitted to another mask or model.
        """
        stored = cls.read(data, bundle)
        if {stored.e_a.widths, stored.e_b.widths} != {bundle.text_widths} or not np.array_equal(stored.mask, mask):
            raise BadRequest("the stored layer was fitted to another model or mask; run the edit again without it")
        device = bundle.device
        return replace(
            stored,
            e_a=stored.e_a.to(device),
            e_b=stored.e_b.to(device),
            weights={name: change.to(device) for name, change in stored.weights.items()},
        )

    @classmethod
    def read(cls, data: bytes, bundle: ModelBundle) -> Fitted:
        """A stored state as it is, in the host's memory, whatever it was fitted to. Raises `BadRequest` when it is
        damaged."""
        try:
            tensors = safetensors.torch.load(data)
            weights = {name.removeprefix(_WEIGHT): t for name, t in tensors.items() if name.startswith(_WEIGHT)}
            own = dict(bundle.unet.named_parameters())
            reference, origin = tensors.get("reference"), tensors.get(_ORIGIN)
            return cls(
                e_a=_texts(tensors, "e_a"),
                e_b=_texts(tensors, "e_b"),
                mask=tensors["mask"].numpy().astype(bool),
                tuned=Tuned.NONE if not weights else Tuned.UNET if weights.keys() <= own.keys() else Tuned.LORA,
                weights=weights,
                reference=None if reference is None else reference.numpy(),
                origin=None if origin is None else Origin.from_tensor(origin),
            )
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise BadRequest(f"the stored layer cannot be read ({error}); run the edit again without it") from error


def _texts(tensors: Mapping[str, Tensor], name: str) -> PromptEmbeds:
    return PromptEmbeds(tensors[name], tensors.get(name + _POOLED))
