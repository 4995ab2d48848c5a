"""What can be set on each method: one frozen dataclass a method, every field with range, unit, default and help.

The page's form, the command line's options and the stored requests are generated from these fields; a value is
checked by `checked`, whoever sent it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, TypeVar, get_type_hints

from pipelines.curves import ToneCurve
from pipelines.errors import BadParameter


class Reach(StrEnum):
    """From where on an edit depends on a setting, in a method that fits something before it samples."""

    FIT = "fit"  # from the start; what nobody thought about is safe here
    REFERENCE = "reference"  # from sampling, and from the start where the background reference is sampled too
    SAMPLING = "sampling"  # from sampling: what was fitted before stays right


@dataclass(frozen=True)
class Knob:
    """What a form needs to know of one field. `low` and `high` are inclusive; ``None`` for switches and choices."""

    help: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    reach: Reach = Reach.FIT


def knob(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    reach: Reach = Reach.FIT,
) -> Any:
    """A dataclass field that carries a `Knob`."""
    return field(default=default, metadata={"knob": Knob(help, low, high, unit, reach)})


class EmbedMode(StrEnum):
    """How Eq. 2 of LayerDiffusion is read."""

    LAYERED = "layered"  # e_a under the object mask on the input, e_b under its complement on the background picture
    LITERAL = "literal"  # both texts in one sequence of tokens, one pass, the object mask over the input


class Tuned(StrEnum):
    """Which weights the layered fine-tune may move."""

    NONE = "none"  # skip the phase
    LORA = "lora"  # low-rank update of the attention projections; ours, not the paper's
    UNET = "unet"  # every weight of the U-Net, as in the paper


class Tunes(StrEnum):
    """What of cross-attention a fine-tune moves."""

    NOTHING = "none"  # skip the phase
    LORA = "lora"  # a low-rank update of its projections
    PROJECTIONS = "projections"  # the projections themselves


class Start(StrEnum):
    """Where guidance starts from."""

    NOISE = "noise"  # pure noise, as in the paper
    COMPOSITE = "composite"  # the subject in its place over the background reference, noised; ours
    INVERTED = "inverted"  # the same composite, and its own noise met again at every step (DDPM inversion); ours


class WordsMeet(StrEnum):
    """Which words of the target answer to which of what the picture shows now."""

    REFINE = "refine"  # equal ones; what was added or changed is new
    REPLACE = "replace"  # each to the one in its place: as many words in both


class Return(StrEnum):
    """How an inverted picture's own branch finds back to it while the edit runs beside it."""

    DIRECT = "direct"  # it is kept on the way that inversion took
    NULL_TEXT = "null-text"  # the empty text is fitted, step by step
    NEGATIVE_PROMPT = "negative-prompt"  # the text of what the picture shows stands in the empty one's place
    NONE = "none"  # it is sampled, wherever guidance leads it


@dataclass(frozen=True)
class Params:
    """What every method's settings derive from."""

    retired: ClassVar[frozenset[str]] = frozenset()
    """Settings that there were once; of what was stored they are read over."""


P = TypeVar("P", bound=Params)


class Window(StrEnum):
    """How much of the picture the model is shown."""

    AUTO = "auto"  # a window around a subject that it would otherwise see small
    WHOLE = "whole"  # the whole picture
    AROUND = "around"  # a window around the subject, however large that is


class Edge(StrEnum):
    """Where a part ends."""

    HARD = "hard"  # at the mask's own edge, pixel by pixel
    SOFT = "soft"  # fading over the mask's feather
    MATTED = "matted"  # as transparent as hair and fur are seen to be there
    VITMATTE = "matted by ViTMatte"  # the same, by a network whose folder is among the models

    @property
    def matted(self) -> bool:
        return self in (Edge.MATTED, Edge.VITMATTE)


class When(StrEnum):
    """Where what is pasted back is made to look like what surrounds it."""

    NEVER = "never"
    WINDOW = "in a window"  # where the method worked in one: there it is the picture's own pixels that surround it
    ALWAYS = "always"


