"""What runs in the device's own process: it builds the engine and answers calls until the studio is gone.

Both ends speak in the messages below, over one connection. Calls are answered side by side, so a click does not wait
for an edit; what changes the models has one thread to itself, because compiled code is bound to its thread.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from pipelines import errors
from pipelines.contract import Picture
from pipelines.errors import DeviceFault, PipelineError
from pipelines.progress import Cancelled
from studio import logs
from studio.jobs.work import EditingEngine, resolve
from studio.settings import Settings

log = logging.getLogger(__name__)

ON_DEVICE = frozenset({"edit", "attention", "weights", "warm_up"})
BESIDE = 8
"""Calls that are answered beside an edit."""
BEAT = 1.0
"""Seconds between two signs of life."""


@dataclass(frozen=True, eq=False)
class Call:
    """From the studio: call this, and answer under `number`."""

    number: int
    name: str
    """A method of the engine, or a function as ``module:name``."""
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    stepwise: bool = False
    """Whether it takes a `progress` and is to be followed."""


@dataclass(frozen=True, eq=False)
class Hold:
    """From the studio: keep this picture, which a later call may name, and forget those."""

    key: int
    picture: Picture
    instead: tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """In a call, in the place of a picture: the one that was sent under that key."""

    key: int


@dataclass(frozen=True)
class Stop:
    """From the studio: the call of that number is to end at its next step."""

    number: int


@dataclass(frozen=True, eq=False)
class Step:
    """From the device: a step of a stepwise call is done."""

    number: int
    stage: str
    step: int
    total: int
    preview: Picture | None


@dataclass(frozen=True)
class Beat:
    """From the device, every `BEAT` seconds whatever else it does: the process runs."""


@dataclass(frozen=True, eq=False)
class Answer:
    """From the device: what the call returned."""

    number: int
    value: Any
    described: str
    """The engine after that, for a person; empty while it is not built."""


@dataclass(frozen=True)
class Failure:
    """From the device: what the call raised."""

    number: int
    error: str
    """A class of `pipelines.errors`; empty for a bug."""
    message: str
    trace: str
    fatal: bool
    """The device is of no use any more, and the process ends."""


def serve(connection: Connection, build: str, settings: Settings, level: int) -> None:
    """The process's whole life. `build`, as ``module:name``, makes the engine of `settings` when it is first needed."""
    for asked in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # both may reach every process of a studio, which ends this one itself
        signal.signal(asked, signal.SIG_IGN)
    logs.to_terminal(level)
    _Desk(connection, resolve(build)(settings)).attend()


class _Desk:
    """Takes the calls in, has them answered, and hears of those that are to stop."""

    def __init__(self, connection: Connection, engine: EditingEngine) -> None:
        self._connection = connection
        self._engine = engine
        self._sending = threading.Lock()
        self._stops: dict[int, threading.Event] = {}
        self._held: dict[int, Picture] = {}
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._beside = ThreadPoolExecutor(BESIDE, thread_name_prefix="beside")

    def attend(self) -> None:
        threading.Thread(target=self._beat, name="signs of life", daemon=True).start()
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the studio is gone, and whatever still runs here has nobody to answer to
            if isinstance(message, Stop):
                if (stop := self._stops.get(message.number)) is not None:
                    stop.set()
            elif isinstance(message, Hold):
                for key in message.instead:
                    del self._held[key]
                self._held[message.key] = message.picture
            else:
                args = (self._held[arg.key] if isinstance(arg, Held) else arg for arg in message.args)
                message = replace(message, args=tuple(args))
                self._stops[message.number] = threading.Event()
                pool = self._device if message.name in ON_DEVICE or ":" in message.name else self._beside
                pool.submit(self._answer, message)

    def _answer(self, call: Call) -> None:
        try:
            made = self._made(call)
            described = self._engine.describe() if getattr(self._engine, "is_built", True) else ""
            reply: Answer | Failure = Answer(call.number, made, described)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the studio is told
            reply = failure(call.number, error)
        del self._stops[call.number]
        try:
            self._send(reply)
        except Exception as error:
            log.exception("the answer to %s could not be sent", call.name)
            self._send(failure(call.number, error))
        if isinstance(reply, Failure) and reply.fatal:
            os._exit(1)

    def _made(self, call: Call) -> Any:
        function = resolve(call.name) if ":" in call.name else getattr(self._engine, call.name)
        if not call.stepwise:
            return function(*call.args, **call.options)
        stop = self._stops[call.number]

        def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
            if stop.is_set():
                raise Cancelled
            self._send(Step(call.number, stage, step, total, preview))

        return function(*call.args, **call.options, progress=progress)

    def _beat(self) -> None:
        while True:
            try:
                self._send(Beat())
            except OSError:
                return  # the studio is gone; `attend` finds out as well
            time.sleep(BEAT)

    def _send(self, message: Step | Beat | Answer | Failure) -> None:
        with self._sending:
            self._connection.send(message)


def failure(number: int, error: BaseException) -> Failure:
    """What is sent of an exception, which itself need not be one that can be pickled."""
    kinds = (kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    trace = "".join(traceback.format_exception(error))
    traceback.clear_frames(error.__traceback__)  # their pictures and tensors would live as long as the error
    text = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
    return Failure(number, next(kinds, ""), text, trace, isinstance(error, DeviceFault))
