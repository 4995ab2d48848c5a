"""InfEdit (Xu et al., CVPR 2024): inversion-free editing, a few steps that each begin at the clean picture again.

With the noise chosen so that every step starts from the estimate alone (DDCM, Eq. 8), what the picture's branch should
have predicted is known in closed form, and the edit is corrected by what that branch got wrong (Eq. 11). Unified
attention control joins three branches: the picture, the edit, and a layout that has the picture's text and the edit's
shapes. Made for consistency models of few steps; any model runs it, blurrier.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, Part, Recorder, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import always, denoise
from pipelines.diffusion.encode import Canvas, avoided_text, source_and_target
from pipelines.diffusion.guidance import guided_noise
from pipelines.diffusion.samplers import Consistent
from pipelines.diffusion.schedule import DONE
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import differing, refined
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import InfEditParams
from pipelines.progress import Progress, silent
from pipelines.seeds import generator

PICTURE, LAYOUT, EDIT = 0, 1, 2
"""The branches, once or twice over in a batch: away from the empty text, and towards the texts."""
BRANCHES = 3
WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""
BLEND_FROM = 2
"""Steps before the edit is held to the layout outside its words."""
LEAST = 0.15
"""Over the square root of alpha_bar: the threshold of the words' maps is at least that."""


class UnifiedAttention:
    """What stands in the place of attention while step number `done` is taken, counted from 0."""

    def __init__(
        self, bundle: ModelBundle, texts: tuple[str, str], params: InfEditParams, extent: tuple[int, int]
    ) -> None:
        """`texts` are the picture's and the edit's; `extent` is the latent's ``(h, w)``."""
        self._unet, self._params = bundle.unet, params
        self._alignment = refined(bundle, *texts)
        _, self.new = differing(bundle, *texts)
        self.recorder = Recorder(extent, slice(EDIT - BRANCHES, None))
        self.done = 0

    @property
    def attention(self) -> Mapping[Layer, Attend]:
        """For `steered`."""
        cross = layers(self._unet, Kind.CROSS)
        read = nearest([layer for layer in cross if layer.part is not Part.MID], WORD_SCALE) if self.new else ()
        return {
            **dict.fromkeys(cross, self._cross),
            **dict.fromkeys(read, self._read),
            **dict.fromkeys(layers(self._unet, Kind.SELF), self._self),
        }

    def _cross(self, _: Layer, look: Look) -> Tensor:
        if (self.done + 1) / self._params.steps > self._params.cross_share:
            return look.seen()
        return look.seen_by(self._mapped(look))

    def _mapped(self, look: Look) -> Tensor:
        maps = look.maps
        if (self.done + 1) / self._params.steps > self._params.cross_share:
            return maps
        edit = self._alignment.mixed(maps[PICTURE - BRANCHES], maps[EDIT - BRANCHES])
        return torch.cat([maps[:-1], edit[None]])

    def _read(self, layer: Layer, look: Look) -> Tensor:
        maps = self._mapped(look)
        self.recorder.keep(layer, maps)
        return look.seen_by(maps)

    def _self(self, _: Layer, look: Look) -> Tensor:
        """At first all have the picture's shapes, and the layout its contents too; then the layout has the edit's
        shapes filled with the picture's contents."""
        q, k, v = (x.reshape(-1, BRANCHES, *x.shape[1:]).clone() for x in (look.q, look.k, look.v))
        if (self.done + 1) / self._params.steps < self._params.self_share:
            q[:], k[:] = q[:, :1], k[:, :1]
        else:
            q[:, LAYOUT], k[:, LAYOUT] = q[:, EDIT], k[:, PICTURE]
        v[:, LAYOUT] = v[:, PICTURE]
        return Look(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)).seen()

    def blended(self, z: Tensor, least: float) -> Tensor:
        """The edit held to the layout wherever its new words are not looked at."""
        looked = F.interpolate(self.recorder.of(self.new), size=z.shape[-2:])
        mask = looked / looked.amax().clamp(min=1e-12) > max(least, self._params.threshold)
        return torch.cat([z[:EDIT], torch.where(mask, z[EDIT:], z[LAYOUT:EDIT])])


def run(bundle: ModelBundle, request: EditRequest, params: InfEditParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    e_source, e_target, e_null = (canvas.prompts[text] for text in (source, target, avoided_text(request)))
    texts = always(PromptEmbeds.joined([e_source, e_source, e_target]))
    h, w = canvas.z_ref.shape[-2:]
    control = UnifiedAttention(bundle, (source, target), params, (h, w))
    timesteps = bundle.schedule.timesteps(params.steps, params.strength)
    own, edit = params.source_guidance, params.guidance
    scales = torch.tensor([own, own, edit], device=bundle.device).reshape(BRANCHES, 1, 1, 1)

    def predict(z: Tensor, t: int, i: int) -> Tensor:
        """Eq. 11: what each branch predicts, less what the picture's got wrong."""
        control.done = len(timesteps) - i
        guidance = own if own == edit else scales
        eps = guided_noise(bundle, z, t, texts(i), e_null, guidance)
        truly = bundle.schedule.noise_towards(z[:1], canvas.z_ref, t)
        return torch.cat([truly, eps[1:] - eps[:1] + truly])

    def after(z: Tensor, t_next: int, _: int) -> Tensor:
        if t_next == DONE or not control.new or not params.blend or control.done < BLEND_FROM:
            return z
        return control.blended(z, LEAST / bundle.schedule.share_of_picture(t_next))

    def sample(seed: int, after_step: AfterStep) -> Tensor:
        sampler = Consistent(canvas.z_ref, generator(seed, "denoise"))
        start = bundle.schedule.noised(canvas.z_ref, sampler.noise, timesteps[0]).expand(BRANCHES, -1, -1, -1)
        with steered(bundle.unet, control.attention):
            return denoise(bundle, start, sampler, timesteps, predict, after_step, after=after)

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished)