@dataclass(frozen=True)
class ModelParams(Params):
    """What the settings of every method that runs a model have beside their own. At its default, what came later than
    the first turns does what was done before."""

    window: Window = knob(
        Window.WHOLE,
        "Where only the subject changes: the whole picture, a window around the subject, or that where it gains by it",
    )
    context: float = knob(
        0.5, "What is seen around the subject in a window, on each side, in shares of its longer side", 0.1, 4.0
    )
    paste_back: bool = knob(
        False, "Copy the kept pixels back from the input, with a feathered seam", reach=Reach.SAMPLING
    )
    edge: Edge = knob(
        Edge.SOFT,
        "Where what is copied back ends: at the edge, fading over its feather, or as hair and fur are seen to",
        reach=Reach.SAMPLING,
    )
    match_colour: When = knob(
        When.NEVER, "Undo the shift of colour that is measured at the seam, all over what changed", reach=Reach.SAMPLING
    )
    grain: When = knob(When.NEVER, "Give what changed the grain that the picture has around it", reach=Reach.SAMPLING)
    residual: float = knob(
        0.0, "Keep the input's pixel where the edit changed it by less; 0 is off", 0.0, 255.0, "levels", Reach.SAMPLING
    )
    latent_steps: int = knob(
        0,
        "Fit the picture's latent first, so that turns do not add up what the autoencoder loses; 0 is off",
        0,
        200,
        "steps",
    )


def _pasted_back() -> Any:
    """For a method that is to leave alone what was not to change."""
    return knob(True, "Copy the kept pixels back from the input, with a feathered seam", reach=Reach.SAMPLING)


@dataclass(frozen=True)
class LayeredParams(ModelParams):
    """LayerDiffusion, Li et al. 2023. Defaults are the paper's (section 3.3)."""

    retired: ClassVar[frozenset[str]] = frozenset({"name_what_stays", "strength_of_both", "hold_background"})

    embed_steps: int = knob(500, "Steps that fit the two text embeddings (phase 1)", 0, 2000, "steps")
    embed_rate: float = knob(1e-3, "Adam's rate for the embeddings", 1e-6, 1.0)
    embed_mode: EmbedMode = knob(EmbedMode.LAYERED, "How Eq. 2 is read: each text under its own part, or both at once")
    subject_weight: float = knob(0.7, "Share of the subject in the blended embedding (Eq. 3)", 0.0, 1.0)
    tuned: Tuned = knob(Tuned.UNET, "Which weights the fine-tune moves (phase 2)")
    tune_steps: int = knob(250, "Steps of the layered fine-tune", 0, 2000, "steps")
    tune_rate: float = knob(2e-6, "Adam's rate for the weights", 1e-8, 1.0)
    lora_rank: int = knob(8, "Rank of the low-rank update", 1, 128)
    object_loss: float = knob(2.0, "Weight of the subject's loss (Eq. 6)", 0.0, 100.0)
    small_object_loss: float = knob(3.0, "Weight of the subject's loss when the subject is small", 0.0, 100.0)
    small_object_area: float = knob(0.05, "A subject below this share of the picture is small", 0.0, 1.0)
    background_loss: float = knob(1.0, "Weight of the background's loss (Eq. 6)", 0.0, 100.0)
    normalize_by_area: bool = knob(False, "Average each loss over its own part instead of the whole picture")
    timesteps_per_step: int = knob(1, "Noise levels averaged in one optimisation step", 1, 64)
    early_stop: bool = knob(False, "End a phase once its loss on a fixed batch no longer changes")
    warm_start: bool = knob(
        False, "Begin each phase at what the turn before fitted; takes fewer steps only where phases stop early"
    )
    compiled: bool = knob(False, "On a GPU, compile the network; the first edit of a size then waits for it")
    steps: int = knob(50, "Sampling steps of the iterative guidance (phase 3)", 1, 1000, "steps", Reach.REFERENCE)
    guidance: float = knob(7.5, "Classifier-free guidance scale", 0.0, 50.0, reach=Reach.REFERENCE)
    alternate: bool = knob(True, "Alternate between the subject's text and the blend (Eq. 8)", reach=Reach.SAMPLING)
    start: Start = knob(
        Start.NOISE,
        "Start from pure noise, or from the noised composite; in its own noise the composite's shapes last longer",
        reach=Reach.SAMPLING,
    )
    strength: float = knob(
        1.0,
        "Share of the noise schedule that is run when starting from the composite",
        0.02,
        1.0,
        reach=Reach.SAMPLING,
    )
    blend_latents: bool = knob(True, "Hold the kept part to the input at every sampling step", reach=Reach.SAMPLING)
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class SDEditParams(ModelParams):
    """SDEdit, Meng et al. 2021: noise the picture part of the way and denoise it with the new text."""

    strength: float = knob(0.7, "How far the picture is noised (t0)", 0.02, 1.0)
    steps: int = knob(50, "Sampling steps of the whole schedule", 1, 1000, "steps")
    guidance: float = knob(7.5, "Classifier-free guidance scale", 0.0, 50.0)


