"""A loaded text-to-image model, adapted to one convention: latents, noise prediction, float32 at the border.

Everything above this file sees `ModelBundle.predict` (noise), `encode`, `decode` and `embed_texts`; which autoencoder,
which prediction type and which arithmetic stand behind them is settled here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pipelines.contract import Backbone, Picture
from pipelines.diffusion.schedule import Schedule
from pipelines.errors import ModelError, NumericalError
from pipelines.models.folders import ModelCard
from pipelines.models.network import Network, eager
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.seeds import sent


def uncounted(samples: int) -> None:
    """Nobody wants to know."""


def as_encoded(_: ModelBundle, z: Tensor, __: Tensor) -> Tensor:
    """The latent as the encoder gave it."""
    return z


@dataclass(frozen=True)
class ModelBundle:
    """The parts, in evaluation mode and without gradients, on one device."""

    card: ModelCard
    tokenizer: CLIPTokenizer | None
    """``None``, as is the text encoder, where the model is told what to paint by a picture."""
    text_encoder: CLIPTextModel | None
    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    schedule: Schedule
    device: torch.device
    autocast: torch.dtype | None
    """Arithmetic of the big products; ``None`` is plain float32. Weights are float32 either way."""
    tokenizer_2: CLIPTokenizer | None = None
    """The second reader of the texts, which Stable Diffusion XL has beside the first."""
    text_encoder_2: CLIPTextModelWithProjection | None = None
    image_encoder: nn.Module | None = None
    """What reads the picture by which a model is told what to paint."""
    feature_extractor: CLIPImageProcessor | None = None
    empty_is_zero: bool = False
    """Whether an empty text is told as zeros, as most XL models were trained."""
    network: Network = eager
    """How `unet` is called."""
    count: Callable[[int], None] = uncounted
    """Told of every pass how many samples go through the network."""
    regained: Callable[[ModelBundle, Tensor, Tensor], Tensor] = as_encoded
    """What becomes of the latent of the picture that is edited, given it and the picture, before a method begins."""
    loras: tuple[Path, ...] = ()
    """The LoRAs that are attached to it: a file, or a folder in which something may lie beside the LoRA."""
    folders: tuple[Path, ...] = ()
    """Where other models are, such as a CLIP that goes with one of them."""
    idle: torch.device | None = None
    """Where the autoencoder and the text encoders wait while they do not work; ``None`` for where they work."""

    @property
    def cell(self) -> int:
        """Pixels a side of one latent cell."""
        levels = self.vae.config.get("encoder_block_out_channels") or self.vae.config.block_out_channels
        return int(2 ** (len(levels) - 1))

    @property
    def halvings(self) -> int:
        """How often the network halves its latent."""
        return len(self.unet.config.block_out_channels) - 1

    @property
    def latent_channels(self) -> int:
        return int(self.vae.config.latent_channels)

    @property
    def latent_scale(self) -> float:
        """What encoded latents are multiplied by, so that they have about unit variance."""
        return float(self.vae.config.scaling_factor)

    def picture_beside(self, z: Tensor) -> Tensor | None:
        """What a network made for instructions is shown beside a noisy latent of the picture `z` ``(B, C, h, w)``: the
        autoencoder's own latent, before it is scaled (Brooks et al. 2023, Section 3.2); ``None`` for any other one."""
        return z / self.latent_scale if self.card.backbone is Backbone.INSTRUCT else None

    @property
    def modules(self) -> dict[str, nn.Module]:
        readers = ("text_encoder", "text_encoder_2", "image_encoder")
        there = {name: part for name in readers if (part := getattr(self, name)) is not None}
        return {"unet": self.unet, "vae": self.vae, **there}

    @property
    def text_widths(self) -> tuple[int, int | None]:
        """`PromptEmbeds.widths` of this model's texts."""
        pooled = None if self.text_encoder_2 is None else int(self.text_encoder_2.config.projection_dim)
        return int(self.unet.config.cross_attention_dim), pooled

    def fast_arithmetic(self) -> AbstractContextManager[object]:
        """Autocast to `autocast`, or nothing."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, self.autocast)

    @contextmanager
    def _at_work(self, *parts: nn.Module | None) -> Iterator[None]:
        """Inside, `parts` are on `device`."""
        moved = [] if self.idle is None else [part for part in parts if part is not None]
        try:
            for part in moved:
                part.to(self.device)
            yield
        finally:
            for part in moved:
                part.to(self.idle)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> PromptEmbeds:
        """One embedding a text; what lies beyond the encoder's `L` tokens is cut.

        Stable Diffusion 1.x and 2.x read the last layer; XL the last but one of both encoders, side by side, and the
        second's projection as the summary (Podell et al. 2023, section 2.1).
        """
        return self.embedded(texts)

    def embedded(self, texts: Sequence[str]) -> PromptEmbeds:
        """`embed_texts` with gradients."""
        with self._at_work(self.text_encoder, self.text_encoder_2):
            return self._embedded(texts)

    def _embedded(self, texts: Sequence[str]) -> PromptEmbeds:
        assert self.text_encoder is not None and self.tokenizer is not None
        if self.text_encoder_2 is None:
            ids = self._ids(self.tokenizer, self.text_encoder, texts)
            return PromptEmbeds(self.text_encoder(ids).last_hidden_state.float())
        first = self.text_encoder(self._ids(self.tokenizer, self.text_encoder, texts), output_hidden_states=True)
        second = self.text_encoder_2(self._ids(self.tokenizer_2, self.text_encoder_2, texts), output_hidden_states=True)
        tokens = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1).float()
        pooled = second.text_embeds.float()
        if self.empty_is_zero:
            said = torch.tensor([bool(text.strip()) for text in texts], device=self.device)
            tokens, pooled = tokens * said[:, None, None], pooled * said[:, None]
        return PromptEmbeds(tokens, pooled)

    @torch.no_grad()
    def embed_example(self, picture: Picture) -> tuple[PromptEmbeds, PromptEmbeds]:
        """What a model that paints after an example is told: of `picture`, and of none at all."""
        assert self.image_encoder is not None and self.feature_extractor is not None
        with self._at_work(self.image_encoder):
            seen = self.feature_extractor(images=picture, return_tensors="pt").pixel_values.to(self.device)
            e, e_null = self.image_encoder(seen, return_uncond_vector=True)
        return PromptEmbeds(e.float()), PromptEmbeds(e_null.detach().float())

    def _ids(
        self, tokenizer: CLIPTokenizer, encoder: CLIPTextModel | CLIPTextModelWithProjection, texts: Sequence[str]
    ) -> Tensor:
        """``(len(texts), L) int64``: as many as the encoder has places for; a tokenizer may not say, or say more."""
        length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        told = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        ids: Tensor = told.input_ids
        return ids.to(self.device)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """``(B, 3, H, W) float32`` in [-1, 1] to scaled latents ``(B, C, h, w) float32``; the posterior's mean."""
        with self._at_work(self.vae), self.fast_arithmetic():
            encoded = self.vae.encode(x.to(self.device))
        latents = encoded.latents if isinstance(self.vae, AutoencoderTiny) else encoded.latent_dist.mean
        z: Tensor = latents.float() * self.latent_scale
        return finite(z, "the encoded picture")

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Scaled latents ``(B, C, h, w)`` to ``(B, 3, H, W) float32``, about [-1, 1]."""
        return finite(self.decoded(z), "the decoded picture")

    def decoded(self, z: Tensor) -> Tensor:
        """`decode` with gradients, and whatever numbers come."""
        with self._at_work(self.vae), self.fast_arithmetic():
            x: Tensor = self.vae.decode(z / self.latent_scale).sample
        return x.float()

    def predict(self, z_t: Tensor, t: Tensor, e: PromptEmbeds, concat: Tensor | None = None) -> Tensor:
        """The noise in `z_t` ``(B, C, h, w)`` at timesteps `t` ``(B,)``, told the `B` texts `e`.

        `concat` ``(B, K, h, w)`` is what a network for inpainting or instructions is shown with it.
        """
        return self.schedule.noise_from(self.output(z_t, t, e, concat), z_t, t)

    def output(self, z_t: Tensor, t: Tensor, e: PromptEmbeds, concat: Tensor | None = None) -> Tensor:
        """The same as the network itself says it: noise, velocity or picture, by `Schedule.prediction`."""
        seen = z_t if concat is None else torch.cat([z_t, concat], dim=1)
        added = None if e.pooled is None else {"text_embeds": e.pooled, "time_ids": self._time_ids(z_t)}
        self.count(len(z_t))
        with self.fast_arithmetic():
            out = self.network(self.unet, seen, t, e.tokens, added)
        return out.float()

    def _time_ids(self, z_t: Tensor) -> Tensor:
        """What XL is told of the picture's making ``(B, 6)``: its height and width before it was scaled,
        where it was cut off at the top and left, and its size now (Podell et al. 2023, section 2.2); ours is whole."""
        height, width = z_t.shape[-2] * self.cell, z_t.shape[-1] * self.cell
        told = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
        return sent(told, z_t.device).expand(len(z_t), -1)

    def checksum(self) -> str:
        """Over every parameter and buffer of every part, by name: 64 hex digits.

        It guards against our own mistakes (a weight not restored, an adapter left in), not against malice: each
        tensor goes in as its CRC-32, 15 ms for 26 M parameters.
        """
        return checksum_of(self.modules)


def checksum_of(modules: Mapping[str, nn.Module]) -> str:
    """`ModelBundle.checksum` of parts by their names."""
    digest = hashlib.sha256()
    for part, module in sorted(modules.items()):
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


def check_weights(bundle: ModelBundle) -> None:
    """Raise `ModelError` when the model itself is to blame for numbers that are not finite."""
    for part, module in bundle.modules.items():
        for name, weight in module.named_parameters():
            if not torch.isfinite(weight).all():
                raise ModelError(
                    f"the model {bundle.card.id!r} is damaged: its {part} holds numbers that are not finite, first in "
                    f"{name}; nothing was changed. Get its files again"
                )


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
