"""What the commands say of a data folder in which something is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from pipelines.pictures import encode_png
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.store.record import Record
from studio.store.store import Store
from tests.studio.cli.conftest import Run


def folder(tmp_path: Path, *edits: str) -> Path:
    """A data folder with the sessions ``old``, which is in today's copy, and ``new``, after these edits."""
    data = tmp_path / "data"
    for number, sid in enumerate(("old", "new")):
        store = Store(data)
        picture = store.pictures.put(encode_png(np.full((32, 48, 3), number, np.uint8)))
        store.save(Record(sid, f"the {sid} one", 1.0, 48, 32, Tree.planted(Turn.original(picture)), {}), None)
        for copy in (data / "backups").iterdir():
            copy.unlink()
        store.close()
    store = Store(data)
    store.close()
    with closing(sqlite3.connect(data / "studio.db")) as connection, connection:
        for edit in edits:
            connection.execute(edit)
    return data


def test_a_damaged_session_is_listed_as_such_and_exported_as_far_as_it_is_whole(run: Run, tmp_path: Path) -> None:
    data = folder(tmp_path, "UPDATE sessions SET name = 'other', rev = 7 WHERE sid = 'new'")
    listed = run("sessions", "--data", data)
    assert listed.code == 0 and [line.endswith("damaged") for line in listed.out.splitlines()[1:]] == [True, False]
    rows = run("sessions", "--data", data, "--json").json
    assert {row["session"]: row["damaged"] for row in rows} == {"new": True, "old": False}
    exported = run("export", "new", "--to", "png", "--out", tmp_path / "new.png", "--data", data)
    assert exported.code == 0 and (tmp_path / "new.png").is_file()
    assert exported.err.startswith("new: Something of this session is not what was saved")
    refused = run("sessions", "rename", "new", "better", "--data", data)
    assert refused.code == 2 and "Duplicate it to go on" in refused.err
    copied = run("sessions", "duplicate", "new", "--data", data)
    assert copied.code == 0 and run("sessions", "rename", copied.out.strip(), "better", "--data", data).code == 0


def test_the_first_command_after_a_start_that_mended_something_says_what(run: Run, tmp_path: Path) -> None:
    data = folder(tmp_path, "UPDATE sessions SET name = 'other' WHERE sid = 'old'")
    first, second = run("sessions", "--data", data), run("sessions", "--data", data)
    assert "put back as they were, from a copy: the old one" in first.err
    assert second.err == "" and second.out == first.out and "the old one" in second.out
