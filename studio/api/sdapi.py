"""The least of ``/sdapi/v1`` that plug-ins of Krita, GIMP, Photoshop and Blender call, which were written for another
program (AUTOMATIC1111's Stable Diffusion web UI); open where ``serve --sdapi`` says so.

Each picture that is sent to ``img2img`` becomes a turn of a session that is called after the client, so its history
is on the timeline: where the picture is one of that session's turns, or one that it answered with, the new turn follows
it, and any other begins a session. What a plug-in says and nobody here reads is named in the answer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from PIL import Image, ImageOps, PngImagePlugin
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.routing import BaseRoute

from pipelines import pictures as codec
from pipelines.contract import Extent, Mask, Picture, Quality, Scope
from pipelines.models.folders import LORA, find_model
from pipelines.params import SDEditParams, knobs
from pipelines.pictures import SMALLEST_SIDE
from pipelines.requests import LARGEST_SEED, LONGEST_TEXT, MOST_CANDIDATES
from studio.api.v1 import NO_FILE, Calmly
from studio.api.v1_bodies import NAME, typed
from studio.errors import NotReady, TurnFailed, UnknownSession, UnknownTurn, UserError
from studio.jobs.job import UNFINISHED, JobState
from studio.verbs.jobs import JobHandle
from studio.verbs.session import OpenSession, TurnAsk
from studio.verbs.studio import OpenStudio
from studio.visitors import asking

PREFIX = "/sdapi/v1"
FOLLOW_EVERY = 0.1
"""Seconds between two looks at a running job."""
MOST_CLIENTS = 256
"""Of which it is remembered where they are; the one that was not heard of for longest is forgotten."""
SAMPLER = "DDIM"
"""By which every method draws."""
UNNAMED = "plug-in"
PARAMETERS = "parameters"
"""The keyword of the text in a PNG by which these programs tell how it was made."""
LORA_TAG = re.compile(r"<lora:([^:<>]{1,200})(?::(-?[0-9]{0,3}(?:\.[0-9]{1,4})?))?(?::[^<>]{0,40})?>")
"""A LoRA with its scale, as these programs name one in a text."""
DATA_ADDRESS = re.compile(r"data:[\w/+.;=-]{0,80},")
NO_NEW_PICTURES = (
    "pictures are edited here and none is made of a text alone; send the picture that is to change to img2img"
)
INTERRUPTED = "the turn was interrupted; send the picture again for another one"

BLUR = 4.0
"""Pixels of ``mask_blur`` where none are said."""
STRETCH, CUT, FILL, STRETCH_LATENT = range(4)
"""What becomes of a picture that is to have other proportions (``resize_mode``)."""


def _file(sent: object) -> bytes:
    """The bytes of a file in base64, with or without ``data:image/png;base64,`` before it; addresses are none."""
    begins = DATA_ADDRESS.match(sent) if isinstance(sent, str) else None
    try:
        data = base64.b64decode(sent[begins.end() :] if begins else sent, validate=True)  # type: ignore[index,arg-type]
    except (binascii.Error, ValueError, TypeError):
        data = b""
    if not data:
        raise PydanticCustomError(NO_FILE, "a picture's file in base64 is expected")
    return data


File = Annotated[bytes, BeforeValidator(_file)]
if TYPE_CHECKING:
    Strength = float
    Steps = int
    Guidance = float
else:
    Strength, Steps, Guidance = (
        typed(kind, spec) for kind, _, spec in (knobs(SDEditParams)[name] for name in ("strength", "steps", "guidance"))
    )


class Ask(BaseModel):
    """What is read of ``img2img``. Other fields may come, and are named in the answer as ignored."""

    model_config = ConfigDict(extra="allow")

    init_images: list[File] = Field(min_length=1, max_length=1)
    mask: File | None = None
    prompt: str = Field("", max_length=LONGEST_TEXT)
    negative_prompt: str = Field("", max_length=LONGEST_TEXT)
    denoising_strength: Strength | None = None
    steps: Steps | None = None
    cfg_scale: Guidance | None = None
    seed: int = Field(-1, ge=-1, le=LARGEST_SEED - MOST_CANDIDATES)
    batch_size: int = Field(1, ge=1, le=MOST_CANDIDATES)
    n_iter: int = Field(1, ge=1, le=MOST_CANDIDATES)
    width: int | None = Field(None, ge=SMALLEST_SIDE, le=codec.LARGEST_SIDE)
    height: int | None = Field(None, ge=SMALLEST_SIDE, le=codec.LARGEST_SIDE)
    resize_mode: int = Field(STRETCH, ge=STRETCH, le=STRETCH_LATENT)
    mask_blur: float | None = Field(None, ge=0, le=64)
    inpainting_mask_invert: bool = False
    inpaint_full_res: bool = True
    sampler_name: str | None = Field(None, max_length=NAME)
    sampler_index: str | None = Field(None, max_length=NAME)
    override_settings: dict[str, Any] = {}

    def ignored(self) -> list[str]:
        """Names of what was said and changes nothing."""
        named = [name for name, value in (self.model_extra or {}).items() if value]
        named += [f"override_settings.{name}" for name in self.override_settings if name != "sd_model_checkpoint"]
        if (self.sampler_name or self.sampler_index or SAMPLER) != SAMPLER:
            named.append("sampler_name")
        return sorted(name[:NAME] for name in named)


class PngInfoAsk(BaseModel):
    """A picture about which somebody asks."""

    model_config = ConfigDict(extra="allow")

    image: File


class OptionsAsk(BaseModel):
    """What somebody sets, of which one thing is read."""

    model_config = ConfigDict(extra="allow")

    sd_model_checkpoint: str | None = Field(None, max_length=NAME)


@dataclass(frozen=True)
class Begun:
    """A turn that runs for a plug-in."""

    ask: Ask
    session: OpenSession
    job: JobHandle
    seed: int
    model: str


@dataclass
class Place:
    """Where one client is."""

    sid: str = ""
    model: str = ""
    """What it chose; empty for the studio's own."""


