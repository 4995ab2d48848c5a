"""Whatever fails or kills, and whenever: what was acknowledged is whole, and what was not is not there at all."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from pipelines.contract import Quality, Scope
from pipelines.pictures import encode_png
from studio.errors import StorageError, UserError
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.store.files import Files
from studio.store.record import Record
from studio.store.recovery import DATABASE
from studio.store.store import Store

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL")


def turn(store: Store, parent: Turn, number: int) -> Turn:
    """A turn with a picture of its own."""
    asked = TurnRequest(
        model="m",
        weights="w",
        method="sdedit",
        params={},
        quality=Quality.DRAFT,
        subject=f"dog {number}",
        background="",
        scope=Scope.BOTH,
        seed=number,
        mask=None,
        prompts={},
        feather=2.0,
    )
    return Turn.after(parent.id, asked, store.pictures.put(f"{parent.id} {number}".encode()), Outcome())


class Acknowledged:
    """What the store said it has of the sessions `a` and `b`."""

    def __init__(self, number: int) -> None:
        self.a, self.b, self.key = f"a{number}", f"b{number}", f"mask {number}"
        self.records: dict[str, Record] = {}
        self.memo: dict[str, Any] | None = None
        self.trashed: set[str] = set()

    def steps(self, store: Store) -> Iterator[Callable[[], None]]:
        """One after another, each noted when it returned."""

        def save(record: Record) -> None:
            store.save(record, self.records.get(record.sid))
            self.records[record.sid] = record

        def new(sid: str) -> None:
            original = Turn.original(store.pictures.put(f"picture of {sid}".encode()))
            save(Record(sid, sid, 1.0, 1, 1, Tree.planted(original), {}))

        def change(sid: str, changed: Callable[[Tree], Tree]) -> None:
            if record := self.records.get(sid):
                save(replace(record, tree=changed(record.tree), rev=record.rev + 1))

        def grow(sid: str) -> None:
            change(sid, lambda tree: tree.append(turn(store, tree.here, len(self.records) + len(tree.turns))))

        def remember() -> None:
            value = {"picture": store.pictures.put(self.key.encode())}
            store.remember(self.key, value)
            self.memo = value

        def trash(sid: str, at: float | None) -> None:
            if sid in self.records:
                store.trash(sid, at)
                (self.trashed.discard if at is None else self.trashed.add)(sid)

        yield lambda: new(self.a)
        yield lambda: grow(self.a)
        yield remember
        yield lambda: change(self.a, lambda tree: tree.branch_here("snow"))
        yield lambda: grow(self.a)
        yield lambda: change(self.a, lambda tree: tree.trash(tree.current) if tree.can_undo else tree)
        yield lambda: new(self.b)
        yield lambda: trash(self.a, 1.0)
        yield lambda: grow(self.b)
        yield lambda: change(self.a, lambda tree: tree.restore(tree.trashed[0].cut) if tree.trashed else tree)
        yield remember
        yield lambda: trash(self.b, 2.0)
        yield lambda: trash(self.a, None)

    def hold(self, store: Store) -> None:
        """Exactly this is there, and every file of it is whole."""
        mine = {self.a, self.b}
        assert {sid: record for sid in mine if (record := store.load(sid))} == self.records
        assert mine & store.trashed() == self.trashed
        assert mine & {s.sid for s in store.summaries()} == set(self.records) - self.trashed
        assert mine & {s.sid for s in store.summaries(trashed=True)} == self.trashed
        assert store.remembered(self.key) == self.memo
        for record in self.records.values():
            for digest in frozenset[str]().union(*(turn.files() for turn in record.tree.turns.values())):
                store.pictures.get(digest)
        assert self.memo is None or store.pictures.get(self.memo["picture"])


def test_h03_when_the_kth_call_fails_every_acknowledged_change_is_whole(tmp_path: Path, faulty: Any) -> None:
    files = faulty()
    store = Store(tmp_path / "data", files)
    event.listen(store.engine, "commit", lambda connection: files.call("commit"))
    every: list[Acknowledged] = []
    for k in range(1, 200):
        files.fail_at, files.count, files.error = k, 0, errno.ENOSPC if k % 2 else errno.EIO
        every.append(Acknowledged(k))
        failed = 0
        for step in every[-1].steps(store):
            try:
                step()
            except StorageError:
                failed += 1
        through, files.fail_at = files.count < k, 0
        every[-1].hold(store)
        assert not list(store.folder.rglob("*.part"))
        assert failed == (0 if through else 1), "whatever fails, what comes after works"
        if through:
            break
    else:
        pytest.fail("it never got through")
    assert k > 40 and {"create", "write", "fsync", "rename", "fsync_dir", "commit"} <= set(files.log)
    store.close()
    again = Store(tmp_path / "data")
    again.sweep()
    for acknowledged in every:
        acknowledged.hold(again)
    again.close()


# Kills. A forked child is a process of its own, killed as the system kills.


def child(action: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def outcome(pid: int) -> int:
    """Its exit code; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def lethal(faulty: Any) -> Callable[[int], Files]:
    """Files whose k-th call kills the process."""

    class LethalFiles(faulty):  # type: ignore[misc]
        def call(self, name: str) -> None:
            super().call(name)
            if self.count == self.k:
                os.kill(os.getpid(), signal.SIGKILL)

    def make(k: int) -> Files:
        files: Files = LethalFiles()
        files.k = k  # type: ignore[attr-defined]
        return files

    return make


