"""Takes the files that browsers send, and gives each to whoever names its ticket, once.

The same file that two people send is two files. None has a name on the disk, so nothing is left of one when the studio
ends, however it ends, and no address or message can show where it lies.
"""

from __future__ import annotations

import errno
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator
from typing import BinaryIO

import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from studio.errors import UserError

MOST_WAITING = 128
"""Files that were sent and not yet asked for."""
WAITING_BYTES = 8
"""So many files of the largest size that may be sent are kept waiting, in bytes."""
CHUNK = 2**20
"""Bytes that are written at a time."""

NOT_ARRIVED = "The file did not arrive. Choose it again."
NO_ROOM = (
    "The file was not taken: the disk for temporary files of the machine that runs the studio is full. "
    "Make room there, then choose the file again."
)
NOT_WRITTEN = "The file was not taken: the studio could not write it ({why}). Choose it again."


class Uploads:
    """Files that wait to be asked for; of too many the oldest go. `limit` is the largest file's size in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[BinaryIO, int]] = {}

    def take(self, ticket: object) -> bytes:
        """The bytes of a file that was sent; nobody can take it a second time.

        Raises `UserError` for what is no ticket, or that of a file which was taken or waited too long.
        """
        with self._lock:
            file, _ = self._waiting.pop(ticket, (None, 0)) if isinstance(ticket, str) else (None, 0)
        if file is None:
            raise UserError(NOT_ARRIVED)
        with file:
            file.seek(0)
            return file.read()

    def keep(self, file: BinaryIO) -> str:
        """Lets `file` wait; the ticket that it is taken with."""
        ticket, size = secrets.token_urlsafe(16), file.tell()
        with self._lock:
            self._waiting[ticket] = (file, size)
            kept = sum(size for _, size in self._waiting.values())
            while len(self._waiting) > MOST_WAITING or kept > WAITING_BYTES * self.limit:
                oldest, gone = self._waiting.pop(next(iter(self._waiting)))
                oldest.close()
                kept -= gone
        return ticket

    def __len__(self) -> int:
        """How many files wait."""
        return len(self._waiting)

    def close(self) -> None:
        with self._lock:
            for file, _ in self._waiting.values():
                file.close()
            self._waiting.clear()

    async def taken(self, request: Request) -> str | Response:
        """The ticket of the file that is the request's body, or what is answered where it could not be kept."""
        try:
            file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  closed by whoever takes it
        except OSError as problem:
            return _not_written(problem)
        try:
            async for chunk in _gathered(request.stream()):
                await anyio.to_thread.run_sync(file.write, chunk)
        except ClientDisconnect:
            file.close()
            return Response(status_code=400)
        except OSError as problem:
            file.close()
            return _not_written(problem)
        except BaseException:
            file.close()
            raise
        return self.keep(file)

    def routes(self) -> list[BaseRoute]:
        """The route that files are sent to, as they are, without a form around them."""

        async def upload(request: Request) -> Response:
            """The ticket of the file that is the request's body."""
            taken = await self.taken(request)
            return taken if isinstance(taken, Response) else JSONResponse({"ticket": taken})

        return [APIRoute("/studio/upload", upload, methods=["POST"], include_in_schema=False)]


def _not_written(problem: OSError) -> Response:
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    words = NO_ROOM if full else NOT_WRITTEN.format(why=problem.strerror or "no reason was given")
    return PlainTextResponse(words, status_code=507)


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces: a browser sends some kilobytes at a time."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= CHUNK:
            yield bytes(held)
            held.clear()
    yield bytes(held)
