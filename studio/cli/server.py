"""A studio that runs already, as the commands speak to it: over ``/api/v1``, where a data folder is in use by it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pipelines.progress import Progress
from studio.errors import ServerRefused
from studio.jobs.job import UNFINISHED, JobState

SECONDS = 120.0
"""For one answer; a session file of hundreds of turns takes a while."""
LOOK_EVERY = 0.5
"""Seconds between two looks at a job that is waited for."""

Server = Annotated[
    str,
    typer.Option(
        "--server",
        help="The address of a running studio to ask instead of a data folder, like http://localhost:7860; the token "
        "for it is read from PALIMPSEST_TOKEN.",
        metavar="URL",
        show_default=False,
    ),
]
Source = Annotated[
    str, typer.Argument(help="A session file (.palimpsest), or with --server the id of a session.", metavar="FILE")
]


class Running:
    """The studio at `url`. Raises `ServerRefused` where it is not there, or says no."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        if not url.startswith(("http://", "https://")):
            raise typer.BadParameter(f"the address of a studio is like http://localhost:7860; got {url!r:.80}")
        self._url = url.rstrip("/")
        token = environment.get("PALIMPSEST_TOKEN", "")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: object = None, data: bytes | None = None, **query: Any) -> Any:
        """The answer's JSON; ``None`` where it has none."""
        answer = self._asked(method, path, body, data, query)
        return answer.json() if answer.content else None

    def file(self, path: str, **query: Any) -> bytes:
        """The answer as it is."""
        return bytes(self._asked("GET", path, None, None, query).content)

    def upload(self, data: bytes) -> str:
        """The ticket of a file that was sent."""
        return str(self.ask("POST", "/uploads", data=data)["upload"])

    def session(self, sid: str) -> dict[str, Any]:
        """All there is to know of a session."""
        found: dict[str, Any] = self.ask("GET", f"/sessions/{quote(sid, safe='')}")
        return found

    def take(self, data: bytes) -> dict[str, Any]:
        """A new session of a session file's bytes: all there is to know of it."""
        made: dict[str, Any] = self.ask("POST", "/sessions", {"upload": self.upload(data)})
        return made

    def wait(self, job: Mapping[str, Any], progress: Progress) -> None:
        """Until the job is done; raises `ServerRefused` with the reason where it comes to nothing."""
        while job["state"] in UNFINISHED:
            if job["total"]:
                progress(job["stage"], job["step"], job["total"])
            time.sleep(LOOK_EVERY)
            job = self.ask("GET", f"/jobs/{quote(job['id'], safe='')}")
        if job["state"] != JobState.DONE:
            raise ServerRefused(job["error"] or f"the job was {job['state']}; start it once more")

    def _asked(self, method: str, path: str, body: object, data: bytes | None, query: Mapping[str, Any]) -> Any:
        import httpx2  # no command needs it that asks no server

        given: dict[str, Any] = {"content": data} if data is not None else {} if body is None else {"json": body}
        try:
            # What lies between is told by --server alone, so proxies of the environment are not asked.
            with httpx2.Client(headers=self._headers, timeout=SECONDS, trust_env=False) as client:
                answer = client.request(method, f"{self._url}/api/v1{path}", params=dict(query) or None, **given)
        except httpx2.HTTPError as problem:
            raise ServerRefused(
                f"no studio answers at {self._url} ({problem}); start one with `launch.py`, or leave --server out"
            ) from None
        if answer.status_code < 400:
            return answer
        try:
            words = str(answer.json()["error"])
        except (ValueError, LookupError, TypeError):
            words = f"what answers at {self._url} is no studio of this version (HTTP {answer.status_code})"
        raise ServerRefused(words)


def line_of(view: Mapping[str, Any], branch: str | None) -> tuple[str, ...]:
    """Ids from the original to the end of `branch`, by default the one stood on, of a session as it was answered."""
    branches = dict(view["branches"])
    name = view["branch"] if branch is None else branch
    if name not in branches:
        raise ServerRefused(f"the session has no branch {name!r:.80}; its branches are {', '.join(branches)}")
    parents = {turn["id"]: turn["parent"] for turn in view["turns"]}
    line = [branches[name]]
    while (parent := parents[line[-1]]) is not None:
        line.append(parent)
    return tuple(reversed(line))


@contextmanager
def session_file(source: str, server: str) -> Iterator[Path]:
    """The session file that `source` names, or that of the session with that id in the studio at `server`."""
    if Path(source).is_file():
        yield Path(source)
        return
    if not server:
        raise typer.BadParameter(f"a session file is needed, and {source!r:.80} is none; or say --server and an id")
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        path = Path(folder) / "session.palimpsest"
        path.write_bytes(Running(server).file(f"/sessions/{quote(source, safe='')}/turns/current/palimpsest"))
        yield path