@dataclass
class PlugIns:
    """What is remembered of the clients, each of one visitor's. May be asked from any thread."""

    verbs: OpenStudio
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: OrderedDict[tuple[str, str], Place] = field(default_factory=OrderedDict)
    _jobs: OrderedDict[str, JobHandle] = field(default_factory=OrderedDict)

    def place(self, client: str) -> Place:
        """Where the client of that name is."""
        with self._lock:
            return _remembered(self._places, (asking(), client), Place())

    def job(self) -> JobHandle | None:
        """The turn that was begun last for whoever asks, if it is not over."""
        with self._lock:
            job = self._jobs.get(asking())
        try:
            return job if job is not None and job.view().state in UNFINISHED else None
        except UserError:
            return None

    def model(self, client: str) -> str:
        """The model that the client's turns run on."""
        return self.place(client).model or self.verbs.studio.settings.model

    def set_model(self, client: str, title: str) -> None:
        """The model that the client's next turns run on; raises `ModelError`."""
        self.place(client).model = self._model_named(title)

    def begin(self, ask: Ask, client: str) -> Begun:
        """Begin the turn that was asked for; raises what its verbs do."""
        chosen = ask.override_settings.get("sd_model_checkpoint")
        model = self._model_named(chosen) if isinstance(chosen, str) and chosen else self.model(client)
        picture = codec.decode(ask.init_images[0]).picture
        mask = None if ask.mask is None else codec.decode_mask(ask.mask, Extent.of(picture))
        if mask is None or not ask.inpaint_full_res:  # with it, the picture comes back at its own size
            size = (ask.width or picture.shape[1], ask.height or picture.shape[0])
            picture, mask = fitted(picture, mask, size, ask.resize_mode)
        if (hosting := self.verbs.studio.settings.hosting) is not None:
            picture = codec.within(picture, hosting.largest_side)
        session = self._session(picture, client)
        with self.verbs.studio.sessions.get(session.sid).steps:
            if mask is None:
                session.mask()
            else:
                mask = stretched(mask, (picture.shape[1], picture.shape[0]))
                blur = BLUR if ask.mask_blur is None else ask.mask_blur
                session.mask(picture=codec.encode_mask(mask), invert=ask.inpainting_mask_invert, feather=blur)
            turn, seed = self._turn(ask, mask is not None, model)
            job = session.ask(turn)
        with self._lock:
            self._jobs[asking()] = job
            self._jobs.move_to_end(asking())
            while len(self._jobs) > MOST_CLIENTS:
                self._jobs.popitem(last=False)
        return Begun(ask, session, job, seed, model)

    def answer(self, begun: Begun) -> dict[str, Any]:
        """The finished pictures; the first becomes a turn. Raises `NothingStaged` where somebody was quicker."""
        session, ask = begun.session, begun.ask
        staged = session.candidates
        found = [session.candidate(number) for number in range(len(staged))]
        turn = session.keep(0)
        request = session.record().tree[turn.id].request
        assert request is not None
        texts = [
            written(ask, candidate.seed, picture, begun.model, request.params)
            for candidate, picture in zip(staged, found, strict=True)
        ]
        height, width = found[0].shape[:2]
        info = {
            "prompt": ask.prompt,
            "negative_prompt": ask.negative_prompt,
            "seed": begun.seed,
            "all_seeds": [candidate.seed for candidate in staged],
            "all_prompts": [ask.prompt] * len(staged),
            "all_negative_prompts": [ask.negative_prompt] * len(staged),
            "width": width,
            "height": height,
            "sampler_name": SAMPLER,
            "steps": request.params.get("steps"),
            "cfg_scale": request.params.get("guidance"),
            "denoising_strength": request.params.get("strength"),
            "batch_size": len(staged),
            "sd_model_name": begun.model,
            "index_of_first_image": 0,
            "infotexts": texts,
            "session": session.sid,
            "ignored": ask.ignored(),
        }
        return {
            "images": [packed(picture, text) for picture, text in zip(found, texts, strict=True)],
            "parameters": ask.model_dump(exclude={"init_images", "mask", *(ask.model_extra or {})}),
            "info": json.dumps(info),
        }

    def _session(self, picture: Picture, client: str) -> OpenSession:
        """The client's session, standing on the turn that the picture is of, or a new one."""
        place, data = self.place(client), codec.encode_png(picture)
        digest = codec.digest(data)
        try:
            session = self.verbs.session(place.sid)
            view = session.view()
            turn = next(turn for turn in reversed(view.turns) if turn.picture == digest)
            if view.job is None or view.job.state not in UNFINISHED:
                session.go(turn.id)
                return session
        except (UnknownSession, UnknownTurn, StopIteration):
            pass
        session = self.verbs.open(data, client)
        place.sid = session.sid
        return session

    def _turn(self, ask: Ask, masked: bool, model: str) -> tuple[TurnAsk, int]:
        seed = secrets.randbelow(LARGEST_SEED - MOST_CANDIDATES) if ask.seed == -1 else ask.seed
        loras = {name.strip(): float(scale or 1) for name, scale in _loras(ask.prompt)}
        said = {"strength": ask.denoising_strength, "steps": ask.steps, "guidance": ask.cfg_scale}
        candidates = ask.batch_size * ask.n_iter
        if candidates > MOST_CANDIDATES:
            raise NotReady(f"batch_size times n_iter may be at most {MOST_CANDIDATES}; got {candidates}")
        return TurnAsk(
            subject=LORA_TAG.sub("", ask.prompt).strip(),
            negative=LORA_TAG.sub("", ask.negative_prompt).strip(),
            scope=Scope.SUBJECT if masked else Scope.BOTH,
            method="inpaint" if masked else "sdedit",
            quality=Quality.STANDARD,
            candidates=candidates,
            seed=seed,
            model=model,
            settings={name: value for name, value in said.items() if value is not None},
            loras=loras,
        ), seed

    def _model_named(self, title: str) -> str:
        """A model by its id, also as these programs write it: with the beginning of its hash in brackets."""
        name = re.sub(r"\s*\[\w+\]$", "", title)
        return find_model(name, self.verbs.studio.settings.all_model_folders).id


