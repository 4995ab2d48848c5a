"""A loaded text-to-image model, adapted to one convention: latents, noise prediction, float32 at the border.

Everything above this file sees `ModelBundle.predict` (noise), `encode`, `decode` and `embed_texts`; which autoencoder,
which prediction type and which arithmetic stand behind them is settled here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.diffusion.schedule import Schedule
from pipelines.errors import NumericalError
from pipelines.models.folders import ModelCard


@dataclass(frozen=True)
class ModelBundle:
    """The parts, in evaluation mode and without gradients, on one device."""

    card: ModelCard
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    schedule: Schedule
    device: torch.device
    autocast: torch.dtype | None
    """Arithmetic of the big products; ``None`` is plain float32. Weights are float32 either way."""

    @property
    def cell(self) -> int:
        """Pixels a side of one latent cell."""
        levels = self.vae.config.get("encoder_block_out_channels") or self.vae.config.block_out_channels
        return int(2 ** (len(levels) - 1))

    @property
    def latent_channels(self) -> int:
        return int(self.vae.config.latent_channels)

    @property
    def latent_scale(self) -> float:
        """What encoded latents are multiplied by, so that they have about unit variance."""
        return float(self.vae.config.scaling_factor)

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "vae": self.vae, "text_encoder": self.text_encoder}

    def fast_arithmetic(self) -> AbstractContextManager[object]:
        """Autocast to `autocast`, or nothing."""
        return torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """``(len(texts), L, D) float32``; text beyond the encoder's `L` tokens is cut."""
        ids = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).input_ids
        embedded: Tensor = self.text_encoder(ids.to(self.device)).last_hidden_state
        return embedded.float()

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """``(B, 3, H, W) float32`` in [-1, 1] to scaled latents ``(B, C, h, w) float32``; the posterior's mean."""
        with self.fast_arithmetic():
            encoded = self.vae.encode(x.to(self.device))
        latents = encoded.latents if isinstance(self.vae, AutoencoderTiny) else encoded.latent_dist.mean
        z: Tensor = latents.float() * self.latent_scale
        return finite(z, "the encoded picture")

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Scaled latents ``(B, C, h, w)`` to ``(B, 3, H, W) float32``, about [-1, 1]."""
        with self.fast_arithmetic():
            x: Tensor = self.vae.decode(z / self.latent_scale).sample
        return finite(x.float(), "the decoded picture")

    def predict(self, z_t: Tensor, t: Tensor, e: Tensor) -> Tensor:
        """The noise in `z_t` ``(B, C, h, w)`` at timesteps `t` ``(B,)``, told the texts `e` ``(B, L, D)``."""
        with self.fast_arithmetic():
            out: Tensor = self.unet(z_t, t, e).sample
        return self.schedule.noise_from(out.float(), z_t, t)

    def checksum(self) -> str:
        """Over every parameter and buffer of every part, by name: 64 hex digits.

        It guards against our own mistakes (a weight not restored, an adapter left in), not against malice: each
        tensor goes in as its CRC-32, 15 ms for 26 M parameters.
        """
        digest = hashlib.sha256()
        for part, module in sorted(self.modules.items()):
            for name, tensor in sorted(_tensors(module)):
                raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
                digest.update(f"{part}.{name}:{tuple(tensor.shape)}:{zlib.crc32(raw.data)};".encode())
        return digest.hexdigest()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def finite(x: Tensor, what: str) -> Tensor:
    """`x`, or `NumericalError` when any number in it is not finite."""
    if not torch.isfinite(x).all():
        raise NumericalError(
            f"{what} left the finite numbers, so the edit was stopped and nothing of it kept; "
            "use smaller rates or guidance, or another seed"
        )
    return x


@contextmanager
def trainable(parameters: Sequence[nn.Parameter]) -> Iterator[list[Tensor]]:
    """`parameters` open to gradients inside; afterwards bit for bit as before, closed, and without gradients.

    Yields the untouched copies that they are restored from.
    """
    pristine = [p.detach().clone() for p in parameters]
    try:
        for p in parameters:
            p.requires_grad_(True)
        yield pristine
    finally:
        with torch.no_grad():
            for p, kept in zip(parameters, pristine, strict=True):
                p.requires_grad_(False)
                p.grad = None
                p.copy_(kept)
