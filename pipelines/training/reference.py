"""What an edit by instruction is told of the picture: its CLIP tokens beside the text's, and its edges.

A training by `trainer` leaves a folder: the LoRA as diffusers saves one, and beside it ``reference.json`` with
``reference.safetensors``, the projection of the CLIP's tokens to the width of the text's, and perhaps ``edges``, a
ControlNet. The LoRA alone loads anywhere; the rest is read from here.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.contract import Picture
from pipelines.errors import ModelError
from pipelines.evaluation.clip import on_grey_square
from pipelines.models.bundle import ModelBundle
from pipelines.models.configs import Allowed, Flag, Text, Whole, check, read_json
from pipelines.models.folders import CLIP, find_model
from pipelines.models.loader import load_clip_vision, load_control_net
from pipelines.models.network import Network
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.training.triples import edges

KIND = "rounds"
CONFIG, WEIGHTS, EDGES = "reference.json", "reference.safetensors", "edges"
TRAIN = "train one with: launch.py train rounds"
SAID: dict[str, Allowed] = {
    "kind": Text(40),
    "model": Text(200),
    "clip": Text(200),
    "seen": Whole(1, 8_192),
    "width": Whole(1, 8_192),
    "edges": Flag(),
}
"""What ``reference.json`` may say. Without a ``clip`` nothing is told of the picture."""
EDGE_CHANNELS = (16, 32, 96, 256)
"""Of the layers that bring edges to the size of latents, one more than there are halvings (Zhang et al. 2023)."""


class Projection(nn.Module):
    """The CLIP's tokens ``(B, N, seen)`` at the width of the text's, ``(B, N, width)``."""

    def __init__(self, seen: int, width: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(seen), nn.Linear(seen, width)

    def forward(self, tokens: Tensor) -> Tensor:
        projected: Tensor = self.linear(self.norm(tokens))
        return projected


def prepared(processor: Any, pictures: Sequence[Picture]) -> Tensor:
    """``(B, 3, side, side) float32``, as the CLIP's own folder prepares them; what is not square stands on grey."""
    pixels: Tensor = processor(list(map(on_grey_square, pictures)), return_tensors="pt").pixel_values
    return pixels


class Eyes:
    """The picture half of a CLIP, asked for every token rather than for one vector."""

    def __init__(self, name: str, folders: Iterable[Path], device: torch.device) -> None:
        """Raises `ModelError` where there is no such CLIP."""
        self.name, self._device = name, device
        self._model, processor = load_clip_vision(find_model(name, folders, CLIP), device)
        self.prepared: Callable[[Sequence[Picture]], Tensor] = partial(prepared, processor)
        """What the model is shown of pictures; it holds no model, so that other processes can have it."""

    @property
    def width(self) -> int:
        return int(self._model.config.hidden_size)

    @torch.no_grad()
    def __call__(self, prepared: Tensor) -> Tensor:
        """``(B, N, width) float32``: the class token and one for each patch."""
        tokens: Tensor = self._model.vision_model(prepared.to(self._device)).last_hidden_state
        return tokens.float()


def told(e: PromptEmbeds, seen: Tensor | None) -> PromptEmbeds:
    """``c = [Tx(s); V(I_r)]``: the tokens of the texts, then those of the pictures, both ``(B, ..., D)``."""
    return e if seen is None else replace(e, tokens=torch.cat([e.tokens, seen.to(e.tokens)], 1))


def silence(e: PromptEmbeds) -> PromptEmbeds:
    """The zero embedding that stands for no text, of the same shape."""
    return PromptEmbeds(torch.zeros_like(e.tokens), None if e.pooled is None else torch.zeros_like(e.pooled))


# ------------------------------------------------------------------------------------------------------------- edges


def edge_branch(bundle: ModelBundle) -> ControlNetModel:
    """A fresh ControlNet (Zhang et al. 2023) for edges, with the encoder of the bundle's network."""
    unet = bundle.unet
    channels = EDGE_CHANNELS[: round(math.log2(bundle.cell)) + 1]
    branch = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels)
    if unet.config.addition_embed_type == "text":  # which the library copies without its number of heads
        branch.add_embedding = copy.deepcopy(unet.add_embedding)
        branch.register_to_config(addition_embed_type_num_heads=unet.config.addition_embed_type_num_heads)
    return branch


def edge_maps(pictures: Sequence[Picture]) -> Tensor:
    """``(B, 3, H, W) float32`` of 0 and 1."""
    return torch.stack([torch.from_numpy(edges(picture)).permute(2, 0, 1).float() / 255 for picture in pictures])