def routes(verbs: OpenStudio) -> list[BaseRoute]:
    """The routes that plug-ins call."""
    here = PlugIns(verbs)

    # What there is

    def sd_models() -> list[dict[str, Any]]:
        return [
            {"title": row.id, "model_name": row.id, "hash": None, "sha256": None, "filename": row.id, "config": None}
            for row in verbs.models()
            if row.usable and row.methods
        ]

    def loras() -> list[dict[str, Any]]:
        return [
            {"name": row.id, "alias": row.title, "path": row.id, "metadata": {}}
            for row in verbs.models()
            if row.usable and row.kind == LORA
        ]

    def samplers() -> list[dict[str, Any]]:
        return [{"name": SAMPLER, "aliases": [SAMPLER.lower()], "options": {}}]

    def schedulers() -> list[dict[str, Any]]:
        return [
            {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1, "need_inner_model": False}
        ]

    def nothing() -> list[Any]:
        return []

    def embeddings() -> dict[str, Any]:
        return {"loaded": {}, "skipped": {}}

    def scripts() -> dict[str, Any]:
        return {"txt2img": [], "img2img": []}

    def no_models() -> dict[str, Any]:
        return {"model_list": []}

    def no_modules() -> dict[str, Any]:
        return {"module_list": []}

    def queue_status() -> dict[str, Any]:
        return {"msg": "estimation", "queue_size": 0 if here.job() is None else 1}

    def options(user_agent: Annotated[str, Header()] = "") -> dict[str, Any]:
        return {
            "sd_model_checkpoint": here.model(called(user_agent)),
            "sd_checkpoint_hash": "",
            "sd_vae": "Automatic",
            "samples_format": "png",
            "img2img_color_correction": False,
        }

    def set_options(body: OptionsAsk, user_agent: Annotated[str, Header()] = "") -> dict[str, Any]:
        if body.sd_model_checkpoint:
            here.set_model(called(user_agent), body.sd_model_checkpoint)
        return {"ignored": sorted(name[:NAME] for name in body.model_extra or {})}

    # Turns

    async def img2img(request: Request) -> JSONResponse:
        sent, client = await request.body(), called(request.headers.get("user-agent", ""))
        begun = await asyncio.to_thread(lambda: here.begin(read(sent), client))
        while (view := begun.job.view()).state in UNFINISHED:
            await asyncio.sleep(FOLLOW_EVERY)
        if view.state is not JobState.DONE:
            raise TurnFailed(view.error or INTERRUPTED)
        return JSONResponse(await asyncio.to_thread(here.answer, begun))

    def txt2img() -> None:
        raise NotReady(NO_NEW_PICTURES)

    def progress(
        skip_current_image: Annotated[bool, Query(description="Whether the picture as it is now is left out")] = False,
    ) -> dict[str, Any]:
        job = here.job()
        view = None if job is None else job.view()
        shown = None if job is None or skip_current_image else verbs.studio.runner.preview(job.id)
        stages = () if view is None else view.stages
        return {
            "progress": round(sum(stage.fraction for stage in stages) / max(len(stages), 1), 3),
            "eta_relative": (view and view.seconds_left) or 0.0,
            "state": {
                "skipped": False,
                "interrupted": False,
                "job": "" if job is None else job.id,
                "job_count": 0 if job is None else 1,
                "job_no": 0,
                "sampling_step": 0 if view is None else view.step,
                "sampling_steps": 0 if view is None else view.total,
            },
            "current_image": None if not shown else base64.b64encode(shown).decode(),
            "textinfo": None if view is None or not view.ahead else f"{view.ahead} turns are before this one",
        }

    def interrupt() -> dict[str, Any]:
        if (job := here.job()) is not None:
            job.cancel()
        return {}

    def png_info(body: PngInfoAsk) -> dict[str, Any]:
        codec.decode(body.image)  # refuses what is no picture
        try:
            with Image.open(io.BytesIO(body.image), formats=codec.FORMATS) as image:
                texts = {name: text for name, text in image.info.items() if isinstance(text, str)}
        except (OSError, SyntaxError, ValueError):  # texts that are larger than they say
            texts = {}
        return {"info": texts.get(PARAMETERS, ""), "items": texts, "parameters": {}}

    def route(method: str, path: str, does: Any) -> Calmly:
        return Calmly(path, does, methods=[method], include_in_schema=False)

    lists = ("upscalers", "latent-upscale-modes", "hypernetworks", "face-restorers", "prompt-styles", "sd-vae")
    return [
        route("GET", f"{PREFIX}/sd-models", sd_models),
        route("GET", f"{PREFIX}/loras", loras),
        route("GET", f"{PREFIX}/samplers", samplers),
        route("GET", f"{PREFIX}/schedulers", schedulers),
        *(route("GET", f"{PREFIX}/{name}", nothing) for name in lists),
        route("GET", f"{PREFIX}/embeddings", embeddings),
        route("GET", f"{PREFIX}/scripts", scripts),
        route("GET", "/controlnet/model_list", no_models),
        route("GET", "/controlnet/module_list", no_modules),
        route("GET", "/queue/status", queue_status),
        route("GET", f"{PREFIX}/options", options),
        route("POST", f"{PREFIX}/options", set_options),
        route("POST", f"{PREFIX}/img2img", img2img),
        route("POST", f"{PREFIX}/txt2img", txt2img),
        route("GET", f"{PREFIX}/progress", progress),
        route("POST", f"{PREFIX}/interrupt", interrupt),
        route("POST", f"{PREFIX}/png-info", png_info),
    ]


