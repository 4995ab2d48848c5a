"""The table of editing methods. A method is named as text and resolved when it runs, so this file needs no torch."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.contract import Backbone, EditRequest, Extent, Kind, Quality, Scope, about
from pipelines.errors import BadParameter, ModelError, PipelineError, UnknownMethod
from pipelines.frames import Frame
from pipelines.hand.frames import cropped, extended, resized, straightened
from pipelines.hand.idle import idle_of_backdrop, idle_of_colour, idle_of_place, idle_of_straighten
from pipelines.hand.params import (
    BackdropParams,
    CropParams,
    DefocusParams,
    ExtendParams,
    LightParams,
    PlaceParams,
    RecolourParams,
    RemoveParams,
    ResizeParams,
    StraightenParams,
)
from pipelines.layered.key import fit_key
from pipelines.layered.plan import Asks, idle_settings
from pipelines.models.configs import came, read_json
from pipelines.models.folders import ModelCard
from pipelines.params import (
    ComposeParams,
    CycleDiffusionParams,
    DDPMInversionParams,
    DEditParams,
    DiffEditParams,
    FlexEditParams,
    FocusParams,
    GroundedParams,
    ImagicParams,
    InfEditParams,
    InpaintParams,
    InstructParams,
    LayeredParams,
    LeditsParams,
    MasaCtrlParams,
    ModelParams,
    OIRParams,
    PaintByExampleParams,
    Params,
    Pix2PixZeroParams,
    PlugAndPlayParams,
    PromptToPromptParams,
    RefineParams,
    Return,
    SDEditParams,
    Text2LiveParams,
    Tuned,
    Tunes,
    VISIIParams,
    Window,
    ZoneParams,
    checked,
)

log = logging.getLogger(__name__)

PRESETS = Path(__file__).resolve().parents[1] / "assets" / "presets"
FEW_STEPS = {Quality.DRAFT: 4, Quality.STANDARD: 8, Quality.EXACT: 16}
"""Of a consistency model, whose paper shows pictures of one to eight (Luo et al. 2023)."""


class Group(StrEnum):
    """What somebody wants who chooses a method."""

    REPAINT = "repaint a part"  # the rest of the picture is left alone
    SHAPE = "keep the shape"  # what there is stays in its place and looks different
    INSTRUCT = "change by instruction"  # it is said what to do, not what there is then
    LOOK = "copy a look"  # something of this picture or another one is seen again
    HAND = "by hand, without a model"  # done at once, at the picture's own size, and the same every time


TEXTS = ("negative",)
"""What a model is told about the turn as a whole, whatever the method."""


@dataclass(frozen=True)
class Method:
    """One entry: what it is called, what can be set, where it lives, what it needs."""

    name: str
    title: str
    params: type[Params]
    entry: str
    """``module:function``; the function is ``run(bundle, request, params, progress) -> EditResult``. Of a method that
    needs no model it is ``run(request, params) -> pipelines.hand.changed.Changed``."""
    needs_mask: bool
    stages: tuple[str, ...]
    """The stages it reports, in order."""
    paper: str
    group: Group
    when: str
    """When to take it, in one line."""
    labels: tuple[str, str] = ("Subject becomes", "Background becomes")
    """What its two texts are called."""
    examples: tuple[str, str] = ("a blue dog", "in a forest")
    """What its two texts may say: of the subject, and of the background."""
    instructs: bool = False
    """Whether its texts say what to do; else they describe what there is then."""
    joint: str | None = None
    """What stands between its two texts where the model reads them as one; ``None`` where it reads each by itself."""
    serves: tuple[Backbone, ...] = (Backbone.PLAIN,)
    """The models it runs on."""
    needs_model: bool = True
    """Whether it runs on a model at all. What needs none is run by `pipelines.hand.run`, without torch, whatever model
    is chosen, at the picture's own size; it reads no LoRA, no negative text and no seed."""
    reads: tuple[Scope, ...] = (Scope.SUBJECT, Scope.BACKGROUND)
    """Of which parts it reads the text."""
    follows: tuple[Scope, ...] = ()
    """Of which parts it follows a reference picture."""
    adds_layer: bool = False
    """Whether its edit is a layer over the untouched picture, which layered files keep apart."""
    learns: bool = False
    """Whether it learns from an example: the reference of the subject is the picture before, that of the background the
    one after, and it needs both."""
    changes: Scope | None = None
    """What its turns change, whatever is asked; ``None`` where that is asked."""
    texts: tuple[str, ...] = TEXTS
    """The texts about the turn as a whole that it reads, by their fields' names: see `hears`."""
    draws: bool = True
    """Whether a seed has a say; where nothing is drawn, another one would give the same picture."""
    fit_key: Callable[[EditRequest, Any], str] | None = None
    """``fit_key(request, params)`` names what it fits before it samples; ``None`` where it fits nothing."""
    reframes: Callable[[Any, Extent], Frame] | None = None
    """``reframes(params, extent)`` is the frame of the picture that it makes of one of `extent`; ``None`` where every
    pixel keeps its place."""
    recolours: bool = False
    """Whether it changes colours in their place and draws nothing: what was clear when it was opened stays clear."""
    own_idle: Callable[[Any, Any], dict[str, str]] = lambda asked, params: {}
    """What of `idle` only this method knows."""

    def idle(self, asked: Asks, params: Params) -> dict[str, str]:
        """The settings that change nothing with what is asked and with the others as they are: name to the reason."""
        found = self.own_idle(asked, params)
        if isinstance(params, ModelParams):
            found |= idle_of_models(asked, params)
        return found

    def hears(self, name: str) -> bool:
        """Whether it goes by that field of a request (see `pipelines.contract.about`)."""
        said = dict(about(EditRequest))[name]
        if said.part is None:
            return name in self.texts
        return said.part in (self.reads if said.kind is Kind.TEXT else self.follows)

    @property
    def goes_by_mask(self) -> bool:
        """Whether it matters what is selected: not where the whole picture changes, whatever is asked."""
        return self.needs_mask or self.changes is not Scope.BOTH

    def resolve(self) -> Callable[..., Any]:
        module, function = self.entry.split(":")
        run: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return run


