"""One session as one file, ``.palimpsest``: a ZIP of ``session.json`` and the pictures that it names.

``docs/palimpsest-format.md`` describes the format. The dataclasses below are its schema: what is read must have these
fields, of these types, and no others. A file is checked whole before anything of it is stored, so one that is wrong in
any place leaves nothing behind.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import stat
import struct
import time
import types
import typing
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_origin, get_type_hints

from pipelines import pictures as codec
from pipelines.contract import Extent, Quality, Scope
from pipelines.errors import PipelineError
from pipelines.evaluation.drift import Drift
from pipelines.masks.prompts import MaskPrompts
from pipelines.requests import check_loras
from studio.errors import UserError
from studio.history.tree import LONGEST_NAME as LONGEST_BRANCH
from studio.history.tree import Trashed, Tree
from studio.history.turn import Turn, TurnRequest, canonical_json, turn_id
from studio.store.blobs import DIGEST, Blobs
from studio.store.store import Record

FORMAT = "palimpsest"
VERSION = 1
LARGEST_ARCHIVE = 2**30
"""Bytes of the file, and of its entries together once unpacked."""
LARGEST_JSON = 10 * 2**20
"""Bytes."""
MOST_ENTRIES = 20_000
MOST_TURNS = 10_000
MOST_RATIO = 100
"""Unpacked bytes for a packed one. Our own files are not packed: a PNG is so already."""
MOST_PIXELS = 10**10
"""Of all pictures together: what they cost to decode, which their size in bytes does not show."""
DEEPEST = 32
"""Levels of lists and objects in the JSON."""
LARGEST_NUMBER = 2**63
LONGEST_TEXT = 100_000
"""Characters of what was typed."""
LONGEST_NAME = 120
"""Characters of a session's name."""
MOST_NOTES = 100
LATEST = 253_402_300_799.0
"""Seconds since 1970 at the end of the year 9999."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The same for every entry, so that the same session gives the same bytes."""

T = TypeVar("T")


class BadArchive(UserError):
    """A file is no session file that can be taken in, or a session is too large to become one."""


# -------------------------------------------------------------------------------------------- what session.json says


@dataclass(frozen=True)
class _Draft:
    """The texts and settings of the turn in preparation. Its mask steps stay where they were drawn."""

    subject: str
    background: str
    scope: Scope
    method: str
    quality: Quality
    candidates: int
    seed: int
    model: str
    changes: Mapping[str, Any]
    background_reference: str | None = None
    subject_reference: str | None = None
    loras: Mapping[str, Any] = field(default_factory=dict)
    subject_reference_mask: str | None = None


@dataclass(frozen=True)
class _Branch:
    name: str
    tip: str


@dataclass(frozen=True)
class _Cut:
    cut: str
    branches: tuple[_Branch, ...]


@dataclass(frozen=True)
class _SessionFile:
    format: str
    version: int
    studio: str
    """Version of the studio that wrote it; for people."""
    name: str
    created_at: float
    width: int
    height: int
    turns: tuple[Turn, ...]
    branches: tuple[_Branch, ...]
    branch: str
    current: str
    trashed: tuple[_Cut, ...]
    draft: _Draft
    notes: tuple[str, ...]


# ------------------------------------------------------------------------------------------------------------ writing


