"""Fetches a model from a Hugging Face hub into the models folder of one's own. Nothing else in the project goes online.

The hub's own client finds the address, the token and the proxy; the bytes are received here, because its downloads
begin again from nothing when the process was stopped. A file is continued where it broke off, must have the size and
the hash that the hub lists for it, and the model appears under its name only when all of it is there. Of a repository
with checkpoints in one file, or with LoRA files, one file is named and fetched in the same way. An adapter that PEFT
saved is fetched with its notes, which say how strong it is.
This file imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path

import httpx2
from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, get_session, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from pipelines.errors import ModelError, PullError
from pipelines.models.configs import is_plain_name, read_json
from pipelines.models.folders import (
    TEXT_TO_IMAGE,
    ModelCard,
    card_of,
    family_faults,
    fault_of,
    original_faults,
)
from pipelines.models.installed import (
    FETCHING,
    LORAS,
    MB,
    FileMark,
    ModelRecord,
    chunks,
    counted,
    refuse_taken,
    save_record,
)
from pipelines.models.lora_files import CONFIG, SAVED, find_loras, layers_of, lora_card
from pipelines.models.original import is_original
from pipelines.models.weights import LONGEST_HEADER, PICKLES, Header, read_start
from pipelines.progress import Progress, silent

PARTS = (
    *("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
    *("image_encoder", "feature_extractor"),
)
"""The folders of a diffusers model that are loaded; a safety checker of a gigabyte is not."""
WEIGHTS = ("diffusion_pytorch_model", "model")
"""How the files with a part's weights are called."""
VARIANTS = (".fp16", ".bf16", ".non_ema", ".ema")
"""Marks of a second copy of the same weights."""
SMALL = (".json", ".txt")
SAFE = ".safetensors"
RESERVE = 500 * MB
"""Bytes of the disk that a pull leaves free."""
ATTEMPTS = 5
"""Broken connections in a row, without a byte between them, after which a pull gives up."""
RETRY_SECONDS = 1.0
"""The pause after the first of them; it grows with each."""
TIMEOUT = httpx2.Timeout(15.0, connect=10.0)

constants.HF_HUB_DISABLE_TELEMETRY = True  # the client would ask the hub what to tell it about this machine


@dataclass(frozen=True)
class RemoteFile:
    """One file as the hub lists it."""

    path: str
    size: int
    sha256: str | None
    """Of a large file."""
    git_sha1: str | None
    """Of a small one, as git computes it."""

    @property
    def key(self) -> str:
        """Names the bytes: the same file of another commit is continued, not fetched again."""
        return f"{self.sha256 or self.git_sha1}-{self.size}"


