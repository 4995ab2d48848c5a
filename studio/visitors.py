"""Who asks, in a studio that strangers share: known while a request is answered, to whatever answers it.

The gate says it once (`asked_by`); sessions and the queue ask for it (`asking`). It travels with the request as
Python's context variables do, through threads too, so that no function between them need pass it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOBODY = ""
"""The studio itself, or anybody where all are alike."""
_ASKING: ContextVar[str] = ContextVar("asking", default=NOBODY)


def asking() -> str:
    """The visitor whose request is being answered."""
    return _ASKING.get()


@contextmanager
def asked_by(visitor: str) -> Iterator[None]:
    """What is done inside is done for `visitor`."""
    token = _ASKING.set(visitor)
    try:
        yield
    finally:
        _ASKING.reset(token)