NO_LATENT = {"latent_steps": "nothing of this turn goes by the picture's latent"}


def idle_of_models(asked: Asks, params: ModelParams) -> dict[str, str]:
    """What is shared by all that run a model: a window is about the subject, and pasting about a part that stays."""
    idle: dict[str, str] = {}
    if asked.scope is not Scope.SUBJECT:
        idle |= dict.fromkeys(("window", "context"), "more than the subject changes: the model sees the whole picture")
    elif params.window is Window.WHOLE:
        idle["context"] = "the model sees the whole picture: window is whole"
    pasting = ("edge", "match_colour", "grain")
    if asked.scope is Scope.BOTH:
        idle |= dict.fromkeys(("paste_back", *pasting), "this turn changes both parts: there is nothing to copy back")
    elif not params.paste_back:
        idle |= dict.fromkeys(pasting, "nothing is copied back: paste_back is off")
    return idle


def idle_of_prompt_to_prompt(_: Asks, params: PromptToPromptParams) -> dict[str, str]:
    """Beside a text in which no word differs, what is about words that do has no say either, which takes reading."""
    idle = {}
    if params.inversion is not Return.NULL_TEXT or params.guidance == 1:
        idle["null_steps"] = "the empty text is not fitted"
    if params.guidance == 1 and params.inversion is not Return.DIRECT:
        idle["inversion"] = "with a guidance of 1 nothing leads the picture's own branch astray"
    if not params.blend:
        idle |= dict.fromkeys(("blend_threshold", "blend_from"), "nothing is taken from the picture")
    return idle


def idle_of_refine(asked: Asks, _: RefineParams) -> dict[str, str]:
    """Two rounds take two texts."""
    both = asked.scope is Scope.BOTH and asked.subject.strip() and asked.background.strip()
    return {} if both else {"two_rounds": "there is one text, so one round"}


def idle_of_focus(_: Asks, params: FocusParams) -> dict[str, str]:
    """What finds the places has no say where nobody seeks them."""
    idle: dict[str, str] = {}
    if not params.find_mask:
        idle |= dict.fromkeys(("mask_steps", "threshold"), "nothing is sought: each instruction acts in its own part")
    if not params.focused_share:
        idle |= dict.fromkeys(("find_mask", "mask_steps", "threshold", "boost"), "no step keeps an instruction inside")
    return idle


def idle_of_inpaint(asked: Asks, params: InpaintParams) -> dict[str, str]:
    """Where both parts change nothing is held; from pure noise the picture then has no say."""
    if asked.scope is not Scope.BOTH:
        return {}
    nothing_kept = {"decoder_steps": "both parts change: the decoder is fitted to what is kept"}
    return nothing_kept | (NO_LATENT if params.strength == 1 else {})