@dataclass(frozen=True)
class InpaintParams(ModelParams):
    """Blended Latent Diffusion, Avrahami et al. 2023: denoise from noise, holding the kept part at every step."""

    steps: int = knob(50, "Sampling steps", 1, 1000, "steps")
    guidance: float = knob(7.5, "Classifier-free guidance scale", 0.0, 50.0)
    strength: float = knob(1.0, "Share of the noise schedule that is run", 0.02, 1.0)
    decoder_steps: int = knob(
        0,
        "Steps that fit a copy of the decoder to the kept pixels, so that no seam is left; the paper's 75",
        0,
        1000,
        "steps",
    )
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class PaintByExampleParams(ModelParams):
    """Paint by Example, Yang et al. 2023: a network trained to paint what a reference picture shows."""

    steps: int = knob(50, "Sampling steps", 1, 1000, "steps")
    guidance: float = knob(5.0, "How closely the reference is followed", 0.0, 50.0)
    margin: float = knob(
        0.1, "What is shown of the reference around what stands in its middle, in shares of its longer side", 0.0, 2.0
    )
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class InstructParams(ModelParams):
    """InstructPix2Pix, Brooks et al. 2023: a network trained to follow an instruction about the picture it is shown."""

    steps: int = knob(100, "Sampling steps", 1, 1000, "steps")
    guidance: float = knob(7.5, "How closely the instruction is followed (s_T of Eq. 3)", 0.0, 50.0)
    picture_guidance: float = knob(1.5, "How closely the picture is followed (s_I of Eq. 3)", 0.0, 50.0)
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class GroundedParams(InstructParams):
    """Grounded-InstructPix2Pix, Shagidanov et al. 2024: what lies outside comes back over the last steps."""

    blend_share: float = knob(0.1, "Share of the steps, at the end, in which the rest is put back", 0.0, 1.0)


@dataclass(frozen=True)
class FocusParams(InstructParams):
    """Focus on Your Instruction, Guo and Lin 2024: each instruction acts where its words are looked at."""

    find_mask: bool = knob(True, "Find where each instruction is looked at; off: all that may change")
    mask_steps: int = knob(10, "Steps of the short run that finds it", 1, 100, "steps")
    threshold: float = knob(0.4, "From which share of the strongest look a place belongs to the instruction", 0.0, 1.0)
    boost: float = knob(0.0, "How far an instruction's words are looked at more inside", 0.0, 1.0)
    focused_share: float = knob(0.75, "Share of the steps, from the first, that keep each instruction inside", 0.0, 1.0)


