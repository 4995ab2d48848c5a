from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from studio.errors import DataFolderInUse, StorageError, StorageFull
from studio.history.turn import Outcome, Turn
from studio.store.record import JobNote, Record, Staged
from studio.store.store import DAY, Store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def test_a_session_reads_back_as_it_was_saved(store: Store, record: Record, turn_after: Any) -> None:
    assert store.load("sid") is None
    store.save(record, None)
    assert store.load("sid") == record
    first = turn_after(record.tree.here, "1" * 64, 1)
    second = turn_after(record.tree.here, "2" * 64, 2)
    staged = Staged(first.id, "3" * 64, first.request, Outcome(seconds=2.0))
    grown = replace(record, tree=record.tree.append(first).undo().append(second), staged=(staged,), rev=1)
    store.save(grown, record)
    assert store.load("sid") == grown
    back = replace(grown, tree=grown.tree.jump(first.id), staged=(), rev=2, panel={"draft": {"subject": "dog"}})
    store.save(back, grown)
    assert store.load("sid") == back
    (summary,) = store.summaries()
    assert (summary.sid, summary.turns, summary.picture) == ("sid", 2, "1" * 64)


def test_branches_that_are_gone_and_turns_in_the_trash_read_back(store: Store, record: Record, turn_after: Any) -> None:
    first = turn_after(record.tree.here, "1" * 64, 1)
    second, other = turn_after(first, "2" * 64, 2), turn_after(first, "3" * 64, 3)
    tree = record.tree.append(first).append(second).jump(first.id).append(other).branch_here("zoo").branch_here("ark")
    saved = record
    store.save(saved, None)
    for changed in (
        tree,
        tree.rename_branch("main", "snow"),
        tree.trash(other.id),
        tree.trash(other.id).trash(first.id),
        tree.trash(other.id).trash(first.id).restore(other.id),
        tree,
    ):
        new = replace(saved, tree=changed, rev=saved.rev + 1)
        store.save(new, saved)
        saved = new
        loaded = store.load("sid")
        assert loaded == new
        assert list(loaded.tree.branches) == list(changed.branches), "in the order they were made"
        assert [list(t.branches) for t in loaded.tree.trashed] == [list(t.branches) for t in changed.trashed]
        assert store.summaries()[0].turns == len(changed.visible) - 1


def test_sessions_are_listed_found_by_their_words_and_hidden_in_the_trash(
    store: Store, record: Record, turn_after: Any
) -> None:
    original = record.tree.here
    snow = replace(turn_after(original, "").request, subject="a RED fox", background="in Schnee über dem Fjord")
    for i, (name, tree) in enumerate(
        [
            ("Cafe\u0301.png", record.tree),
            ("100%.png", record.tree.append(Turn.after(original.id, snow, "1" * 64, Outcome()))),
            ("_x.png", record.tree.append(turn_after(original, "2" * 64))),
        ]
    ):
        store.save(replace(record, sid=f"s{i}", name=name, tree=tree, saved_at=float(i)), None)

    def found(search: str = "", **options: Any) -> list[str]:
        return [summary.sid for summary in store.summaries(search, **options)]

    assert found() == ["s2", "s1", "s0"] and found(limit=1, offset=1) == ["s1"] and found(offset=5) == []
    assert found("red  ÜBER") == found("fjord 100%") == found("SCHNEE") == ["s1"]
    assert found("red dog") == [] and found("dog") == ["s2"] and found("CAFÉ") == ["s0"]
    assert found("%") == ["s1"] and found("_") == ["s2"] and found("' OR 1=1 --") == []
    assert found("dog " * 10_000) == ["s2"], "as much is read as anybody types"
    store.trash("s2", 10.0)
    store.trash("s0", 11.0)
    assert found() == ["s1"] and found(trashed=True) == ["s0", "s2"] and found("dog", trashed=True) == ["s2"]
    assert store.trashed() == {"s0", "s2"}
    saved = store.load("s2")
    assert saved is not None
    store.save(replace(saved, rev=1, name="Wolf"), saved)
    assert store.trashed() == {"s0", "s2"}, "a job that ends meanwhile brings nothing back"
    store.trash("s2", None)
    assert found() == ["s2", "s1"] and found("wolf") == ["s2"] and found("_x") == []


