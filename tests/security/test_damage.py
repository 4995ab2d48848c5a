"""A failing disk: whatever bit of a data folder turns over, nothing that is shown is silently another thing, and what
is hit takes nothing else along."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Quality, Scope, StageReport
from pipelines.pictures import encode_mask, encode_png
from studio.errors import DamagedFile, DamagedSession
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.store.files import Files
from studio.store.record import JobNote, Record, Staged
from studio.store.recovery import DATABASE, back_up_daily
from studio.store.store import DAY, IN_PART, OLDER, Store

PLACES = 200
WIDTH, HEIGHT = 48, 32
TURNS = 6


def png(level: int) -> bytes:
    return encode_png(np.full((HEIGHT, WIDTH, 3), level, np.uint8))


def asked(words: str, seed: int, mask: str) -> TurnRequest:
    return TurnRequest(
        model="toybox",
        weights="0123abcd",
        method="layered",
        params={"steps": 5, "guidance": 7.5},
        quality=Quality.DRAFT,
        subject=words,
        background="on a beach at night",
        scope=Scope.SUBJECT,
        seed=seed,
        mask=mask,
        prompts={"clicks": [{"x": 12.5, "y": 20.0, "include": True}]},
        feather=2.0,
    )


def grown(store: Store, number: int) -> Record:
    """A session with two branches, a turn in the trash and a candidate that waits."""
    mask = store.pictures.put(encode_mask(np.eye(HEIGHT, WIDTH, number, dtype=bool)))
    tree = Tree.planted(Turn.original(store.pictures.put(png(40 * number)), 1.0 + number))
    first = tree.current
    for step in range(1, TURNS):
        outcome = Outcome(
            seconds=1.5,
            stages=(StageReport("guidance", 1.5, 5),),
            outside_kept=9,
        )
        request = asked(f"a dog of {step} colours, the {number}th", step, mask)
        picture = store.pictures.put(png(40 * number + step))
        tree = tree.append(Turn.after(tree.current, request, picture, outcome, 10.0 * step))
        if step == 3:
            tree = tree.jump(first)
    tree = tree.trash(tree.current).branch_here("another try")
    store.remember(f"answer {number}", {"picture": tree.here.picture, "area": 0.25})
    store.save_job(JobNote(f"job {number}", f"session {number}", "edit", "done", 5.0 + number))
    staged = Staged(tree.current, tree.here.picture, asked("a cat", 9, mask), Outcome(seconds=2.0))
    panel = {"draft": {"subject": f"the draft of session {number}", "seed": 7}, "editing": None}
    return Record(
        sid=f"session {number}",
        name=f"Dog number {number}",
        created_at=1.0,
        width=WIDTH,
        height=HEIGHT,
        tree=tree,
        panel=panel,
        notes=("turned upright",),
        staged=(staged,),
        rev=3 + number,
        saved_at=100.0 + number,
    )


@dataclass(frozen=True)
class Folder:
    """A data folder, and all that is in it."""

    path: Path
    records: dict[str, Record]
    pictures: dict[str, bytes]
    trashed: frozenset[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Five sessions, one of them in the trash. The copy of the database has the first three, one of them as it was
    before its last change."""
    path = tmp_path_factory.mktemp("whole") / "data"
    store = Store(path)
    shutil.rmtree(path / "backups")
    records = {}
    for number in range(5):
        record = grown(store, number)
        if number == 3:
            assert back_up_daily(path, Files()) is not None
            older = records["session 1"]
            records["session 1"] = replace(older, name="Renamed since", rev=older.rev + 1)
            store.save(records["session 1"], older)
        store.save(record, None)
        records[record.sid] = record
    store.trash("session 2", 50.0)
    store.close()
    pictures = {file.stem: file.read_bytes() for file in (path / "pictures").iterdir()}
    return Folder(path, records, pictures, frozenset({"session 2"}))