@dataclass(frozen=True)
class ZoneParams(InstructParams):
    """ZONE, Li et al. 2024: of what an instruction does only the region that is meant counts."""

    steps: int = knob(20, "Sampling steps", 1, 1000, "steps")
    threshold: float = knob(
        0.21, "Up to which lead of the text's beginning over its end a place belongs to the instruction", -1.0, 1.0
    )
    clicks: int = knob(8, "Places a side at which a segmenter is asked, where there is one", 1, 32)


@dataclass(frozen=True)
class VISIIParams(InstructParams):
    """VISII, Nguyen et al. 2023: an edit that is learnt from a picture before it and one after it."""

    embed_steps: int = knob(1000, "Steps that learn the edit from the example", 0, 5000, "steps")
    embed_rate: float = knob(1e-3, "Adam's rate for the instruction", 1e-6, 1.0)
    learn_guidance: float = knob(7.5, "How closely the instruction is followed while it is learnt", 0.0, 50.0)
    steps: int = knob(20, "Sampling steps", 1, 1000, "steps")
    guidance: float = knob(8.0, "How closely the instruction is followed (s_T of Eq. 3)", 0.0, 50.0)


def _steps(default: int = 50) -> Any:
    return knob(default, "Sampling steps of the whole schedule", 1, 1000, "steps")


def _guidance(default: float = 7.5) -> Any:
    return knob(default, "Classifier-free guidance scale", 0.0, 50.0)


RETURNS = "How the inverted picture's own branch finds back to it while the edit runs beside it"


def _null_steps() -> Any:
    return knob(10, "Steps that fit the empty text of each sampling step, where it is fitted", 0, 500, "steps")


@dataclass(frozen=True)
class RefineParams(ModelParams):
    """Multi-round Thinking, Zeng et al. 2024: instructions by a LoRA that was trained for many rounds."""

    steps: int = _steps()
    guidance: float = _guidance(5.0)
    strength: float = knob(1.0, "Share of the noise schedule that is run", 0.02, 1.0)
    eta: float = knob(1.0, "How much noise each step adds, of what DDPM adds", 0.0, 1.0)
    two_rounds: bool = knob(False, "Carry out the two texts one after the other, in two rounds")
    edges: float = knob(1.0, "How strongly the picture's edges lead, where the LoRA brings a branch for them", 0.0, 2.0)


@dataclass(frozen=True)
class ComposeParams(Params):
    """CDD-ICM, Wang 2023: the next picture of a scene, drawn from the one before it and an instruction."""

    steps: int = knob(50, "Sampling steps; the paper's 250", 1, 1000, "steps")
    guidance: float = knob(3.0, "How closely the instruction is followed (phi of Eq. 15)", 1.0, 50.0)
    match: float = knob(2.0, "How strongly the picture is drawn to what was asked (psi of Eq. 14)", 0.0, 50.0)
    strength: float = knob(
        1.0, "Share of the noise schedule that is run, from the picture itself; 1 begins with noise alone", 0.02, 1.0
    )


@dataclass(frozen=True)
class PromptToPromptParams(ModelParams):
    """Prompt-to-Prompt, Hertz et al. 2022: the edit looks where the picture's own text looks."""

    steps: int = _steps()
    guidance: float = _guidance()
    words: WordsMeet = knob(WordsMeet.REFINE, "Which words answer each other: equal ones, or each the one in its place")
    cross_share: float = knob(0.8, "Share of the steps in which words are looked at where they were", 0.0, 1.0)
    self_share: float = knob(0.4, "Share of the steps in which the picture looks at itself as it did", 0.0, 1.0)
    weight: float = knob(1.0, "How strongly new words are looked at; 1 is as they are", 0.0, 10.0)
    blend: bool = knob(True, "Take from the picture what the words that differ do not look at")
    blend_threshold: float = knob(0.3, "From which share of the strongest look a place belongs to a word", 0.0, 1.0)
    blend_from: float = knob(0.2, "Share of the steps before that is done", 0.0, 1.0)
    inversion: Return = knob(Return.DIRECT, RETURNS)
    null_steps: int = _null_steps()
    noun_steps: int = knob(
        0, "Steps that keep what each noun looks at on its thing, at each sampling step (DPL); the paper's 21", 0, 100
    )


