"""What the studio's processes log, one record a line.

Names, texts and paths of people's reach the log. Written as they are, a line break in one begins a line that looks like
the studio's own, and an escape sequence speaks to the terminal that shows it.
"""

from __future__ import annotations

import logging
import sys
from types import TracebackType

FORMAT = "%(levelname)s %(name)s: %(message)s"
CONTINUED = "    "
"""Stands before every further line of a record, such as those of a traceback."""

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class OneRecord(logging.Formatter):
    """Writes what is no printable character as its escape. Only a traceback has more lines, and they are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Raised) -> str:  # noqa: N802
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _indented(super().formatStack(stack_info))


def to_terminal(level: int = logging.INFO) -> None:
    """Sends what is logged, warnings of libraries included, to the standard error of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneRecord(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(capture=True)


def take_over(library: str) -> None:
    """Logs what `library` logs as all else is: for one that sets itself up when it starts."""
    logger = logging.getLogger(library)
    logger.handlers.clear()
    logger.propagate = True


def escaped(text: str) -> str:
    """`text` with line breaks, control characters and halves of characters written as Python writes them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _indented(text: str) -> str:
    return "\n".join(CONTINUED + escaped(line) for line in text.split("\n"))