def damaged_copy(folder: Folder, into: Path, file: Path, damage: Callable[[bytearray], None]) -> Path:
    """A copy of the folder in which `file` is damaged; pictures, which nothing writes to, are the same files."""
    shutil.copytree(folder.path, into, ignore=shutil.ignore_patterns("*.png"))
    for picture in folder.pictures:
        os.link(folder.path / "pictures" / f"{picture}.png", into / "pictures" / f"{picture}.png")
    data = bytearray((folder.path / file).read_bytes())
    damage(data)
    (into / file).unlink()
    (into / file).write_bytes(data)
    return into


@dataclass(frozen=True)
class Looked:
    """What a studio makes of a data folder."""

    told: str
    """Whole, or of the sessions that are not, what is said."""
    hit: frozenset[str]
    """Sessions that are not as they were saved, which each says of itself."""
    pictures: int
    """That are damaged."""
    notice: str


def looked(folder: Folder, path: Path) -> Looked:
    """Open the folder as a studio does. Everything that it shows as whole must be as it was."""
    store = Store(path)
    try:
        store.interrupt_jobs(1e9)
        store.sweep()
        hit, told = set(), []
        listed = {s.sid: s for trashed in (False, True) for s in store.summaries(trashed=trashed)}
        by_words = {s.sid for trashed in (False, True) for s in store.summaries("a DOG beach", trashed)}
        for sid, record in folder.records.items():
            try:
                found = store.load(sid)
            except DamagedSession as problem:
                found = None
                told.append(str(problem))
            if found == record:
                summary = listed[sid]
                assert (summary.name, summary.saved_at) == (record.name, record.saved_at)
                assert (summary.turns, summary.picture) == (len(record.tree.visible) - 1, record.tree.here.picture)
                assert not summary.damaged
                assert (sid in store.trashed()) == (sid in folder.trashed)
                assert sid in by_words
                continue
            hit.add(sid)
            if found is not None:
                said = found.damage or "; ".join(note for note in found.notes if note in (OLDER, IN_PART))
                assert said, f"{sid} is silently another session"
                told.append(said)
                assert listed[sid].damaged == bool(found.damage)
                for id, turn in found.tree.turns.items():
                    was = record.tree.turns[id]
                    assert turn in (was, replace(was, outcome=Outcome(), created_at=0.0))
                found.tree.depths(), found.tree.lanes(), found.tree.jump(found.tree.current)
        for number in range(5):
            answer = {"picture": folder.records[f"session {number}"].tree.here.picture, "area": 0.25}
            assert store.remembered(f"answer {number}") in (answer, None)
            job = store.last_job(f"session {number}")
            assert job in (JobNote(f"job {number}", f"session {number}", "edit", "done", 5.0 + number), None)
        broken = 0
        for digest, data in folder.pictures.items():
            try:
                assert store.pictures.get(digest) == data
            except DamagedFile:
                broken += 1
        return Looked("\n".join(told), frozenset(hit), broken, store.notice or "")
    finally:
        store.close()


def test_a_whole_folder_is_whole(folder: Folder, tmp_path: Path) -> None:
    path = damaged_copy(folder, tmp_path / "data", Path(DATABASE), lambda data: None)
    assert looked(folder, path) == Looked("", frozenset(), 0, "")


def test_a_bit_that_turns_over_anywhere_harms_what_it_hits_and_is_told(folder: Folder, tmp_path: Path) -> None:
    draw = random.Random(22)
    files = sorted(file.relative_to(folder.path) for file in (folder.path / "pictures").iterdir())
    hits, told = 0, 0
    for number in range(PLACES):
        file = Path(DATABASE) if number % 5 else draw.choice(files)
        at, bit = draw.randrange((folder.path / file).stat().st_size), draw.randrange(8)

        def flip(data: bytearray, at: int = at, bit: int = bit) -> None:
            data[at] ^= 1 << bit

        path = damaged_copy(folder, tmp_path / str(number), file, flip)
        found = looked(folder, path)
        where = f"{file} byte {at} bit {bit}"
        assert len(found.hit) <= 1, (where, found)
        assert found.pictures == (file != Path(DATABASE)), where
        hits += bool(found.hit)
        told += bool(found.notice)
        shutil.rmtree(path)
    assert hits > 5 and told > 5, "the bits did hit something"