@dataclass(frozen=True)
class PlugAndPlayParams(ModelParams):
    """Plug-and-Play, Tumanyan et al. 2022: the edit has the picture's own features."""

    steps: int = _steps()
    guidance: float = _guidance()
    feature_share: float = knob(0.8, "Share of the steps in which the picture's features are copied", 0.0, 1.0)
    attention_share: float = knob(0.5, "Share of the steps in which it looks at itself as the picture does", 0.0, 1.0)
    inversion_steps: int = knob(1, "Steps of the inversion for each sampling step", 1, 100, "steps")


@dataclass(frozen=True)
class MasaCtrlParams(ModelParams):
    """MasaCtrl, Cao et al. 2023: once its layout stands, the edit looks up its contents in the picture."""

    steps: int = _steps()
    guidance: float = _guidance()
    first_step: int = knob(4, "The step from which contents come from the picture (S)", 0, 1000, "steps")
    masks: bool = knob(True, "Let the subject look at the selected subject only, and the background at the background")
    threshold: float = knob(0.1, "From which share of the strongest look a place belongs to the subject", 0.0, 1.0)
    inversion: Return = knob(Return.DIRECT, RETURNS)
    null_steps: int = _null_steps()


def _strength(default: float) -> Any:
    return knob(default, "Share of the noise schedule that is run", 0.02, 1.0)


def _source_guidance(default: float) -> Any:
    return knob(default, "Guidance scale towards what the picture shows, in its own branch", 0.0, 50.0)


@dataclass(frozen=True)
class DiffEditParams(ModelParams):
    """DiffEdit, Couairon et al. 2022: painted anew where two texts see different noise."""

    steps: int = _steps()
    guidance: float = _guidance()
    strength: float = _strength(0.8)
    find_mask: bool = knob(True, "Find where the texts differ; off: all that may change")
    maps: int = knob(10, "Draws of noise that the mask is averaged over", 1, 100)
    mask_strength: float = knob(0.5, "How far the picture is noised to find the mask", 0.02, 1.0)
    mask_most: float = knob(3.0, "Differences count up to so many times their mean; half of that is the cut", 0.1, 20.0)


@dataclass(frozen=True)
class DDPMInversionParams(ModelParams):
    """Edit-friendly DDPM inversion, Huberman-Spiegelglas et al. 2023: the edit meets the picture's own noise."""

    steps: int = _steps(100)
    guidance: float = _guidance(15.0)
    source_guidance: float = _source_guidance(3.5)
    strength: float = _strength(0.64)


@dataclass(frozen=True)
class LeditsParams(ModelParams):
    """LEDITS++, Brack et al. 2023: several concepts at once, each where it belongs."""

    steps: int = _steps()
    guidance: float = knob(5.0, "How strongly each concept guides (s_e)", 0.0, 50.0)
    threshold: float = knob(0.9, "Share of the picture that a concept leaves alone (lambda)", 0.0, 1.0)
    background_threshold: float = knob(0.3, "The same of the concept that is the background", 0.0, 1.0)
    within_selection: bool = knob(True, "Keep the subject's concept to the selected subject, the background's off it")
    mask_by_words: bool = knob(True, "Keep a concept to where its words are looked at")
    source_guidance: float = _source_guidance(3.5)
    strength: float = _strength(0.85)


@dataclass(frozen=True)
class CycleDiffusionParams(ModelParams):
    """CycleDiffusion, Wu and De la Torre 2022: picture and edit are sampled with the same noise."""

    steps: int = _steps()
    guidance: float = _guidance()
    source_guidance: float = _source_guidance(1.0)
    strength: float = _strength(0.8)
    eta: float = knob(0.1, "How much noise each step adds, of what DDPM adds", 0.0, 1.0)


