"""The models folder of one's own: what was pulled or added, a record of its files, taking it out and verifying it.

``OWN/NAME`` is a model: a folder or file that was fetched, or a link to one that lies elsewhere. ``OWN/loras`` holds
LoRA files in the same way, with records of their own.
``OWN/.records/NAME.json`` says where it came from, with the size and SHA-256 of every file. What is still being fetched
lies under ``OWN/.fetching`` and is no model yet. Nothing here uses the network, and this file imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import ModelError
from pipelines.models.configs import is_plain_name, read_json
from pipelines.models.folders import LORA, ModelCard, card_of, find_models
from pipelines.models.other_files import refused_by_name
from pipelines.models.weights import read_header
from pipelines.progress import Progress, silent

RECORDS = ".records"
FETCHING = ".fetching"
LORAS = "loras"
"""Where LoRA files lie in a models folder; those that were pulled have their own ``.records`` there."""
CHUNK = 4 * 2**20
"""Bytes read at once."""
MB = 10**6


@dataclass(frozen=True)
class FileMark:
    """What a file must be, byte for byte."""

    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """Where a model came from and what it was then."""

    source: str
    """``owner/name`` on the hub, or the name of the folder that was added."""
    files: Mapping[str, FileMark]
    """By path inside the model, with ``/``; a model that is one file has its name here."""
    revision: str = ""
    """The branch, tag or commit that was asked for; empty for what was added."""
    commit: str = ""
    """The hub's commit that the files are of: 40 hex digits."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelRecord:
        files = {str(path): FileMark(int(m["size"]), str(m["sha256"])) for path, m in data["files"].items()}
        if not all(is_plain_name(part) for path in files for part in path.split("/")):
            raise ValueError("a file outside the model")
        return cls(str(data["source"]), files, str(data["revision"]), str(data["commit"]))


@dataclass(frozen=True)
class Verified:
    """What looking at every byte of a model found."""

    recorded: bool
    """True where there was a record to compare with; without one only the form of the weights can be checked."""
    files: int
    faults: tuple[str, ...] = field(default=())


def place_of(card: ModelCard, own: Path) -> Path:
    """Where in one's own folder such a thing lies, with its record."""
    return own / LORAS if card.kind == LORA else own


def record_for(card: ModelCard, own: Path) -> ModelRecord | None:
    """The record of this model or LoRA, not of another one that has its name; raises as `record_of`."""
    place = place_of(card, own)
    return record_of(place, card.id) if card.path.parent == place else None


def record_of(own: Path, name: str) -> ModelRecord | None:
    """The record of the model `name`, where it was pulled or added."""
    path = own / RECORDS / f"{name}.json"
    try:
        return ModelRecord.from_json(read_json(path)) if path.is_file() else None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelError(f"{path} is damaged; remove it, and the model {name!r} is used without a record") from None


def save_record(own: Path, name: str, record: ModelRecord) -> None:
    """Whole or not at all."""
    path = own / RECORDS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(record), indent=1, sort_keys=True), encoding="utf-8")
    part.replace(path)


def refuse_taken(name: str, folders: Iterable[Path]) -> None:
    """Raise `ModelError` where a model cannot be called `name`: one of two with the same name would never be seen."""
    if not is_plain_name(name) or name.startswith("."):
        raise ModelError(
            f"a model cannot be called {name!r:.80}; its folder needs another name, without a dot in front"
        )
    folders = tuple(folders)
    lies = [folder / name for folder in folders if (folder / name).exists() or (folder / name).is_symlink()]
    lies += [card.path for id, card in find_models(folders).items() if id == name]
    if lies:
        raise ModelError(f"there is a model called {name!r} already, in {lies[0]}; remove that one first")


def add(path: Path, own: Path, folders: Iterable[Path], progress: Progress = silent) -> ModelCard:
    """Take in a model that lies elsewhere, by a link; its files are left where they are. Raises `ModelError`."""
    try:
        source = path.expanduser().resolve()
        exists = source.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links, a home of nobody
        raise ModelError(
            f"{str(path)!r:.200} cannot be a path ({error}); name the folder of a model, or its file"
        ) from None
    if not exists:
        raise ModelError(f"{source} does not exist; name the folder of a model, or its file")
    if card_of(source) is None:
        raise refused_by_name(source, "a model") or ModelError(
            f"{source} is no model: expected a folder with model_index.json or config.json in it, or a checkpoint file"
        )
    called = source.stem if source.is_file() else source.name
    refuse_taken(called, (*folders, own))
    record = ModelRecord(source.name, marks(source, progress))
    link = own / source.name
    try:
        save_record(own, called, record)
        link.symlink_to(source, target_is_directory=source.is_dir())
    except OSError as error:
        raise ModelError(
            f"no link to {source} could be made in {own} ({error.strerror or error}); copy the model there instead"
        ) from None
    card = card_of(link)
    assert card is not None, "the link has the name and leads to the files of what was looked at above"
    return card