def idle_of_paint_by_example(asked: Asks, _: PaintByExampleParams) -> dict[str, str]:
    """All of a reference is shown in which nothing was found."""
    seen = {} if asked.subject_reference_mask is not None else {"margin": "all of the reference is shown"}
    return NO_LATENT | seen


def idle_of_visii(_: Asks, params: VISIIParams) -> dict[str, str]:
    """Where nothing is learnt the words alone are followed."""
    if params.embed_steps:
        return {}
    return dict.fromkeys(("embed_rate", "learn_guidance"), "nothing is learnt: embed_steps is 0")


def idle_of_infedit(_: Asks, params: InfEditParams) -> dict[str, str]:
    """The threshold is of what holds the edit."""
    return {} if params.blend else {"threshold": "the edit is not held to the picture"}


def idle_of_imagic(_: Asks, params: ImagicParams) -> dict[str, str]:
    """A fit that is left out takes its settings with it."""
    idle: dict[str, str] = {}
    if not params.embed_steps:
        idle |= dict.fromkeys(("embed_rate", "eta"), "the embedding is not fitted")
    if params.tuned is Tuned.NONE or not params.tune_steps:
        idle["tune_rate"] = "no weights are tuned"
        idle["tuned" if params.tuned is not Tuned.NONE else "tune_steps"] = "no weights are tuned"
    if params.tuned is not Tuned.LORA or not params.tune_steps:
        idle["lora_rank"] = "no low-rank update is tuned"
    return idle


def idle_of_d_edit(asked: Asks, params: DEditParams) -> dict[str, str]:
    """What fits words that nobody goes by has no say."""
    idle: dict[str, str] = {}
    tunes = params.tunes is not Tunes.NOTHING and bool(params.tune_steps)
    if not tunes:
        idle["tune_rate"] = "no weights are tuned"
    if params.tunes is Tunes.NOTHING:
        idle["tune_steps"] = "no weights are tuned: tunes is none"
    if not params.tune_steps:
        idle["tunes"] = "no weights are tuned: tune_steps is 0"
    if not tunes or params.tunes is not Tunes.LORA:
        idle["lora_rank"] = "no low-rank update is tuned"
    if not tunes and not params.keep_words and asked.subject.strip() and asked.background.strip():
        fitting = ("new_words", "embed_steps", "embed_rate", "timesteps_per_step")
        idle |= dict.fromkeys(fitting, "both parts have a text, and nobody goes by the new words")
        idle |= NO_LATENT if asked.scope is Scope.BOTH else {}
    elif not params.embed_steps:
        idle["embed_rate"] = "the new words are not fitted"
        if not tunes:
            idle["timesteps_per_step"] = "nothing is fitted"
    return idle


def idle_of_flexedit(asked: Asks, params: FlexEditParams) -> dict[str, str]:
    """Without a subject's text there is no new object, and where all of the picture may change no mask."""
    if not asked.subject.strip():
        return dict.fromkeys(("threshold", "lead", "rounds", "lead_share"), "no new subject is described")
    idle: dict[str, str] = {}
    if not params.lead or not params.lead_share:
        idle |= dict.fromkeys(("lead", "rounds", "lead_share"), "the subject is not led anywhere")
        idle.pop("lead_share" if not params.lead_share else "lead")
        if asked.scope is not Scope.SUBJECT:
            idle["threshold"] = "the mask does not adapt where more than the subject changes"
    return idle


def by_instruction(**own: Any) -> Method:
    """An entry that is told what to do, with what is the same for all of them."""
    usual: dict[str, Any] = {
        "needs_mask": False,
        "group": Group.INSTRUCT,
        "labels": ("What to do with the subject", "What to do with the background"),
        "examples": ("make the dog blue", "let it snow"),
        "instructs": True,
        "joint": " and ",
        "serves": (Backbone.INSTRUCT,),
    }
    return Method(**(usual | own))


def by_hand(**own: Any) -> Method:
    """An entry that needs no model, with what is the same for all of them."""
    usual: dict[str, Any] = {
        "needs_mask": False,
        "stages": ("picture",),
        "group": Group.HAND,
        "examples": ("", ""),
        "serves": (),
        "needs_model": False,
        "reads": (),
        "texts": (),
        "draws": False,
    }
    return Method(**usual | own)


