"""LayerDiffusion: Layered Controlled Image Editing with Diffusion Models (Li et al., 2023, arXiv 2305.18676).

The three phases in order. The paper leaves open where the background is learnt from; here it is a picture that the
base model makes from the background text (the paper's target image), one that the person gives, or the input itself
where the background stays.

==========  ===========================================================================
paper       here
==========  ===========================================================================
x_ref       `Canvas.small`, `Canvas.z_ref`: the input
x_tgt       `reference`: the background reference
T_a, T_b    `EditRequest.subject`, `EditRequest.background`
e_a, e_b    their embeddings; fitted in phase 1
M           `EditRequest.mask`
alpha       `LayeredParams.subject_weight`
==========  ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from pipelines.contract import EditRequest, EditResult, Mask, Picture, Scope
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, avoided_text, frame_of
from pipelines.diffusion.samplers import DDIM
from pipelines.diffusion.stages import Previews, Stages
from pipelines.errors import BadRequest
from pipelines.images import covering, from_network, mask_at, placed_subject
from pipelines.layered.embed import Fits, blended, optimised_embeddings
from pipelines.layered.finetune import tuned_weights
from pipelines.layered.guide import guided_candidates
from pipelines.layered.losses import Layers
from pipelines.layered.memory import free_bytes, room_for
from pipelines.layered.plan import LayeredPlan, plan_of
from pipelines.layered.state import Fitted, Origin
from pipelines.layered.warm import beginning
from pipelines.models.bundle import ModelBundle
from pipelines.models.network import compiled
from pipelines.models.room import Room, with_room
from pipelines.params import LayeredParams, Tuned
from pipelines.progress import Progress, silent
from pipelines.seeds import generator, normal_like


def run(bundle: ModelBundle, request: EditRequest, params: LayeredParams, progress: Progress = silent) -> EditResult:
    """The catalogue entry: a background reference where one is needed, then the three phases."""
    if compiles(bundle, request, params):
        bundle = replace(bundle, network=compiled())
    # Layers that were fitted before are sampled in the room in which they would be fitted: the picture stays the same.
    least = Room.PARTS if params.tuned is Tuned.UNET else Room.HALF
    room = room_for(bundle, frame_of(bundle, request).network, params, free_bytes(bundle.device), least)
    with with_room(bundle, room) as bundle:
        return _edited(bundle, request, params, Stages(progress))


def compiles(bundle: ModelBundle, request: EditRequest, params: LayeredParams) -> bool:
    """Whether the network runs compiled: on a GPU, in fast arithmetic. A LoRA file would need a graph of its own."""
    return params.compiled and bundle.device.type == "cuda" and bundle.autocast is not None and not request.loras


def _edited(bundle: ModelBundle, request: EditRequest, params: LayeredParams, stages: Stages) -> EditResult:
    plan = plan_of(request, params)
    canvas = Canvas.of(bundle, request)
    subject = _subject_layer(canvas)
    if request.fitted is not None:
        fitted = Fitted.from_bytes(request.fitted, bundle, subject.mask)
    else:
        fitted = _fit(canvas, subject, _background_reference(canvas, plan, params, stages), plan, params, stages)
    composite = None
    if plan.uses_composite:
        composite = canvas.latent_of(_composite(canvas, subject, fitted.reference))
    with fitted.applied(bundle):
        e_opt = blended(fitted.e_a, fitted.e_b, plan.alpha)
        candidates = guided_candidates(canvas, stages, fitted.e_a, e_opt, composite, plan, params)
    return EditResult(
        candidates, stages.finished, background_reference=fitted.reference, fitted=request.fitted or fitted.to_bytes()
    )


@dataclass(frozen=True, eq=False)
class _SubjectLayer:
    """The object at the network's size."""

    picture: Picture
    mask: Mask


