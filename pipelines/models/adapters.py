"""LoRA (Hu et al. 2021) and changes of whole weights, as context managers that leave nothing behind.

The update that the layered method fits goes through PEFT, because it is trained. A LoRA from a file is added to what a
layer gives, by a hook: no module is wrapped and no weight touched, so either of the others can be put on inside it, and
taking it away is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.loha.layer import make_weight, make_weight_cp
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle
from pipelines.models.lora_files import LoraLayer, family_of, read_lora
from pipelines.seeds import global_draws_from

NAME = "layer"
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


@contextmanager
def lora(
    unet: UNet2DConditionModel, rank: int, seed: int, targets: Sequence[str] = ATTENTION
) -> Iterator[list[nn.Parameter]]:
    """Attach a fresh low-rank update ``W + B A`` to every layer whose name ends in one of `targets`, or to every
    attention projection; yields its trainable parameters.

    `A` is drawn from `seed`, `B` is zero, so the network is unchanged until it is fitted. Afterwards the adapter is
    detached and the very modules that stood there before are back.
    """
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets))
    training = unet.training
    try:
        with global_draws_from(seed, "lora"):
            unet.add_adapter(config, NAME)
        trained = {name: p for name, p in unet.named_parameters() if p.requires_grad}
        _settle(unet, trained)
        yield list(trained.values())
    finally:
        unet.unload_lora()
        unet.train(training).requires_grad_(False)


_places_of: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()


def _settle(unet: UNet2DConditionModel, trained: Mapping[str, nn.Parameter]) -> None:
    """Put a fresh update where the last one of its shape lay, as a graph recorded with that one reads from there.

    It is float32 whatever the weights are held in.
    """
    places = _places_of.setdefault(unet, {})
    for name, p in trained.items():
        if name not in places or places[name].shape != p.shape or places[name].device != p.device:
            places[name] = torch.empty_like(p, dtype=torch.float32)
        p.data = places[name].copy_(p.detach())


def lora_state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The attached update, by PEFT's names."""
    return {name: t.detach().clone() for name, t in get_peft_model_state_dict(unet, adapter_name=NAME).items()}


def set_lora(unet: UNet2DConditionModel, state: Mapping[str, Tensor]) -> None:
    """The attached update becomes `state`, which has its names and shapes."""
    set_peft_model_state_dict(unet, dict(state), adapter_name=NAME)


