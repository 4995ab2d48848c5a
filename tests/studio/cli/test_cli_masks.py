"""``masks``: those of a session file are listed, written, and followed by a session that is run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Extent
from pipelines.pictures import decode_mask, encode_mask
from studio.cli.opened import write_session
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run

LEFT = np.arange(40)[None, :].repeat(32, 0) < 20


@pytest.fixture
def with_masks(session_file: Path, tmp_path: Path) -> Path:
    """The session file with a mask that was saved on its second turn."""
    record, pictures = saved.read(session_file, tmp_path / "pictures")
    turn = record.tree.line(record.tree.branches["main"])[2]
    mask = {"name": "left half", "mask": pictures.put(encode_mask(LEFT)), "turn": turn, "area": 0.5}
    path = tmp_path / "masks.palimpsest"
    write_session(path, replace(record, panel={**record.panel, "masks": [mask]}), pictures)
    return path


def test_they_are_listed_and_written(run: Run, with_masks: Path, session_file: Path, tmp_path: Path) -> None:
    assert [(row["name"], row["area"]) for row in run("masks", with_masks, "--json").json] == [("left half", 0.5)]
    assert [line.split() for line in run("masks", with_masks).out.splitlines()] == [
        ["NAME", "COVERS"],
        ["left", "half", "50.0%"],
    ]
    assert run("masks", session_file, "--json").json == []
    out = tmp_path / "mask.png"
    ran = run("masks", with_masks, "--name", " left  half", "--out", out, "--json")
    assert ran.code == 0 and ran.json["out"] == str(out)
    np.testing.assert_array_equal(decode_mask(out.read_bytes(), Extent(40, 32)), LEFT)
    refused = run("masks", with_masks, "--name", "right half", "--out", out)
    assert refused.code == 2 and "no mask was saved as 'right half'; there are: left half" in refused.err
    assert run("masks", with_masks, "--name", "left half").code == 2, "which says no file to write"


def test_they_follow_their_turn_when_it_is_run_again(run: Run, tiny: Path, with_masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.palimpsest"
    ran = run("replay", with_masks, "--models", tiny.parent, "--out", out)
    assert ran.code == 0, ran.err
    record, _ = saved.read(out, tmp_path / "again")
    (mask,) = record.panel["masks"]
    assert mask["turn"] == record.tree.line(record.tree.branches["main"])[2]