CATALOG: dict[str, Method] = {
    m.name: m
    for m in (
        Method(
            name="layered",
            title="Layered",
            params=LayeredParams,
            entry="pipelines.layered.method:run",
            needs_mask=True,
            stages=("reference", "embeddings", "fine-tune", "guidance"),
            paper="Li et al., LayerDiffusion: Layered Controlled Image Editing with Diffusion Models, 2023",
            group=Group.REPAINT,
            when="the subject or what is behind it becomes something else and the other part has to stay",
            follows=(Scope.SUBJECT, Scope.BACKGROUND),
            fit_key=fit_key,
            own_idle=idle_settings,
        ),
        Method(
            name="sdedit",
            title="SDEdit",
            params=SDEditParams,
            entry="pipelines.methods.sdedit:run",
            needs_mask=False,
            stages=("denoise",),
            paper="Meng et al., SDEdit: Guided Image Synthesis and Editing with SDEs, 2021",
            group=Group.SHAPE,
            when="a sketch or a rough picture is to become a finished one, and nothing has to stay exactly",
            joint=" ",
        ),
        Method(
            name="inpaint",
            title="Inpaint (blended latents)",
            params=InpaintParams,
            entry="pipelines.methods.inpaint:run",
            needs_mask=True,
            stages=("denoise", "decoder"),
            paper="Avrahami et al., Blended Latent Diffusion, 2023",
            group=Group.REPAINT,
            when="the selected part is to be filled anew, whatever was there before",
            joint=" ",
            serves=(Backbone.PLAIN, Backbone.INPAINTING),
            own_idle=idle_of_inpaint,
        ),
        Method(
            name="paint-by-example",
            title="Paint by Example",
            params=PaintByExampleParams,
            entry="pipelines.methods.paint_by_example:run",
            needs_mask=True,
            stages=("denoise",),
            paper="Yang et al., Paint by Example: Exemplar-based Image Editing with Diffusion Models, 2023",
            group=Group.LOOK,
            when="what is on another picture is to stand in the selected place",
            examples=("", ""),
            serves=(Backbone.EXEMPLAR,),
            reads=(),
            follows=(Scope.SUBJECT,),
            changes=Scope.SUBJECT,
            texts=(),
            own_idle=idle_of_paint_by_example,
        ),
        Method(
            name="d-edit",
            title="D-Edit (words for each part)",
            params=DEditParams,
            entry="pipelines.methods.d_edit:run",
            needs_mask=True,
            stages=("embeddings", "fine-tune", "denoise"),
            paper="Feng et al., An Item is Worth a Prompt: Versatile Image Editing with Disentangled Control, 2024",
            group=Group.REPAINT,
            when="one part's words must not leak into the other, and time does not matter",
            texts=(*TEXTS, "source"),
            own_idle=idle_of_d_edit,
        ),
        by_instruction(
            name="instruct",
            title="InstructPix2Pix (say what to do)",
            params=InstructParams,
            entry="pipelines.methods.instruct_pix2pix:run",
            stages=("denoise",),
            paper="Brooks et al., InstructPix2Pix: Learning to Follow Image Editing Instructions, 2023",
            when="you would rather say what to do than what there is then, and have a model made for it",
        ),
        by_instruction(
            name="grounded",
            title="Grounded instruction",
            params=GroundedParams,
            entry="pipelines.methods.grounded_instruct:run",
            stages=("invert", "denoise"),
            paper="Shagidanov et al., Grounded-Instruct-Pix2Pix: Improving Instruction Based Image Editing, 2024",
            when="you say what to do with something selected, and its surroundings are to flow into it without a seam",
        ),
        by_instruction(
            name="focus",
            title="Focused instruction",
            params=FocusParams,
            entry="pipelines.methods.focus:run",
            stages=("mask", "denoise"),
            paper="Guo and Lin, Focus on Your Instruction: Fine-grained and Multi-instruction Image Editing, 2024",
            when="two things are to be done at once, or nobody wants to select what an instruction is about",
            own_idle=idle_of_focus,
        ),
        by_instruction(
            name="zone",
            title="ZONE (the meant region alone)",
            params=ZoneParams,
            entry="pipelines.methods.zone:run",
            stages=("denoise", "mask"),
            paper="Li et al., ZONE: Zero-Shot Instruction-Guided Local Editing, 2024",
            when="an instruction is about one thing, nobody wants to select it, and all else must stay to the pixel",
        ),
        by_instruction(
            name="visii",
            title="VISII (learn from an example)",
            params=VISIIParams,
            entry="pipelines.methods.visii:run",
            stages=("embeddings", "denoise"),
            paper="Nguyen et al., Visual Instruction Inversion: Image Editing via Visual Prompting, 2023",
            group=Group.LOOK,
            when="an edit is easier shown than said: before it as the subject's picture, after it as the background's",
            examples=("as in the example", ""),
            follows=(Scope.SUBJECT, Scope.BACKGROUND),
            learns=True,
            own_idle=idle_of_visii,
        ),
        by_instruction(
            name="refine",
            title="Refine",
            params=RefineParams,
            entry="pipelines.methods.refine:run",
            stages=("denoise",),
            paper="Zeng et al., Instilling Multi-round Thinking into Text-guided Image Editing, 2024",
            when="you would rather say what to do, turn after turn, and have trained a LoRA for it",
            examples=("make it blue", "put it in a forest"),
            serves=(Backbone.PLAIN, Backbone.INSTRUCT),
            own_idle=idle_of_refine,
        ),
        Method(
            name="compose",
            title="Compose",
            params=ComposeParams,
            entry="pipelines.compose.method:run",
            needs_mask=False,
            stages=("drawing",),
            paper="Wang, A Diffusion-based Method for Multi-turn Compositional Image Generation, 2023 (CDD-ICM)",
            group=Group.INSTRUCT,
            when="a scene is to be put together from nothing, one thing a turn",
            labels=("What to add, and where", "Background becomes"),
            examples=("add a red cube behind the blue sphere", ""),
            instructs=True,
            serves=(Backbone.COMPOSER,),
            reads=(Scope.SUBJECT,),
            changes=Scope.BOTH,
            texts=(),
        ),
        Method(
            name="prompt-to-prompt",
            title="Prompt-to-Prompt",
            params=PromptToPromptParams,
            entry="pipelines.methods.prompt_to_prompt:run",
            needs_mask=False,
            stages=("invert", "embeddings", "null-text", "denoise"),
            paper="Hertz et al., Prompt-to-Prompt Image Editing with Cross-Attention Control, 2022",
            group=Group.SHAPE,
            when="a word or two of what the picture shows change, and the composition has to stay",
            joint=" ",
            texts=(*TEXTS, "source"),
            draws=False,
            own_idle=idle_of_prompt_to_prompt,
        ),
        Method(
            name="plug-and-play",
            title="Plug-and-Play features",
            params=PlugAndPlayParams,
            entry="pipelines.methods.plug_and_play:run",
            needs_mask=False,
            stages=("invert", "denoise"),
            paper="Tumanyan et al., Plug-and-Play Diffusion Features for Text-Driven Image-to-Image Translation, 2022",
            group=Group.SHAPE,
            when="the whole picture becomes another material, time or style in the same shapes",
            joint=" ",
            texts=(*TEXTS, "source"),
            draws=False,
        ),
        Method(
            name="masactrl",
            title="MasaCtrl",
            params=MasaCtrlParams,
            entry="pipelines.methods.masactrl:run",
            needs_mask=False,
            stages=("invert", "denoise"),
            paper="Cao et al., MasaCtrl: Tuning-Free Mutual Self-Attention Control, 2023",
            group=Group.LOOK,
            when="the same subject is to be seen in another pose",
            joint=" ",
            texts=(*TEXTS, "source"),
            draws=False,
        ),
        Method(
            name="diffedit",
            title="DiffEdit",
            params=DiffEditParams,
            entry="pipelines.methods.diffedit:run",
            needs_mask=False,
            stages=("mask", "invert", "denoise"),
            paper="Couairon et al., DiffEdit: Diffusion-based Semantic Image Editing with Mask Guidance, 2022",
            group=Group.REPAINT,
            when="something changes and nobody wants to select it: where, is found from the texts",
            joint=" ",
            texts=(*TEXTS, "source"),
        ),
        Method(
            name="flexedit",
            title="FlexEdit",
            params=FlexEditParams,
            entry="pipelines.methods.flexedit:run",
            needs_mask=True,
            stages=("invert", "denoise"),
            paper="Nguyen et al., FlexEdit: Flexible and Controllable Diffusion-based Object-centric Editing, 2024",
            group=Group.REPAINT,
            when="the subject becomes a thing of another shape, which may reach beyond what was selected",
            joint=" ",
            texts=(*TEXTS, "source"),
            draws=False,
            own_idle=idle_of_flexedit,
        ),
        Method(
            name="oir",
            title="OIR (a depth for each part)",
            params=OIRParams,
            entry="pipelines.methods.oir:run",
            needs_mask=False,
            stages=("invert", "search", "denoise"),
            paper="Yang et al., Object-aware Inversion and Reassembly for Image Editing, 2024",
            group=Group.SHAPE,
            when="parts change by different amounts, a colour here and another thing there, and a CLIP is at hand",
            joint=" ",
            texts=("source",),
            draws=False,
        ),
        Method(
            name="text2live",
            title="Text2LIVE (a layer over it)",
            params=Text2LiveParams,
            entry="pipelines.methods.text2live:run",
            needs_mask=True,
            stages=("layer",),
            paper="Bar-Tal et al., Text2LIVE: Text-Driven Layered Image and Video Editing, 2022",
            group=Group.SHAPE,
            when="a thing is to have another colour or look, as a layer of its own over the untouched picture",
            joint=" ",
            serves=(Backbone.PLAIN, Backbone.INPAINTING),
            texts=("source",),
            adds_layer=True,
            own_idle=lambda _asked, _params: NO_LATENT,
        ),
        Method(
            name="ddpm-inversion",
            title="Edit-friendly DDPM inversion",
            params=DDPMInversionParams,
            entry="pipelines.methods.ddpm_inversion:run",
            needs_mask=False,
            stages=("denoise",),
            paper="Huberman-Spiegelglas et al., An Edit Friendly DDPM Noise Space: Inversion and Manipulations, 2023",
            group=Group.SHAPE,
            when="the whole picture changes and its structure stays, with as many tries as you like",
            joint=" ",
            texts=(*TEXTS, "source"),
        ),
        Method(
            name="ledits-pp",
            title="LEDITS++",
            params=LeditsParams,
            entry="pipelines.methods.ledits_pp:run",
            needs_mask=False,
            stages=("denoise",),
            paper="Brack et al., LEDITS++: Limitless Image Editing using Text-to-Image Models, 2023",
            group=Group.REPAINT,
            when="several things change at once, each in its own place",
            joint=None,
            texts=(*TEXTS, "source"),
        ),
        Method(
            name="cycle-diffusion",
            title="CycleDiffusion",
            params=CycleDiffusionParams,
            entry="pipelines.methods.cycle_diffusion:run",
            needs_mask=False,
            stages=("denoise",),
            paper="Wu and De la Torre, A Latent Space of Stochastic Diffusion Models, 2022 (CycleDiffusion)",
            group=Group.SHAPE,
            when="one thing becomes a similar one, quickly and without inversion",
            joint=" ",
            texts=(*TEXTS, "source"),
        ),
        Method(
            name="infedit",
            title="InfEdit",
            params=InfEditParams,
            entry="pipelines.methods.infedit:run",
            needs_mask=False,
            stages=("denoise",),
            paper="Xu et al., Inversion-Free Image Editing with Natural Language, 2023",
            group=Group.SHAPE,
            when="the model takes a few steps only (LCM) and the edit has to be quick",
            joint=" ",
            texts=(*TEXTS, "source"),
            own_idle=idle_of_infedit,
        ),
        Method(
            name="imagic",
            title="Imagic",
            params=ImagicParams,
            entry="pipelines.methods.imagic:run",
            needs_mask=False,
            stages=("embeddings", "fine-tune", "denoise"),
            paper="Kawar et al., Imagic: Text-Based Real Image Editing with Diffusion Models, 2022",
            group=Group.LOOK,
            when="the same subject does something else or is seen otherwise, and time does not matter",
            joint=" ",
            texts=(*TEXTS, "source"),
            own_idle=idle_of_imagic,
        ),
        Method(
            name="pix2pix-zero",
            title="pix2pix-zero",
            params=Pix2PixZeroParams,
            entry="pipelines.methods.pix2pix_zero:run",
            needs_mask=False,
            stages=("invert", "reference", "denoise"),
            paper="Parmar et al., Zero-shot Image-to-Image Translation, 2023",
            group=Group.SHAPE,
            when="one kind of thing becomes another in the same pose, and memory and time allow for gradients",
            joint=" ",
            texts=(*TEXTS, "source"),
            draws=False,
        ),
        by_hand(
            name="recolour",
            title="Recolour",
            params=RecolourParams,
            entry="pipelines.hand.colour:recolour",
            recolours=True,
            own_idle=idle_of_colour,
            paper="Hue and chroma in CIELAB (CIE 015:2018), at the lightness that each pixel has",
            when="something is to have another colour, with its texture and its shades",
        ),
        by_hand(
            name="light",
            title="Light",
            params=LightParams,
            entry="pipelines.hand.colour:light",
            recolours=True,
            own_idle=idle_of_colour,
            paper="Exposure and white balance in linear light (IEC 61966-2-1), levels, contrast and a free curve",
            when="a part is too dark, too flat or of the wrong warmth",
        ),
        by_hand(
            name="backdrop",
            title="Backdrop",
            params=BackdropParams,
            entry="pipelines.hand.backdrop:backdrop",
            own_idle=idle_of_backdrop,
            paper="Reinhard et al., Color Transfer between Images, 2001, for the subject's light",
            when="the subject is to stand before a picture of your own, a colour, or one that runs into another",
            needs_mask=True,
            changes=Scope.BACKGROUND,
            reads=(Scope.BACKGROUND,),
            follows=(Scope.BACKGROUND,),
            labels=("Subject becomes", "Behind it: a colour, or two"),
            examples=("", "navy to white, or a picture of yours below"),
        ),
        by_hand(
            name="defocus",
            title="Defocus",
            params=DefocusParams,
            entry="pipelines.hand.backdrop:defocus",
            recolours=True,
            paper="A Gaussian over the background alone (normalized convolution, Knutsson and Westin, 1993)",
            when="what is behind the subject is to step back: out of focus, darker, or without colour",
            needs_mask=True,
            changes=Scope.BACKGROUND,
        ),
        by_hand(
            name="place",
            title="Place",
            params=PlaceParams,
            entry="pipelines.hand.place:place",
            own_idle=idle_of_place,
            paper="An affine map of the subject; He and Sun, Statistics of Patch Offsets, 2012, for its old place",
            when="the subject is to stand elsewhere, larger, turned, mirrored, or twice",
            needs_mask=True,
            changes=Scope.BOTH,
        ),
        by_hand(
            name="remove",
            title="Remove",
            params=RemoveParams,
            entry="pipelines.hand.place:remove",
            paper="He and Sun, Statistics of Patch Offsets for Image Completion, 2012; Telea, 2004, where it is smooth",
            when="the subject is to go, and what surrounds it is to close over its place",
            needs_mask=True,
            changes=Scope.SUBJECT,
        ),
        by_hand(
            name="straighten",
            title="Straighten",
            params=StraightenParams,
            entry="pipelines.hand.place:straighten",
            own_idle=idle_of_straighten,
            reframes=straightened,
            paper="A turn about the middle with bicubic interpolation (Keys, 1981)",
            when="the horizon is to lie level, or left is to be right",
            changes=Scope.BOTH,
        ),
        by_hand(
            name="crop",
            title="Crop",
            params=CropParams,
            entry="pipelines.hand.reframe:crop",
            reframes=cropped,
            paper="What is left keeps every pixel as it is",
            when="the picture is to have another cut, or other proportions",
            changes=Scope.BOTH,
        ),
        by_hand(
            name="extend",
            title="Extend",
            params=ExtendParams,
            entry="pipelines.hand.reframe:extend",
            reframes=extended,
            paper="He and Sun, Statistics of Patch Offsets for Image Completion, 2012, where texture goes on",
            when="there is to be more room beside the picture, which a later turn can paint",
            changes=Scope.BOTH,
        ),
        by_hand(
            name="resize",
            title="Resize",
            params=ResizeParams,
            entry="pipelines.hand.reframe:resize",
            reframes=resized,
            paper="Means of the pixels covered where it shrinks, bicubic interpolation (Keys, 1981) where it grows",
            when="the picture is to have more pixels, or fewer",
            changes=Scope.BOTH,
        ),
    )
}


