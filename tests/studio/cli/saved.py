"""Session files for the command line's tests, made by a tiny model with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipelines.contract import Quality, Scope
from studio.app import build_studio
from studio.history.tree import Tree
from studio.history.turn import Turn, TurnRequest
from studio.jobs.job import JobState
from studio.session.session import Session
from studio.settings import ASSETS, Settings
from studio.store.archive.session_file import read_archive, write_archive
from studio.store.blobs import Blobs
from studio.store.files import Files
from studio.store.record import Record


def make(model: Path, photo: bytes, subject: bytes, data: Path, file: Path) -> None:
    """Write a session of three turns on the main line and one on a branch that leaves after the first."""
    studio = build_studio(Settings(data=data, model_folders=(model.parent, ASSETS / "models"), warm_up=False))
    try:
        session = studio.sessions.create(photo, "dog.png")
        session.upload_mask(subject)
        first = turn(session, model.name, "a red dog", "", Scope.SUBJECT)
        turn(session, model.name, "", "on the beach", Scope.BACKGROUND)
        end = turn(session, model.name, "a blue dog", "", Scope.SUBJECT)
        session.jump(first)
        turn(session, model.name, "", "at night", Scope.BACKGROUND)
        session.jump(end)
        record = studio.store.load(session.sid)
        assert record is not None
        with file.open("wb") as target:
            write_archive(record, studio.pictures, target)
    finally:
        studio.close()


def make_warm(model: Path, photo: bytes, subject: bytes, data: Path, file: Path) -> None:
    """Write a session of two turns by the layered method, the second of which began at what the first one fitted."""
    few = {"embed_steps": 2, "tuned": "lora", "tune_steps": 2, "tune_rate": 1e-3, "steps": 2, "warm_start": True}
    studio = build_studio(Settings(data=data, model_folders=(model.parent, ASSETS / "models"), warm_up=False))
    try:
        session = studio.sessions.create(photo, "dog.png")
        session.upload_mask(subject)
        for text in ("a red dog", "a blue dog"):
            turn(session, model.name, text, "", Scope.SUBJECT, "layered", few)
        record = studio.store.load(session.sid)
        assert record is not None
        with file.open("wb") as target:
            write_archive(record, studio.pictures, target)
    finally:
        studio.close()


def turn(
    session: Session,
    model: str,
    subject: str,
    background: str,
    scope: Scope,
    method: str = "inpaint",
    changes: Mapping[str, Any] = MappingProxyType({"steps": 2}),
) -> str:
    said = replace(session.view().draft, subject=subject, background=background, scope=scope, model=model)
    session.set_draft(replace(said, method=method, quality=Quality.DRAFT, changes=dict(changes)))
    session.start()
    view = session.view()
    while view.job is not None and view.job.state in (JobState.QUEUED, JobState.RUNNING):
        view = session.wait(view.rev, 1.0)
    return session.accept(0).id


def read(file: Path, folder: Path) -> tuple[Record, Blobs]:
    pictures = Blobs(folder, ".png", Files())
    return read_archive(file, pictures), pictures


def changed(file: Path, folder: Path, change: Callable[[Turn, TurnRequest, Blobs], tuple[TurnRequest, str]]) -> Path:
    """A copy of the session file with another request or picture for every edit, and ids that are right for them."""
    record, pictures = read(file, folder)
    now: dict[str, Turn] = {}
    for turn in record.tree.turns.values():
        if turn.parent is None or turn.request is None:
            now[turn.id] = turn
            continue
        request, picture = change(turn, turn.request, pictures)
        now[turn.id] = Turn.after(now[turn.parent].id, request, picture, turn.outcome, turn.created_at)
    branches = {name: now[tip].id for name, tip in record.tree.branches.items()}
    turns = {turn.id: turn for turn in now.values()}
    tree = Tree(turns, branches, record.tree.branch, now[record.tree.current].id)
    path = folder.parent / "changed.palimpsest"
    with path.open("wb") as target:
        write_archive(replace(record, tree=tree), pictures, target)
    return path
