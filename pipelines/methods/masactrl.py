"""MasaCtrl (Cao et al., ICCV 2023): once its layout stands, the edit looks up its contents in the picture.

The picture and the edit run side by side. From a step and a layer on, self-attention of the edit takes keys and values
from the picture (Eq. 4), so that the subject keeps its looks in another pose. With a mask, the edit's subject looks
only at the picture's subject, and its background only at the background (Eq. 5 to 7): the picture's subject is what is
selected, the edit's is where its words are looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, Part, Recorder, extent_at, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, source_and_target
from pipelines.diffusion.inversion import empty_texts, inverted, kept_on, reconstruction_error
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import places_of
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import MasaCtrlParams, Return
from pipelines.progress import Progress, silent

WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""


def late_layers(bundle: ModelBundle) -> tuple[Layer, ...]:
    """Self-attention of the finer half of the decoder: layers 10 to 15 of Stable Diffusion 1.x, from 64 on in XL."""
    own = layers(bundle.unet, Kind.SELF, [Part.UP])
    scales = sorted({layer.scale for layer in own})
    finer = scales[: (len(scales) + 1) // 2]
    return tuple(layer for layer in own if layer.scale in finer)


class MutualAttention:
    """What stands in the place of self-attention while step number `done` is taken, counted from 0.

    Batches are (picture, edit), once or twice over: away from the empty text, and towards the texts.
    """

    def __init__(self, start: int, extent: tuple[int, int], threshold: float, subject: Tensor | None = None) -> None:
        """`subject` ``(1, 1, h, w)`` in {0, 1} is where the picture has its own; ``None`` for no masks."""
        self._start, self._extent, self._threshold, self._subject = start, extent, threshold, subject
        self.done = 0
        self.recorder = Recorder(extent, slice(-1, None))
        self.tokens: tuple[int, ...] = ()
        """Of the edit's subject."""

    def attend(self, layer: Layer, look: Look) -> Tensor:
        if self.done < self._start:
            return look.seen()
        k, v = (x[0::2].repeat_interleave(2, 0) for x in (look.k, look.v))  # the picture's, in each half
        mutual = Look(look.q, k, v)
        if self._subject is None:
            return mutual.seen()
        size = extent_at(layer, self._extent)
        keys = F.interpolate(self._subject, size=size).flatten(2)[:, :, None] > 0.5  # (1, 1, 1, N)
        if not keys.any() or keys.all():
            return mutual.seen()
        inside = F.interpolate(self._edited(), size=size).flatten(2).transpose(1, 2)[:, None] > 0.5  # (1, 1, N, 1)
        masked = torch.where(inside, mutual.seen(keys), mutual.seen(~keys))  # Eq. 7
        own = mutual.seen()
        which = torch.arange(len(own), device=own.device)[:, None, None, None] % 2 == 1
        return torch.where(which, masked, own)  # the picture sees all of itself

    def _edited(self) -> Tensor:
        """``(1, 1, h, w)``: where the edit's subject is looked at, scaled to [0, 1] and cut at the threshold."""
        looked = self.recorder.of(self.tokens)
        low, high = looked.amin(), looked.amax()
        return ((looked - low) / (high - low).clamp(min=1e-12) > self._threshold).float()


def run(bundle: ModelBundle, request: EditRequest, params: MasaCtrlParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. Nothing is drawn, so no seed has a say."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    e_source, e_target = canvas.prompts[source], canvas.prompts[target]
    timesteps = bundle.schedule.timesteps(params.steps)
    h, w = canvas.z_ref.shape[-2:]
    subject = request.subject.strip()
    masked = params.masks and bool(subject) and not bool(request.mask.all())
    mutual = MutualAttention(
        params.first_step, (h, w), params.threshold, canvas.cells(request.mask) if masked else None
    )
    led: dict[Layer, Attend] = dict.fromkeys(late_layers(bundle), mutual.attend)
    if masked:
        mutual.tokens = places_of(bundle, target, subject)
        cross = [layer for layer in layers(bundle.unet, Kind.CROSS) if layer.part is not Part.MID]
        led |= dict.fromkeys(nearest(cross, WORD_SCALE), mutual.recorder)
    path = inverted(canvas, stages, e_source, timesteps)
    nulls = empty_texts(canvas, stages, path, e_source, params.inversion, params.guidance, params.null_steps)
    predict = guided(bundle, always(PromptEmbeds.joined([e_source, e_target])), nulls, params.guidance)
    errors: list[float] = []

    def told(z: Tensor, t: int, i: int) -> Tensor:
        mutual.done = len(timesteps) - i
        return predict(z, t, i)

    def after(z: Tensor, _: int, i: int) -> Tensor:
        return kept_on(path, z, i - 1) if params.inversion is Return.DIRECT else z

    def sample(_: int, after_step: AfterStep) -> Tensor:
        with steered(bundle.unet, led):
            z = denoise(
                bundle, path.noise.expand(2, -1, -1, -1), DDIM(path.noise), timesteps, told, after_step, after=after
            )
        errors.append(reconstruction_error(path, z[:1]))
        return z

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished, reconstruction=errors[0])