def read(sent: bytes) -> Ask:
    """What was sent to ``img2img``; raises `RequestValidationError` as a route does."""
    try:
        return Ask.model_validate(json.loads(sent))
    except ValidationError as problem:
        faults = problem.errors(include_url=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


def called(user_agent: str) -> str:
    """What a client calls itself: ``Blender`` of ``Blender/4.2 (...)``."""
    name = re.split(r"[/\s(]", user_agent.strip(), maxsplit=1)[0]
    return "".join(c for c in name if c.isprintable())[:40] or UNNAMED


def packed(picture: Picture, text: str) -> str:
    """A PNG in base64 that says by `text` how it was made."""
    chunks, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    chunks.add_text(PARAMETERS, text)
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=chunks)
    return base64.b64encode(buffer.getvalue()).decode()


def written(ask: Ask, seed: int, picture: Picture, model: str, params: Mapping[str, Any]) -> str:
    """How a picture was made, in the lines by which these programs tell each other."""
    height, width = picture.shape[:2]
    said = {
        "Steps": params.get("steps"),
        "Sampler": SAMPLER,
        "CFG scale": params.get("guidance"),
        "Seed": seed,
        "Size": f"{width}x{height}",
        "Model": model,
        "Denoising strength": params.get("strength"),
    }
    lines = [ask.prompt, *([f"Negative prompt: {ask.negative_prompt}"] if ask.negative_prompt else [])]
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in said.items() if value is not None)])


