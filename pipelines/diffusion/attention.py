"""Attention as a tool: what a U-Net looks at, read, replaced or led elsewhere, and the features that its layers add.

A layer is found by what it is (`Part`, `Kind`, how much smaller than the latent its picture is), never by its number:
networks of Stable Diffusion 1.x, 2.x and XL and the embedded one have different layers at the same places. Everything
that is put on is taken off again by `steered`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.errors import NotEnoughMemory


class Part(StrEnum):
    """Where in the U-Net a layer is."""

    DOWN = "down"
    MID = "mid"
    UP = "up"


class Kind(StrEnum):
    """What a layer does."""

    SELF = "self"  # places of the picture look at each other
    CROSS = "cross"  # places of the picture look at the words
    RESIDUAL = "residual"  # convolutions whose outcome is added to what came in


@dataclass(frozen=True)
class Layer:
    """One layer of a U-Net."""

    name: str
    """Of the module, as in ``named_modules``."""
    part: Part
    kind: Kind
    scale: int
    """How many cells of the latent one of its own is wide: 1, 2, 4, 8 ..."""

    @property
    def place(self) -> tuple[int, ...]:
        """The numbers in its name: of its block, of itself within the block, of what is within itself."""
        return tuple(int(piece) for piece in self.name.split(".") if piece.isdigit())


@dataclass(frozen=True, eq=False)
class Look:
    """One call of attention: `B` samples, `h` heads, `N` places that look at `K` places or tokens."""

    q: Tensor
    """``(B, h, N, d)``."""
    k: Tensor
    """``(B, h, K, d)``."""
    v: Tensor
    """``(B, h, K, d)``."""
    bias: Tensor | None = None
    """Added to the scores."""

    def seen(self, allowed: Tensor | None = None) -> Tensor:
        """``(B, h, N, d)``: attention by the library's fused kernel. `allowed` ``(B or 1, 1, 1, K)`` bool says which
        keys may be looked at."""
        bias = self.bias if allowed is None else allowed
        return F.scaled_dot_product_attention(self.q, self.k, self.v, attn_mask=bias)

    @property
    def maps(self) -> Tensor:
        """``(B, h, N, K) float32``: how much each place looks at each key; every row sums to 1."""
        scores = (self.q @ self.k.transpose(-1, -2)).float() / math.sqrt(self.q.shape[-1])
        return (scores if self.bias is None else scores + self.bias).softmax(-1)

    def seen_by(self, maps: Tensor) -> Tensor:
        """``(B, h, N, d)``: what is seen by `maps` ``(B, h, N, K)``."""
        return maps.to(self.v.dtype) @ self.v


Attend = Callable[[Layer, Look], Tensor]
"""Stands in the place of attention: ``(B, h, N, d)`` of a `Look`."""
Change = Callable[[Tensor], Tensor]
"""What a residual layer adds ``(B, C, h, w)`` becomes this."""


def layers(unet: nn.Module, kind: Kind, parts: Iterable[Part] = tuple(Part)) -> tuple[Layer, ...]:
    """The layers of one kind in those parts, in the order in which they run: down, middle, up."""
    wanted, halvings = set(parts), len(unet.config.block_out_channels) - 1  # type: ignore[union-attr, arg-type]
    found: list[Layer] = []
    for name, module in unet.named_modules():
        if _kind(name, module) is not kind:
            continue
        part = Part(name.split("_block")[0])
        block = int(name.split(".")[1]) if part is not Part.MID else 0
        halved = {Part.DOWN: block, Part.MID: halvings, Part.UP: halvings - block}[part]
        found.append(Layer(name, part, kind, 2**halved))
    return tuple(sorted((x for x in found if x.part in wanted), key=lambda x: (list(Part).index(x.part), x.place)))


def _kind(name: str, module: nn.Module) -> Kind | None:
    if isinstance(module, Attention):
        return Kind.CROSS if name.endswith("attn2") else Kind.SELF
    return Kind.RESIDUAL if isinstance(module, ResnetBlock2D) else None


def nearest(found: Sequence[Layer], scale: int) -> tuple[Layer, ...]:
    """Those of `found` whose scale is nearest to `scale` by its ratio, the finer where two are as near; none of none.

    Papers name attention of 16 x 16 in Stable Diffusion 1.x: the latent's side by 4, which a small network may lack.
    """
    scales = {layer.scale for layer in found}
    if not scales:
        return ()
    best = min(scales, key=lambda s: (abs(math.log2(s / scale)), s))
    return tuple(layer for layer in found if layer.scale == best)


class _Led:
    """A processor that lets `attend` stand in the place of attention; all else is as diffusers' own has it."""

    def __init__(self, layer: Layer, attend: Attend) -> None:
        self._layer, self._attend = layer, attend

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        x = hidden_states  # (B, N, D): U-Nets attend within transformer blocks, which have flattened the picture
        told = x if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            told = attn.norm_encoder_hidden_states(told)
        q, k, v = (_in_heads(y, attn.heads) for y in (attn.to_q(x), attn.to_k(told), attn.to_v(told)))
        bias = None
        if attention_mask is not None:
            bias = attn.prepare_attention_mask(attention_mask, told.shape[1], len(x))
            bias = bias.view(len(x), attn.heads, -1, bias.shape[-1])
        out = self._attend(self._layer, Look(q, k, v, bias))
        out = out.transpose(1, 2).flatten(2).to(q.dtype)  # (B, N, h d)
        out = attn.to_out[1](attn.to_out[0](out))
        if attn.residual_connection:
            out = out + hidden_states
        scaled: Tensor = out / attn.rescale_output_factor
        return scaled


