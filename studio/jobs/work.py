"""What jobs do: the pipeline's calls, named as text and resolved on first use, so that the studio starts without torch.

The command line calls the same functions without a queue.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, cast

import numpy as np

from pipelines.catalog import method as find_method
from pipelines.contract import EditRequest, EditResult, LoraUse, Mask, Picture, WordMap
from pipelines.evaluation.consistency import Comparison, Edited
from pipelines.evaluation.drift import Drift
from pipelines.hand.run import run_by_hand
from pipelines.instructions.contract import Split
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.progress import Progress, silent
from studio.settings import Settings

log = logging.getLogger(__name__)

ENGINE = "pipelines.engine:Engine"
SPLITTER = "pipelines.instructions.split:split"
BLANK_SIDE = 64
"""Pixels a side of the picture the segmenter is warmed up on."""


class EditingEngine(Protocol):
    """What the studio asks of `pipelines.engine.Engine`; every call may come from another thread."""

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult: ...

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str, uploaded: Mask | None = None
    ) -> MaskAnswer: ...

    def follow(self, picture: Picture, mask: Mask, segmenter: str) -> Mask: ...

    def compare(
        self, ab: Picture, ba: Picture, before: Picture, a: Sequence[Edited], b: Sequence[Edited], model: str
    ) -> Comparison: ...

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]: ...

    def attention(
        self,
        model: str,
        picture: Picture,
        texts: Sequence[str],
        words: Sequence[str] = (),
        loras: Sequence[LoraUse] = (),
        progress: Progress = silent,
    ) -> tuple[tuple[WordMap, ...], ...]: ...

    def weights(self, model: str) -> str: ...

    def warm_up(self, model: str) -> None: ...

    def describe(self) -> str: ...


def edited(
    engine: EditingEngine, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
) -> EditResult:
    """What `method` makes of `request`: by `engine` on `model`, or here and now where it needs no model."""
    entry = find_method(method)
    if not entry.needs_model:
        return run_by_hand(entry, request, params, progress)
    return engine.edit(model, method, request, params, progress)


def resolve(entry: str) -> Any:
    """The object that ``module:name`` stands for, imported now."""
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)


class LazyEngine:
    """An `EditingEngine` that is built when it is first asked for something, on the thread that asks."""

    def __init__(self, build: Callable[[], EditingEngine]) -> None:
        self._build = build
        self._building = Lock()
        self._engine: EditingEngine | None = None

    @property
    def is_built(self) -> bool:
        return self._engine is not None

    def get(self) -> EditingEngine:
        with self._building:
            if self._engine is None:
                self._engine = self._build()
            return self._engine

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        return self.get().edit(model, method, request, params, progress)

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str, uploaded: Mask | None = None
    ) -> MaskAnswer:
        return self.get().segment(picture, prompts, segmenter, uploaded)

    def follow(self, picture: Picture, mask: Mask, segmenter: str) -> Mask:
        return self.get().follow(picture, mask, segmenter)

    def compare(
        self, ab: Picture, ba: Picture, before: Picture, a: Sequence[Edited], b: Sequence[Edited], model: str
    ) -> Comparison:
        return self.get().compare(ab, ba, before, a, b, model)

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        return self.get().drift(original, pictures, edits, model)

    def attention(
        self,
        model: str,
        picture: Picture,
        texts: Sequence[str],
        words: Sequence[str] = (),
        loras: Sequence[LoraUse] = (),
        progress: Progress = silent,
    ) -> tuple[tuple[WordMap, ...], ...]:
        return self.get().attention(model, picture, texts, words, loras, progress)

    def weights(self, model: str) -> str:
        return self.get().weights(model)

    def warm_up(self, model: str) -> None:
        self.get().warm_up(model)

    def describe(self) -> str:
        return self.get().describe()


def lazy_engine(settings: Settings) -> LazyEngine:
    """The engine of these settings; nothing heavy is imported before it is used."""

    def build() -> EditingEngine:
        folders: tuple[Path, ...] = settings.all_model_folders
        room = 3 * settings.cache_room * 2**20 // 4
        return cast("EditingEngine", resolve(ENGINE)(model_folders=folders, device=settings.device, cache_room=room))

    return LazyEngine(build)


Splitter = Callable[[str, str, str, Progress], Split]
"""Sentence, subject and background so far, progress: the turns that the sentence asks for."""


def run_here(entry: str, *args: Any, progress: Progress) -> Any:
    """Call the function that ``module:name`` stands for, in this process."""
    return resolve(entry)(*args, progress=progress)


def splitter(settings: Settings, run: Callable[..., Any] = run_here) -> Splitter | None:
    """What splits sentences on the worker; ``None`` where no language model is set, for the rules answer at once.

    `run` calls functions named as text where the models are.
    """
    if not settings.language_model:
        return None

    def split(words: str, subject: str, background: str, progress: Progress) -> Split:
        asked = (words, subject, background, settings.language_model, settings.device)
        found: Split = run(SPLITTER, *asked, progress=progress)
        return found

    return split


def warm_up(engine: EditingEngine, model: str, segmenter: str) -> None:
    """Load what the first click and run need. A failure is only logged: the run itself will say what is wrong."""
    blank = np.full((BLANK_SIDE, BLANK_SIDE, 3), 255, np.uint8)
    middle = MaskPrompts(clicks=(Click(BLANK_SIDE / 2, BLANK_SIDE / 2),))
    try:
        engine.segment(blank, middle, segmenter)
        engine.warm_up(model)
        log.info("ready: %s", engine.describe())
    except Exception:
        log.exception("the model %r could not be loaded ahead of its first use", model)