def remove(name: str, own: Path, folders: Iterable[Path], lora: bool | None = None) -> None:
    """Take out a pulled or added model, or a LoRA. What was pulled is deleted; of what was added only the link goes.

    `lora` says which of the two is meant; without it a LoRA only where no model has the name.
    """
    other = None if lora else find_models(folders).get(name)
    places = [own / LORAS] if lora else [own]
    if lora is None and other is None:
        places.append(own / LORAS)
    place = next((place for place in places if entry_of(name, place) or name in names(place)), None)
    if place is None:
        if other is not None:
            raise ModelError(
                f"the model {name!r} was neither pulled nor added: it lies in {other.path.parent}. "
                "Delete it there if you want it gone"
            )
        there = sorted(name for place in places for name in names(place))
        raise ModelError(
            f"there is no {'LoRA' if lora else 'model'} called {name!r} in {places[0]}; "
            f"pulled or added were: {', '.join(there) or 'none'}"
        )
    entry = entry_of(name, place)
    try:
        if entry is not None:
            _discard(entry, own)
        (place / RECORDS / f"{name}.json").unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(
            f"{entry or name} could not be removed ({error.strerror or error}); close what uses it, and try again"
        ) from None


def _discard(entry: Path, own: Path) -> None:
    if entry.is_symlink() or entry.is_file():
        entry.unlink()
        return
    # Gone from the list at once: what is half deleted must not look like a damaged model.
    doomed = own / FETCHING / f"{entry.name}.removed"
    doomed.parent.mkdir(exist_ok=True)
    shutil.rmtree(doomed, ignore_errors=True)
    entry.rename(doomed)
    shutil.rmtree(doomed)


def names(own: Path) -> list[str]:
    """Of everything that was pulled or added, a link that leads nowhere by now included."""
    return sorted(path.stem for path in (own / RECORDS).glob("*.json")) if (own / RECORDS).is_dir() else []


def entry_of(name: str, own: Path) -> Path | None:
    """Where a model lies in its place, `own`: a folder or link of that name, or a file with that stem."""
    if not is_plain_name(name) or name.startswith(".") or not own.is_dir():
        return None
    for path in sorted(own.iterdir()):
        named = path.name == name and name != LORAS
        if named or (path.stem == name and path.suffix in (".safetensors", ".pth")):
            return path
    return None


def verify(card: ModelCard, own: Path, progress: Progress = silent) -> Verified:
    """Read every byte of a model or LoRA again and compare with its record; what is wrong is named, nothing is changed.

    Without a record every ``.safetensors`` must be whole: as long as its own header says.
    """
    record = record_for(card, own)
    if record is None:
        weights = [path for path in _files(card.path) if path.suffix == ".safetensors"]
        faults = [fault for path in weights if (fault := cut_short(path)) is not None]
        return Verified(False, len(weights), tuple(faults))
    faults = []
    told = counted(progress, "verifying, MB", sum(mark.size for mark in record.files.values()))
    for path, mark in record.files.items():
        file = card.path if card.path.is_file() else card.path / path
        try:
            size = file.stat().st_size
            if size != mark.size:
                faults.append(f"{path} has {size} bytes; it had {mark.size}")
            elif (found := sha256_of(file, told)) != mark.sha256:
                faults.append(f"{path} has changed: its SHA-256 is {found[:12]}…, it was {mark.sha256[:12]}…")
        except OSError as error:
            faults.append(f"{path} cannot be read ({error.strerror or error})")
    return Verified(True, len(record.files), tuple(faults))


def marks(model: Path, progress: Progress = silent) -> dict[str, FileMark]:
    """Size and SHA-256 of every file of a model."""
    files = _files(model)
    told = counted(progress, "reading, MB", sum(path.stat().st_size for path in files))
    return {
        path.name if model.is_file() else path.relative_to(model).as_posix(): FileMark(
            path.stat().st_size, sha256_of(path, told)
        )
        for path in files
    }


def size_of(model: Path) -> int:
    """Bytes of all its files; one that is taken away meanwhile counts nothing."""
    sizes = []
    for path in _files(model):
        with suppress(OSError):
            sizes.append(path.stat().st_size)
    return sum(sizes)


def sha256_of(path: Path, told: Callable[[int], None] = lambda _: None) -> str:
    """64 hex digits; `told` hears how many bytes were read since it was last called, and may raise."""
    digest = hashlib.sha256()
    for chunk in chunks(path):
        digest.update(chunk)
        told(len(chunk))
    return digest.hexdigest()


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a few megabytes at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def cut_short(path: Path) -> str | None:
    """Why a ``.safetensors`` cannot be whole, or ``None``."""
    try:
        read_header(path)
    except ModelError as error:
        return str(error)
    return None


def _files(model: Path) -> list[Path]:
    """Every file of a model, in a fixed order; hidden ones are not the model's."""
    if model.is_file():
        return [model]
    found = []
    for folder, inner, names in os.walk(model):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
    return found


def counted(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Bytes told as steps of a megabyte, from 0 on; `progress` is asked at every call, for it may stop the work."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        steps = max(1, -(-total // MB))
        progress(stage, steps if done >= total else done // MB, steps)

    return told
