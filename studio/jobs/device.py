"""The engine in a process of its own, seen from the studio, which never imports torch.

A fault of the GPU, a crash in a library or the system's out-of-memory killer ends that process and nothing else: what
ran there fails with a message, the next call finds a new process, and timeline, queue and pages never notice. Nor do
they when it stalls: it gives signs of life whatever it computes, and one that gives none, busy or idle, is ended too.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from pipelines import errors
from pipelines.contract import EditRequest, EditResult, LoraUse, Mask, Picture, WordMap
from pipelines.errors import PipelineError
from pipelines.evaluation.consistency import Comparison, Edited
from pipelines.evaluation.drift import Drift
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.progress import Progress, silent
from studio.errors import Busy, DeviceLost
from studio.jobs.child import BEAT, Answer, Beat, Call, Failure, Held, Hold, Step, Stop, serve
from studio.settings import Settings

log = logging.getLogger(__name__)

BUILD = "studio.jobs.work:lazy_engine"
RESTS = (0.0, 5.0, 15.0, 60.0)
"""Seconds until there is a new process after the first, second, … loss in a row; the last one for all further ones."""
SECONDS_TO_END = 5.0
"""How long a process whose connection is gone may take to end by itself."""
SECONDS_OF_SILENCE = 15.0
"""How long a process may give no sign of life. What computes lets go of the interpreter between any two operations."""
SECONDS_TO_START = 300.0
"""The same before its first answer: importing torch from a slow disk holds the interpreter for minutes."""
SECONDS_TO_POINT = 300.0
"""How long a page waits for a mask. The first one may load a segmenter of gigabytes, beside an edit."""
SECONDS_TO_ANSWER = 1800.0
"""How long anything may take that tells no steps; loading a model is the longest."""
MOST_POINTING = 16
"""Masks that are waited for at once: each holds one of the threads that answer pages."""
AGAIN = "Nothing that was kept is lost, and it starts again by itself"
SILENT = "the process that computes pictures gave no sign of life for {:.0f} s, so it was ended. {}: try once more"


_Answers: TypeAlias = SimpleQueue[Step | Answer | Failure | DeviceLost]


class DeviceProcess:
    """An `EditingEngine` in a child process, which is started when it is first needed and again when it was lost."""

    def __init__(
        self,
        settings: Settings,
        build: str = BUILD,
        restarted: Callable[[], None] = lambda: None,
        rests: Sequence[float] = RESTS,
        silence: float = SECONDS_OF_SILENCE,
        to_point: float = SECONDS_TO_POINT,
    ) -> None:
        """`build` makes the engine of `settings` over there; `restarted` is called after each loss, when a new process
        may be started. A process is ended after `silence` seconds without a sign of life, and a mask is waited for
        `to_point` seconds."""
        self._settings, self._build = settings, build
        self._restarted, self._rests = restarted, rests
        self._silence, self._to_point = silence, to_point
        self._pointing = threading.Semaphore(MOST_POINTING)
        self._guard = threading.Lock()
        self._child: _Child | None = None
        self._closed = False
        self._losses = 0
        """Processes lost in a row, without one answer in between."""
        self._rested_at = 0.0
        self._described = ""

    # The engine

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        result: EditResult = self.run("edit", model, method, request, params, progress=progress)
        return result

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str, uploaded: Mask | None = None
    ) -> MaskAnswer:
        """Also raises `Busy` when too many wait for a mask already."""
        if not self._pointing.acquire(blocking=False):
            raise Busy(f"{MOST_POINTING} masks are being made already; point again in a moment")
        try:
            asked = (picture, prompts, segmenter, uploaded)
            answer: MaskAnswer = self._running().call("segment", asked, {}, None, self._to_point)
            return answer
        finally:
            self._pointing.release()

    def follow(self, picture: Picture, mask: Mask, segmenter: str) -> Mask:
        found: Mask = self.run("follow", picture, mask, segmenter)
        return found

    def compare(
        self, ab: Picture, ba: Picture, before: Picture, a: Sequence[Edited], b: Sequence[Edited], model: str
    ) -> Comparison:
        answer: Comparison = self.run("compare", ab, ba, before, a, b, model)
        return answer

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        answer: tuple[Drift, ...] = self.run("drift", original, pictures, edits, model)
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
        found: tuple[tuple[WordMap, ...], ...] = self.run("attention", *asked, progress=progress)
        return found

    def weights(self, model: str) -> str:
        return str(self.run("weights", model))

    def warm_up(self, model: str) -> None:
        self.run("warm_up", model)

    def describe(self) -> str:
        """As it said of itself with its last answer, so that nobody waits for it; empty before the first one."""
        return self._described

    # The process

    @property
    def is_built(self) -> bool:
        """Whether asking it something is quick: its libraries are loaded."""
        child = self._child
        return child is not None and child.answered

    @property
    def pid(self) -> int | None:
        """The process that answers now."""
        child = self._child
        return None if child is None else child.process.pid

    def run(self, name: str, *args: Any, progress: Progress | None = None, **options: Any) -> Any:
        """Call a method of the engine, or a function ``module:name``, over there and wait for what comes of it.

        Raises what it raised when that is a `PipelineError`, what `progress` raised, `DeviceLost` when the process
        ended meanwhile, is not started again yet or did not answer in time, and `RuntimeError` with the other side's
        traceback for a bug.
        """
        return self._running().call(name, args, options, progress, SECONDS_TO_ANSWER if progress is None else None)

    def replace(self, why: str) -> None:
        """End the process, whatever it does; calls that wait for it fail with `why`."""
        child = self._child
        if child is not None:
            log.warning("the device's process %s is replaced: %s", child.process.pid, why)
            child.end(why)

    def close(self) -> None:
        """End the process for good."""
        with self._guard:
            self._closed, child = True, self._child
        if child is not None:
            child.end("the studio is shutting down; start it again, then press Run")
            child.reader.join(SECONDS_TO_END)

    def _running(self) -> _Child:
        with self._guard:
            if self._closed:
                raise DeviceLost("the studio is shutting down; start it again, then press Run")
            if self._child is None:
                if (rest := self._rested_at - time.monotonic()) > 0:
                    raise DeviceLost(
                        f"the process that computes pictures ended {self._losses} times in a row, so it is started "
                        f"again only in {rest:.0f} s; try then, and see the server's log for why it ended"
                    )
                self._child = _Child(self._settings, self._build, self._silence, self._alive, self._lost)
                log.info("the device's process %s is started", self._child.process.pid)
            return self._child

    def _alive(self, described: str) -> None:
        self._losses = 0
        self._described = described or self._described

    def _lost(self, child: _Child, on_purpose: bool) -> None:
        """No further call is given to `child`. Called before those that wait for it are told."""
        with self._guard:
            if self._child is not child:
                return
            self._child = None
            if not on_purpose:
                self._losses += 1
                self._rested_at = time.monotonic() + self._rests[min(self._losses, len(self._rests)) - 1]
            again = not self._closed and time.monotonic() >= self._rested_at
        if again:
            self._restarted()


class _Child:
    """One process from its start to its end, and who waits for an answer from it."""

    def __init__(
        self,
        settings: Settings,
        build: str,
        silence: float,
        alive: Callable[[str], None],
        lost: Callable[[_Child, bool], None],
    ) -> None:
        self._alive, self._lost = alive, lost
        self.answered = False
        self._heard = 0
        """Messages so far."""
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._sending = threading.Lock()
        self._numbers = count(1)
        self._held: deque[tuple[int, Picture]] = deque()
        """Pictures that were pointed at last and stay over there; usually one is clicked again and again."""
        self._room = settings.cache_room * 2**20 // 2
        self._waiting: dict[int, _Answers] = {}
        self._ended: str | None = None
        """Why it was ended on purpose, or what became of it."""
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        self.process = spawn.Process(
            target=serve, args=(theirs, build, settings, level), name="palimpsest device", daemon=True
        )
        self.process.start()
        # Where nobody closes it, Python asks it to end as it ends itself, which the process does not listen to.
        atexit.register(self.process.kill)
        theirs.close()
        self.reader = threading.Thread(target=self._listen, name="device answers", daemon=True)
        self.reader.start()
        threading.Thread(target=self._watch, args=(silence,), name="device watchdog", daemon=True).start()

    def call(
        self,
        name: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
        progress: Progress | None,
        seconds: float | None,
    ) -> Any:
        """See `DeviceProcess.run`. `seconds` is how long to wait for the next message of the other side; of a call that
        tells its steps the queue's watchdog knows better."""
        number, answers = next(self._numbers), _Answers()
        with self._guard:
            if self._ended is not None:
                raise DeviceLost(self._ended)
            self._waiting[number] = answers
        try:
            self._send(Call(number, name, args, options, progress is not None))
            return self._followed(number, answers, progress or silent, seconds)
        except Empty:
            late = (
                f"{name} was not answered in {seconds:.0f} s. Nothing that was kept is lost; try once more, with a "
                "smaller picture or when no turn is running"
            )
            with self._guard:
                alone = len(self._waiting) == 1
            if alone:  # nobody's work is lost with a process that hangs
                self.end(late)
            raise DeviceLost(late) from None
        finally:
            with self._guard:
                del self._waiting[number]

    def end(self, why: str) -> None:
        """Kill it, and take no further call. The first reason given is the one that is told."""
        with self._guard:
            self._ended = self._ended or why
        self.process.kill()
        self._lost(self, True)

    def _followed(self, number: int, answers: _Answers, progress: Progress, seconds: float | None) -> Any:
        """What the call comes to; `Empty` when that takes too long. When `progress` raises, the other side is stopped
        first: the device is free then."""
        stop: BaseException | None = None
        while isinstance(message := answers.get(timeout=seconds), Step):
            if stop is None:
                try:
                    progress(message.stage, message.step, message.total, message.preview)
                except BaseException as asked:  # noqa: BLE001 - raised again when the device has stopped
                    stop = asked
                    self._send(Stop(number))
        if stop is not None:
            raise stop
        if isinstance(message, Answer):
            return message.value
        raise message if isinstance(message, DeviceLost) else raised(message)

    def _send(self, message: Call | Stop) -> None:
        try:
            with self._sending:
                if isinstance(message, Call) and message.name == "segment":
                    message = replace(message, args=(self._hold(message.args[0]), *message.args[1:]))
                self._connection.send(message)
        except OSError:
            pass  # it has ended: `_listen` finds out as well, and tells whoever waits

    def _hold(self, picture: Picture) -> Held:
        """`picture` by its name: the array that is clicked again is the same one, and 36 MB for twelve megapixels."""
        for key, held in self._held:
            if held is picture:
                return Held(key)
        key, instead = next(self._numbers), []
        while self._held and picture.nbytes + sum(held.nbytes for _, held in self._held) > self._room:
            instead.append(self._held.popleft()[0])
        self._connection.send(Hold(key, picture, tuple(instead)))
        self._held.append((key, picture))
        return Held(key)

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                break
            self._heard += 1
            if isinstance(message, Beat):
                continue
            if isinstance(message, Failure) and message.fatal:
                # Before the failed job ends and the next one begins.
                self.end(f"the GPU failed, and what else was computed on it is lost. {AGAIN}")
            elif not isinstance(message, Step):
                self.answered = True
                self._alive(message.described if isinstance(message, Answer) else "")
            with self._guard:
                answers = self._waiting.get(message.number)
            if answers is not None:
                answers.put(message)
        self._gone()

    def _watch(self, silence: float) -> None:
        """End the process when it is silent for too long. Its silence is counted, not read off a clock: a studio that
        was itself stopped, or asleep, has heard nothing either."""
        heard, silent_for = self._heard, 0.0
        while not self._over.wait(BEAT):
            silent_for = silent_for + BEAT if self._heard == heard else 0.0
            heard = self._heard
            if silent_for > (most := silence if self.answered else max(silence, SECONDS_TO_START)):
                log.error("the device's process %s is silent, and is ended", self.process.pid)
                self.end(SILENT.format(most, AGAIN))
                return

    def _gone(self) -> None:
        self._over.set()
        atexit.unregister(self.process.kill)
        self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()
        with self._guard:
            on_purpose = self._ended is not None
            self._ended = self._ended or _what_happened(self.process.exitcode)
            why = self._ended
        if not on_purpose:
            log.error("the device's process %s ended with %s", self.process.pid, self.process.exitcode)
        with self._sending:  # a writer finds that nobody reads; and closed under its hands it would raise a TypeError
            self._connection.close()
        self._lost(self, on_purpose)
        with self._guard:
            for answers in self._waiting.values():
                answers.put(DeviceLost(why))


def raised(failure: Failure) -> Exception:
    """The exception that the other side raised: of the same class where a person can act on it."""
    if failure.error:
        error: PipelineError = getattr(errors, failure.error)(failure.message)
        return error
    bug = RuntimeError(failure.message)
    bug.add_note(f"In the device's process:\n{failure.trace}")
    return bug


def _what_happened(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        ended = "was killed from outside, as a system does that runs out of memory"
    elif exitcode is not None and exitcode < 0:
        ended = f"crashed ({signal.Signals(-exitcode).name})"
    else:
        ended = f"ended by itself (exit code {exitcode})"
    return (
        f"the process that computes pictures {ended} before this was done. {AGAIN}: try once more. If it comes back, "
        "ask for a lower quality or use a smaller picture, and see the server's log"
    )