def _subject_layer(canvas: Canvas) -> _SubjectLayer:
    """The object where the input has it; or that of the subject reference put in its place."""
    request = canvas.request
    mask = mask_at(request.mask, canvas.frame.network)
    if not mask.any() or mask.all():
        seen = canvas.frame.network
        raise BadRequest(
            f"the model sees {seen.width} x {seen.height} pixels, and at that size "
            f"{'nothing' if not mask.any() else 'everything'} is selected; "
            f"select a {'larger' if not mask.any() else 'smaller'} subject, or set window=around"
        )
    if request.subject_reference is not None:
        reference, its_mask = request.subject_reference, request.subject_reference_mask
        return _SubjectLayer(*placed_subject(reference, its_mask, canvas.small, mask))
    return _SubjectLayer(canvas.small, mask)


def _background_reference(canvas: Canvas, plan: LayeredPlan, params: LayeredParams, stages: Stages) -> Picture | None:
    """The picture that supplies the background, at the network's size; ``None`` where the input itself does."""
    request = canvas.request
    if plan.draws_reference:
        return _generated(canvas, request.background.strip(), params, stages)
    if request.scope is Scope.SUBJECT or request.background_reference is None:
        return None
    return covering(request.background_reference, canvas.frame.network)


def _generated(canvas: Canvas, text: str, params: LayeredParams, stages: Stages) -> Picture:
    """What the untouched base model makes of `text`."""
    bundle = canvas.bundle
    timesteps = bundle.schedule.timesteps(params.steps)
    previews = Previews(bundle)
    with stages.stage("reference", len(timesteps)) as step:
        noise = normal_like(canvas.z_ref, generator(canvas.request.fitting_seed, "reference"))
        z = denoise(
            bundle,
            noise,
            DDIM(noise),
            timesteps,
            guided(bundle, always(canvas.prompts[text]), canvas.prompts[avoided_text(canvas.request)], params.guidance),
            after_step=lambda z_0: step(previews.of(z_0)),
        )
    return from_network(bundle.decode(z))


def _composite(canvas: Canvas, subject: _SubjectLayer, reference: Picture | None) -> Picture:
    """The object in its place over the background."""
    background = canvas.small if reference is None else reference
    return np.where(subject.mask[..., None], subject.picture, background)


def _layers(canvas: Canvas, subject: _SubjectLayer, reference: Picture | None) -> Layers:
    """x_obj, M_obj, x_bg and M_bg of Eq. 4 and 5. M_bg leaves out the object's place, in whatever picture."""
    m_obj = canvas.frame.latent_share(subject.mask).to(canvas.bundle.device)
    return Layers(
        x_obj=canvas.latent_of(subject.picture),
        m_obj=m_obj,
        x_bg=canvas.latent_of(canvas.small if reference is None else reference),
        m_bg=1 - m_obj,
    )


def _fit(
    canvas: Canvas,
    subject: _SubjectLayer,
    reference: Picture | None,
    plan: LayeredPlan,
    params: LayeredParams,
    stages: Stages,
) -> Fitted:
    """Phases 1 and 2, each begun where `beginning` says. A phase without steps is skipped and reports nothing."""
    bundle, request = canvas.bundle, canvas.request
    layers = _layers(canvas, subject, reference)
    e_a, e_b = canvas.prompts[request.subject.strip()], canvas.prompts[request.background.strip()]
    begin = beginning(bundle, request, params, e_a, e_b)
    fits = Fits(plan.fits_object, plan.fits_background)
    if fits.object or fits.background:
        with stages.stage("embeddings", params.embed_steps) as step:
            source = generator(request.fitting_seed, "embeddings")
            e_a, e_b = optimised_embeddings(bundle, layers, e_a, e_b, params, source, step, begin.texts, fits)
    weights: dict[str, torch.Tensor] = {}
    if plan.tunes:
        e_opt = blended(e_a, e_b, plan.alpha)
        with stages.stage("fine-tune", params.tune_steps) as step:
            source = generator(request.fitting_seed, "fine-tune")
            weights = tuned_weights(bundle, layers, e_opt, params, request.fitting_seed, source, step, begin.weights)
    tuned = params.tuned if weights else Tuned.NONE
    return Fitted(e_a, e_b, subject.mask, tuned, weights, reference, Origin.of(bundle, request))
