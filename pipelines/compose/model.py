"""The networks of CDD-ICM: encoders of pictures and texts, gated fusion, and a U-Net that is told of all of them.

Encoders and U-Net are those of transformers and diffusers; what the paper adds stands here. It feeds on the picture as
it is and on the present instruction alone: what was said before is in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from pipelines.compose.losses import Chain

TAU = math.exp(-1)
"""What both temperatures begin at (Section 4.2)."""

LEAST_TAU = 0.01
"""Below it CLIP does not go either: a single pair would decide everything."""


@dataclass(frozen=True)
class Sizes:
    """How large each part is; written into a model's ``config.json``."""

    side: int
    """Pixels a side of the pictures."""
    joint: int
    """d, numbers of a representation in the space that pictures and texts share."""
    image_widths: tuple[int, ...]
    """Channels of the picture encoder's levels, each half as fine as the one before; a single one is the width of a
    vision transformer like CLIP's."""
    text_width: int
    text_layers: int
    words: int
    """The most words of an instruction that are read, with the two marks around them."""
    unet_widths: tuple[int, ...]
    attention: tuple[bool, ...]
    """At which levels of the U-Net positions look at each other and at the condition."""
    layers: int
    """Residual blocks a level of the U-Net."""
    head: int
    """Channels of an attention head."""
    shuffle: int
    """Pixels a side that the U-Net sees as one position with all their channels."""
    drop_tokens: bool
    """Whether the instruction's words are dropped with the condition, for classifier-free guidance. The paper drops the
    condition alone, with which the words still tell the network nearly all that guidance is to weigh."""
    groups: int = 16
    steps: int = 1000
    """T, noise levels."""
    velocity: bool = False
    """Whether the U-Net says the velocity (Salimans and Ho 2022, Appendix D), of which the noise is worked out. Of the
    noise itself, as in the paper, its error means the more for the picture the noisier that is: at the noisiest
    levels, where it is settled where a solid goes, a short training does not reach what is asked."""


SMALL = Sizes(
    side=64,
    joint=256,
    image_widths=(32, 64, 128),
    text_width=128,
    text_layers=2,
    words=32,
    unet_widths=(64, 96, 160),
    attention=(False, True, True),
    layers=1,
    head=32,
    shuffle=2,
    drop_tokens=True,
    velocity=True,
)
"""For two processor cores."""

PAPER = Sizes(
    side=128,
    joint=512,
    image_widths=(768,),
    text_width=512,
    text_layers=12,
    words=77,
    unet_widths=(256, 256, 512, 768, 1024),
    attention=(False, False, True, True, True),
    layers=2,
    head=64,
    shuffle=1,
    drop_tokens=False,
    groups=32,
)
"""CLIP ViT-B/32 beside the U-Net of Dhariwal and Nichol 2021 at 128 pixels (Section 4.2), for GPUs."""

SIZES = {"small": SMALL, "paper": PAPER}


class Encoded(NamedTuple):
    """A picture or a text: as a whole ``(B, d)``, and its parts, patches or words, ``(B, N, d)``."""

    whole: Tensor
    parts: Tensor


class Condition(NamedTuple):
    """What the U-Net is told."""

    c: Tensor
    """The fusion's result, ``(B, d)``."""
    patches: Tensor
    """Of the reference, ``(B, N, d)``."""
    words: Tensor
    """Of the instruction, ``(B, L, d)``."""