def _in_heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # (B, N, h d) -> (B, h, N, d)


@contextmanager
def steered(
    unet: UNet2DConditionModel,
    attention: Mapping[Layer, Attend] | None = None,
    residuals: Mapping[Layer, Change] | None = None,
) -> Iterator[None]:
    """Inside, `attention` stands in the place of those layers' own, and what `residuals` add is changed; afterwards
    every processor and hook is as it was, however it ends.

    A residual layer's outcome is changed after its last convolution and before it is added to what came in.
    """
    before: list[tuple[Attention, Any]] = []
    hooks = []
    try:
        for layer, attend in (attention or {}).items():
            module = unet.get_submodule(layer.name)
            assert isinstance(module, Attention)
            before.append((module, module.processor))
            module.processor = _Led(layer, attend)
        for layer, change in (residuals or {}).items():
            convolution = unet.get_submodule(f"{layer.name}.conv2")
            hooks.append(convolution.register_forward_hook(lambda _m, _i, out, change=change: change(out)))
        yield
    finally:
        for module, processor in reversed(before):
            module.processor = processor
        for hook in hooks:
            hook.remove()


class Recorder:
    """Keeps the maps of cross-attention of the last network call, averaged over heads: an `Attend` that leaves what is
    seen as it is.

    `samples` are those of the batch that are kept: ``slice(1, None)`` the second half of two.
    """

    def __init__(self, extent: tuple[int, int], samples: slice = slice(None)) -> None:
        """`extent` is the latent's ``(h, w)``."""
        self._extent, self._samples = extent, samples
        self._maps: dict[str, Tensor] = {}

    def __call__(self, layer: Layer, look: Look) -> Tensor:
        maps = look.maps
        self.keep(layer, maps)
        return look.seen_by(maps)

    def keep(self, layer: Layer, maps: Tensor) -> None:
        """Take down ``(B, h, N, K)`` that somebody else made."""
        mean = maps[self._samples].detach().mean(1).transpose(1, 2)  # (S, K, N)
        self._maps[layer.name] = mean.reshape(*mean.shape[:2], *extent_at(layer, self._extent))

    def of(self, tokens: Sequence[int]) -> Tensor:
        """``(S, 1, h, w) float32`` of the coarsest recorded layers' size: how much is looked at `tokens`, summed over
        them and averaged over the layers of the last call."""
        looked = [maps[:, list(tokens)].sum(1, keepdim=True) for maps in self._maps.values()]
        h, w = min((x.shape[-2:] for x in looked), key=math.prod)
        return torch.stack([F.adaptive_avg_pool2d(x, (h, w)) for x in looked]).mean(0)


def extent_at(layer: Layer, extent: tuple[int, int]) -> tuple[int, int]:
    """``(h, w)`` of what `layer` sees of a latent of `extent`: every halving rounds up."""
    h, w = extent
    return -(-h // layer.scale), -(-w // layer.scale)


def free_host_bytes() -> int | None:
    """What the machine's memory has left, as Linux says it; ``None`` elsewhere."""
    try:
        said = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(said["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        return None


def check_room_for_maps(needed: int) -> None:
    """Raise `NotEnoughMemory` where `needed` bytes of maps do not fit the machine's memory."""
    free = free_host_bytes()
    if free is not None and needed > free:
        raise NotEnoughMemory(
            f"the maps that this edit keeps need {needed / 2**30:.1f} GiB of the machine's memory, and "
            f"{free / 2**30:.1f} GiB are free; take fewer steps or a smaller picture"
        )


def stored_bytes(
    unet: UNet2DConditionModel, chosen: Iterable[Layer], extent: tuple[int, int], keys: int, times: int
) -> int:
    """Bytes of all maps ``(1, h, N, K) float32`` of the layers `chosen` over `times` calls; `keys` is the number of
    tokens."""
    total = 0
    for layer in chosen:
        attention = unet.get_submodule(layer.name)
        assert isinstance(attention, Attention)
        n = math.prod(extent_at(layer, extent))
        total += attention.heads * n * (n if layer.kind is Kind.SELF else keys)
    return 4 * total * times
