"""The front door: loads models, runs methods one at a time, answers clicks meanwhile, and proves the weights whole.

The studio names this class as text and builds it on its worker, so only the worker ever imports torch.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines import catalog
from pipelines.cache import Cache
from pipelines.compose.folder import Loaded, load_composer
from pipelines.contract import Backbone, EditRequest, EditResult, Extent, LoraUse, Mask, Matte, Picture, WordMap
from pipelines.diffusion.regain import regaining
from pipelines.diffusion.word_maps import word_maps
from pipelines.errors import BadParameter, ModelError, NumericalError
from pipelines.evaluation.clip import ClipEmbed, clip_that_knows
from pipelines.evaluation.consistency import Comparison, Edited, Parts, compare, difference_map
from pipelines.evaluation.drift import Drift, drift
from pipelines.faults import in_words
from pipelines.hand.run import run_by_hand
from pipelines.hints.pictures import misfit
from pipelines.masks.cut import ColourSegmenter
from pipelines.masks.follow import followed
from pipelines.masks.load import load_segmenter
from pipelines.masks.phrases import Match, PhraseFinder, answer_phrase
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.refine import compose
from pipelines.masks.segmenter import Embedding, MaskAnswer, Segmenter
from pipelines.masks.snap import snapped
from pipelines.models.adapters import attached
from pipelines.models.bundle import ModelBundle, check_weights
from pipelines.models.folders import SEGMENTER, ModelCard, find_model, find_models, matting, phrase_finder
from pipelines.models.limits import NOTHING_CALIBRATED, Limits
from pipelines.models.loader import device_named, load_bundle
from pipelines.models.lora_files import lora_path
from pipelines.params import Edge, ModelParams, Params
from pipelines.pasting import edited_region
from pipelines.progress import Progress, silent
from pipelines.requests import check_request
from pipelines.window import run_in_window

log = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parents[1] / "assets"
BUNDLES = 2
"""Text-to-image models kept in memory."""
SEGMENTERS = 2
FINDERS = 1
MATTES = 1
CLIPS = 1
FOR_AN_EDIT = "Ask for a lower quality or fewer candidates, or use a smaller picture"
FOR_A_MASK = "Use a smaller picture, or paint the mask with the brush, which needs none"
CACHE_ROOM = 192 * 2**20
"""Bytes of what is kept of pictures that were pointed at: two thirds for them as embedded (4 MB each for Segment
Anything, 16 for SAM 2, less for the embedded one), the rest for the masks of phrases."""


class Engine:
    """Runs on one device. Any thread may call it: edits wait for each other, clicks do not wait for edits."""

    def __init__(
        self,
        model_folders: tuple[Path, ...] = (ASSETS / "models",),
        device: str = "auto",
        threads: int | None = None,
        cache_room: int = CACHE_ROOM,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._folders = model_folders
        self._device = device_named(device)
        self._bundles: Cache[str, ModelBundle | Loaded] = Cache(BUNDLES)
        self._last_title = ""
        self._editing = threading.Lock()
        self._segmenters: Cache[str, Segmenter] = Cache(SEGMENTERS)
        self._by_colour = ColourSegmenter()
        self._embeddings: Cache[tuple[str, str], Embedding] = Cache(
            2 * cache_room // 3, lambda embedding: embedding.size
        )
        self._finders: Cache[str, PhraseFinder] = Cache(FINDERS)
        self._found: Cache[tuple[str, str, str], tuple[Match, ...]] = Cache(cache_room // 3, _mask_bytes)
        self._mattes: Cache[str, Matte] = Cache(MATTES)
        self._pointing = threading.Lock()
        self._clips: Cache[str, ClipEmbed] = Cache(CLIPS)
        self._measuring = threading.Lock()

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        """Run `method` on `model`, or without one where it needs none. Raises a `PipelineError`, or whatever `progress`
        raises to stop it.

        However it ends, the model's weights are as they were; a model for which that were not so is loaded afresh. An
        edit whose numbers became NaN or infinite in fast arithmetic is run once more in float32, as further stages, and
        then all of it: what was fitted in fast arithmetic is not what float32 fits.
        """
        entry = catalog.method(method)
        if type(params) is not entry.params:
            raise BadParameter(f"{method} takes {entry.params.__name__}; got {type(params).__name__}")
        if getattr(params, "edge", None) is Edge.VITMATTE:
            with self._pointing, in_words(FOR_A_MASK, self._embeddings.keep_only):
                request = replace(request, matte=self._matte())
        if not entry.needs_model:
            return run_by_hand(entry, request, params, progress)
        request = replace(request, scope=catalog.scope_of(entry, request.scope))
        check_request(request, entry)
        catalog.check_serves(entry, find_model(model, self._folders), find_models(self._folders).values())
        method_itself: Callable[..., EditResult] = entry.resolve()
        loras = [(lora_path(use, self._folders), use.scale) for use in request.loras]

        def run(bundle: ModelBundle, request: EditRequest, progress: Progress) -> EditResult:
            steps = params.latent_steps if isinstance(params, ModelParams) else 0
            told = replace(
                bundle,
                loras=tuple(path for path, _ in loras),
                folders=self._folders,
                regained=regaining(steps, progress),
            )
            with attached(bundle, loras):
                return run_in_window(method_itself, told, request, params, progress)

        with self._editing, in_words(FOR_AN_EDIT, lambda: self._release(model)):
            if entry.serves == (Backbone.COMPOSER,):
                return self._proven(model, lambda composer: method_itself(composer, request, params, progress))
            try:
                return self._proven(model, lambda bundle: run(bundle, request, progress))
            except NumericalError as error:
                check_weights(self._bundle(model))
                if self._bundle(model).autocast is None:
                    raise
                log.warning("once more in float32, for: %s", error)
            slowly, anew = in_float32(progress), replace(request, fitted=None)
            try:
                result = self._proven(model, lambda b: run(replace(b, autocast=None), anew, slowly))
            except NumericalError as error:
                raise NumericalError(f"{error}; float32 was tried as well") from None
            return replace(result, in_float32=True)

    def _proven(self, model: str, run: Callable[[Any], EditResult]) -> EditResult:
        """What `run` makes, with the checksums of the weights before and after and the passes counted; see `edit`."""
        loaded = self._loaded(model)
        before, after, passes = loaded.checksum(), "", 0

        def count(samples: int) -> None:
            nonlocal passes
            passes += samples

        try:
            result = run(replace(loaded, count=count))
        finally:
            after = loaded.checksum()
            if after != before:
                self._bundles.drop(model)
        return replace(result, weights_before=before, weights_after=after, network_passes=passes)

    def _release(self, model: str) -> None:
        """Let go of everything but `model`."""
        self._bundles.keep_only(model)
        with self._pointing:
            self._segmenters.keep_only()
            self._finders.keep_only()
            self._mattes.keep_only()
            self._embeddings.keep_only()
        with self._measuring:
            self._clips.keep_only()

    def segment(
        self,
        picture: Picture,
        prompts: MaskPrompts,
        segmenter: str = "toybox-segmenter",
        uploaded: Mask | None = None,
    ) -> MaskAnswer:
        """The mask that `prompts` ask for; the picture is embedded on the first click and remembered.

        Takes its own lock, so clicks are answered while an edit runs. `uploaded` is the mask that
        ``prompts.uploaded`` names, and stands in the segmenter's place. Of a picture that the segmenter was not made
        for, and with the segmenter ``"colour"``, colours and edges alone decide (`masks.cut`). For a phrase that names
        nothing in the picture the mask is empty.
        """
        extent = Extent.of(picture)
        if not prompts.asks_segmenter:
            return MaskAnswer(compose(uploaded, prompts, extent, picture))
        with self._pointing, in_words(FOR_A_MASK, self._embeddings.keep_only):
            model, embedding = self._looking_at(picture, segmenter)
            matches = self._matches(picture, prompts.phrase) if prompts.phrase else ()
            if matches:
                answer = answer_phrase(matches, prompts, partial(model.segment, embedding))
            elif prompts.clicks or prompts.scribbles or prompts.box is not None:
                answer = model.segment(embedding, prompts)
            else:
                return MaskAnswer(compose(None, prompts, extent, picture))
        chosen = answer.best(prompts.choice)
        found = (
            snapped(answer.masks[chosen], picture)
            if prompts.snap and model is not self._by_colour
            else answer.masks[chosen]
        )
        choices = tuple(zip(answer.labels, (float(score) for score in answer.scores), strict=True))
        return MaskAnswer(compose(found, prompts, extent, picture), choices, chosen)

    def follow(self, picture: Picture, mask: Mask, segmenter: str = "toybox-segmenter") -> Mask:
        """Where in `picture` the subject is that an edit redrew at `mask`; see `followed`. Takes the lock of clicks."""
        with self._pointing, in_words(FOR_A_MASK, self._embeddings.keep_only):
            model, embedding = self._looking_at(picture, segmenter)
            return followed(picture, mask, partial(model.segment, embedding))

    def compare(
        self,
        ab: Picture,
        ba: Picture,
        before: Picture,
        a: Sequence[Edited],
        b: Sequence[Edited],
        model: str,
    ) -> Comparison:
        """Turn A then B against B then A, both from `before`; `a` and `b` say what each was told in either order.

        Measured is by what the card of `model` names (`models.limits`); where no CLIP is there that knows its
        pictures the similarities are ``None``. Takes its own lock, so it waits for no edit.
        """
        subject = np.zeros(ab.shape[:2], np.bool_)
        for edit in (*a, *b):
            subject |= False if edit.mask is None else edit.mask
        changed_a, changed_b = (np.any([_changed(edit, ab) for edit in edits], axis=0) for edits in (a, b))
        parts = Parts.of(subject, changed_a, changed_b)
        with self._measuring:
            clip, limits = self._measures(model)
            return Comparison(compare(ab, ba, before, parts, clip, limits), difference_map(ab, ba, parts))

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        """How far each of `pictures`, candidates of the last of the turns `edits`, has gone from `original`; measured
        as by `compare`. Takes its own lock, so it waits for no edit."""
        with self._measuring:
            changed = [_changed(edit, original) for edit in edits]
            clip, limits = self._measures(model)
            return tuple(drift(original, picture, edits, changed, clip, limits) for picture in pictures)

    def attention(
        self,
        model: str,
        picture: Picture,
        texts: Sequence[str],
        words: Sequence[str] = (),
        loras: Sequence[LoraUse] = (),
        progress: Progress = silent,
    ) -> tuple[tuple[WordMap, ...], ...]:
        """What `model` looks at in `picture` for the `words` of each of `texts`, or for all of them; see `word_maps`.
        Waits for edits, as they wait for it."""
        found = [(lora_path(use, self._folders), use.scale) for use in loras]
        with self._editing, in_words(FOR_AN_EDIT, lambda: self._release(model)):
            bundle = self._loaded(model)
            if not isinstance(bundle, ModelBundle) or bundle.text_encoder is None:
                raise ModelError(f"{model!r} has no attention to words; choose a text-to-image model to look with")
            with attached(bundle, found):
                return word_maps(bundle, picture, texts, words, progress)

    def weights(self, model: str) -> str:
        """The checksum of `model`'s weights, as `EditResult.weights_before` will have it. Loads the model."""
        with self._editing:
            return self._loaded(model).checksum()

    def warm_up(self, model: str) -> None:
        """Load `model`, so that the first edit does not wait for it."""
        with self._editing:
            self._loaded(model)

    def prepare(self, model: str, segmenter: str) -> None:
        """Load both, computing nothing: where a device is lent for a call only, weights must be there before."""
        self.warm_up(model)
        with self._pointing:
            self._segmenter(segmenter)

    def describe(self) -> str:
        """The model used last and the device, for a person: ``Stable Diffusion v1.5 on CPU``."""
        device = "CPU" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        return f"{self._last_title} on {device}" if self._last_title else device

    def _looking_at(self, picture: Picture, segmenter: str) -> tuple[Segmenter, Embedding]:
        """The segmenter of that name, or the one by colour where its card says that it was made for other pictures,
        with what it keeps of `picture`."""

        def embedded() -> Embedding:
            misplaced = segmenter == self._by_colour.name or misfit(
                picture, find_model(segmenter, self._folders, SEGMENTER)
            )
            return (self._by_colour if misplaced else self._segmenter(segmenter)).embed(picture)

        embedding = self._embeddings.get((segmenter, _digest(picture)), embedded)
        by_colour = embedding.segmenter == self._by_colour.name
        return self._by_colour if by_colour else self._segmenter(segmenter), embedding

    def _segmenter(self, name: str) -> Segmenter:
        return self._segmenters.get(
            name, lambda: load_segmenter(find_model(name, self._folders, SEGMENTER), self._device)
        )

    def _matte(self) -> Matte:
        card = matting(self._folders)
        if card is None:
            raise ModelError(
                "no ViTMatte is here to matte the edge; put the folder of a VitMatteForImageMatting among the models, "
                "or choose another edge: edge=matted needs none"
            )
        return self._mattes.get(card.id, lambda: _load_matte(card, self._device))

    def _matches(self, picture: Picture, phrase: str) -> tuple[Match, ...]:
        card = phrase_finder(self._folders)
        if card is None:
            raise ModelError(
                "no model here reads phrases; put the folder of a CLIPSeg, Grounding DINO or SAM 3 model among the "
                "models, or click the subject"
            )
        finder = self._finders.get(card.id, lambda: _load_finder(card, self._device))
        return self._found.get((card.id, _digest(picture), phrase), lambda: finder.find(picture, phrase))

    def _measures(self, model: str) -> tuple[ClipEmbed | None, Limits | None]:
        """What the pictures of `model` are measured by."""
        cards = find_models(self._folders)
        said = cards[model].domain.measured_by if model in cards else NOTHING_CALIBRATED
        card = clip_that_knows(said, cards.values())
        if card is None:
            return None, said.limits
        return self._clips.get(card.id, lambda: ClipEmbed(card, self._device)), said.limits

    def _bundle(self, model: str) -> ModelBundle:
        bundle = self._loaded(model)
        assert isinstance(bundle, ModelBundle), model
        return bundle

    def _loaded(self, model: str) -> ModelBundle | Loaded:
        """`model` as its methods take it."""
        card = find_model(model, self._folders)
        self._last_title = card.title
        if card.backbone is Backbone.COMPOSER:
            return self._bundles.get(model, lambda: load_composer(card.path, self._device))
        return self._bundles.get(model, lambda: load_bundle(card, self._device))


def in_float32(progress: Progress) -> Progress:
    """`progress` of the second run: its stages have names of their own, so that no stage goes back."""

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        progress(f"{stage}, in float32", step, total, preview)

    return tell


def _load_matte(card: ModelCard, device: torch.device) -> Matte:
    """Imports the network now, as `_load_finder` does."""
    from pipelines.masks.vitmatte import load_vitmatte

    return load_vitmatte(card, device)


def _load_finder(card: ModelCard, device: torch.device) -> PhraseFinder:
    """Imports the families that read phrases now: together they take seconds that a first click does not have."""
    from pipelines.masks.finders import load_finder

    return load_finder(card, device)


def _changed(edit: Edited, picture: Picture) -> Mask:
    """Which pixels that turn could change."""
    if edit.mask is None:
        return np.ones(picture.shape[:2], np.bool_)
    return edited_region(edit.mask, edit.scope, edit.feather)


def _mask_bytes(matches: Sequence[Match]) -> int:
    return sum(1_000 if match.mask is None else match.mask.nbytes for match in matches)


def _digest(picture: Picture) -> str:
    found = hashlib.sha256(str(picture.shape).encode())
    found.update(np.ascontiguousarray(picture).data)
    return found.hexdigest()