@dataclass(frozen=True)
class Listing:
    """What the hub has under an id at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


def pull(
    repo: str,
    own: Path,
    folders: Sequence[Path] = (),
    *,
    file: str = "",
    revision: str = "main",
    half: bool = False,
    progress: Progress = silent,
    endpoint: str | None = None,
) -> ModelCard:
    """Fetch the model `repo` (``owner/name``) into `own`, and give its card.

    With `file` only the file of that path there, a checkpoint or a LoRA; `half` means nothing then. An adapter as PEFT
    or diffusers saves it comes with what is noted beside it, with and without its `file` named. `revision` is a
    branch, tag or commit; what it stands for now is recorded. Raises `PullError` in words, and whatever `progress`
    raises to stop: in both cases what was received stays, and the next pull goes on from there.
    """
    name = repo.rpartition("/")[2]
    if not file:
        refuse_taken(name, (*folders, own))
    with _said(repo, revision, endpoint):
        listing = _listing(repo, revision, endpoint)
        files = adapter_in(listing, file) or ((named(listing, file),) if file else wanted(listing, half))
        staging = own / FETCHING / (f"{repo}/{file}" if file else repo).replace("/", "--")
        with _alone(staging):
            staged = _staged(listing, files, staging, progress, endpoint)
            if Path(files[-1].path).name in SAVED:
                fetched = staged.place(files[-1]).parent
                place = own / LORAS / (Path(files[-1].path).parent.name or name)
                _fetch_adapter(staged, place, (*folders, own))
                return _placed(staged, revision, fetched, place)
            if file:
                place = _place_of(staged, files[0], own, folders)
                staged.fetch(files[0])
                return _placed(staged, revision, staged.place(files[0]), place)
            _fetch_all(staged)
            return _placed(staged, revision, staged.model, own / name)


def named(listing: Listing, path: str) -> RemoteFile:
    """The one file that was asked for; raises `PullError` where it is a pickle or is not there."""
    there = sorted(file.path for file in listing.files if file.path.endswith(SAFE))
    if path.endswith(PICKLES):
        raise PullError(
            f"{path} is a pickle, which could run any code and is never fetched; {listing.repo} has {_some(there)}"
        )
    if path not in there or not all(is_plain_name(part) for part in path.split("/")):
        raise PullError(f"{listing.repo} has no safetensors file {path!r:.80}; it has {_some(there)}")
    return next(file for file in listing.files if file.path == path)


def adapter_in(listing: Listing, file: str) -> tuple[RemoteFile, ...]:
    """The adapter that PEFT or diffusers saved at the top, or whose weights are `file`: PEFT's notes, where there are
    any, then the weights. Nothing where there is no adapter."""
    there = {remote.path: remote for remote in listing.files}
    weights = file or next((name for name in SAVED if name in there), "")
    folder, _, name = weights.rpartition("/")
    if name not in SAVED or (not file and "model_index.json" in there):
        return ()
    notes = there.get(f"{folder}/{CONFIG}".lstrip("/")) if name == SAVED[0] else None
    return (*([] if notes is None else [notes]), named(listing, weights))


def _some(paths: Sequence[str]) -> str:
    """The first few of many."""
    return ", ".join((*paths[:5], *(["…"] if len(paths) > 5 else []))) or "none as .safetensors"


def wanted(listing: Listing, half: bool = False) -> tuple[RemoteFile, ...]:
    """The files of a model that are needed, the small ones first.

    Of a diffusers model: its index and the folders in `PARTS`; of any other: what lies at the top. Of these the JSON
    and text files, and of the weights one copy, as safetensors: the full precision where there is one, or with `half`
    the 16-bit copy where there is one. Never a pickle.
    """
    paths = {file.path: file for file in listing.files}
    is_diffusers = "model_index.json" in paths
    if not is_diffusers and "config.json" not in paths:
        single = sorted(path for path in paths if path.endswith(SAFE))
        pickles = sorted(path for path in paths if path.endswith(PICKLES))
        only = f"it has only {pickles[0]}, a pickle, which could run any code and is never fetched; " if pickles else ""
        todo = f"name one file of it: {_some(single)}" if single else f"{only}choose one in the diffusers folder form"
        raise PullError(f"{listing.repo} has neither model_index.json nor config.json at its top; {todo}")
    chosen: list[RemoteFile] = []
    for place in ("", *PARTS) if is_diffusers else ("",):
        here = {p.rpartition("/")[2]: file for p, file in paths.items() if p.rpartition("/")[0] == place}
        safe = {name: file for name, file in here.items() if is_plain_name(name)}
        top_of_parts = place == "" and is_diffusers
        weights = [] if top_of_parts else _one_copy([name for name in safe if _is_weights(name)], half)
        pickles = [] if top_of_parts or weights else [name for name in sorted(here) if name.endswith(PICKLES)]
        if pickles:
            raise PullError(
                f"{listing.repo} has weights only as a pickle ({here[pickles[0]].path}), which could run any code and "
                "is never fetched; look for a copy of the model with .safetensors files"
            )
        small = [n for n in safe if n.endswith(SMALL) and (".index." not in n or _belongs(n, weights))]
        chosen += [safe[name] for name in (*small, *weights)]
    return tuple(sorted(chosen, key=lambda file: (not file.path.endswith(SMALL), file.path)))


def _is_weights(name: str) -> bool:
    return name.endswith(SAFE) and name.startswith(tuple(f"{stem}{end}" for stem in WEIGHTS for end in ".-"))


def _one_copy(names: list[str], half: bool) -> list[str]:
    """The shards of one copy of the weights."""
    copies: dict[str, list[str]] = {}
    for name in names:
        copies.setdefault(next((mark for mark in VARIANTS if mark in name), ""), []).append(name)
    order = (".fp16", ".bf16", "", ".non_ema", ".ema") if half else ("", ".fp16", ".bf16", ".non_ema", ".ema")
    return next((copies[mark] for mark in order if mark in copies), [])


def _belongs(index: str, weights: list[str]) -> bool:
    """Whether an index of shards is that of the chosen copy."""
    mark = next((mark for mark in VARIANTS if mark in index), "")
    return bool(weights) and all((mark in name) if mark else not any(v in name for v in VARIANTS) for name in weights)


# ------------------------------------------------------------------------------------------------------ the hub


def _listing(repo: str, revision: str, endpoint: str | None) -> Listing:
    info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT.read)
    files = [
        RemoteFile(s.rfilename, s.size, s.lfs.sha256 if s.lfs else None, None if s.lfs else s.blob_id)
        for s in info.siblings or ()
        if s.size is not None and (s.lfs or s.blob_id)
    ]
    if info.sha is None or not files:
        raise PullError(f"the hub lists no files for {repo} at {revision}; choose another model or revision")
    return Listing(repo, info.sha, tuple(files))


@dataclass(frozen=True)
class _Staged:
    """What is being fetched: its files, where they lie until all are there, and who hears how many bytes came."""

    listing: Listing
    files: tuple[RemoteFile, ...]
    folder: Path
    told: Callable[[int], None]
    endpoint: str | None

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def place(self, file: RemoteFile) -> Path:
        return self.model / file.path

    def part(self, file: RemoteFile) -> Path:
        """Its bytes while some are missing."""
        return self.folder / "parts" / file.key

    def url(self, file: RemoteFile) -> str:
        return hf_hub_url(self.listing.repo, file.path, revision=self.listing.commit, endpoint=self.endpoint)

    def fetch(self, file: RemoteFile) -> None:
        """The file, whole and checked, at its place."""
        place, part = self.place(file), self.part(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and _fault(place, file) is None:
            self.told(file.size)
            return
        self.told(_size(part))
        _receive(self.url(file), part, file, self.told, file.size)
        if (fault := _fault(part, file)) is not None:
            part.unlink()
            raise PullError(
                f"what the hub sent as {file.path} of {self.listing.repo} is not what it lists: {fault}. It was "
                "thrown away; pull again, and if it comes back, do not use this model"
            )
        part.replace(place)

    def header(self, file: RemoteFile) -> Header:
        """What a file of weights says of itself; no more of it is fetched than that takes."""
        start = self.place(file) if _size(self.place(file)) == file.size else self.part(file)

        def begin(least: int) -> None:
            _receive(self.url(file), start, file, lambda _: self.told(0), min(least, file.size))

        begin(8)
        with start.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
        if length <= LONGEST_HEADER:
            begin(8 + length)
        try:
            return read_start(start, file.size, file.path)
        except ModelError as error:
            start.unlink()
            raise PullError(f"{error}; it is of no use as it is in {self.listing.repo}") from None


def _staged(
    listing: Listing, files: tuple[RemoteFile, ...], folder: Path, progress: Progress, endpoint: str | None
) -> _Staged:
    """A place for `files`, with what came of them before; refused where the disk has no room for the rest."""
    told = counted(progress, "fetching, MB", sum(file.size for file in files))
    staged = _Staged(listing, files, folder, told, endpoint)
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    _clear(staged.model, {file.path for file in files})
    missing = [file for file in files if _size(staged.place(file)) != file.size]
    _refuse_without_room(sum(file.size - _size(staged.part(file)) for file in missing), folder)
    return staged


def _fetch_all(staged: _Staged) -> None:
    """Every file of a model; the small ones come first, for they may say that it is of no use."""
    small = [file for file in staged.files if file.path.endswith(SMALL)]
    for file in small:
        staged.fetch(file)
    repo, card = staged.listing.repo, card_of(staged.model)
    if card is None:
        raise PullError(f"{repo} is a model of a kind that this studio cannot use; its weights were not fetched")
    if card.kind == TEXT_TO_IMAGE and (faults := family_faults(staged.model)):
        raise PullError(f"{repo} cannot be used: {'; '.join(faults)}. Its weights were not fetched")
    for file in staged.files[len(small) :]:
        staged.fetch(file)


def _fetch_adapter(staged: _Staged, place: Path, folders: Sequence[Path]) -> None:
    """An adapter's files; its weights come last, if their header and the notes say that it can be used."""
    *notes, weights = staged.files
    if (taken := find_loras(folders).get(place.name)) is not None or place.exists():
        raise ModelError(f"there is a LoRA called {place.name!r} already, {taken or place}; remove that one first")
    for file in notes:
        staged.fetch(file)
    try:
        layers_of(staged.header(weights), weights.path, read_json(staged.place(notes[0])) if notes else None)
    except ModelError as error:
        raise PullError(f"{error}. Its weights were not fetched") from None
    staged.fetch(weights)