def test_order_is_of_appending_whatever_the_clock_says(store: Store, record: Record, turn_after: Any) -> None:
    first = replace(turn_after(record.tree.here, "1" * 64), created_at=9e9)
    second = replace(turn_after(first, "2" * 64), created_at=-5.0)
    grown = replace(record, tree=record.tree.append(first).append(second))
    store.save(grown, None)
    loaded = store.load("sid")
    assert loaded is not None and list(loaded.tree.turns) == [record.tree.current, first.id, second.id]


def test_a_full_disk_saves_nothing_and_is_survived(store: Store, record: Record, turn_after: Any) -> None:
    store.save(record, None)
    large = {"draft": {"subject": "dog " * 50_000}}
    grown = replace(record, tree=record.tree.append(turn_after(record.tree.here, "1" * 64)), rev=1, panel=large)

    def limit(connection: Connection, pages: int = 1) -> None:  # SQLite rounds up to what the file has now
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    event.listen(store.engine, "begin", limit)
    with pytest.raises(StorageFull, match="no space left"):
        store.save(grown, record)
    event.remove(store.engine, "begin", limit)
    assert store.load("sid") == record
    event.listen(store.engine, "begin", lambda connection: limit(connection, 1_000_000))
    store.save(grown, record)
    assert store.load("sid") == grown


def test_a_commit_that_fails_saves_nothing(store: Store, record: Record, turn_after: Any) -> None:
    store.save(record, None)
    grown = replace(record, tree=record.tree.append(turn_after(record.tree.here, "1" * 64)), rev=1)

    def pulled(connection: Connection) -> None:
        raise OSError(errno.EIO, "the disk was pulled")

    event.listen(store.engine, "commit", pulled)
    with pytest.raises(StorageError, match="the disk was pulled"):
        store.save(grown, record)
    event.remove(store.engine, "commit", pulled)
    assert store.load("sid") == record
    store.save(grown, record)
    assert store.load("sid") == grown


def test_jobs_left_open_are_interrupted_at_the_next_start(store: Store) -> None:
    for i, state in enumerate(("queued", "running", "done", "failed", "cancelled")):
        store.save_job(JobNote(f"j{i}", f"s{i}", "edit", state, queued_at=float(i)))
    assert store.interrupt_jobs(50.0) == 2
    states = [store.last_job(f"s{i}") for i in range(5)]
    assert [note.state for note in states if note] == ["interrupted", "interrupted", "done", "failed", "cancelled"]
    assert store.interrupt_jobs(51.0) == 0


def test_the_sweep_keeps_whatever_a_row_names(store: Store, record: Record, turn_after: Any) -> None:
    named = [store.pictures.put(name.encode()) for name in ("original", "turn", "draft mask")]
    orphan = store.pictures.put(b"orphan")
    turn = turn_after(record.tree.here, named[1])
    original = replace(record.tree.here, picture=named[0])
    tree = replace(record.tree, turns={original.id: original}).append(turn)
    store.save(replace(record, tree=tree, panel={"selections": {"now": {"mask": named[2]}}}), None)
    for path in (store.folder / "pictures").iterdir():
        os.utime(path, (0, 0))
    assert store.sweep(now=30 * DAY) == 0, "of this day there is one reading of the clock"
    assert store.sweep(now=32 * DAY) == 1
    assert not (store.folder / "pictures" / f"{orphan}.png").exists()
    assert [store.pictures.get(digest) for digest in named] == [b"original", b"turn", b"draft mask"]


