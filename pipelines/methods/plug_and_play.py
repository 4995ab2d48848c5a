"""Plug-and-Play diffusion features (Tumanyan et al., CVPR 2023): the edit has the picture's own features.

Beside the edit the picture's latents of every noise level are shown to the network. What one residual layer of the
decoder adds (f of Eq. 7) and the queries and keys of the decoder's self-attention (A of Eq. 8) are copied from there,
for a share of the steps each; values, and so looks, are the edit's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Kind, Layer, Look, Part, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import denoise
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.inversion import inverted
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import PlugAndPlayParams
from pipelines.progress import Progress, silent

FEATURE_SCALE = 4
"""Features are copied at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x, the paper's layer 4."""


class Injection:
    """Copies from the first sample of a batch to all others while step number `done` is taken, counted from 0."""

    def __init__(self, bundle: ModelBundle, params: PlugAndPlayParams) -> None:
        self._params = params
        residuals = nearest(layers(bundle.unet, Kind.RESIDUAL, [Part.UP]), FEATURE_SCALE)
        self.residual = residuals[min(1, len(residuals) - 1)]  # the paper's: the second of its block
        own = layers(bundle.unet, Kind.SELF, [Part.UP])
        self.attention = [layer for layer in own if layer.place[:2] >= self.residual.place[:2]]
        self.done = 0

    def added(self, x: Tensor) -> Tensor:
        """f: ``(B, C, h, w)`` that the residual layer adds."""
        return x[:1].expand(len(x), -1, -1, -1) if self.done < self._params.feature_share * self._params.steps else x

    def attend(self, _: Layer, look: Look) -> Tensor:
        """A: the first sample's queries and keys, everybody's own values."""
        if not self.done < self._params.attention_share * self._params.steps:
            return look.seen()
        q, k = (x[:1].expand(len(x), -1, -1, -1) for x in (look.q, look.k))
        return Look(q, k, look.v, look.bias).seen()


def run(
    bundle: ModelBundle, request: EditRequest, params: PlugAndPlayParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is; nothing is drawn, so no seed has a
    say."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    prompts, w = canvas.prompts, params.guidance
    timesteps = bundle.schedule.timesteps(params.steps)
    path = inverted(canvas, stages, prompts[source], timesteps, params.inversion_steps)
    injection = Injection(bundle, params)
    texts = PromptEmbeds.joined([prompts[source], prompts[avoided_text(request)], prompts[target]])

    def predict(z: Tensor, t: int, i: int) -> Tensor:
        """Algorithm 1: the picture at this level beside the edit, without a text to lead away from where `w` is 1."""
        injection.done = len(timesteps) - i
        e = texts if w != 1 else PromptEmbeds.joined([texts[:1], texts[2:]])
        seen = torch.cat([path.at(i), *([z] * (len(e.tokens) - 1))])
        told = bundle.predict(seen, torch.full((len(seen),), t, device=z.device), e)
        return told[1:] if w == 1 else told[1:2] + w * (told[2:] - told[1:2])

    def sample(_: int, after_step: AfterStep) -> Tensor:
        led = dict.fromkeys(injection.attention, injection.attend)
        with steered(bundle.unet, led, {injection.residual: injection.added}):
            return denoise(bundle, path.noise, DDIM(path.noise), timesteps, predict, after_step)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
