"""Fetches a model from a Hugging Face hub into the models folder of one's own. Nothing else in the project goes online.

The hub's own client finds the address, the token and the proxy; the bytes are received here, because its downloads
begin again from nothing when the process was stopped. A file is continued where it broke off, must have the size and
the hash that the hub lists for it, and the model appears under its name only when all of it is there.
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
from pipelines.models.folders import ModelCard, card_of, fault_of, is_plain_name
from pipelines.models.own import (
    FETCHING,
    MB,
    FileMark,
    ModelRecord,
    chunks,
    counted,
    refuse_taken,
    save_record,
)
from pipelines.models.weights import PICKLES
from pipelines.progress import Progress, silent

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
"""The folders of a diffusers model that are loaded; a safety checker of a gigabyte is not."""
WEIGHTS = ("diffusion_pytorch_model", "model")
"""How the files with a part's weights are called."""
VARIANTS = (".fp16", ".bf16", ".non_ema", ".ema")
"""Marks of a second copy of the same weights."""
SMALL = (".json", ".txt")
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
    revision: str = "main",
    half: bool = False,
    progress: Progress = silent,
    endpoint: str | None = None,
) -> ModelCard:
    """Fetch the model `repo` (``owner/name``) into `own`, and give its card.

    `revision` is a branch, tag or commit; what it stands for now is recorded. Raises `PullError` in words, and whatever
    `progress` raises to stop: in both cases what was received stays, and the next pull goes on from there.
    """
    name = repo.rpartition("/")[2]
    refuse_taken(name, (*folders, own))
    with _said(repo, revision, endpoint):
        listing = _listing(repo, revision, endpoint)
        files = wanted(listing, half)
        staging = own / FETCHING / repo.replace("/", "--")
        with _alone(staging):
            _fetch_all(listing, files, staging, progress, endpoint)
            return _placed(listing, revision, files, staging, own / name)


def wanted(listing: Listing, half: bool = False) -> tuple[RemoteFile, ...]:
    """The files of a model that are needed, the small ones first.

    Of a diffusers model: its index and the folders in `PARTS`; of any other: what lies at the top. Of these the JSON
    and text files, and of the weights one copy, as safetensors: the full precision where there is one, or with `half`
    the 16-bit copy where there is one. Never a pickle.
    """
    paths = {file.path: file for file in listing.files}
    is_diffusers = "model_index.json" in paths
    if not is_diffusers and "config.json" not in paths:
        raise PullError(
            f"{listing.repo} has neither model_index.json nor config.json at its top, so it is no model that this "
            "studio can use; choose one in the diffusers folder form"
        )
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
    return name.endswith(".safetensors") and name.startswith(tuple(f"{stem}{end}" for stem in WEIGHTS for end in ".-"))


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


def _fetch_all(
    listing: Listing, files: Sequence[RemoteFile], staging: Path, progress: Progress, endpoint: str | None
) -> None:
    """Every file, whole and checked, under ``staging/model``; the small ones first, for they may say it is no model."""
    model, parts = staging / "model", staging / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _clear(model, {file.path for file in files})
    told = counted(progress, "fetching, MB", sum(file.size for file in files))
    missing = sum(file.size - _size(parts / file.key) for file in files if _size(model / file.path) != file.size)
    _refuse_without_room(missing, staging)
    for file in files:
        if file.path.endswith(".safetensors") and card_of(model) is None:
            raise PullError(
                f"{listing.repo} is a model of a kind that this studio cannot use; its weights were not fetched"
            )
        place = model / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and _fault(place, file) is None:
            told(file.size)
            continue
        part = parts / file.key
        told(_size(part))
        url = hf_hub_url(listing.repo, file.path, revision=listing.commit, endpoint=endpoint)
        _receive(url, part, file, told)
        if (fault := _fault(part, file)) is not None:
            part.unlink()
            raise PullError(
                f"what the hub sent as {file.path} of {listing.repo} is not what it lists: {fault}. It was thrown "
                "away; pull again, and if it comes back, do not use this model"
            )
        part.replace(place)


def _receive(url: str, part: Path, file: RemoteFile, told: Callable[[int], None]) -> None:
    """Receive what is missing of `part`; a broken connection is taken up again while it brings something."""
    idle = 0
    while (have := _size(part)) < file.size or not part.exists():
        broken = "the hub sent no more"
        try:
            _stream(url, part, file, told)
        except httpx2.TransportError as error:
            broken = f"the connection was lost ({type(error).__name__})"
        if _size(part) == file.size:
            return
        told(0)  # a connection on which nothing comes can be cancelled too
        idle = 0 if _size(part) > have else idle + 1
        if idle >= ATTEMPTS:
            raise PullError(
                f"{file.path} could not be fetched: {broken}, {ATTEMPTS} times in a row. "
                f"{_size(part)} of {file.size} bytes are kept; pull again to go on from there"
            )
        time.sleep(RETRY_SECONDS * idle)


def _stream(url: str, part: Path, file: RemoteFile, told: Callable[[int], None]) -> None:
    """One request for the rest of a file. `told` hears how many bytes came; less than none where it starts anew."""
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


def _placed(listing: Listing, revision: str, files: Sequence[RemoteFile], staging: Path, place: Path) -> ModelCard:
    """Everything is there: record it and give it its name, which is one step of the file system."""
    model, own = staging / "model", place.parent
    found = {
        f.path: FileMark(f.size, f.sha256 or hashlib.sha256((model / f.path).read_bytes()).hexdigest()) for f in files
    }
    save_record(own, place.name, ModelRecord(listing.repo, found, revision, listing.commit))
    model.rename(place)
    shutil.rmtree(staging, ignore_errors=True)
    card = card_of(place)
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
        raise PullError(
            f"{hub} cannot be reached ({type(error).__name__}): check the network, and HF_ENDPOINT if it is set"
        ) from None
    except OSError as error:
        told = (
            "the disk is full" if error.errno == ENOSPC else f"a file could not be written ({error.strerror or error})"
        )
        raise PullError(f"{told}; what came of {repo} is kept. Make room, and pull again to go on") from None