def _place_of(staged: _Staged, file: RemoteFile, own: Path, folders: Sequence[Path]) -> Path:
    """Where a single file belongs, by its header: with the models, or with the LoRA files.

    Raises `PullError` for what is neither or cannot be used, and `ModelError` where the name is taken.
    """
    header, name, folders = staged.header(file), Path(file.path).name, (*folders, own)
    called = Path(name).stem
    if is_original(header):
        if faults := original_faults(header):
            raise PullError(f"{file.path} cannot be used: {'; '.join(faults)}. Its weights were not fetched")
        refuse_taken(called, folders)
        place, taken = own / name, None
    else:
        try:
            layers_of(header, name)
        except ModelError as error:
            raise PullError(
                f"{file.path} is no checkpoint of Stable Diffusion in the original form, and {error}. Its weights were "
                "not fetched"
            ) from None
        place, taken = own / LORAS / name, find_loras(folders).get(called)
    if taken is not None or place.exists():
        raise ModelError(f"there is a file called {called!r} already, {taken or place}; remove that one first")
    return place


def _receive(url: str, part: Path, file: RemoteFile, told: Callable[[int], None], least: int) -> None:
    """Receive what `part` lacks of `least` bytes; a broken connection is taken up again while it brings something."""
    idle = 0
    while (have := _size(part)) < least or not part.exists():
        broken = "the hub sent no more"
        try:
            _stream(url, part, file, told, least)
        except httpx2.TransportError as error:
            broken = f"the connection was lost ({type(error).__name__})"
        if _size(part) >= least:
            return
        told(0)  # a connection on which nothing comes can be cancelled too
        idle = 0 if _size(part) > have else idle + 1
        if idle >= ATTEMPTS:
            raise PullError(
                f"{file.path} could not be fetched: {broken}, {ATTEMPTS} times in a row. "
                f"{_size(part)} of {file.size} bytes are kept; pull again to go on from there"
            )
        time.sleep(RETRY_SECONDS * idle)