def write_archive(record: Record, pictures: Blobs, target: BinaryIO) -> None:
    """Write the session to `target`; the same session gives the same bytes.

    Fitted layers, candidates nobody decided on, the draft's mask steps, jobs and the session's id stay behind. Raises
    `DamagedFile` for a picture that is missing, and `BadArchive` for a session above the limits of a file; `target`
    then holds part of one.
    """
    session = _session_file(record)
    text = canonical_json(_to_json(session)).encode()
    digests = sorted(_pictures_of(session))
    if len(text) > LARGEST_JSON or len(digests) >= MOST_ENTRIES or len(session.turns) > MOST_TURNS:
        raise BadArchive(
            f"a session file holds at most {MOST_TURNS} turns, {MOST_ENTRIES} pictures and {LARGEST_JSON >> 20} MB of "
            f"descriptions; this session has {len(session.turns)}, {len(digests)} and {len(text) / 2**20:.1f} MB. "
            "Export its pictures one by one instead"
        )
    _checked(text)  # what would be refused is not handed out
    size = len(text)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("session.json"), text)
        for digest in digests:
            data = pictures.get(digest)
            size += len(data)
            if size > LARGEST_ARCHIVE:
                raise BadArchive(
                    f"a session file holds at most {LARGEST_ARCHIVE >> 20} MB of pictures; this session has more. "
                    "Export its pictures one by one instead"
                )
            archive.writestr(_entry(f"pictures/{digest}.png"), data)


def _session_file(record: Record) -> _SessionFile:
    tree, draft = record.tree, record.panel["draft"]
    return _SessionFile(
        format=FORMAT,
        version=VERSION,
        studio=_studio_version(),
        name=record.name,
        created_at=record.created_at,
        width=record.width,
        height=record.height,
        turns=tuple(replace(turn, outcome=replace(turn.outcome, fitted=None)) for turn in tree.turns.values()),
        branches=_branches(tree.branches),
        branch=tree.branch,
        current=tree.current,
        trashed=tuple(_Cut(trashed.cut, _branches(trashed.branches)) for trashed in tree.trashed),
        draft=_Draft(**{f.name: draft[f.name] for f in fields(_Draft) if f.name in draft}),
        notes=record.notes,
    )


def _to_json(session: _SessionFile) -> dict[str, Any]:
    """Turns through their own `to_json`, whose text is what their ids are the hash of."""
    turns = [
        {
            **vars(turn),
            "request": None if turn.request is None else turn.request.to_json(),
            "outcome": turn.outcome.to_json(),
        }
        for turn in session.turns
    ]
    return {**asdict(replace(session, turns=())), "turns": turns}


def _branches(branches: Mapping[str, str]) -> tuple[_Branch, ...]:
    return tuple(_Branch(name, tip) for name, tip in branches.items())


def _studio_version() -> str:
    try:
        return metadata.version("palimpsest-studio")
    except metadata.PackageNotFoundError:  # run from its folder, not installed
        return ""


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, ZIP_DATE)
    entry.create_system = 3  # as on Unix, wherever it is written
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


# ------------------------------------------------------------------------------------------------------------ reading


def read_archive(source: BinaryIO | Path, pictures: Blobs) -> Record:
    """The session in `source` under a new id, its pictures stored in `pictures`; the record itself is not saved.

    `Record.panel` holds the draft alone. Raises `BadArchive`, with what is wrong, for every file that is not wholly
    right, and nothing was stored then; `StorageError` when the pictures cannot be.
    """
    if isinstance(source, Path):
        with _reading():
            file = source.open("rb")
        with file:
            return read_archive(file, pictures)
    entries = _Entries(source)
    session, tree = _checked(entries.read("session.json", LARGEST_JSON))
    extent = Extent(session.width, session.height)
    needed = _pictures_of(session)
    _check_entries(entries, needed)
    _check_reference_masks(session, _check_pictures(entries, needed, extent))
    for digest in needed:
        if pictures.put(entries.read(f"pictures/{digest}.png", codec.LARGEST_FILE)) != digest:
            raise BadArchive("the session file changed while it was read; import it again")
    return Record(
        sid=secrets.token_hex(16),
        name=session.name,
        created_at=session.created_at,
        width=session.width,
        height=session.height,
        tree=tree,
        panel={"draft": asdict(session.draft)},
        notes=session.notes,
        saved_at=time.time(),
    )


@contextmanager
def _reading() -> Iterator[None]:
    """Around calls of the ZIP library, which trips over strangers' files in a dozen ways."""
    try:
        yield
    except BadArchive:
        raise
    except Exception as problem:
        raise BadArchive("this is not a whole session file: it is damaged or cut short; export it again") from problem