def fitted(picture: Picture, mask: Mask | None, size: tuple[int, int], mode: int) -> tuple[Picture, Mask | None]:
    """Picture and mask at `size` (width, height): stretched; or cut off where it is too long; or its edges drawn out
    where it is too short, which the mask keeps."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture, mask
    image = Image.fromarray(picture)
    cut = None if mask is None else Image.fromarray(mask)
    if mode == CUT:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
        cut = cut and ImageOps.fit(cut, size, Image.Resampling.NEAREST)
    elif mode == FILL:
        image = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
        cut = cut and cut.resize(image.size, Image.Resampling.NEAREST)
        spare = (size[1] - image.height, size[0] - image.width)
        around = tuple((all_of // 2, all_of - all_of // 2) for all_of in spare)
        wide = np.pad(np.asarray(image), (*around, (0, 0)), "edge")
        return wide, None if cut is None else np.pad(np.asarray(cut), around)
    else:
        image = image.resize(size, Image.Resampling.LANCZOS)
        cut = cut and cut.resize(size, Image.Resampling.NEAREST)
    return np.array(image), None if cut is None else np.array(cut, dtype=np.bool_)


def stretched(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at `size` (width, height)."""
    return np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST), dtype=np.bool_)


def _loras(prompt: str) -> list[tuple[str, str]]:
    """Name and scale of each that a text names as ``<lora:NAME:0.8>``."""
    return [(name, scale) for name, scale in LORA_TAG.findall(prompt)]


def _remembered(kept: OrderedDict[tuple[str, str], Place], key: tuple[str, str], new: Place) -> Place:
    found = kept.setdefault(key, new)
    kept.move_to_end(key)
    while len(kept) > MOST_CLIENTS:
        kept.popitem(last=False)
    return found