class PictureEncoder(nn.Module):
    """Convolutions down to a grid of patches, which is what learns from few pictures where something is."""

    squeezed = 32
    """Channels a patch of what the whole is made of."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = (3, *sizes.image_widths)
        levels = []
        for before, width in pairwise(widths):
            levels += [_convolved(before, width, 2, sizes.groups), _convolved(width, width, 1, sizes.groups)]
        self.body = nn.Sequential(*levels)
        grid = sizes.side >> len(sizes.image_widths)
        self.places = nn.Parameter(0.02 * torch.randn(widths[-1], grid, grid))
        self.squeeze = nn.Conv2d(widths[-1], self.squeezed, 1)
        self.to_whole = nn.Linear(self.squeezed * grid * grid, sizes.joint)
        self.to_parts = nn.Linear(widths[-1], sizes.joint)

    def forward(self, pictures: Tensor) -> Encoded:
        """``(B, 3, side, side)`` in about [-1, 1]."""
        grid = self.body(pictures) + self.places
        return Encoded(
            self.to_whole(F.silu(self.squeeze(grid)).flatten(1)), self.to_parts(grid.flatten(2).transpose(1, 2))
        )


def _convolved(before: int, width: int, stride: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, width, 3, stride, 1), nn.GroupNorm(groups, width), nn.SiLU())


class ClipPictureEncoder(nn.Module):
    """CLIP's vision transformer with a linear projection behind it (Section 2.2)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        [width] = sizes.image_widths
        heads = max(1, width // 64)
        config = CLIPVisionConfig(hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads)
        self.backbone = CLIPVisionModel(config)
        self.seen = config.image_size
        self.to_whole, self.to_parts = nn.Linear(width, sizes.joint), nn.Linear(width, sizes.joint)

    def forward(self, pictures: Tensor) -> Encoded:
        """``(B, 3, side, side)`` in about [-1, 1]; the backbone sees them at the size that it was made for."""
        found = self.backbone(F.interpolate(pictures, (self.seen, self.seen), mode="bilinear"))
        return Encoded(self.to_whole(found.pooler_output), self.to_parts(found.last_hidden_state[:, 1:]))


class TextEncoder(nn.Module):
    """CLIP's text model with a linear projection behind it."""

    def __init__(self, sizes: Sizes, vocabulary: int, end: int) -> None:
        """`end` is the id of the mark behind the last word, where the whole is read off."""
        super().__init__()
        config = CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=sizes.text_width,
            intermediate_size=4 * sizes.text_width,
            projection_dim=sizes.joint,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=max(1, sizes.text_width // 64),
            max_position_embeddings=sizes.words,
            eos_token_id=end,
            bos_token_id=None,
            pad_token_id=None,
        )
        self.backbone = CLIPTextModel(config)
        self.to_whole = nn.Linear(sizes.text_width, sizes.joint)
        self.to_parts = nn.Linear(sizes.text_width, sizes.joint)

    def forward(self, words: Tensor) -> Encoded:
        """``(B, words) int64``, as the tokenizer gives them."""
        found = self.backbone(words)
        return Encoded(self.to_whole(found.pooler_output), self.to_parts(found.last_hidden_state))


class GatedFusion(nn.Module):
    """``f(u, v) = g * h + (1 - g) * u``, Eq. 1: what of the picture's representation the text replaces, and by what."""

    def __init__(self, joint: int) -> None:
        super().__init__()
        self.gate = nn.Linear(4 * joint, joint)
        self.update = nn.Linear(4 * joint, joint)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """`u` of the picture and `v` of the text, both ``(..., d)``."""
        both = torch.cat([u, v, u * v, u - v], -1)
        g, h = self.gate(both).sigmoid(), F.gelu(self.update(both))
        fused: Tensor = g * h + (1 - g) * u
        return fused


class Composer(nn.Module):
    """All networks of a model: `image`, `text` and `fusion` for the condition, `unet` draws, `noisy_image` guides."""

    def __init__(self, sizes: Sizes, vocabulary: int, end: int) -> None:
        super().__init__()
        self.sizes = sizes
        encoder = ClipPictureEncoder if len(sizes.image_widths) == 1 else PictureEncoder
        self.image, self.noisy_image = encoder(sizes), encoder(sizes)
        self.text = TextEncoder(sizes, vocabulary, end)
        self.fusion = GatedFusion(sizes.joint)
        self.unet = _unet(sizes)
        self.log_tau = nn.Parameter(torch.tensor(math.log(TAU)))
        self.noisy_log_tau = nn.Parameter(torch.tensor(math.log(TAU)))
        scheduler = DDPMScheduler(sizes.steps, beta_schedule="squaredcos_cap_v2")
        self.chain = Chain.of(scheduler.betas)

    @property
    def tau(self) -> Tensor:
        return self.log_tau.exp().clamp(min=LEAST_TAU)

    @property
    def noisy_tau(self) -> Tensor:
        return self.noisy_log_tau.exp().clamp(min=LEAST_TAU)

    def condition(self, reference: Tensor, words: Tensor) -> Condition:
        """Of the picture as it is, ``(B, 3, side, side)``, and the instruction, ``(B, words) int64``."""
        seen, told = self.image(reference), self.text(words)
        return Condition(self.fusion(seen.whole, told.whole), seen.parts, told.parts)

    def others(self, reference: Tensor, words: Tensor) -> Tensor:
        """What other instructions, ``(B, K, words)``, would make of each reference: ``(B, K, d)``."""
        seen = self.image(reference).whole
        told = self.text(words.flatten(0, 1)).whole.unflatten(0, words.shape[:2])
        fused: Tensor = self.fusion(seen[:, None].expand_as(told), told)
        return fused

    def unconditional(self, condition: Condition, dropped: Tensor) -> Condition:
        """The condition, with nothing said where `dropped`, ``(B,) bool``: c is 0 there (Section 2.6)."""
        keep = (~dropped).to(condition.c)
        words = condition.words * keep[:, None, None] if self.sizes.drop_tokens else condition.words
        return Condition(condition.c * keep[:, None], condition.patches, words)

    def denoise(self, x_t: Tensor, t: Tensor, reference: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """The predicted noise and what is said of the variance, both of `x_t`'s shape, ``(B, 3, side, side)``."""
        said, v = self.say(x_t, t, reference, condition)
        return self.noise_from(said, x_t, t), v

    def noise_from(self, said: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The noise in `x_t`, of what the U-Net says."""
        return self.chain.noise_from(said, x_t, t) if self.sizes.velocity else said

    def aim(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the U-Net should say of `x_0` under the noise `eps`."""
        return self.chain.velocity(x_0, eps, t) if self.sizes.velocity else eps

    def say(self, x_t: Tensor, t: Tensor, reference: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """What the U-Net says: noise or velocity, and of the variance.

        The reference is a second picture beside the noisy one; patches and words are further keys and values of each
        attention layer (Nichol et al. 2022), and c is added to the embedding of the time step.
        """
        both = F.pixel_unshuffle(torch.cat([x_t, reference], 1), self.sizes.shuffle)
        told = torch.cat([condition.patches, condition.words], 1)
        out = self.unet(both, t, encoder_hidden_states=told, class_labels=condition.c).sample
        said, v = F.pixel_shuffle(out.float(), self.sizes.shuffle).chunk(2, 1)
        return said, v


def _unet(sizes: Sizes) -> UNet2DConditionModel:
    down = ["SimpleCrossAttnDownBlock2D" if attends else "ResnetDownsampleBlock2D" for attends in sizes.attention]
    up = ["SimpleCrossAttnUpBlock2D" if attends else "ResnetUpsampleBlock2D" for attends in reversed(sizes.attention)]
    return UNet2DConditionModel(
        sample_size=sizes.side // sizes.shuffle,
        in_channels=6 * sizes.shuffle**2,
        out_channels=6 * sizes.shuffle**2,
        down_block_types=tuple(down),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=tuple(up),
        block_out_channels=sizes.unet_widths,
        layers_per_block=sizes.layers,
        norm_num_groups=sizes.groups,
        cross_attention_dim=sizes.joint,
        attention_head_dim=sizes.head,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=sizes.joint,
        resnet_time_scale_shift="scale_shift",
    )


def parameters(modules: Sequence[nn.Module]) -> int:
    """How many numbers are learnt."""
    return sum(p.numel() for module in modules for p in module.parameters())