def test_what_was_computed_is_remembered_by_every_session_and_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    assert store.remembered("swap") is None
    store.remember("swap", {"picture": "1" * 64, "score": (0.5, 1)})
    store.remember("mask", {"mask": None})
    assert store.remembered("swap") == {"picture": "1" * 64, "score": [0.5, 1]}
    store.remember("swap", {"picture": "2" * 64})
    store.close()
    again = Store(tmp_path / "data")
    assert again.remembered("swap") == {"picture": "2" * 64} and again.remembered("mask") == {"mask": None}
    again.close()


def test_answers_are_forgotten_after_thirty_days_without_use_and_their_files_with_them(store: Store) -> None:
    used, unused = (store.pictures.put(name) for name in (b"used", b"unused"))
    for key, digest in (("used", used), ("unused", unused)):
        store.remember(key, {"outcome": {"picture": digest}}, now=0.0)
    for path in (store.folder / "pictures").iterdir():
        os.utime(path, (0, 0))
    assert store.sweep(now=30 * DAY) == store.sweep(now=31 * DAY) == 0, "what an answer names is in use"
    writes = store.folder / "studio.db"
    before = writes.read_bytes()
    assert store.remembered("used", now=DAY) is not None and writes.read_bytes() == before
    assert store.remembered("used", now=20 * DAY) is not None and writes.read_bytes() != before
    assert store.sweep(now=32 * DAY) == 1
    assert store.remembered("unused") is None and store.pictures.get(used) == b"used"


def test_fitted_layers_are_found_by_their_key_until_others_need_the_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "small", fitted_room=25)
    digests = {key: store.keep_fitted(key, key.encode() * 10) for key in "ab"}
    for age, digest in enumerate(digests.values()):
        os.utime(store.folder / "fitted" / f"{digest}.safetensors", (age, age))
    found = store.fitted_before("a")
    assert found is not None and (found.digest, found.data) == (digests["a"], b"a" * 10)
    store.keep_fitted("c", b"c" * 10)
    assert store.fitted_before("b") is None, "used longest ago"
    assert store.fitted_before("a") is not None and store.fitted_before("c") is not None
    assert store.fitted_before("never kept") is None
    (store.folder / "fitted" / f"{digests['a']}.safetensors").write_bytes(b"aa")
    assert store.fitted_before("a") is None, "what is damaged is fitted again"
    assert store.keep_fitted("a", b"a" * 10) == digests["a"] and store.fitted_before("a") is not None
    store.close()
    store = Store(tmp_path / "small", fitted_room=15)
    assert store.sweep() == 1, "a start makes room as well"
    assert store.fitted_before("a") is not None
    store.close()


def test_threads_remember_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: store.remember(f"key {i % 5}", {"i": i % 5}), range(40)))
        assert list(threads.map(lambda i: store.remembered(f"key {i}"), range(6))) == [
            *({"i": i} for i in range(5)),
            None,
        ]


def test_a_second_server_is_refused_with_the_first_ones_pid(store: Store, tmp_path: Path) -> None:
    script = "import sys, pathlib; from studio.store.store import Store; Store(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1 and f"process {os.getpid()}) already uses" in second.stderr
    with pytest.raises(DataFolderInUse, match=f"process {os.getpid()}"):
        Store(tmp_path / "data")


def test_the_folder_is_free_again_after_close_and_can_be_moved(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path / "here")
    digest = store.pictures.put(b"picture")
    store.save(record, None)
    store.close()
    (tmp_path / "here").rename(tmp_path / "wändert")
    moved = Store(tmp_path / "wändert")
    assert moved.load("sid") == record and moved.pictures.get(digest) == b"picture"
    moved.close()


def test_a_data_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match="data folder"):
        Store(tmp_path / "data")


def test_ids_are_data_and_not_sql(store: Store, record: Record) -> None:
    store.save(record, None)
    assert store.load("' OR 1=1 --") is None
    assert store.load("sid") == record