class _Entries:
    """The entries of a ZIP, their names and kinds checked at once, their bytes counted while they are read."""

    def __init__(self, source: BinaryIO) -> None:
        with _reading():
            _check_directory(source)
            self._zip = zipfile.ZipFile(source)
            self._infos: dict[str, zipfile.ZipInfo] = {}
            for info in self._zip.infolist():
                _check_entry(info)
                if info.filename in self._infos:
                    raise BadArchive(f"the session file has two entries of the name {info.filename!r:.100}")
                self._infos[info.filename] = info

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of an entry; `BadArchive` as soon as there are more than `limit`, or too many for its size."""
        info = self._infos.get(name)
        if info is None:
            raise BadArchive(f"the session file has no entry {name!r:.100}; export the session again")
        buffer = io.BytesIO()
        with _reading(), self._zip.open(info) as entry:
            while chunk := entry.read(2**16):
                buffer.write(chunk)
                if buffer.tell() > limit:
                    raise BadArchive(f"the entry {name!r:.100} of the session file is larger than {limit >> 20} MB")
                if buffer.tell() > MOST_RATIO * max(info.compress_size, 1):
                    raise BadArchive(f"the entry {name!r:.100} of the session file unpacks to far more than it holds")
        return buffer.getvalue()


def _check_directory(source: BinaryIO) -> None:
    """Look at the end of the ZIP before the library reads its directory, which it does whole and into memory."""
    size = source.seek(0, io.SEEK_END)
    if size > LARGEST_ARCHIVE:
        raise BadArchive(f"a session file has at most {LARGEST_ARCHIVE >> 20} MB; this one has {size >> 20} MB")
    source.seek(0)
    start = source.read(4)
    source.seek(max(size - 42, 0))
    tail = source.read(42)
    if start != b"PK\3\4" or len(tail) < 42 or tail[20:24] != b"PK\5\6":
        raise BadArchive("this is not a session file (.palimpsest); choose one that the studio exported")
    entries, directory, comment = struct.unpack("<10xHL4xH", tail[20:])
    if tail[:4] == b"PK\6\7" or entries > MOST_ENTRIES or directory > 256 * MOST_ENTRIES:
        raise BadArchive(f"a session file has at most {MOST_ENTRIES} entries; this one has more")
    if comment:
        raise BadArchive("a session file has no comment; this one has been changed by another program")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name, mode = info.orig_filename, info.external_attr >> 16
    if name != "session.json" and not re.fullmatch(r"pictures/[0-9a-f]{64}\.png", name):
        raise BadArchive(
            f"the session file has an entry {name!r:.100}; only session.json and pictures/<SHA-256>.png belong there"
        )
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.is_dir():
        raise BadArchive(f"the entry {name!r:.100} of the session file is no plain file")
    if info.flag_bits & 0x2041:  # encrypted, strongly so, or with a masked directory
        raise BadArchive(f"the entry {name!r:.100} of the session file is encrypted; export the session again")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadArchive(f"the entry {name!r:.100} of the session file is packed in a way that is not read")


def _check_entries(entries: _Entries, needed: Iterable[str]) -> None:
    wanted = {"session.json", *(f"pictures/{digest}.png" for digest in needed)}
    if missing := wanted - set(entries):
        raise BadArchive(f"the session file lacks {len(missing)} of its pictures; export the session again")
    if extra := set(entries) - wanted:
        raise BadArchive(f"the session file has {len(extra)} pictures that no turn names")


# --------------------------------------------------------------------------------------------------- JSON into values


def _checked(data: bytes) -> tuple[_SessionFile, Tree]:
    """What ``session.json`` says, and its timeline; the pictures it names are looked at later."""
    session = _parsed(data)
    extent = _checked_extent(session)
    tree = _checked_tree(session)
    _check_words(session)
    for turn in session.turns:
        _check_turn(turn, extent)
    return session, tree


def _parsed(data: bytes) -> _SessionFile:
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except BadArchive:
        raise
    except (ValueError, RecursionError) as problem:
        raise BadArchive("session.json of the session file is not JSON; export the session again") from problem
    _check_values(found)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadArchive(f'session.json must be an object whose format is "{FORMAT}"')
    version = found.get("version")
    if version != VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > VERSION
        raise BadArchive(
            f"the session file has version {version!r:.40} of the format; this studio reads version {VERSION}"
            + (". Open it with the newer studio that wrote it" if newer else "")
        )
    return _typed_fields(_SessionFile, found, "session.json")


def _no_constant(name: str) -> None:
    raise BadArchive(f"session.json holds {name}, which is no number that JSON knows")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadArchive("session.json names a field twice in one object")
    return found


def _check_values(root: Any) -> None:
    """Depth, numbers and texts, wherever they stand: nothing after this need think of them."""
    level, depth = [root], 0
    while level:
        if depth > DEEPEST:
            raise BadArchive(f"session.json is nested deeper than {DEEPEST} levels")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                if not _is_unicode(value):
                    raise BadArchive(f"session.json holds a text that is not Unicode: {value!r:.80}")
            elif isinstance(value, int | float) and not abs(value) < LARGEST_NUMBER:  # infinity is no such number
                raise BadArchive("session.json holds a number too large for any of its fields")
        level, depth = below, depth + 1


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _typed(kind: Any, data: Any, what: str) -> Any:
    """`data`, JSON from a stranger, as a value of the annotation `kind`; raises `BadArchive` naming `what`."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _typed_fields(typing.cast(type, kind), data, what)
    if origin is types.UnionType:  # always "something or nothing"
        return None if data is None else _typed(get_args(kind)[0], data, what)
    if origin is tuple and isinstance(data, list):
        return tuple(_typed(get_args(kind)[0], item, f"{what}[{i}]") for i, item in enumerate(data))
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(data, str) and data in list(kind):
        return kind(data)
    wanted: Any = {float: (int, float), int: int, str: str, bool: bool}.get(kind, dict if origin is Mapping else ())
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise BadArchive(f"{what} is not what the format wants there: got {data!r:.80}")
    return data


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed_fields(kind: type[T], data: Any, what: str) -> T:
    hints = _hints(typing.cast(Any, kind))
    known = {f.name: f for f in fields(typing.cast(Any, kind))}
    required = {f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING}
    if not isinstance(data, dict) or not required <= set(data) <= set(known):
        came = f"the fields {', '.join(map(repr, data))}" if isinstance(data, dict) else repr(data)
        raise BadArchive(f"{what} needs the fields {', '.join(sorted(required))}; it has {came:.200}")
    return kind(**{name: _typed(hints[name], value, f"{what}.{name}") for name, value in data.items()})


