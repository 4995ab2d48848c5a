"""Files named by the SHA-256 of their bytes: pictures and masks as PNG, fitted layers as safetensors.

A file appears under its name only when it is whole and on the disk: write to a temporary name, fsync, rename, fsync of
the folder. Names are relative, so the data folder can be moved.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from threading import Lock

from studio.errors import DamagedFile
from studio.store.faults import storing
from studio.store.files import Files

DIGEST = re.compile(r"[0-9a-f]{64}")
GRACE = 24 * 3600.0
"""Seconds that a file nobody refers to is kept: a draft's mask may still be on its way into a row."""


class Blobs:
    """One folder of content-addressed files of one kind."""

    def __init__(self, folder: Path, suffix: str, files: Files) -> None:
        """`folder` is made if it is missing; `suffix` is ``".png"`` or the like."""
        self._folder = folder
        self._suffix = suffix
        self._files = files
        self._writing = Lock()
        with storing():
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Store `data` and give its digest. When this returns, the file survives a power cut."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        with self._writing, storing():
            if not self._holds(path, data):
                self._write(path, data)
            else:
                self._files.touch(path)  # a file that nobody named may be about to be named again
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of `digest`; raises `DamagedFile` when they are missing or not what they were."""
        try:
            data = self._path(digest).read_bytes() if DIGEST.fullmatch(digest) else b""
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedFile(
                "a stored picture is missing or damaged on the disk; the other turns are untouched. "
                "Stand on another turn, or restore the data folder from a backup"
            )
        return data

    def has(self, digest: str) -> bool:
        """Whether there is a file of that name; its bytes are checked when it is read."""
        return bool(DIGEST.fullmatch(digest)) and self._path(digest).exists()

    def sweep(self, used: Collection[str], now: float, grace: float = GRACE) -> int:
        """Remove leftovers of a crash, and files that nothing refers to and that are then `grace` seconds old."""
        removed = 0
        with self._writing:
            for path in self._folder.iterdir():
                leftover = path.suffix == ".part"
                orphan = path.suffix == self._suffix and path.stem not in used
                if leftover or (orphan and now - path.stat().st_mtime > grace):
                    self._files.unlink(path)
                    removed += 1
        return removed

    def touch(self, digest: str) -> None:
        """Note that the file was used just now; see `trim`."""
        with storing():
            self._files.touch(self._path(digest))

    def trim(self, room: int) -> int:
        """Remove the files used longest ago, until the others take `room` bytes at most; gives their number.

        Only for files that can be made again, whoever names them.
        """
        removed = 0
        with self._writing, storing():
            stats = [(path, path.stat()) for path in self._folder.glob(f"*{self._suffix}")]
            for path, stat in sorted(stats, key=lambda each: each[1].st_mtime_ns, reverse=True):
                room -= stat.st_size
                if room < 0:
                    self._files.unlink(path)
                    removed += 1
        return removed

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{self._suffix}"

    def _holds(self, path: Path, data: bytes) -> bool:
        """Whether the file is there and right; one that a failing disk cut short is written again."""
        try:
            return path.read_bytes() == data
        except FileNotFoundError:
            return False

    def _write(self, path: Path, data: bytes) -> None:
        part = self._folder / f"{secrets.token_hex(8)}.part"
        try:
            with self._files.create(part) as handle:
                self._files.write(handle, data)
                self._files.fsync(handle)
            self._files.rename(part, path)
            self._files.fsync_dir(self._folder)
        except BaseException:
            # After a failed fsync nothing is known of what reached the disk: take it back, so that it is never reused.
            for leftover in (part, path):
                with suppress(OSError):
                    self._files.unlink(leftover)
            raise
