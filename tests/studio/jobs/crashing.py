"""An engine that ends as it is told to: the text of the subject says how. Built by name in the device's process."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import numpy as np

from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Mask, OutsideChange, Picture, StageReport
from pipelines.errors import DeviceFault, NotEnoughMemory, NumericalError
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.progress import Progress, silent
from studio.settings import Settings

STEPS = 5


class CrashingEngine:
    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        for step in range(1, STEPS + 1):
            if step == 3:
                self.end(request.subject)
            progress("guidance", step, STEPS, request.picture)
        candidate = Candidate(request.seed, ~request.picture, OutsideChange(0, 1, 0))
        return EditResult((candidate,), (StageReport("guidance", 0.1, STEPS),), str(os.getpid()))

    def end(self, how: str) -> None:
        if how == "exit":
            os._exit(3)
        if how == "abort":
            os.abort()
        if how == "segfault":
            ctypes.string_at(0)
        if how == "nan":
            raise NumericalError("the loss became NaN")
        if how == "memory":
            raise NotEnoughMemory("there was not enough memory")
        if how == "fault":
            raise DeviceFault("an illegal memory access")
        if how == "bug":
            raise ValueError("a bug of ours")
        if how == "system exit":
            sys.exit(4)
        if how == "unsendable":
            raise type("Local", (Exception,), {})("made here")
        if how == "hang":
            time.sleep(600)
        if how == "steady":
            time.sleep(0.2)
        if how == "busy":
            end = time.monotonic() + 3
            while time.monotonic() < end:
                pass

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str = "", uploaded: Mask | None = None
    ) -> MaskAnswer:
        assert picture.flags.writeable
        self.end(segmenter)
        if segmenter == "threshold":
            return MaskAnswer(picture[..., 0] > 127)
        if segmenter == "lambda":
            return MaskAnswer(np.ones(picture.shape[:2], bool), (lambda: None,))  # type: ignore[arg-type]
        return MaskAnswer(np.ones((Extent.of(picture).height, Extent.of(picture).width), bool))

    def weights(self, model: str) -> str:
        return str(os.getpid())

    def warm_up(self, model: str) -> None:
        if model == "exit":
            os._exit(3)

    def describe(self) -> str:
        return f"Crashing in {os.getpid()}"


def crashing(settings: Settings) -> CrashingEngine:
    return CrashingEngine()


def broken(settings: Settings) -> CrashingEngine:
    raise RuntimeError("there is no such engine")


def twice(number: int, progress: Progress) -> int:
    progress("doubling", 1, 1)
    return 2 * number
