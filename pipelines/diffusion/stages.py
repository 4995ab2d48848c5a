"""Named stages of a running method: they count steps, call the progress callback and keep the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor

from pipelines.contract import Picture, StageReport
from pipelines.images import from_network
from pipelines.models.bundle import ModelBundle
from pipelines.progress import Progress


class Step(Protocol):
    """Called after every finished step of a stage."""

    def __call__(self, preview: Picture | None = None) -> None: ...


PREVIEW_SECONDS = 0.25
PREVIEW_SHARE = 0.15
"""Previews come at most four times a second, and take at most about this share of the time."""


class Stages:
    """Collects the stages of one edit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._reports: list[StageReport] = []

    @property
    def finished(self) -> tuple[StageReport, ...]:
        return tuple(self._reports)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Step]:
        """A stage of at most `total` steps; yields the function to call after each of them.

        One that settles earlier is told as finished.
        """
        done = 0

        def step(preview: Picture | None = None) -> None:
            nonlocal done
            done += 1
            self._progress(name, done, total, preview)

        started = time.perf_counter()
        yield step
        if done < total:
            self._progress(name, total, total, None)
        self._reports.append(StageReport(name, time.perf_counter() - started, done))


class Previews:
    """Decodes the picture that a running sampler is heading for, now and then."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle
        self._next = 0.0

    def of(self, z_0: Tensor) -> Picture | None:
        """The estimate `z_0` ``(1, C, h, w)`` at the network's size, or ``None`` when the last one is too recent."""
        started = time.perf_counter()
        if started < self._next:
            return None
        picture = from_network(self._bundle.decode(z_0))
        now = time.perf_counter()
        self._next = now + max(PREVIEW_SECONDS, (now - started) / PREVIEW_SHARE)
        return picture
