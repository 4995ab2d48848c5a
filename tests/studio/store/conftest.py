"""A file layer that fails where it is told to, and a session to save."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from pipelines.contract import Quality, Scope, StageReport
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.store.files import Files
from studio.store.record import Record


class FaultyFiles(Files):
    """Counts and notes the calls of the file layer; call number `fail_at` raises `error` instead.

    A failing write leaves half of its bytes behind, as a full disk does.
    """

    def __init__(self, fail_at: int = 0, error: int = errno.ENOSPC) -> None:
        self.fail_at, self.error, self.count = fail_at, error, 0
        self.log: list[str] = []

    def call(self, name: str) -> None:
        self.count += 1
        self.log.append(name)
        if self.count == self.fail_at:
            raise OSError(self.error, os.strerror(self.error))

    def create(self, path: Path) -> BinaryIO:
        self.call("create")
        return super().create(path)

    def write(self, handle: BinaryIO, data: bytes) -> None:
        try:
            self.call("write")
        except OSError:
            super().write(handle, data[: len(data) // 2])
            raise
        super().write(handle, data)

    def fsync(self, handle: BinaryIO) -> None:
        self.call("fsync")
        super().fsync(handle)

    def rename(self, old: Path, new: Path) -> None:
        self.call("rename")
        super().rename(old, new)

    def fsync_dir(self, folder: Path) -> None:
        self.call("fsync_dir")
        super().fsync_dir(folder)

    def unlink(self, path: Path) -> None:
        self.call("unlink")
        super().unlink(path)


@pytest.fixture
def faulty() -> type[FaultyFiles]:
    return FaultyFiles


def request_on(mask: str | None = None, seed: int = 7) -> TurnRequest:
    return TurnRequest(
        model="toybox",
        weights="w",
        method="layered",
        params={"steps": 5},
        quality=Quality.DRAFT,
        subject="a dog",
        background="",
        scope=Scope.SUBJECT,
        seed=seed,
        mask=mask,
        prompts={},
        feather=2.0,
    )


@pytest.fixture
def record() -> Record:
    original = Turn.original("0" * 64, 1.0)
    return Record("sid", "A dog", 1.0, 48, 32, Tree.planted(original), {"draft": {}}, ("turned upright",))


@pytest.fixture
def turn_after() -> object:
    """Makes a turn after another one."""

    def make(parent: Turn, picture: str, seed: int = 7) -> Turn:
        outcome = Outcome(seconds=1.5, stages=(StageReport("guidance", 1.5, 5),), outside_changed=1)
        return Turn.after(parent.id, request_on(seed=seed), picture, outcome, 2.0)

    return make