def _stream(url: str, part: Path, file: RemoteFile, told: Callable[[int], None], least: int) -> None:
    """One request for the rest of a file, left when `least` bytes of it are there. `told` hears how many bytes came;
    less than none where it starts anew."""
    have = _size(part)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        hf_raise_for_status(response)
        if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()  # the whole file comes, from its beginning
            told(-have)
            have = 0
        with part.open("ab") as out:
            for chunk in response.iter_bytes():
                have += len(chunk)
                if have > file.size:
                    out.truncate(0)
                    raise PullError(
                        f"the hub sends more than the {file.size} bytes that it lists for {file.path}, so nothing of "
                        "it was kept; do not use this model"
                    )
                out.write(chunk)
                told(len(chunk))
                if least <= have < file.size:  # at the end it is still heard whether the hub sends too much
                    break
            out.flush()
            os.fsync(out.fileno())


def _fault(path: Path, file: RemoteFile) -> str | None:
    """How the bytes differ from what the hub lists, or ``None``."""
    if (size := _size(path)) != file.size:
        return f"{size} bytes instead of {file.size}"
    # SHA-1 is what git calls small files by; it guards against damage, and the commit was asked for over TLS.
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    for chunk in chunks(path):
        digest.update(chunk)
    wanted_digest = file.sha256 or file.git_sha1
    return None if digest.hexdigest() == wanted_digest else f"its hash is {digest.hexdigest()[:12]}…"