# ------------------------------------------------------------------------------------------- written to by others

ONE = "WHERE sid = 'session 4'"
THIRD = f"{ONE} AND seq = 3"
EDITS: dict[str, str] = {
    "another name": f"UPDATE sessions SET name = 'Cat' {ONE}",
    "no name": f"UPDATE sessions SET name = '' {ONE}",
    "a name that is a number": f"UPDATE sessions SET name = 7 {ONE}",
    "a name of bytes": f"UPDATE sessions SET name = x'ff00fe' {ONE}",
    "a name with a NUL": f"UPDATE sessions SET name = 'Dog' || char(0) || 'number 4' {ONE}",
    "a name that is no UTF-8": f"UPDATE sessions SET name = CAST(x'446f67ff' AS TEXT) {ONE}",
    "a size of words": f"UPDATE sessions SET width = 'wide' {ONE}",
    "a size of nothing": f"UPDATE sessions SET width = 0, height = -1 {ONE}",
    "a huge revision": f"UPDATE sessions SET rev = 9223372036854775807 {ONE}",
    "a time that is infinite": f"UPDATE sessions SET saved_at = 9e999, created_at = -9e999 {ONE}",
    "a time of words": f"UPDATE sessions SET saved_at = 'today' {ONE}",
    "standing on a turn of another session": (
        f"UPDATE sessions SET current = (SELECT id FROM turns WHERE sid = 'session 0' AND seq = 2) {ONE}"
    ),
    "standing on no branch": f"UPDATE sessions SET branch = 'none' {ONE}",
    "notes of another kind": f"UPDATE sessions SET notes = '{{\"a\": 1}}' {ONE}",
    "notes that nest for ever": f"UPDATE sessions SET notes = printf('%.*c', 200000, '[') {ONE}",
    "a panel of another kind": f"UPDATE sessions SET panel = '[1]' {ONE}",
    "a panel that is no JSON": f"UPDATE sessions SET panel = '{{' {ONE}",
    "a number without end": f"UPDATE sessions SET panel = '{{\"seed\": ' || printf('%.*c', 9000, '9') || '}}' {ONE}",
    "a trash of another kind": f"UPDATE sessions SET trash = '[[\"x\"]]' {ONE}",
    "a count of another kind": f"UPDATE sessions SET holds = 'x' {ONE}",
    "no seal": f"UPDATE sessions SET seal = '' {ONE}",
    "a branch to a turn of another session": (
        f"UPDATE branches SET tip = (SELECT id FROM turns WHERE sid = 'session 0' AND seq = 2) {ONE}"
    ),
    "a branch of another name": f"UPDATE branches SET name = char(27) || '[31m' {ONE} AND position = 0",
    "no branches": f"DELETE FROM branches {ONE}",
    "another text": f"UPDATE turns SET request = replace(request, 'a dog', 'a cow') {THIRD}",
    "a request of another kind": f"UPDATE turns SET request = '[]' {THIRD}",
    "a request that is a number": f"UPDATE turns SET request = 5 {THIRD}",
    "a request that nests for ever": f"UPDATE turns SET request = printf('%.*c', 200000, '[') {THIRD}",
    "no request": f"UPDATE turns SET request = NULL {THIRD}",
    "another picture": (
        f"UPDATE turns SET picture = (SELECT picture FROM turns WHERE sid = 'session 0' AND seq = 0) {THIRD}"
    ),
    "a picture that leads out": f"UPDATE turns SET picture = '../../etc/passwd' {THIRD}",
    "an original of another picture": f"UPDATE turns SET picture = '../studio' {ONE} AND seq = 0",
    "another outcome": f"UPDATE turns SET outcome = replace(outcome, '\"seconds\":1.5', '\"seconds\":0.1') {THIRD}",
    "an outcome of another kind": f"UPDATE turns SET outcome = 'null' {THIRD}",
    "a time of a turn": f"UPDATE turns SET created_at = 'never' {THIRD}",
    "a circle of parents": f"UPDATE turns SET parent = (SELECT id FROM turns {ONE} AND seq = 4) {ONE} AND seq = 1",
    "its own parent": f"UPDATE turns SET parent = id {THIRD}",
    "two originals": f"UPDATE turns SET parent = NULL, request = NULL {THIRD}",
    "another order": f"UPDATE turns SET seq = 10 - seq {ONE}",
    "a turn twice": (
        "INSERT INTO turns SELECT sid, 'copy', 99, parent, picture, request, outcome, created_at, seal "
        f"FROM turns {THIRD}"
    ),
    "a turn of another session": (
        "INSERT INTO turns SELECT 'session 4', id, 99, parent, picture, request, outcome, created_at, seal "
        "FROM turns WHERE sid = 'session 0' AND seq = 2"
    ),
    "a turn gone": f"DELETE FROM turns {THIRD}",
    "the original gone": f"DELETE FROM turns {ONE} AND seq = 0",
    "no turns": f"DELETE FROM turns {ONE}",
    "a candidate of another kind": f"UPDATE staged SET request = 'x', outcome = '[]' {ONE}",
    "a candidate gone": f"DELETE FROM staged {ONE}",
    "a session gone": f"DELETE FROM sessions {ONE}",
}
"""What stands in a database after another program wrote to it: SQLite finds nothing wrong with it."""
HARMLESS = {
    "a list of another kind": f"UPDATE gallery SET turns = 'many', words = x'00' {ONE}",
    "no list": "DELETE FROM gallery",
    "another answer": "UPDATE memo SET value = '[]'",
    "an answer for ever": "UPDATE memo SET used_at = 'for ever'",
    "a job of another kind": "UPDATE jobs SET kind = '', state = 'running', queued_at = 'x'",
    "a session of no name that a page could ask for": (
        "INSERT INTO sessions (sid, name, rev, created_at, saved_at, width, height, branch, current, panel, notes) "
        "VALUES (x'ff', x'ff', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x')"
    ),
}
"""What is derived is made again, what is remembered is forgotten, what nobody can ask for is left."""