def scope_of(entry: Method, asked: Scope) -> Scope:
    """What a turn by `entry` changes, for which `asked` was chosen."""
    return asked if entry.changes is None else entry.changes


def is_by_hand(name: str) -> bool:
    """Whether the method called `name` needs no model; of one that is not here that is not known, and it is said no."""
    return name in CATALOG and not CATALOG[name].needs_model


def method(name: str) -> Method:
    """The entry called `name`; raises `UnknownMethod` with the names there are."""
    try:
        return CATALOG[name]
    except KeyError:
        raise UnknownMethod(f"there is no method called {name!r}; choose one of {', '.join(CATALOG)}") from None


def serving(backbone: Backbone | None) -> list[Method]:
    """The methods that run on a model of that kind; all of them where the kind is not known."""
    return [m for m in CATALOG.values() if backbone is None or backbone in m.serves]


def alike(entry: Method, card: ModelCard | None) -> list[Method]:
    """`entry` and then the others that can be tried on the same words with that model: they read the same texts, and
    take them as orders or as descriptions as it does. First come those that the model's card names, then those for the
    same purpose. What learns from an example is for nothing else."""
    if not entry.needs_model:
        return [entry]
    takes = (entry.reads, entry.instructs, entry.changes, entry.learns)
    served, best = serving(None if card is None else card.backbone), () if card is None else card.domain.methods
    others = [m for m in served if (m.reads, m.instructs, m.changes, m.learns) == takes and m.name != entry.name]
    rank = {name: place for place, name in enumerate(best)}
    return [entry, *sorted(others, key=lambda m: (rank.get(m.name, len(rank)), m.group is not entry.group))]


