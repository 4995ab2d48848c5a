"""One studio per data folder, held by a lock that the operating system drops when the process dies, however it dies."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from studio.errors import DataFolderInUse
from studio.store.faults import storing


class FolderLock:
    """Holds `folder` from construction until `release`; raises `DataFolderInUse` naming the holder's process."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "studio.lock", thread_local=False)
        pid_file = folder / "studio.pid"
        with storing():
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                holder = pid_file.read_text().strip() if pid_file.exists() else "unknown"
                raise DataFolderInUse(
                    f"another studio (process {holder}) already uses the data folder {folder}. "
                    "Stop it first, name another folder (--data or PALIMPSEST_DATA), or let a command ask that studio "
                    "(--server and its address)"
                ) from None
            pid_file.write_text(f"{os.getpid()}\n")

    def release(self) -> None:
        self._lock.release()
