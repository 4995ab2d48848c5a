"""What a layered edit does, worked out once from the request and its settings, before anything is computed.

Which texts are fitted, which is followed at each step, where sampling begins and what it holds: all of it follows from
what was asked, and whoever needs it (the method, its fit key, the page's form) reads it here. This file imports no
torch.

The paper always has both texts. Where only one is given the blend of Eq. 3 *is* that one, and a text that nobody reads
is not fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from pipelines.contract import Scope
from pipelines.params import EmbedMode, LayeredParams, Start, Tuned


class Asks(Protocol):
    """The part of a request that the plan depends on: an `EditRequest`, or what is being prepared in the page."""

    @property
    def subject(self) -> str: ...

    @property
    def background(self) -> str: ...

    @property
    def scope(self) -> Scope: ...

    @property
    def background_reference(self) -> Any: ...

    @property
    def subject_reference_mask(self) -> Any: ...


class Follows(StrEnum):
    """What a sampling step is told."""

    OBJECT = "object"  # e_a
    BLEND = "blend"  # e_opt of Eq. 3


@dataclass(frozen=True)
class LayeredPlan:
    """See the module."""

    draws_reference: bool
    """Whether the model itself makes the picture that the background is learnt from, out of its text."""
    alpha: float
    """Share of the object in e_opt (Eq. 3); 0 or 1 where only one text is given."""
    fits_object: bool
    fits_background: bool
    """Whether phase 1 fits e_a, and e_b."""
    tunes: bool
    """Whether phase 2 runs."""
    alternates: bool
    """Whether steps follow the object's text and the blend in turn (Eq. 8); else the blend alone."""
    uses_composite: bool
    """Whether sampling begins at the object over its background."""
    strength: float
    """Share of the noise schedule that is run; 1 from pure noise."""
    holds_input: bool
    """Whether the part that stays is held to the input at every step."""

    def follows(self, i: int) -> Follows:
        """What the step of loop index `i`, which falls to 1, is told.

        Eq. 8: ``D(I_t | e_a)`` where t is even, ``D(I_t | e_opt)`` elsewhere. The paper's t is the loop index, so the
        last step follows the blend. A scheduler's own timesteps (981, 961, ..., 1) are all odd or all even, and would
        never alternate.
        """
        return Follows.OBJECT if self.alternates and i % 2 == 0 else Follows.BLEND


def plan_of(asked: Asks, params: LayeredParams) -> LayeredPlan:
    """The plan of an edit; a pure function of what was asked."""
    subject, background = bool(asked.subject.strip()), bool(asked.background.strip())
    composite = params.start is not Start.NOISE
    tunes = params.tuned is not Tuned.NONE and params.tune_steps > 0
    # An empty text has an embedding too, but mixing that in says "anything", and the edit fades towards it.
    alpha = (params.subject_weight if background else 1.0) if subject else 0.0
    object_is_read = (params.alternate and subject) or alpha > 0
    literal = params.embed_mode is EmbedMode.LITERAL
    fits = params.embed_steps > 0
    return LayeredPlan(
        draws_reference=asked.scope is not Scope.SUBJECT and background and asked.background_reference is None,
        alpha=alpha,
        fits_object=fits and (object_is_read or literal),
        fits_background=fits and (alpha < 1 or literal),
        tunes=tunes,
        alternates=params.alternate and subject,
        uses_composite=composite,
        strength=params.strength if composite else 1.0,
        holds_input=params.blend_latents and asked.scope is not Scope.BOTH,
    )


def idle_settings(asked: Asks, params: LayeredParams) -> dict[str, str]:
    """Settings that change nothing with what is asked and the others as they are: name to the reason, for a person.

    What depends on the picture (whether a subject counts as small) or on the turn before it is not told here.
    """
    plan = plan_of(asked, params)
    fits = plan.fits_object or plan.fits_background
    both = bool(asked.subject.strip()) and bool(asked.background.strip())
    idle: dict[str, str] = {}

    def mark(reason: str, *names: str) -> None:
        for name in names:
            idle.setdefault(name, reason)

    if not fits:
        mark("no text is fitted: embed_steps is 0", "embed_rate", "embed_mode")
    if not plan.tunes:
        reason = "no weight is tuned: tuned is none" if params.tuned is Tuned.NONE else "tune_steps is 0"
        mark(reason, "tune_rate", "lora_rank", "object_loss", "small_object_loss", "small_object_area")
        mark(reason, "background_loss")
    if params.tuned is Tuned.NONE:
        mark("no weight is tuned: tuned is none", "tune_steps")
    if not params.tune_steps:
        mark("no weight is tuned: tune_steps is 0", "tuned")
    if params.tuned is not Tuned.LORA:
        mark("only a low-rank update has a rank: tuned is not lora", "lora_rank")
    if params.object_loss == params.small_object_loss:
        mark("both weights of the subject's loss are the same", "small_object_area")
    if plan.fits_object != plan.fits_background and not plan.tunes:
        mark("one part is fitted alone, and Adam takes no notice of how large a loss is", "normalize_by_area")
    if not fits and not plan.tunes:
        mark("nothing is fitted", "normalize_by_area", "timesteps_per_step", "early_stop", "warm_start")
    if not both:
        mark("only one text is given, and the blend is that one", "subject_weight", "alternate")
    if plan.alpha == 1 and both:
        mark("the blend is the subject's text: subject_weight is 1", "alternate")
    if params.start is Start.NOISE:
        mark("from pure noise the whole schedule is run: start is noise", "strength")
    if asked.scope is Scope.BOTH:
        mark("this turn changes both parts: nothing is held to the input", "blend_latents")
    return idle
