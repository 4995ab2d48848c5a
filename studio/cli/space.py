"""``space``: what a hosted Space is made of, and putting it there; and how the studio is served in one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from studio.cli.report import answer, say
from studio.errors import NotPushed
from studio.settings import Settings, SignIn, default_data_folder

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "space"
"""The folder whose files lie at the top of a Space."""
ZERO = "space/zero"
"""The folder with those that are others on ZeroGPU."""
BUCKET = "PALIMPSEST_BUCKET"
"""The variable that names the folder at which a bucket is mounted, where one is."""
LENT = "SPACES_ZERO_GPU"
"""The variable by which a Space is told that a GPU is lent to it for single calls."""
PARTS = ("assets", "pipelines", "studio", "LICENSE", "NOTICE", "pyproject.toml")
LEFT_OUT = ("assets/screenshots",)
KEPT_THERE = (".gitattributes",)
"""Files of the Space itself, which are none of ours."""
FRAMES = ("https://huggingface.co",)
"""Where a Space is shown in a frame."""
MOST_PROXIES = 16
"""More than a Space has in front of it, so the first address is taken that any of them heard from. How many there are
is not promised; who says another address before has a place in the queue of their own, and nobody else's sessions."""
NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class Part:
    """One file of a Space."""

    path: str
    """There."""
    file: Path
    size: int
    """Bytes."""


def space(
    push: Annotated[
        str,
        typer.Option(
            help="Put it there, with the account that `hf auth login` or HF_TOKEN names.", metavar="OWNER/NAME"
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option(help="Only list what would go.")] = False,
    zero: Annotated[bool, typer.Option("--zero", help="For ZeroGPU, with the models that its README names.")] = False,
    private: Annotated[bool, typer.Option(help="Of a Space that is made by this: seen by its owner only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list on stdout.")] = False,
) -> None:
    """Put the studio into a Hugging Face Space.

    Without --push, list what one is made of.
    """
    if push and not NAME.fullmatch(push):
        raise typer.BadParameter(f"a Space is named OWNER/NAME; got {push!r:.80}")
    parts = contents(zero=zero)
    if push and not dry_run:
        say(f"{len(parts)} files, {sum(part.size for part in parts) / 2**20:.0f} MB, go to {push}")
        say(f"The Space is at {pushed(push, parts, private)}")
        return
    rows = [{"path": part.path, "bytes": part.size} for part in parts]
    total = f"{len(parts)} files, {sum(part.size for part in parts) / 2**20:.1f} MB"
    answer(as_json, rows, lambda: [*(f"{part.size:>11,}  {part.path}" for part in parts), total])


def contents(root: Path = ROOT, zero: bool = False) -> tuple[Part, ...]:
    """The files of a Space, by their paths there; with `zero` of one on ZeroGPU."""
    found = {}
    for name in (*PARTS, ENTRY, *([ZERO] if zero else [])):
        top = root / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            path = file.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
            if hidden or not file.is_file() or path.as_posix().startswith(LEFT_OUT):
                continue
            if name == ENTRY and path.as_posix().startswith(ZERO):
                continue
            there = path.relative_to(name) if name in (ENTRY, ZERO) else path
            found[there.as_posix()] = Part(there.as_posix(), file, file.stat().st_size)
    return tuple(found[path] for path in sorted(found))


def pushed(
    repo: str, parts: tuple[Part, ...], private: bool = False, endpoint: str | None = None, token: str | None = None
) -> str:
    """Make the Space hold these files and no others, in one commit; gives its address.

    It is made where there is none. Raises `NotPushed`.
    """
    import httpx2
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi(endpoint=endpoint, token=token)
    try:
        made = api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
        there = set(api.list_repo_files(repo, repo_type="space"))
        gone = sorted(there - {part.path for part in parts} - set(KEPT_THERE))
        adds = (CommitOperationAdd(part.path, part.file) for part in parts)
        deletes = (CommitOperationDelete(path) for path in gone)
        api.create_commit(repo, chain(adds, deletes), commit_message="The studio as it is now", repo_type="space")
    except LocalTokenNotFoundError:
        raise NotPushed("an account is needed to put something there; run `hf auth login`, or set HF_TOKEN") from None
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError, RuntimeError) as problem:
        why = getattr(problem, "server_message", None) or str(problem).partition("\n")[0]
        raise NotPushed(
            f"the Space {repo} was left as it was: {why:.300}. Check its name, the account and the connection"
        ) from None
    return str(made)


def settings_of_space(environment: Mapping[str, str] = os.environ) -> Settings:
    """How the studio is served in a Space: to strangers, in frames of the hub, at the address the Space is given.

    Without ``PALIMPSEST_DATA`` the data folder is one that is gone afterwards, as a Space's disk is anyway.
    """
    own = Settings.hosted(port=int(environment.get("PORT", "7860")), proxies=MOST_PROXIES, trash_days=0)
    if environment.get(LENT):
        own = replace(own, zero_gpu=True, device_process=False, warm_up=False)
    if bucket := environment.get(BUCKET):
        own = replace(own, bucket=Path(bucket))
    named = environment.get("SPACE_HOST", "").strip()
    return replace(
        own,
        allowed_hosts=(*own.allowed_hosts, *(name.strip() for name in named.split(",") if name.strip())),
        sign_in=SignIn.of_space(environment),
        frames=(*own.frames, *FRAMES),
    )


def serve_space(environment: Mapping[str, str] = os.environ) -> None:
    """Serve the studio until the Space is stopped."""
    from studio.cli.serve import serve_settings

    with ExitStack() as stack:
        if environment.get("PALIMPSEST_DATA"):
            data = default_data_folder(environment)
        else:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-")))
        settings = replace(settings_of_space(environment), data=data)
        if settings.zero_gpu and (named := preloaded(settings.own_models)):
            settings = replace(settings, model=named[0])
        serve_settings(settings, browser=False)


def preloaded(folder: Path, readme: Path = ROOT / "README.md") -> list[str]:
    """The models that the Space's front matter names in ``preload_from_hub``, which the hub has put into its cache,
    are named in `folder` too; gives their names there."""
    from huggingface_hub import metadata_load, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = []
    for line in (metadata_load(readme) or {}).get("preload_from_hub", ()):
        repo, _, revision = (*str(line).split(), "", "")[:3]
        name = repo.rpartition("/")[2]
        try:
            there = snapshot_download(repo, revision=revision or None, local_files_only=True)
        except LocalEntryNotFoundError:
            say(f"{repo} was not fetched when the Space was built, and is left out")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).symlink_to(there, target_is_directory=True)
        found.append(name)
    return found