def with_edges(branch: nn.Module, shown: Tensor, scale: float = 1.0) -> Network:
    """The network with what the edge branch adds to its encoder; `shown` ``(B, 3, H, W)`` is repeated for guidance."""

    def call(
        unet: UNet2DConditionModel, z_t: Tensor, t: Tensor, tokens: Tensor, added: Mapping[str, Tensor] | None
    ) -> Tensor:
        repeated = shown.to(z_t).repeat(len(z_t) // len(shown), 1, 1, 1)
        down, middle = branch(
            z_t, t, tokens, repeated, conditioning_scale=scale, added_cond_kwargs=added, return_dict=False
        )
        out: Tensor = unet(
            z_t,
            t,
            tokens,
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        return out

    return call


# ------------------------------------------------------------------------------------------------------------ folders


@dataclass(frozen=True, eq=False)
class Reference:
    """What a trained folder brings beside its LoRA, ready for one model."""

    eyes: Eyes | None
    projection: Projection | None
    branch: ControlNetModel | None

    @torch.no_grad()
    def tokens(self, pictures: Sequence[Picture]) -> Tensor | None:
        """``V(I)`` of each picture, ``(B, N, D)``; ``None`` where the training had no part for it."""
        if self.eyes is None or self.projection is None:
            return None
        tokens: Tensor = self.projection(self.eyes(self.eyes.prepared(pictures)))
        return tokens

    def network(self, bundle: ModelBundle, pictures: Sequence[Picture], scale: float = 1.0) -> ModelBundle:
        """The bundle, with its network led by the edges of `pictures` where there is a branch for them."""
        if self.branch is None or scale == 0:
            return bundle
        shown = edge_maps(pictures).to(bundle.device)
        return replace(bundle, network=with_edges(self.branch, shown, scale))


NOTHING = Reference(None, None, None)


def save_reference(
    folder: Path, said: Mapping[str, Any], projection: Projection | None, branch: ControlNetModel | None
) -> None:
    """Write what stands beside the LoRA. `said` names the model, the CLIP and how it was trained."""
    folder.mkdir(parents=True, exist_ok=True)
    if projection is not None:
        state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in projection.state_dict().items()}
        part = folder / f"{WEIGHTS}.part"
        save_file(state, part, metadata={"format": "pt"})
        part.replace(folder / WEIGHTS)
    if branch is not None:
        branch.save_pretrained(folder / EDGES)
    config = {"kind": KIND, **said, "edges": branch is not None}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def is_reference(path: Path) -> bool:
    """Whether a training of this kind left its folder there."""
    return path.is_dir() and (path / CONFIG).is_file()


def reference_of(bundle: ModelBundle) -> Reference:
    """What lies beside the first of the bundle's LoRAs that has it; `NOTHING` where none has. Raises `ModelError`."""
    found = next(filter(is_reference, bundle.loras), None)
    return NOTHING if found is None else load_reference(found, bundle, bundle.folders)


def load_reference(folder: Path, bundle: ModelBundle, folders: Iterable[Path]) -> Reference:
    """What `save_reference` wrote, on the bundle's device; the CLIP is looked for in `folders`.

    Raises `ModelError` for a folder that is damaged or was trained for texts of another width.
    """
    config = read_json(folder / CONFIG)
    for name, allowed in SAID.items():
        check(config.get(name), allowed, f"{folder.name}/{CONFIG}: {name}")
    if config.get("kind") != KIND:
        raise ModelError(f"{folder.name} must be of kind {KIND!r}; it is {config.get('kind')!r:.40}; {TRAIN}")
    eyes = projection = branch = None
    width = bundle.text_widths[0]
    try:
        if config.get("clip") is not None:
            if config["width"] != width:
                raise ModelError(
                    f"{folder.name} was trained for texts of width {config['width']} ({config['model']}); the model "
                    f"{bundle.card.id!r} has {width}. Choose that model, or train anew"
                )
            eyes, projection = Eyes(config["clip"], folders, bundle.device), Projection(config["seen"], width)
            projection.load_state_dict(load_file(folder / WEIGHTS))
            projection.to(bundle.device).eval().requires_grad_(False)
        if config["edges"]:
            branch = load_control_net(folder / EDGES, bundle)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise ModelError(
            f"what lies beside the LoRA in {folder.name} is damaged ({str(error)[:200]}); {TRAIN}"
        ) from error
    return Reference(eyes, projection, branch)