def _placed(staged: _Staged, revision: str, fetched: Path, place: Path) -> ModelCard:
    """Everything is there: record it and give it its name, which is one step of the file system."""
    listing, one = staged.listing, fetched.is_file()
    found = {
        fetched.name if one else str(staged.place(f).relative_to(fetched)): FileMark(
            f.size, f.sha256 or hashlib.sha256(staged.place(f).read_bytes()).hexdigest()
        )
        for f in staged.files
    }
    save_record(
        place.parent, place.stem if one else place.name, ModelRecord(listing.repo, found, revision, listing.commit)
    )
    fetched.rename(place)
    shutil.rmtree(staged.folder, ignore_errors=True)
    card = lora_card(place) if place.parent.name == LORAS else card_of(place)
    if card is None or (fault := fault_of(card)) is not None:
        told = fault if card is not None else "its kind is unknown"
        raise ModelError(f"{listing.repo} was fetched to {place}, but cannot be used: {told}")
    return card


# ------------------------------------------------------------------------------------------------------ the disk


@contextmanager
def _alone(staging: Path) -> Iterator[None]:
    """One process fetches a model at a time."""
    staging.mkdir(parents=True, exist_ok=True)
    lock = FileLock(staging.with_suffix(staging.suffix + ".lock"))
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise PullError("this model is being fetched already, by another command or page; wait for that") from None


def _refuse_without_room(missing: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if missing + RESERVE > free:
        raise PullError(
            f"the model needs {missing / MB:.0f} MB more, and {RESERVE / MB:.0f} MB are to stay free, but the disk "
            f"with {folder.parents[1]} has {max(free, 0) / MB:.0f} MB left; free some, or keep the studio's data "
            "elsewhere (PALIMPSEST_DATA)"
        )


def _clear(model: Path, keep: set[str]) -> None:
    """Take out what an earlier attempt at another commit left."""
    for path in [p for p in model.rglob("*") if p.is_file()] if model.is_dir() else ():
        if path.relative_to(model).as_posix() not in keep:
            path.unlink()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# ------------------------------------------------------------------------------------------------------ in words


def _proxies() -> list[str]:
    """The variables that name a proxy."""
    return sorted(name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy"))


@contextmanager
def _said(repo: str, revision: str, endpoint: str | None) -> Iterator[None]:
    """What the client and the disk raise, as a `PullError` that says what to do."""
    hub = (endpoint or constants.ENDPOINT).rstrip("/")
    try:
        yield
    except HFValidationError:
        raise PullError(f"a model's id on the hub is like owner/name; got {repo!r:.80}") from None
    except GatedRepoError:
        raise PullError(
            f"{repo} is gated: accept its conditions at {hub}/{repo}, then set HF_TOKEN to a token of yours and pull "
            "again"
        ) from None
    except RevisionNotFoundError:
        raise PullError(f"{repo} has no branch, tag or commit {revision!r:.80}; its usual branch is main") from None
    except OfflineModeIsEnabled:
        raise PullError("HF_HUB_OFFLINE is set, so nothing is fetched; unset it to pull a model") from None
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code in (401, 404):
            raise PullError(
                f"{hub} has no model {repo!r:.80}, or does not show it to strangers: check the id, and for a private "
                "model set HF_TOKEN to a token of yours"
            ) from None
        todo = "set HF_TOKEN to a token that may read it" if code == 403 else "try again later"
        raise PullError(f"{hub} refused to send {repo} (HTTP {code}); {todo}") from None
    except httpx2.HTTPError as error:
        proxies = " and ".join(_proxies())
        raise PullError(
            f"{hub} cannot be reached ({type(error).__name__}): check the network, "
            + (f"the proxy that {proxies} names, " if proxies else "")
            + "and HF_ENDPOINT if it is set"
        ) from None
    except (ImportError, httpx2.InvalidURL, ValueError) as error:
        if not _proxies():
            raise
        raise PullError(
            f"the proxy that {' and '.join(_proxies())} names cannot be used ({str(error)[:80]}): expected one like "
            "http://HOST:PORT, as proxies of other kinds need further packages; name such a one, or unset it"
        ) from None
    except OSError as error:
        told = (
            "the disk is full" if error.errno == ENOSPC else f"a file could not be written ({error.strerror or error})"
        )
        raise PullError(f"{told}; what came of {repo} is kept. Make room, and pull again to go on") from None