@dataclass(frozen=True)
class InfEditParams(ModelParams):
    """InfEdit, Xu et al. 2023: no inversion; a few steps that each begin at the clean picture."""

    steps: int = _steps(12)
    guidance: float = _guidance(2.3)
    source_guidance: float = _source_guidance(1.0)
    strength: float = _strength(1.0)
    cross_share: float = knob(0.7, "Share of the steps in which words are looked at where they were", 0.0, 1.0)
    self_share: float = knob(0.7, "Share of the steps in which the picture looks at itself as it did", 0.0, 1.0)
    blend: bool = knob(True, "Hold the edit to the picture where its new words are not looked at")
    threshold: float = knob(0.55, "From which share of the strongest look a place belongs to them", 0.0, 1.0)


@dataclass(frozen=True)
class ImagicParams(ModelParams):
    """Imagic, Kawar et al. 2022: an embedding that reproduces the picture, mixed with the target's."""

    embed_steps: int = knob(1000, "Steps that fit the embedding (A)", 0, 5000, "steps")
    embed_rate: float = knob(2e-3, "Adam's rate for the embedding", 1e-6, 1.0)
    tuned: Tuned = knob(Tuned.UNET, "Which weights are tuned at it (B)")
    tune_steps: int = knob(1500, "Steps of the tuning", 0, 5000, "steps")
    tune_rate: float = knob(5e-7, "Adam's rate for the weights", 1e-9, 1.0)
    lora_rank: int = knob(8, "Rank of the low-rank update", 1, 128)
    eta: float = knob(0.8, "Share of the target in the embedding that is sampled (Eq. 3)", 0.0, 2.0)
    steps: int = _steps()
    guidance: float = _guidance()


@dataclass(frozen=True)
class DEditParams(ModelParams):
    """D-Edit, Feng et al. 2024: subject and background each have words of their own. 100 steps of 25 noise levels are
    the paper's 500 of 5, of which it adds up five at a time."""

    new_words: int = knob(5, "New words that the subject and the background are given each", 1, 20)
    embed_steps: int = knob(100, "Steps that fit the new words", 0, 2000, "steps")
    embed_rate: float = knob(1e-4, "Adam's rate for the new words", 1e-6, 1.0)
    tunes: Tunes = knob(Tunes.PROJECTIONS, "What of cross-attention is tuned at them")
    tune_steps: int = knob(100, "Steps of the tuning", 0, 5000, "steps")
    tune_rate: float = knob(5e-5, "Adam's rate for the weights", 1e-9, 1.0)
    lora_rank: int = knob(4, "Rank of the low-rank update", 1, 128)
    timesteps_per_step: int = knob(25, "Noise levels averaged in one optimisation step", 1, 64)
    keep_words: bool = knob(
        False, "Say what changes in its own new words too, before its text: it keeps more of its looks"
    )
    steps: int = _steps()
    guidance: float = _guidance(6.0)
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class FlexEditParams(ModelParams):
    """FlexEdit, Nguyen et al. 2024: a mask that adapts, and an object that is led to the old one's place. The paper's
    numbers are not known; but for steps and guidance these are ours."""

    steps: int = _steps()
    guidance: float = _guidance()
    strength: float = _strength(1.0)
    threshold: float = knob(0.5, "From which share of the strongest look a place belongs to the subject", 0.0, 1.0)
    lead: float = knob(
        0.02, "How far a step leads the subject to the place and size of the old one; 0 is off", 0.0, 1.0
    )
    rounds: int = knob(1, "How often each step leads it", 1, 20)
    lead_share: float = knob(0.5, "Share of the steps, from the first, that lead it", 0.0, 1.0)
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class OIRParams(ModelParams):
    """OIR, Yang et al. 2024: each part is inverted as far as it needs."""

    steps: int = _steps()
    guidance: float = _guidance()
    every: int = knob(5, "Tries are that many steps of inversion apart; the paper's 1", 1, 100, "steps")
    rest_weight: float = knob(1.0, "How much it counts in the choice of a try that the rest is as it was", 0.0, 10.0)
    together: float = knob(0.2, "Share of the steps, before the last, at which the parts are put together", 0.0, 0.5)
    paste_back: bool = _pasted_back()


