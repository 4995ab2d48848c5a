"""A command line that is run in this process, on a tiny model with random weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.pictures import encode_mask, encode_png
from studio.cli.main import main
from tests.pipelines.conftest import write_tiny_model
from tests.studio.cli import saved


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``launch.py`` with these arguments."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["launch.py", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ran(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole text-to-image model for pictures of 32 pixels."""
    folder = tmp_path_factory.mktemp("own-models") / "tiny"
    write_tiny_model(folder)
    return folder


def photo_png() -> bytes:
    return encode_png(np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8))


def subject_png() -> bytes:
    mask = np.zeros((32, 40), np.bool_)
    mask[8:20, 14:26] = True
    return encode_mask(mask)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 40 x 32 pixels."""
    path = tmp_path / "photo.png"
    path.write_bytes(photo_png())
    return path


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    """A mask for `photo`."""
    path = tmp_path / "subject.png"
    path.write_bytes(subject_png())
    return path


@pytest.fixture(scope="session")
def session_file(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of `photo`: three turns on the main line, and one on a branch that leaves after the first."""
    folder = tmp_path_factory.mktemp("session-file")
    path = folder / "dog.palimpsest"
    saved.make(tiny, photo_png(), subject_png(), folder / "data", path)
    return path