# ---------------------------------------------------------------------------------------------- what the values say


def _checked_extent(session: _SessionFile) -> Extent:
    extent = Extent(session.width, session.height)
    sides = (extent.width, extent.height)
    if min(sides) < codec.SMALLEST_SIDE or max(sides) > codec.LARGEST_SIDE or extent.area > codec.MOST_PIXELS:
        raise BadArchive(f"the session file's pictures would be {extent.width} x {extent.height} pixels: no such size")
    return extent


def _checked_tree(session: _SessionFile) -> Tree:
    """The timeline, if everything in it points where it should."""
    turns = _in_order(session.turns)
    branches = _pointers(session.branches)
    trashed = tuple(Trashed(cut.cut, _pointers(cut.branches)) for cut in session.trashed)
    _check_pointers(turns, branches, trashed)
    tip = branches.get(session.branch)
    line = set() if tip is None else set(_line(turns, tip))
    if session.current not in line:
        raise BadArchive("the session file says that one stands on a turn that its branch does not lead to")
    return Tree(turns, branches, session.branch, session.current, trashed)


def _in_order(listed: tuple[Turn, ...]) -> dict[str, Turn]:
    """By id, parents before their children, otherwise as listed."""
    by_id = {turn.id: turn for turn in listed}
    if len(by_id) != len(listed) or len(listed) > MOST_TURNS:
        raise BadArchive(f"a session file has at most {MOST_TURNS} turns, each of them once")
    if (originals := sum(turn.parent is None for turn in listed)) != 1:
        raise BadArchive(f"a session file has one original; this one has {originals}")
    waiting: dict[str, list[Turn]] = {}
    ordered: dict[str, Turn] = {}
    for turn in listed:
        if turn.parent is not None and turn.parent not in by_id:
            raise BadArchive("a turn of the session file follows one that is not there")
        if turn.parent is not None and turn.parent not in ordered:
            waiting.setdefault(turn.parent, []).append(turn)
            continue
        ready = deque([turn])
        while ready:
            placed = ready.popleft()
            ordered[placed.id] = placed
            ready.extend(waiting.pop(placed.id, ()))
    if waiting:
        raise BadArchive("turns of the session file follow each other in a circle")
    return ordered


