"""A clock that tests move by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
