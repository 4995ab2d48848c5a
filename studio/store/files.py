"""The few calls by which bytes reach the disk. All files of the store go through one `Files`, so that a test can make
each of these calls fail in turn, and a recording one can show their order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


class Files:
    """The operating system's file calls, one method each."""

    def create(self, path: Path) -> BinaryIO:
        """Open a new file; it must not exist."""
        return path.open("xb")

    def write(self, handle: BinaryIO, data: bytes) -> None:
        handle.write(data)
        handle.flush()

    def fsync(self, handle: BinaryIO) -> None:
        os.fsync(handle.fileno())

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def fsync_dir(self, folder: Path) -> None:
        """Make names in `folder` durable. Windows has no such call and needs none."""
        if os.name == "nt":
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def touch(self, path: Path) -> None:
        """Make the time of `path` now; it must exist."""
        os.utime(path)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)