def _pointers(branches: tuple[_Branch, ...]) -> dict[str, str]:
    for branch in branches:
        if not branch.name.strip() or len(branch.name) > LONGEST_BRANCH or not branch.name.isprintable():
            raise BadArchive(f"the session file has a branch of the name {branch.name!r:.80}, which is none")
    pointers = {branch.name: branch.tip for branch in branches}
    if len(pointers) != len(branches):
        raise BadArchive("the session file has two branches of one name")
    return pointers


def _check_pointers(turns: Mapping[str, Turn], branches: Mapping[str, str], trashed: tuple[Trashed, ...]) -> None:
    """Every visible turn lies on the line of a branch; every hidden one on that of a branch that its cut took along.

    A cut within another one was made first: what is hidden cannot be cut.
    """
    places = {trash.cut: place for place, trash in enumerate(trashed)}
    under: dict[str, str | None] = {}  # the nearest cut at or above a turn
    for id, turn in turns.items():
        above = None if turn.parent is None else under[turn.parent]
        if id in places and (turn.parent is None or (above is not None and places[above] < places[id])):
            raise BadArchive("the trash of the session file holds a turn that cannot have been put there")
        under[id] = id if id in places else above
    if len(places) != len(trashed) or not places.keys() <= turns.keys():
        raise BadArchive("the trash of the session file names a turn that is not there, or one twice")
    reached: set[str] = set()
    for cut, pointers in ((None, branches), *((trash.cut, trash.branches) for trash in trashed)):
        for tip in pointers.values():
            if tip not in turns or under[tip] != cut:
                raise BadArchive("a branch of the session file ends at a turn that is not there")
            for id in _line(turns, tip):
                if under[id] != cut or id in reached:
                    break
                reached.add(id)
    if len(reached) != len(turns):
        raise BadArchive("the session file has turns to which no branch leads")


def _line(turns: Mapping[str, Turn], tip: str) -> Iterator[str]:
    id: str | None = tip
    while id is not None:
        yield id
        id = turns[id].parent


def _check_words(session: _SessionFile) -> None:
    """Name, notes and draft: what people wrote or are told."""
    draft = session.draft
    if not session.name.strip() or len(session.name) > LONGEST_NAME or not session.name.isprintable():
        raise BadArchive(f"a session's name has 1 to {LONGEST_NAME} printable characters; got {session.name!r:.80}")
    if not 0 <= session.created_at <= LATEST:
        raise BadArchive(f"the session file was made at {session.created_at!r:.40} seconds since 1970: no such time")
    texts = (session.studio, *session.notes, draft.subject, draft.background, draft.model, draft.method)
    if len(session.notes) > MOST_NOTES or max(map(len, texts)) > LONGEST_TEXT:
        raise BadArchive(f"a text of the session file is longer than {LONGEST_TEXT} characters, or there are too many")
    _check_settings(draft.changes, "the draft")
    _check_settings(draft.loras, "the draft")


