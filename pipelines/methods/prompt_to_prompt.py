"""Prompt-to-Prompt (Hertz et al., ICLR 2023): the edit looks where the picture's own text looks.

The picture and the edit run side by side from the picture's inverted noise. For a share of the steps the edit takes
over the maps of cross-attention (section 3.2) and of self-attention, so that what the texts have in common stays where
it is. What is not looked at by the words that differ is taken from the picture (local blending, section 3.3 of the
code's paper). A real picture is inverted; how its own branch stays on it, `Return` says (Mokady et al., CVPR 2023).

==========  ===========================================================================
paper       here
==========  ===========================================================================
P, P*       source, target
M_t, M_t*   maps of the samples `SOURCE` and `TARGET` of a batch
A(i)        `Alignment.answers`
tau         `cross_share`, `self_share`: of the steps, from the first on
c           `weight`
==========  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.contract import EditRequest, EditResult
from pipelines.diffusion.attention import Attend, Kind, Layer, Look, Part, Recorder, layers, nearest, steered
from pipelines.diffusion.candidates import AfterStep, sampled
from pipelines.diffusion.denoise import denoise, guided
from pipelines.diffusion.encode import Canvas, source_and_target
from pipelines.diffusion.inversion import empty_texts, inverted, kept_on, reconstruction_error
from pipelines.diffusion.leakage import told_without_leaks
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Stages
from pipelines.diffusion.tokens import differing, refined, replaced
from pipelines.errors import BadRequest
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.params import PromptToPromptParams, Return, WordsMeet
from pipelines.progress import Progress, silent

SOURCE, TARGET = -2, -1
"""Of a batch of (empty, empty, source, target), or of the latter two alone."""
FINEST = 2
"""Self-attention is taken over in layers of this scale and coarser: 32 x 32 and below in Stable Diffusion 1.x."""
WORD_SCALE = 4
"""Maps of words are read at the latent's side by 4: 16 x 16 in Stable Diffusion 1.x."""


class Control:
    """What stands in the place of attention while step number `done` is taken, counted from 0."""

    def __init__(self, bundle: ModelBundle, texts: tuple[str, str], params: PromptToPromptParams, z: Tensor) -> None:
        """`texts` are the source's and the target's, `z` is a latent ``(B, C, h, w)``."""
        align = replaced if params.words is WordsMeet.REPLACE else refined
        self._alignment = align(bundle, *texts)
        self._params, self._unet = params, bundle.unet
        self.gone, self.new = differing(bundle, *texts)
        h, w = z.shape[-2:]
        self._recorder = Recorder((h, w), slice(SOURCE, None))
        self._looked = torch.zeros(2, 1, 1, 1, device=z.device)  # at the words that differ, summed over the steps
        self.done = 0

    @property
    def blends(self) -> bool:
        """Whether some words differ in both texts, so that it is known where."""
        return self._params.blend and bool(self.gone) and bool(self.new)

    @property
    def attention(self) -> Mapping[Layer, Attend]:
        """For `steered`."""
        cross = layers(self._unet, Kind.CROSS)
        own = [layer for layer in layers(self._unet, Kind.SELF) if layer.scale >= FINEST]
        read = nearest([layer for layer in cross if layer.part is not Part.MID], WORD_SCALE) if self.blends else ()
        return {
            **dict.fromkeys(cross, self._cross),
            **dict.fromkeys(read, self._read),
            **dict.fromkeys(own, self._self),
        }

    def _taken_over(self, share: float) -> bool:
        return self.done < share * self._params.steps

    def _mapped(self, look: Look) -> Tensor:
        """The maps with those of the target edited: words swapped or phrases added, then re-weighted."""
        maps = look.maps
        target = maps[TARGET]
        if self._taken_over(self._params.cross_share):
            target = self._alignment.mixed(maps[SOURCE], target)
        if self._params.weight != 1 and self.new:
            factor = torch.ones(target.shape[-1], device=target.device)
            factor[list(self.new)] = self._params.weight
            target = target * factor
        return torch.cat([maps[:TARGET], target[None]])

    def _cross(self, _: Layer, look: Look) -> Tensor:
        if not self._taken_over(self._params.cross_share) and (self._params.weight == 1 or not self.new):
            return look.seen()
        return look.seen_by(self._mapped(look))

    def _read(self, layer: Layer, look: Look) -> Tensor:
        maps = self._mapped(look)
        self._recorder.keep(layer, maps)
        return look.seen_by(maps)

    def _self(self, _: Layer, look: Look) -> Tensor:
        if not self._taken_over(self._params.self_share):
            return look.seen()
        q, k = (torch.cat([x[:TARGET], x[SOURCE:TARGET]]) for x in (look.q, look.k))
        return Look(q, k, look.v, look.bias).seen()  # the source's map on the target's values

    def blended(self, z: Tensor) -> Tensor:
        """Local blending of the branches ``(2, C, h, w)``: the target's where either branch looks at the words that
        differ, the source's elsewhere."""
        looked = torch.cat([self._recorder.of(self.gone)[:1], self._recorder.of(self.new)[1:]])
        self._looked = self._looked + looked
        if self.done < self._params.blend_from * self._params.steps:
            return z
        maps = F.interpolate(F.max_pool2d(self._looked, 3, 1, 1), size=z.shape[-2:])
        largest = maps.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
        mask = (maps / largest > self._params.blend_threshold).any(0, keepdim=True)
        return torch.cat([z[:1], torch.where(mask, z[1:], z[:1])])


def run(
    bundle: ModelBundle, request: EditRequest, params: PromptToPromptParams, progress: Progress = silent
) -> EditResult:
    """The catalogue entry. The mask says only what is pasted back, if anything is; nothing is drawn, so no seed has a
    say."""
    canvas, stages = Canvas.of(bundle, request), Stages(progress)
    source, target = source_and_target(request)
    if params.words is WordsMeet.REPLACE and not source:
        raise BadRequest(
            "word for word, it must be known what the picture shows: say it as the source, or choose refine"
        )
    control = Control(bundle, (source, target), params, canvas.z_ref)
    timesteps = bundle.schedule.timesteps(params.steps)
    path = inverted(canvas, stages, canvas.prompts[source], timesteps)
    e_source, e_target = told_without_leaks(canvas, stages, path, source, target, params.noun_steps)
    nulls = empty_texts(canvas, stages, path, e_source, params.inversion, params.guidance, params.null_steps)
    predict = guided(bundle, lambda i: PromptEmbeds.joined([e_source(i), e_target(i)]), nulls, params.guidance)
    errors: list[float] = []

    def told(z: Tensor, t: int, i: int) -> Tensor:
        control.done = len(timesteps) - i
        return predict(z, t, i)

    def after(z: Tensor, _: int, i: int) -> Tensor:
        z = kept_on(path, z, i - 1) if params.inversion is Return.DIRECT else z
        return control.blended(z) if control.blends else z

    def sample(_: int, after_step: AfterStep) -> Tensor:
        start = path.noise.expand(2, -1, -1, -1)
        with steered(bundle.unet, control.attention):
            z = denoise(bundle, start, DDIM(path.noise), timesteps, told, after_step, after=after)
        errors.append(reconstruction_error(path, z[:1]))
        return z

    candidates = sampled(canvas, stages, "denoise", len(timesteps), sample, params)
    return EditResult(candidates, stages.finished, reconstruction=errors[0])
