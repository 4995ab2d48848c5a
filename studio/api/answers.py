"""What all routes answer with: files of a fixed type that browsers neither guess at nor run, or a refusal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from pipelines.errors import PipelineError
from studio.errors import UnknownPicture, UnknownSession, UnknownTurn, UserError

KEEP = "private, max-age=31536000, immutable"
"""For how long a picture is kept by browsers: a digest names one picture for ever."""
NOT_KEPT = "no-store"
LONGEST_NAME = 160
"""Characters of a file's name: a session's has 120, and what is added to it must not be cut off."""

T = TypeVar("T")


def found(read: Callable[[], T]) -> T:
    """What `read` gives. Ids that are nobody's and ids that are another's become the same 404, so that they cannot be
    probed; what else a person could act on is a 409 with the words for them."""
    try:
        return read()
    except (UnknownPicture, UnknownSession, UnknownTurn):
        raise HTTPException(404) from None
    except (UserError, PipelineError) as problem:
        raise HTTPException(409, str(problem)) from None


def refused(status: int, words: str, after: float | None = None, **more: object) -> JSONResponse:
    """What a program is told: ``error`` in words, and what else there is to know; `after` so many seconds it may come
    again."""
    seconds = None if after is None else max(1, math.ceil(after))
    told = {"error": words, **more} | ({} if seconds is None else {"retry_after": seconds})
    return JSONResponse(told, status, None if seconds is None else {"Retry-After": str(seconds)})


def headers(name: str | None = None, keep: str = KEEP) -> dict[str, str]:
    """The headers of a file; with a `name` it is saved under that and not shown."""
    plain = {"X-Content-Type-Options": "nosniff", "Cache-Control": keep}
    if name is None:
        return plain
    return plain | {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name(name))}"}


def file_name(name: str) -> str:
    """`name` with what file systems and headers do not take replaced."""
    kept = (c if c.isalnum() or c in " .-_()" else "-" for c in unicodedata.normalize("NFC", name))
    return "".join(kept).strip(" .")[:LONGEST_NAME] or "picture.png"