def _check_turn(turn: Turn, extent: Extent) -> None:
    """That a turn is what its id says, and could be shown and run again."""
    number, outcome = f"turn {turn.id[:8]!r}", turn.outcome
    if (turn.parent is None) != (turn.request is None):
        raise BadArchive(f"{number} of the session file needs both a parent and a request, or neither")
    if turn.id != turn_id(turn.parent, turn.request, turn.picture):
        raise BadArchive(f"{number} of the session file is not what its id says: it was changed after it was made")
    if not 0 <= turn.created_at <= LATEST or outcome.fitted is not None:
        raise BadArchive(f"{number} of the session file has an impossible time, or layers that do not travel")
    counts = (outcome.outside_changed, outcome.outside_kept, outcome.outside_largest)
    stages = [(stage.seconds, stage.steps, LONGEST_NAME - len(stage.name)) for stage in outcome.stages]
    if min(outcome.seconds, *counts, *(least for stage in stages for least in stage)) < 0 or len(stages) > 100:
        raise BadArchive(f"{number} of the session file counts what cannot be counted")
    if outcome.drift is not None:
        _typed(Drift, outcome.drift, f"the drift of {number}")
    if turn.request is not None:
        _check_request(turn.request, extent, number)


def _check_request(request: TurnRequest, extent: Extent, number: str) -> None:
    texts = (request.subject, request.background, request.model, request.method, request.weights)
    if not all(DIGEST.fullmatch(use.sha256) and 0 < len(use.name) <= LONGEST_NAME for use in request.loras):
        raise BadArchive(f"{number} of the session file names a LoRA that cannot be one")
    if request.warm is not None and not DIGEST.fullmatch(request.warm):
        raise BadArchive(f"{number} of the session file begins at layers that cannot be any")
    if max(map(len, texts)) > LONGEST_TEXT:
        raise BadArchive(f"{number} of the session file has a text longer than {LONGEST_TEXT} characters")
    if request.seed < 0 or (request.fit_seed or 0) < 0 or not 0 <= request.feather <= 64:
        raise BadArchive(f"{number} of the session file has a seed or a feather outside its range")
    _check_settings(request.params, number)
    try:
        check_loras(request.loras)
        MaskPrompts.from_json(request.prompts, extent)
    except (PipelineError, ValueError) as problem:
        raise BadArchive(f"what {number} of the session file was asked for cannot be: {problem}") from problem


def _check_settings(settings: Mapping[str, Any], what: str) -> None:
    for name, value in settings.items():
        plain = value is None or isinstance(value, bool | int | float | str)
        if not plain or len(name) > LONGEST_NAME or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            raise BadArchive(f"{what} of the session file has a setting {name!r:.80} that is no number, switch or word")


# ---------------------------------------------------------------------------------------------------------- pictures


class _Role(StrEnum):
    """What a picture is for."""

    PICTURE = "picture"
    """Colour, of the session's size."""
    MASK = "mask"
    """Grey, of the session's size."""
    REFERENCE = "reference"
    """Colour, of any size."""
    REFERENCE_MASK = "mask of a reference"
    """Grey, of its reference's size."""


GREY = frozenset({_Role.MASK, _Role.REFERENCE_MASK})
SESSIONS_SIZE = frozenset({_Role.PICTURE, _Role.MASK})


