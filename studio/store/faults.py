"""Turns the operating system's and the database's complaints about storage into errors a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from studio.errors import StorageError, StorageFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def storing() -> Iterator[None]:
    """Wrap whatever writes. The messages name no path: they are shown on the page."""
    try:
        yield
    except OSError as problem:
        if problem.errno in FULL:
            raise _full() from problem
        reason = problem.strerror or type(problem).__name__
        raise StorageError(
            f"the studio could not use its data folder ({reason}); nothing was stored. "
            "Check that the disk is there and writable, then try again"
        ) from problem
    except DBAPIError as problem:
        text = str(problem.orig)
        if "disk is full" in text:
            raise _full() from problem
        if "malformed" in text or "not a database" in text:
            raise StorageError(
                f"the database of the data folder is damaged ({text}); nothing was stored. Stop the studio, start it "
                "again: it then puts the database aside and takes over what can be read of it"
            ) from problem
        raise StorageError(
            f"the studio could not use its database ({text}); nothing was stored. "
            "Check that the disk is there and writable, then try again"
        ) from problem


def _full() -> StorageFull:
    return StorageFull(
        "there is no space left on the disk that holds the studio's data; nothing was stored. Free some space, "
        "then try again"
    )
