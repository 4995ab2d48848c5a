"""How a running method tells where it is, and how it is told to stop.

Progress and cancelling travel down as one callback. A method calls it at every step; the callback raises
`Cancelled`, which nobody below the job runner catches.
"""

from __future__ import annotations

from typing import Protocol

from pipelines.contract import Picture


class Cancelled(Exception):
    """The person asked to stop. Raised by a progress callback, caught in one place: the job runner."""


class Progress(Protocol):
    """Called after every finished step of every stage; ``step`` counts from 1 to ``total`` and never goes back."""

    def __call__(self, stage: str, step: int, total: int, preview: Picture | None = None) -> None: ...


def silent(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
    """A `Progress` that says nothing and never stops the work."""