def _pictures_of(session: _SessionFile) -> dict[str, set[_Role]]:
    """Every picture the file needs by its digest, and what it is there for."""
    named: list[tuple[str | None, _Role]] = [
        (session.draft.background_reference, _Role.REFERENCE),
        (session.draft.subject_reference, _Role.REFERENCE),
        (session.draft.subject_reference_mask, _Role.REFERENCE_MASK),
    ]
    for turn in session.turns:
        named += [(turn.picture, _Role.PICTURE), (turn.outcome.background_reference, _Role.REFERENCE)]
        if (request := turn.request) is not None:
            named += [(request.mask, _Role.MASK), (request.prompts.get("uploaded"), _Role.MASK)]
            named += [(d, _Role.REFERENCE) for d in (request.background_reference, request.subject_reference)]
            named.append((request.subject_reference_mask, _Role.REFERENCE_MASK))
    needed: dict[str, set[_Role]] = {}
    for digest, role in named:
        if digest is not None:
            if not DIGEST.fullmatch(digest):
                raise BadArchive(f"a picture is named by its SHA-256 in 64 small hex digits; got {digest!r:.80}")
            needed.setdefault(digest, set()).add(role)
    return needed


def _check_pictures(entries: _Entries, needed: Mapping[str, set[_Role]], extent: Extent) -> dict[str, Extent]:
    """Gives the size of each."""
    sizes: dict[str, Extent] = {}
    size = pixels = 0
    for digest, roles in needed.items():
        data = entries.read(f"pictures/{digest}.png", codec.LARGEST_FILE)
        size += len(data)
        if size > LARGEST_ARCHIVE:
            raise BadArchive(f"the pictures of the session file have more than {LARGEST_ARCHIVE >> 20} MB")
        if codec.digest(data) != digest:
            raise BadArchive(f"the picture {digest[:8]}… of the session file is not the one its name says")
        own, grey = _png_header(data, digest)
        pixels += own.area
        if pixels > MOST_PIXELS:
            raise BadArchive(f"the pictures of the session file have more than {MOST_PIXELS:.0e} pixels")
        sizes[digest] = own
        if roles & (GREY if not grey else set(_Role) - GREY):
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file is grey where it should be coloured, or not"
            )
        if roles & SESSIONS_SIZE and own != extent:
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file must be {extent.width} x {extent.height} pixels; "
                f"it is {own.width} x {own.height}"
            )
        try:
            codec.decode(data)
        except PipelineError as problem:
            raise BadArchive(f"the picture {digest[:8]}… of the session file cannot be used. {problem}") from problem
    return sizes


def _check_reference_masks(session: _SessionFile, sizes: Mapping[str, Extent]) -> None:
    """That each is the mask of a reference, of its size."""
    requests = [turn.request for turn in session.turns if turn.request is not None]
    pairs = [(session.draft.subject_reference_mask, session.draft.subject_reference)]
    pairs += [(request.subject_reference_mask, request.subject_reference) for request in requests]
    for mask, picture in pairs:
        if mask is not None and (picture is None or sizes[mask] != sizes[picture]):
            raise BadArchive(f"the mask {mask[:8]}… of the session file is not that of a subject reference")


def _png_header(data: bytes, digest: str) -> tuple[Extent, bool]:
    """Size, and whether it is grey, of a PNG as `pipelines.pictures` writes it: 8 bits, no alpha, no chunk but the
    pixels, so that neither metadata nor a second file travels in it."""
    chunks: list[bytes] = []
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        if not chunks or chunks[-1] != kind:
            chunks.append(kind)
        at += 12 + length
    whole = data[:8] == b"\x89PNG\r\n\x1a\n" and at == len(data) and data[8:12] == b"\0\0\0\x0d"
    if not whole or chunks != [b"IHDR", b"IDAT", b"IEND"]:
        raise BadArchive(f"the picture {digest[:8]}… of the session file is not a plain PNG")
    width, height, depth, colour, *rest = struct.unpack_from(">LL5B", data, 16)
    if depth != 8 or colour not in (0, 2) or any(rest):
        raise BadArchive(f"the picture {digest[:8]}… of the session file is not a plain PNG of 8 bits")
    return Extent(width, height), colour == 0
