"""A data folder opened for one command, the session that a file or an id stands for, and the turn a number means."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipelines.contract import Extent
from studio.app import Studio, build_studio
from studio.cli.report import say, write
from studio.errors import UnknownBranch, UnknownTurn
from studio.history.tree import Tree
from studio.session.computing import Computing
from studio.settings import Settings
from studio.store.archive.session_file import write_archive
from studio.store.blobs import Blobs
from studio.store.record import Record


@contextmanager
def opened(settings: Settings, data: Path | None) -> Iterator[Studio]:
    """The studio of the folder `data`, or of one that is gone afterwards.

    Raises `DataFolderInUse` while another studio holds it.
    """
    if data is None:
        with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder, opened(settings, Path(folder)) as studio:
            yield studio
        return
    studio = build_studio(replace(settings, data=data, warm_up=False))
    if studio.store.notice:
        say(studio.store.notice)
    try:
        yield studio
    finally:
        studio.close()


def computing(studio: Studio, record: Record) -> Computing:
    """What computes turns of `record`, whether or not it is a session of the data folder."""
    return Computing(studio.services, Extent(record.width, record.height))


def line_of(tree: Tree, branch: str | None) -> tuple[str, ...]:
    """Ids from the original to the end of `branch`, by default the one stood on: turn 0, turn 1, and so on."""
    name = tree.branch if branch is None else branch
    if name not in tree.branches:
        raise UnknownBranch(f"the session has no branch {name!r:.80}; its branches are {', '.join(tree.branches)}")
    return tree.line(tree.branches[name])


def numbered(line: tuple[str, ...], number: int) -> str:
    """The turn of that number on `line`."""
    if not 0 <= number < len(line):
        raise UnknownTurn(f"the branch has the turns 0 (the original) to {len(line) - 1}; got {number}")
    return line[number]


def session_bytes(record: Record, pictures: Blobs) -> bytes:
    """A session file. Raises what `write_archive` raises."""
    buffer = io.BytesIO()
    write_archive(record, pictures, buffer)
    return buffer.getvalue()


def write_session(path: Path, record: Record, pictures: Blobs) -> None:
    """Write a session file, whole or not at all. Raises what `write_archive` and `write` raise."""
    write(path, session_bytes(record, pictures))