def offered(backbone: Backbone | None) -> list[Method]:
    """The methods that can be chosen beside a model of that kind: those that run on it, and those that need none."""
    return [m for m in CATALOG.values() if not m.needs_model or m in serving(backbone)]


def check_serves(entry: Method, card: ModelCard, models: Iterable[ModelCard]) -> None:
    """Raise `ModelError` when `entry` does not run on `card`, with what would: other methods, and which of `models`."""
    if card.backbone is None or card.backbone in entry.serves:
        return
    methods = ", ".join(m.name for m in serving(card.backbone))
    others = ", ".join(sorted(m.id for m in models if m.backbone in entry.serves)) or "none here"
    raise ModelError(
        f"{entry.name} does not run on {card.id!r}, which is a model of the kind {str(card.backbone)!r}; with this "
        f"model choose {methods}, or for {entry.name} one of the kind {' or '.join(entry.serves)}: {others}"
    )


def preset(name: str, quality: Quality, card: ModelCard | None = None) -> dict[str, Any]:
    """What `settings` begins with, to be shown; nothing where that cannot be read, which is logged."""
    try:
        return stored_preset(name, quality, card)
    except BadParameter as error:
        log.warning("the defaults are shown instead: %s", error)
        return {}


def presets_of(name: str, card: ModelCard | None = None) -> Path:
    """The file of the presets of the method `name`: the model's own, ``presets/<method>.json`` in its folder, where it
    brings one, and otherwise the published values of ``assets/presets``."""
    own = None if card is None else card.path / "presets" / f"{method(name).name}.json"
    return own if own is not None and own.is_file() else PRESETS / f"{method(name).name}.json"


