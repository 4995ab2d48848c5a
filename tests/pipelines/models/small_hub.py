"""A hub on loopback with the few addresses that a pull uses, which can be told to fail the way real ones do."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class SmallHub:
    """One model under one id. What is set here holds from the next request on."""

    files: dict[str, bytes]
    repo: str = "someone/tiny-model"
    endpoint: str = ""
    refuse: tuple[int, str] | None = None
    """Status and X-Error-Code of the answer to everything."""
    cut: dict[str, list[int]] = field(default_factory=dict)
    """By path: the connection is broken when so many bytes of the file are out, once for each number."""
    hang: dict[str, int] = field(default_factory=dict)
    """By path: after so many bytes nothing comes any more, until the hub is closed."""
    instead: dict[str, bytes] = field(default_factory=dict)
    """What is sent in the place of a listed file."""
    ignores_ranges: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    """Every request: method, path, range."""

    def sent(self, path: str) -> list[str]:
        """The ranges in which a file was asked for, ``""`` for all of it."""
        return [asked.split("|")[1] for asked in self.asked if f"/{path}|" in asked]

    def listing(self) -> dict[str, Any]:
        siblings = []
        for path, data in self.files.items():
            about: dict[str, Any] = {"rfilename": path, "size": len(data)}
            if path.endswith((".safetensors", ".bin")):
                about["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                about["blobId"] = "f" * 40
            else:
                about["blobId"] = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            siblings.append(about)
        return {"id": self.repo, "modelId": self.repo, "sha": COMMIT, "siblings": siblings, "tags": []}


def files_of(folder: Path) -> dict[str, bytes]:
    """A folder as a hub has it."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[SmallHub]:
    """The hub while it listens."""
    hub = SmallHub(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path, span = self.path.partition("?")[0], self.headers.get("Range", "")
            hub.asked.append(f"{path}|{span}")
            if hub.refuse:
                return self.answer(hub.refuse[0], b"{}", {"X-Error-Code": hub.refuse[1]} if hub.refuse[1] else {})
            if match := re.fullmatch(rf"/api/models/{hub.repo}/revision/(.+)", path):
                if match[1] not in ("main", "v1", COMMIT):
                    return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return self.answer(200, json.dumps(hub.listing()).encode())
            prefix = f"/{hub.repo}/resolve/{COMMIT}/"
            name = path.removeprefix(prefix)
            if not path.startswith(prefix) or name not in hub.files:
                return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound" if prefix in path else "RepoNotFound"})
            return self.send_file(name, span)

        def send_file(self, name: str, span: str) -> None:
            data, first = hub.instead.get(name, hub.files[name]), 0
            if span and not hub.ignores_ranges:
                first = int(span.removeprefix("bytes=").removesuffix("-"))
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            cut = hub.cut.get(name)
            ends = cut.pop(0) if cut else hub.hang.get(name, len(data))
            self.answer(206 if first else 200, data[first:], headers, data[first : max(ends, first)])

        def answer(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, sent: bytes | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if sent is None else sent)
            if sent is not None and len(sent) < len(body):
                self.wfile.flush()
                self.close_connection = True
                if hub.hang:
                    hub.closing.wait(300)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
