"""The engine where a GPU is lent for single calls, as a Space on ZeroGPU has it: the package ``spaces`` forks this
process, gives the fork the GPU, and takes it away when the call is over.

So the engine is built, and its weights are loaded, on the main thread before the page is launched; each call is a
generator that the package runs in the fork, yields its steps, and can be closed. Nothing computes in this process: a
fork in which a library's threads are gone waits for them for ever. Whose GPU time it is, the package reads from the
request in whose context it is called; `studio.jobs.runner` carries that to its worker.

Docs: https://huggingface.co/docs/hub/spaces-zerogpu
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeAlias

from pipelines.contract import EditRequest, EditResult, LoraUse, Mask, Picture, WordMap
from pipelines.errors import PipelineError
from pipelines.evaluation.consistency import Comparison, Edited
from pipelines.evaluation.drift import Drift
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.progress import Cancelled, Progress, silent
from studio.errors import DeviceLost
from studio.jobs.child import Answer, Failure, Step, failure
from studio.jobs.device import raised
from studio.jobs.work import ENGINE, EditingEngine, resolve
from studio.settings import Settings

log = logging.getLogger(__name__)

GPU = "spaces:GPU"
SECONDS_TO_EDIT = 60
"""GPU time that is asked for one edit. A visitor who is not signed in has 120 s a day, and is refused one that would go
beyond what is left; a fork that takes longer is ended."""
SECONDS_TO_LOOK = 15
"""The same for a mask, and for comparing."""
NO_COMPILER = "TORCH_COMPILE_DISABLE"
"""Compiled code would be made anew in every fork."""
ENDED = "the GPU was taken away before this was done; nothing that was kept is lost. Try again, or a lower quality"

Said: TypeAlias = Step | Answer | Failure
Steps = Callable[[str, tuple[Any, ...], Mapping[str, Any], bool], Generator[Said, None, None]]


class ZeroEngine:
    """An `EditingEngine` each of whose calls is given a GPU of its own. Make it before the page is launched."""

    is_built = True

    def __init__(self, engine: EditingEngine, gpu: Callable[..., Callable[[Steps], Steps]]) -> None:
        """`engine` has its weights loaded; `gpu` is ``spaces.GPU``, or what stands for it."""

        def steps(
            name: str, args: tuple[Any, ...], options: Mapping[str, Any], stepwise: bool
        ) -> Generator[Said, None, None]:
            yield from answered(engine, name, args, options, stepwise)

        self._engine = engine
        self._steps = gpu(duration=seconds_of)(steps)

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        result: EditResult = self._run("edit", model, method, request, params, progress=progress)
        return result

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str, uploaded: Mask | None = None
    ) -> MaskAnswer:
        """A mask that no model is asked for takes nobody's GPU time."""
        if not prompts.asks_segmenter:
            return self._engine.segment(picture, prompts, segmenter, uploaded)
        answer: MaskAnswer = self._run("segment", picture, prompts, segmenter, uploaded)
        return answer

    def follow(self, picture: Picture, mask: Mask, segmenter: str) -> Mask:
        found: Mask = self._run("follow", picture, mask, segmenter)
        return found

    def compare(
        self, ab: Picture, ba: Picture, before: Picture, a: Sequence[Edited], b: Sequence[Edited], model: str
    ) -> Comparison:
        answer: Comparison = self._run("compare", ab, ba, before, a, b, model)
        return answer

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        answer: tuple[Drift, ...] = self._run("drift", original, pictures, edits, model)
        return answer

    def attention(
        self,
        model: str,
        picture: Picture,
        texts: Sequence[str],
        words: Sequence[str] = (),
        loras: Sequence[LoraUse] = (),
        progress: Progress = silent,
    ) -> tuple[tuple[WordMap, ...], ...]:
        asked = (model, picture, texts, words, loras)
        found: tuple[tuple[WordMap, ...], ...] = self._run("attention", *asked, progress=progress)
        return found

    def weights(self, model: str) -> str:
        return str(self._run("weights", model))

    def warm_up(self, model: str) -> None:
        """Nothing: what was not loaded before the launch is loaded by each call anew."""

    def describe(self) -> str:
        return "a GPU that is lent for each turn (ZeroGPU)"

    def _run(self, name: str, *args: Any, progress: Progress | None = None) -> Any:
        """What the engine's method `name` gives in a fork. Raises what that raises, what `progress` does, and
        `DeviceLost` with the package's own words where there is no GPU for the visitor."""
        steps = self._steps(name, args, {}, progress is not None)
        last: Said | None = None
        try:
            while (said := _next(steps)) is not None:
                last = said
                if isinstance(said, Step) and progress is not None:
                    progress(said.stage, said.step, said.total, said.preview)
        finally:
            steps.close()  # a fork that goes on would keep the GPU
        if isinstance(last, Failure):
            raise raised(last)
        if not isinstance(last, Answer):
            raise DeviceLost(ENDED)
        return last.value


def seconds_of(name: str, args: tuple[Any, ...], options: Mapping[str, Any], stepwise: bool) -> int:  # noqa: ARG001
    """GPU time that is asked for a call; of the arguments of a `Steps`."""
    return SECONDS_TO_EDIT if name == "edit" else SECONDS_TO_LOOK


def answered(
    engine: EditingEngine, name: str, args: tuple[Any, ...], options: Mapping[str, Any], stepwise: bool
) -> Generator[Said, None, None]:
    """In the fork: each step of a call, and at last what it gave. Closed, it ends the call at its next step."""
    told: SimpleQueue[Said] = SimpleQueue()
    stop = threading.Event()

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if stop.is_set():
            raise Cancelled
        told.put(Step(0, stage, step, total, preview))

    def work() -> None:
        try:
            made = getattr(engine, name)(*args, **options, **({"progress": progress} if stepwise else {}))
            told.put(Answer(0, made, engine.describe()))
        except BaseException as error:  # noqa: BLE001 - whatever it was, the studio is told
            told.put(failure(0, error))

    thread = threading.Thread(target=copy_context().run, args=(work,), name="device", daemon=True)
    thread.start()
    try:
        while True:
            said = told.get()
            yield said
            if not isinstance(said, Step):
                return
    finally:
        stop.set()
        thread.join()


def zero_engine(settings: Settings) -> ZeroEngine:
    """The engine of these settings, on the thread that calls this; the package comes before the first tensor."""
    gpu = resolve(GPU)
    os.environ.setdefault(NO_COMPILER, "1")
    engine = resolve(ENGINE)(model_folders=settings.all_model_folders, device=settings.device)
    try:
        engine.prepare(settings.model, settings.segmenter)
    except PipelineError:
        log.exception("the model %r could not be loaded before the launch", settings.model)
    return ZeroEngine(engine, gpu)


def _next(steps: Generator[Said, None, None]) -> Said | None:
    """What the fork says next; ``None`` when it has said all. The package's own refusals (no GPU is free, somebody's
    time is used up) are passed on in its words."""
    try:
        return next(steps, None)
    except Exception as problem:
        log.warning("no answer from a lent GPU: %s", problem)
        raise DeviceLost(str(getattr(problem, "message", problem)) or ENDED) from problem