def edited(folder: Folder, into: Path, edit: str) -> Path:
    path = damaged_copy(folder, into, Path(DATABASE), lambda data: None)
    with closing(sqlite3.connect(path / DATABASE)) as connection, connection:
        connection.execute(edit)
    return path


@pytest.mark.parametrize("edit", EDITS)
def test_what_another_program_wrote_is_told_and_the_other_sessions_are_as_they_were(
    folder: Folder, tmp_path: Path, edit: str
) -> None:
    found = looked(folder, edited(folder, tmp_path / "data", EDITS[edit]))
    assert found.hit == {"session 4"} and found.pictures == 0
    gone = edit == "a session gone"  # which leaves nothing that could tell
    assert bool(found.told) != gone and found.told.replace("\n", "").isprintable()


@pytest.mark.parametrize("edit", HARMLESS)
def test_what_can_be_made_again_is(folder: Folder, tmp_path: Path, edit: str) -> None:
    assert looked(folder, edited(folder, tmp_path / "data", HARMLESS[edit])).hit == set()


def test_a_session_that_is_in_a_copy_as_it_was_is_put_back_from_there(folder: Folder, tmp_path: Path) -> None:
    edits = (f"UPDATE sessions SET name = 'Cat', trashed_at = 'x' WHERE sid = 'session {number}'" for number in (0, 2))
    path = edited(folder, tmp_path / "data", next(edits))
    with closing(sqlite3.connect(path / DATABASE)) as connection, connection:
        connection.execute(next(edits))
    store = Store(path)
    assert store.notice is not None and "put back as they were, from a copy" in store.notice
    assert "Dog number 0" in store.notice and "Dog number 2" in store.notice
    found = [store.load(sid) for sid in ("session 0", "session 2")]
    assert found == [folder.records["session 0"], folder.records["session 2"]] and not store.damaged
    days = [store.purge(3, 1e9 + day * DAY) for day in range(9)]
    assert set(days) == {frozenset()}, "of the time it was trashed only the row knew, which was damaged"
    store.close()