def measured_on(name: str, card: ModelCard | None = None) -> str:
    """What the presets were measured on, in the words of their file; empty where it does not say."""
    try:
        said = read_json(presets_of(name, card)).get("measured_on", "")
    except PipelineError:
        return ""
    return said if isinstance(said, str) else ""


def stored_preset(name: str, quality: Quality, card: ModelCard | None = None) -> dict[str, Any]:
    """The settings of `presets_of` for `quality`, as plain values; raises `BadParameter`. A consistency model takes the
    published ones in `FEW_STEPS` and without guidance, where it brings none of its own."""
    entry, path = method(name), presets_of(name, card)
    try:
        values = read_json(path).get(quality)
        if not isinstance(values, dict):
            raise BadParameter(f"{quality} must be an object of settings; got {came(values)}")
        checked(entry.params, values)
    except PipelineError as error:
        raise BadParameter(
            f"the presets of {entry.name} cannot be used, {error}. Put {entry.name}.json as it was published into "
            f"{'assets/presets' if path.parent == PRESETS else path.parent}"
        ) from None
    if card is not None and card.consistent and path.parent == PRESETS:
        few = {"steps": FEW_STEPS[quality], "guidance": 1.0}
        values = {**values, **{setting: value for setting, value in few.items() if setting in values}}
    return values


def settings(
    name: str, quality: Quality, changes: Mapping[str, Any] | None = None, card: ModelCard | None = None
) -> Params:
    """The preset with `changes` over it, checked; the preset is that of the model of `card` where it brings one."""
    return checked(method(name).params, {**stored_preset(name, quality, card), **(changes or {})})


def usable(name: str, quality: Quality, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `changes` that the method takes; of a method that there is none of, nothing."""
    kept: dict[str, Any] = {}
    for setting, value in changes.items():
        with suppress(PipelineError):
            checked(method(name).params, {**preset(name, quality), setting: value})
            kept[setting] = value
    return kept


def recorded(name: str, values: Mapping[str, Any]) -> Params:
    """The settings of a turn that is on record, checked. Of the presets it takes nothing, as they change.

    A setting that came later is not among `values`: at its default a method does what it did before there was one.
    """
    return checked(method(name).params, still_there(name, values))


def still_there(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, which were stored, without the settings that the method has no longer."""
    return {setting: value for setting, value in values.items() if setting not in method(name).params.retired}
