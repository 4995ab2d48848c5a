"""One session as one file, ``.palimpsest``: a ZIP of ``session.json`` and the pictures that it names.

``docs/palimpsest-format.md`` describes the format, `studio.store.archive.schema` is its schema. A file is checked whole
before anything of it is stored, so one that is wrong in any place leaves nothing behind.
"""

from __future__ import annotations

import secrets
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from pipelines import pictures as codec
from pipelines.catalog import usable
from pipelines.contract import Quality
from studio.history.turn import canonical_json, written
from studio.store.archive.checks import checked
from studio.store.archive.container import LARGEST_ARCHIVE, MOST_ENTRIES, Entries, new_entry, reading
from studio.store.archive.pictures import check_pictures, check_reference_masks, sizes_of
from studio.store.archive.schema import (
    FORMAT,
    LARGEST_JSON,
    MOST_TURNS,
    VERSION,
    BadArchive,
    Branch,
    Cut,
    SessionFile,
    StoredDraft,
    StoredMask,
    pictures_of,
)
from studio.store.blobs import Blobs
from studio.store.record import Record


def write_archive(record: Record, pictures: Blobs, target: BinaryIO) -> None:
    """Write the session to `target`; the same session gives the same bytes.

    Fitted layers, candidates nobody decided on, the mask of the turn in preparation and its steps, jobs and the
    session's id stay behind. Raises `DamagedFile` for a picture that is missing, and `BadArchive` for a session above
    the limits of a file; `target` then holds part of one.
    """
    session = _session_file(record)
    text = canonical_json(_to_json(session)).encode()
    digests = sorted(pictures_of(session))
    if len(text) > LARGEST_JSON or len(digests) >= MOST_ENTRIES or len(session.turns) > MOST_TURNS:
        raise BadArchive(
            f"a session file holds at most {MOST_TURNS} turns, {MOST_ENTRIES} pictures and {LARGEST_JSON >> 20} MB of "
            f"descriptions; this session has {len(session.turns)}, {len(digests)} and {len(text) / 2**20:.1f} MB. "
            "Export its pictures one by one instead"
        )
    checked(text)  # what would be refused is not handed out
    size = len(text)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(new_entry("session.json"), text)
        for digest in digests:
            data = pictures.get(digest)
            size += len(data)
            if size > LARGEST_ARCHIVE:
                raise BadArchive(
                    f"a session file holds at most {LARGEST_ARCHIVE >> 20} MB of pictures; this session has more. "
                    "Export its pictures one by one instead"
                )
            archive.writestr(new_entry(f"pictures/{digest}.png"), data)


def _session_file(record: Record) -> SessionFile:
    tree, draft = record.tree, record.panel["draft"]
    stored = StoredDraft(**{f.name: draft[f.name] for f in fields(StoredDraft) if f.name in draft})
    saved = (StoredMask(one["name"], one["mask"], one["turn"]) for one in record.panel.get("masks", ()))
    masks = tuple(one for one in saved if one.turn in tree.turns)
    return SessionFile(
        format=FORMAT,
        version=VERSION if any(turn.outcome.master for turn in tree.turns.values()) else 2 if masks else 1,
        studio=_studio_version(),
        name=record.name,
        created_at=record.created_at,
        width=record.width,
        height=record.height,
        turns=tuple(replace(turn, outcome=replace(turn.outcome, fitted=None)) for turn in tree.turns.values()),
        branches=_branches(tree.branches),
        branch=tree.branch,
        current=tree.current,
        trashed=tuple(Cut(trashed.cut, _branches(trashed.branches)) for trashed in tree.trashed),
        draft=replace(stored, changes=usable(stored.method, Quality(stored.quality), stored.changes)),
        notes=record.notes,
        masks=masks,
    )


def _to_json(session: SessionFile) -> dict[str, Any]:
    """Turns through their own `to_json`, whose text is what their ids are the hash of."""
    turns = [
        {
            **vars(turn),
            "request": None if turn.request is None else turn.request.to_json(),
            "outcome": turn.outcome.to_json(),
        }
        for turn in session.turns
    ]
    said = {**asdict(replace(session, turns=())), "turns": turns, "draft": written(session.draft)}
    return said if session.masks else {name: value for name, value in said.items() if name != "masks"}


def _branches(branches: Mapping[str, str]) -> tuple[Branch, ...]:
    return tuple(Branch(name, tip) for name, tip in branches.items())


def _studio_version() -> str:
    try:
        return metadata.version("palimpsest-studio")
    except metadata.PackageNotFoundError:  # run from its folder, not installed
        return ""


def read_archive(source: BinaryIO | Path, pictures: Blobs) -> Record:
    """The session in `source` under a new id, its pictures stored in `pictures`; the record itself is not saved.

    `Record.panel` holds the draft and the saved masks alone. Raises `BadArchive`, with what is wrong, for every file
    that is not wholly right, and nothing was stored then; `StorageError` when the pictures cannot be.
    """
    if isinstance(source, Path):
        with reading():
            file = source.open("rb")
        with file:
            return read_archive(file, pictures)
    entries = Entries(source)
    session, tree, frames = checked(entries.read("session.json", LARGEST_JSON))
    needed = pictures_of(session)
    entries.check(needed)
    check_reference_masks(session, check_pictures(entries, needed, sizes_of(session, frames)))
    for digest in needed:
        if pictures.put(entries.read(f"pictures/{digest}.png", codec.LARGEST_FILE)) != digest:
            raise BadArchive("the session file changed while it was read; import it again")
    areas = (codec.decode_mask(pictures.get(saved.mask), frames[saved.turn].extent).mean() for saved in session.masks)
    masks = [{**asdict(saved), "area": float(area)} for saved, area in zip(session.masks, areas, strict=True)]
    return Record(
        sid=secrets.token_hex(16),
        name=session.name,
        created_at=session.created_at,
        width=session.width,
        height=session.height,
        tree=tree,
        panel={"draft": asdict(session.draft), "masks": masks},
        notes=session.notes,
        saved_at=time.time(),
    )