@dataclass(frozen=True)
class Text2LiveParams(ModelParams):
    """Text2LIVE, Bar-Tal et al. 2022: a layer of colour and opacity that a CLIP leads."""

    steps: int = knob(1000, "Steps that paint the layer", 1, 5000, "steps")
    rate: float = knob(2.5e-3, "Adam's rate for what paints it", 1e-6, 1.0)
    screen: float = knob(1.0, "How much it counts that the layer alone, over green, goes with the text", 0.0, 10.0)
    structure: float = knob(2.0, "How much it counts that what is where stays as it was", 0.0, 100.0)
    sparsity: float = knob(0.06, "How much it counts that the layer is small and clear", 0.0, 10.0)
    evenness: float = knob(0.0, "How much it counts that the layer is the same everywhere", 0.0, 100.0)
    from_colour: bool = knob(True, "Begin at the flat colour that goes best with the text; off: at grey")


@dataclass(frozen=True)
class Pix2PixZeroParams(ModelParams):
    """pix2pix-zero, Parmar et al. 2023: nudged to look at its words where the picture's were."""

    steps: int = _steps()
    guidance: float = _guidance(5.0)
    cross_guidance: float = knob(0.1, "How far each step goes towards the picture's looks; 0 is off", 0.0, 10.0)
    regularisation: float = knob(20.0, "How strongly inverted noise is made like noise; 0 is off", 0.0, 100.0)
    captions: int = knob(1, "Pairs of captions whose mean difference is the way from source to target", 1, 8)


def knobs(params: type[Params] | Params) -> dict[str, tuple[type, Any, Knob]]:
    """Field name to (type, default, knob), in order: a method's own before those of all."""
    cls = params if isinstance(params, type) else type(params)
    hints = get_type_hints(cls)
    shared = {f.name for f in dataclasses.fields(ModelParams)} if issubclass(cls, ModelParams) else set()
    ordered = sorted(dataclasses.fields(cls), key=lambda f: f.name in shared)
    return {f.name: (hints[f.name], f.default, f.metadata["knob"]) for f in ordered}


def _coerced(name: str, value: Any, wanted: type, spec: Knob) -> Any:
    if issubclass(wanted, StrEnum):
        if value not in list(wanted):
            raise BadParameter(f"{name} must be one of {', '.join(wanted)}; got {value!r}", name)
        return wanted(value)
    if wanted is ToneCurve:
        return ToneCurve.of(name, value)
    if wanted is bool:
        if not isinstance(value, bool):
            raise BadParameter(f"{name} must be true or false; got {value!r}", name)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadParameter(f"{name} must be a number; got {value!r}", name)
    if not math.isfinite(value) or (wanted is int and value != int(value)):
        raise BadParameter(f"{name} must be a finite {'whole ' if wanted is int else ''}number; got {value!r}", name)
    if spec.low is not None and spec.high is not None and not spec.low <= value <= spec.high:
        unit = f" {spec.unit}" if spec.unit else ""
        raise BadParameter(f"{name} must be between {spec.low:g} and {spec.high:g}{unit}; got {value!r}", name)
    return int(value) if wanted is int else float(value)


def checked(cls: type[P], values: Mapping[str, Any]) -> P:
    """Build `cls` from untrusted `values`; missing fields keep their defaults.

    Raises `BadParameter` for an unknown name, a wrong type or a value outside its range.
    """
    specs = knobs(cls)
    if unknown := sorted(set(values) - set(specs)):
        raise BadParameter(f"unknown setting {', '.join(unknown)}; {cls.__name__} has {', '.join(specs)}")
    return cls(**{name: _coerced(name, value, specs[name][0], specs[name][2]) for name, value in values.items()})
