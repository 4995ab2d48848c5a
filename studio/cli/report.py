"""What a command says. stdout has the answer and nothing else: words, or one JSON value; all remarks go to stderr.

Nothing here knows a command; nothing but this file writes to a stream.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.contract import Picture
from studio.errors import StorageError

EXIT_DIFFERENT = 1
"""The exit code where something is not as it was recorded."""
EXIT_REFUSED = 2
"""The exit code for what a person can mend, the same as for a misspelt option."""


def say(line: str) -> None:
    """One line for a person."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


Value = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def answer(as_json: bool, value: Value, lines: Callable[[], list[str]]) -> None:
    """`value` as JSON when it was asked for, else `lines`, on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines())
    print(text, flush=True)  # noqa: T201


def write(path: Path, data: bytes) -> None:
    """Write a result; what is written over is said. Raises `StorageError` in words when that cannot be."""
    if path.exists():
        say(f"{path} was there already and is written over")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"{path} could not be written ({error.strerror}); name another file with --out") from None


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines with aligned columns."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def peak_memory_mb() -> int:
    """The most memory this process has held so far, in MB (2^20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux kilobytes


class ProgressLine:
    """A `Progress` for a terminal: one line that is rewritten, or one line a stage when stderr is a file."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, stage: str, step: int, total: int, preview: Picture | None = None) -> None:  # noqa: ARG002
        line = f"{stage}: {step} of {total} · {time.monotonic() - self.began:.1f} s"
        if self.live:
            end = "\n" if step >= total else ""
            sys.stderr.write(f"\r\033[K{line}{end}")
            sys.stderr.flush()
        elif step >= total:
            say(line)