@needs_fork
@pytest.mark.parametrize("ends", ["fails", "is killed"])
def test_h10_a_recovery_that_ends_at_any_call_is_done_again_by_the_next_start(
    tmp_path: Path, faulty: Any, lethal: Callable[[int], Files], ends: str
) -> None:
    lost = tmp_path / "lost"
    store = Store(lost)
    for level, sid in enumerate(("old", "new")):
        picture = store.pictures.put(encode_png(np.full((32, 48, 3), level, np.uint8)))
        store.save(Record(sid, sid, 1.0, 48, 32, Tree.planted(Turn.original(picture)), {}), None)
        if sid == "old":
            store.close()
            shutil.rmtree(lost / "backups")
            store = Store(lost)
    store.close()
    path = lost / DATABASE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    broken = path.read_bytes()
    for k in range(1, 100):
        folder = tmp_path / str(k)
        shutil.copytree(lost, folder)
        if ends == "fails":
            files = faulty(k)
            with suppress(UserError):
                Store(folder, files).close()
            through = files.count < k
        else:
            ended = outcome(child(lambda folder=folder, k=k: Store(folder, lethal(k)).close()))  # type: ignore[misc]
            assert ended in (0, -signal.SIGKILL)
            through = ended == 0
        store = Store(folder)
        assert {summary.name for summary in store.summaries()} == {"old", "recovered 1"}
        asides = [file.read_bytes() for file in (folder / "recovered").rglob(f"*{DATABASE}")]
        assert broken in asides, f"call {k} lost the damaged database"
        assert not list((folder / "recovered").rglob("unfinished")) and not list((folder / "recovered").rglob("*.part"))
        store.close()
        shutil.rmtree(folder)
        if through:
            break
    else:
        pytest.fail("it never got through")
    assert k > 15, "the loop went through the whole recovery"


@needs_fork
def test_h01_kill_9_at_any_moment_leaves_every_acknowledged_turn_whole(tmp_path: Path) -> None:
    """A child appends turns and says which; it is killed twenty times, each time at another moment."""
    folder, moments = tmp_path / "data", random.Random(3)
    acknowledged: list[str] = []
    for kills in range(1, 21):
        reading, writing = os.pipe()
        pid = child(lambda writing=writing: append_turns(folder, writing))  # type: ignore[misc]
        os.close(writing)
        with os.fdopen(reading) as said:
            acknowledged += [said.readline().strip() for _ in range(moments.randint(1, 4))]
            time.sleep(moments.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            acknowledged += [line.strip() for line in said if line.endswith("\n")]
        assert outcome(pid) == -signal.SIGKILL
        store = Store(folder)
        record = store.load("sid")
        assert record is not None and set(acknowledged) <= set(record.tree.turns)
        assert len(record.tree.turns) - 1 - len(acknowledged) <= kills, "only the turn under way is saved unheard"
        for kept in record.tree.turns.values():
            store.pictures.get(kept.picture)
            key = "" if kept.request is None else kept.request.key(kept.parent or "")
            assert kept.id not in acknowledged or store.remembered(key) == {"picture": kept.picture}
        store.sweep()
        assert not list(folder.rglob("*.part")) and store.notice is None
        store.close()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def append_turns(folder: Path, writing: int) -> None:
    store = Store(folder)
    record = store.load("sid")
    if record is None:
        tree = Tree.planted(Turn.original(store.pictures.put(b"0")))
        record = Record("sid", "n", 1.0, 1, 1, tree, {})
        store.save(record, None)
    while True:
        made = turn(store, record.tree.here, len(record.tree.turns))
        assert made.request is not None and made.parent is not None
        store.remember(made.request.key(made.parent), {"picture": made.picture})
        new = replace(record, tree=record.tree.append(made), rev=record.rev + 1)
        store.save(new, record)
        record = new
        os.write(writing, f"{made.id}\n".encode())