def same_shapes(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether both have tensors of the same names and shapes."""
    return {name: t.shape for name, t in state.items()} == {name: t.shape for name, t in other.items()}


@contextmanager
def with_lora(unet: UNet2DConditionModel, state: Mapping[str, Tensor]) -> Iterator[None]:
    """The U-Net with a fitted update attached, for sampling."""
    rank = next(t.shape[0] for name, t in state.items() if "lora_A" in name)
    with lora(unet, rank, seed=0) as parameters:
        set_lora(unet, state)
        for p in parameters:
            p.requires_grad_(False)
        yield


@torch.no_grad()
def add_change(weights: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
    """``W + delta`` of the named `weights`, in place."""
    for name, change in delta.items():
        weights[name].add_(change.to(weights[name]))


@contextmanager
def with_delta(unet: UNet2DConditionModel, delta: Mapping[str, Tensor]) -> Iterator[None]:
    """The U-Net with ``W + delta`` for the named weights, for sampling; restored by copying `W` back."""
    weights = dict(unet.named_parameters())
    pristine = {name: weights[name].detach().clone() for name in delta}
    try:
        add_change(weights, delta)
        yield
    finally:
        with torch.no_grad():
            for name, kept in pristine.items():
                weights[name].copy_(kept)


# ---------------------------------------------------------------------------------------------------- from files


@contextmanager
def attached(bundle: ModelBundle, loras: Sequence[tuple[Path, float]]) -> Iterator[None]:
    """The bundle with the change of every layer of every LoRA ``(path, scale)``: what diffusers and PEFT add there.

    Raises `ModelError` before anything is attached: for what cannot be read or was made for another family.
    """
    changes = [change for path, scale in loras for change in _changes(bundle, path, scale)]
    hooks = [module.register_forward_hook(change) for module, change in changes]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


Layer = nn.Linear | nn.Conv2d


class _LowRank:
    """Adds ``up(down(x))`` to the layer's result, all of it times `magnitude` where there is one (DoRA)."""

    def __init__(self, down: Tensor, up: Tensor, magnitude: Tensor | None = None) -> None:
        self.down, self.up, self.magnitude = down, up, magnitude

    def __call__(self, module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        bias: Any = module.bias
        if isinstance(module, nn.Conv2d):
            low = F.conv2d(args[0], self.down, None, module.stride, module.padding, module.dilation)
            added, bias = F.conv2d(low, self.up), None if bias is None else bias[:, None, None]
        else:
            added = F.linear(F.linear(args[0], self.down), self.up)
        if self.magnitude is None:
            return out + added
        bare = out if bias is None else out - bias
        return (out + (self.magnitude - 1) * bare + self.magnitude * added).to(out.dtype)


class _Whole:
    """Adds what a change of the whole weight gives: a LoHa's has no low rank."""

    def __init__(self, delta: Tensor) -> None:
        self.delta = delta

    def __call__(self, module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        if isinstance(module, nn.Conv2d):
            return out + F.conv2d(args[0], self.delta, None, module.stride, module.padding, module.dilation)
        return out + F.linear(args[0], self.delta)


def _changes(bundle: ModelBundle, path: Path, scale: float) -> list[tuple[Layer, _LowRank | _Whole]]:
    """What every layer of a LoRA adds, in the layer's dtype and on its device."""
    lora = read_lora(path)
    places = {part: _places(module) for part, module in bundle.modules.items()}
    found: list[tuple[Layer, _LowRank | _Whole]] = []
    misfits = []
    try:
        with safe_open(lora.weights, "pt") as file:
            for layer in lora.layers:
                module = places.get(layer.part, {}).get(layer.layer.replace(".", "_"))
                tensors = {role: file.get_tensor(key).float() for role, key in layer.tensors.items()}
                if not all(torch.isfinite(t).all() for t in tensors.values()):
                    raise ModelError(
                        f"the LoRA {path.name} holds numbers that are not finite, so it is damaged; fetch it again"
                    )
                scaling = float(tensors["alpha"]) / layer.rank if "alpha" in tensors else layer.scaling
                change = None if module is None else _change(module, layer, tensors, scale * scaling)
                if module is None or change is None:
                    first = tensors.get("down", tensors.get("hada_w1_b"))
                    shape = "" if first is None else "x".join(map(str, first.shape))
                    misfits.append(f"{layer.part} has no layer {layer.layer} that takes {shape}")
                    continue
                found.append((module, change))
    except (OSError, SafetensorError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"the LoRA {path.name} cannot be read ({type(error).__name__}); fetch it again") from None
    if misfits:
        raise ModelError(
            f"the LoRA {path.name} does not fit the model {bundle.card.id!r}: it was made for "
            f"{family_of(lora.shapes)}; {len(misfits)} of its {len(lora.layers)} layers find no place, first: "
            f"{misfits[0]}"
        )
    return found


def _change(module: Layer, layer: LoraLayer, tensors: Mapping[str, Tensor], scaling: float) -> _LowRank | _Whole | None:
    """What the layer's tensors add to `module`, or ``None`` where they do not fit it."""
    weight = module.weight
    if layer.is_hadamard:
        delta = _hadamard(tensors, scaling)
        return _Whole(delta.reshape(weight.shape).to(weight)) if delta.numel() == weight.numel() else None
    pair = _pair(module, tensors["down"], tensors["up"])
    if pair is None:
        return None
    down, up = pair[0], pair[1] * scaling
    if "magnitude" not in tensors:
        return _LowRank(down.to(weight), up.to(weight))
    magnitude = tensors["magnitude"]
    sides = [side for side in magnitude.shape if side > 1]
    if magnitude.numel() != len(weight) or (magnitude.ndim == 2 and magnitude.shape[-1] != 1):
        raise ModelError(
            f"its layer {layer.layer} must have one magnitude for each of its {len(weight):,} outputs; it has "
            f"{'x'.join(map(str, sides)) or 1} along its inputs, which PEFT does not run. Train it with wd_on_output"
        )
    whole = weight.float() + (up.flatten(1) @ down.flatten(1)).to(weight.device).reshape(weight.shape)
    factor = magnitude.flatten().to(weight.device) / whole.flatten(1).norm(dim=1)
    shaped = factor[:, None, None] if isinstance(module, nn.Conv2d) else factor
    return _LowRank(down.to(weight), up.to(weight), shaped.to(weight))


def _hadamard(tensors: Mapping[str, Tensor], scaling: float) -> Tensor:
    """The change of the whole weight, by PEFT, up to its shape."""
    matrices = [tensors[role] for role in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")]
    scale = torch.tensor(scaling)
    delta: Tensor
    if "hada_t1" in tensors:
        delta = make_weight_cp(tensors["hada_t1"], *matrices[:2], tensors["hada_t2"], *matrices[2:], scale)
    else:
        delta = make_weight(*matrices, scale)
    return delta


def _pair(module: Layer, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor] | None:
    """`down` ``(r, in, …)`` and `up` ``(out, r, …)`` in the layer's own number of dimensions, where they fit it."""
    rank, weight = len(down), module.weight
    wanted_down, wanted_up = (rank, *weight.shape[1:]), (weight.shape[0], rank, *[1] * (weight.ndim - 2))
    if down.numel() != torch.Size(wanted_down).numel() or up.numel() != torch.Size(wanted_up).numel():
        return None
    return down.reshape(wanted_down), up.reshape(wanted_up)


def _places(part: nn.Module) -> dict[str, Layer]:
    """Linear and convolution layers by every name that a file may call them, ``_`` for ``.``."""
    layers = {n: m for n, m in part.named_modules() if isinstance(m, Layer)}
    places: dict[str, Layer] = {name.replace(".", "_"): module for name, module in layers.items()}
    if isinstance(part, UNet2DConditionModel):
        places |= {original_name(name, part).replace(".", "_"): module for name, module in layers.items()}
    else:  # CLIP lost its outer name in newer versions of the library
        places |= {f"text_model_{name}": module for name, module in list(places.items())}
    return places


_INNER = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OUTER = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def original_name(name: str, unet: UNet2DConditionModel) -> str:
    """What the original code (Rombach et al. 2022) calls the layer `name` of diffusers: kohya's files for XL use it."""
    match = re.fullmatch(
        r"(down|mid|up)_block(?:s\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name
    )
    if match is None:
        return _OUTER.get(name, name)
    side, block, kind, index, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    rest = _INNER.get(rest, rest)
    steps = int(unet.config.layers_per_block) + 1
    if side == "mid":
        return f"middle_block.{1 if kind == 'attentions' else 2 * index}.{rest}"
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * steps}.0.op"
        return f"input_blocks.{1 + block * steps + index}.{int(kind == 'attentions')}.{rest}"
    if kind == "upsamplers":
        after = 1 + bool(getattr(unet.up_blocks[block], "attentions", None))
        return f"output_blocks.{(block + 1) * steps - 1}.{after}.{rest}"
    return f"output_blocks.{block * steps + index}.{int(kind == 'attentions')}.{rest}"
