"""Strangers at work for as long as one likes: ``python -m tests.load.soak --minutes 30 --visitors 8``.

A studio is served as ``serve --hosted`` serves it, with the embedded model, on the loopback address and a data folder
that is gone afterwards. Each visitor opens, marks, runs, keeps, goes back, swaps, exports, sends nonsense and goes
away, at random. Printed are memory, open handles and threads of the server and of the process that computes, how they
grew in the last two thirds (a cache that fills slows down, a leak goes on), and how often each answer came. A request
has failed that broke off, or was answered with what is no stated limit; the exit code is 1 then. It stops by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from tests.browser.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "assets" / "examples"
TOKEN = "only-for-this-soak-test"
LIMITS = {"visitor_sessions": 8, "data_room": 300 * 2**20, "stop_seconds": 60}
"""Small, so that forgetting has something to do."""
STATED = {404, 409, 413, 415, 422, 429, 503}
"""Answers in which a studio says that something cannot be, is not there, or is too much for now."""
SAMPLE_EVERY = 5.0
KINDS = ("png", "jpeg", "webp", "ora", "psd", "gif", "palimpsest")
HAND: tuple[dict[str, Any], ...] = (
    {"method": "recolour", "settings": {"hue": 120}},
    {"method": "light", "settings": {}},
    {"method": "remove", "settings": {}},
)


@dataclass
class Tally:
    """What came of all requests, all visitors together."""

    answers: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Visitor(threading.Thread):
    """One of them. Its seed decides what it does, though not when."""

    def __init__(self, number: int, url: str, tally: Tally, over: threading.Event) -> None:
        super().__init__(name=f"visitor {number}", daemon=True)
        self.dice, self.tally, self.over = random.Random(number), tally, over
        headers = {"x-forwarded-for": f"203.0.113.{number}", "authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=120)
        self.sids: list[str] = []

    def run(self) -> None:
        acts = [self.opens, *[self.edits] * 3, *[self.walks] * 2, self.exports, self.manages, self.looks, self.errs]
        with self.client:
            while not self.over.is_set():
                self.dice.choice(acts)()
                self.over.wait(self.dice.uniform(0.05, 0.6))

    def ask(self, method: str, path: str, **sent: Any) -> httpx.Response | None:
        """The answer, where it is none of a limit."""
        try:
            answer = self.client.request(method, path, **sent)
        except httpx.HTTPError as problem:
            with self.tally.lock:
                self.tally.failed.append(f"{method} {path}: {type(problem).__name__} {problem}")
            return None
        with self.tally.lock:
            self.tally.answers[answer.status_code] += 1
            if answer.status_code >= 400 and answer.status_code not in STATED:
                self.tally.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer if answer.status_code < 400 else None

    def session(self) -> str:
        """The address of one of its sessions."""
        return f"/api/v1/sessions/{self.dice.choice(self.sids) if self.sids else '0' * 32}"

    def did(self, what: str) -> None:
        with self.tally.lock:
            self.tally.done[what] += 1

    def opens(self) -> None:
        example = self.dice.choice(sorted(EXAMPLES.glob("*.png")))
        said: dict[str, Any] = {"example": example.stem}
        if self.dice.random() < 0.5:
            sent = self.ask("POST", "/api/v1/uploads", content=example.read_bytes())
            said = {"upload": sent.json()["upload"], "name": example.name} if sent else said
        if (made := self.ask("POST", "/api/v1/sessions", json=said)) is not None:
            self.sids = [*self.sids, made.json()["sid"]][-8:]
            self.did("opened")

    def edits(self) -> None:
        one, point = self.session(), (self.dice.randrange(40, 216), self.dice.randrange(60, 230))
        self.ask(
            "POST", f"{one}/mask", json={"clicks": [{"x": point[0], "y": point[1]}], "grow": self.dice.randrange(3)}
        )
        said = self.dice.choice(HAND) | {"seed": self.dice.randrange(99)}
        if self.dice.random() < 0.3:
            said = {"method": "sdedit", "quality": "draft", "background": "in a forest", "settings": {"steps": 4}}
        if (begun := self.ask("POST", f"{one}/turns", json=said)) is None:
            return
        job = f"/api/v1/jobs/{begun.json()['id']}"
        leaves = self.dice.random() < 0.1
        for _ in range(600):
            now = self.ask("GET", job)
            if now is None or now.json()["state"] not in ("queued", "running") or self.over.is_set():
                break
            if leaves:
                self.ask("DELETE", job)
                self.did("cancelled")
                return
            time.sleep(0.2)
        if self.ask("POST", f"{one}/keep", json={}) is not None:
            self.did("kept")

    def walks(self) -> None:
        one = self.session()
        self.ask("POST", f"{one}/go", json={"turn": self.dice.choice(["undo", "redo", "original", "current", 1])})
        if self.dice.random() < 0.3:
            self.ask("POST", f"{one}/branch", json={"turn": "current"})
        if self.dice.random() < 0.2:
            self.ask("POST", f"{one}/swap", json={"first": 1, "second": 2})
        if self.ask("GET", f"{one}/compare", params={"first": "original"}) is not None:
            self.did("compared")

    def exports(self) -> None:
        kind = self.dice.choice(KINDS)
        found = self.ask("GET", f"{self.session()}/turns/current/{kind}")
        if found is None:
            return
        self.did("exported")
        if kind == "palimpsest" and self.dice.random() < 0.5:
            sent = self.ask("POST", "/api/v1/uploads", content=found.content)
            if sent is not None and self.ask("POST", "/api/v1/sessions", json={"upload": sent.json()["upload"]}):
                self.did("imported")

    def manages(self) -> None:
        one = self.session()
        self.ask("PATCH", one, json={"name": f"name {self.dice.randrange(9)}"})
        self.ask("POST", f"{one}/copy")
        self.ask("DELETE", one)
        self.ask("POST", f"{one}/restore")
        self.did("managed")

    def looks(self) -> None:
        for path in ("/", "/theme.css", "/api/v1/models", "/api/v1/methods", "/api/v1/examples", self.session()):
            self.ask("GET", path)
        self.did("looked")

    def errs(self) -> None:
        one = self.session()
        self.ask("GET", "/api/v1/sessions/" + "0" * 32)
        self.ask("POST", f"{one}/turns", json={"method": "sdedit", "settings": {"steps": 10**6}})
        self.ask("POST", f"{one}/mask", json={"clicks": [{"x": 10**6, "y": 0}]})
        sent = self.ask("POST", "/api/v1/uploads", content=b"no picture" * 1000)
        self.ask("POST", "/api/v1/sessions", json={"upload": sent.json()["upload"] if sent else "x"})
        self.did("erred")


@dataclass
class Watched:
    """One process, over time."""

    name: str
    at: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self, process: psutil.Process, now: float) -> None:
        with process.oneshot():
            found = (process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())
        self.at.append(now)
        for kept, value in zip((self.memory, self.handles, self.threads), found, strict=True):
            kept.append(value)  # type: ignore[attr-defined]

    def told(self) -> str:
        third = len(self.at) // 3
        if len(self.at) - third < 3:
            return f"{self.name}: too short to say"
        slopes = [
            np.polyfit(np.array(self.at[part]) / 3600, self.memory[part], 1)[0]
            for part in (slice(third, 2 * third), slice(2 * third, None))
        ]
        parts = [
            f"{kind} {found[third]:.0f} after a third, {found[-1]:.0f} at the end, {max(found):.0f} at most"
            for kind, found in (("handles", self.handles), ("threads", self.threads))
        ]
        marks = [self.memory[0], self.memory[third], self.memory[2 * third], self.memory[-1]]
        held = f"memory {', '.join(f'{mark:.0f}' for mark in marks)} MB at the start, the thirds and the end"
        held += f", in the last two thirds {slopes[0]:+.0f} and {slopes[1]:+.0f} MB/h"
        return f"{self.name}: {held}; {'; '.join(parts)}"


def main() -> int:
    """Soak; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--room", type=int, default=16, help="MB of the server's cache: small, so that it fills early")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palimpsest-soak-") as folder:
        return soak(Path(folder), 60 * min(asked.minutes, 240), min(asked.visitors, 64), asked.room)


def soak(folder: Path, seconds: float, visitors: int, room: int) -> int:
    """Serve, let them in, watch, and tell."""
    port = free_port()
    command = [sys.executable, "launch.py", "serve", "--hosted", "--port", str(port), "--data", str(folder / "data")]
    command += [
        "--no-browser",
        "--cache-room",
        str(room),
        *(part for name, value in LIMITS.items() for part in ("--limit", f"{name}={value}")),
    ]
    log = folder / "log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PALIMPSEST_TOKEN": TOKEN},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    url, over, tally = f"http://127.0.0.1:{port}", threading.Event(), Tally()
    try:
        wait_for(server, url)
        watched = {"the server": Watched("the server"), "what computes": Watched("what computes")}
        crowd = [Visitor(number + 1, url, tally, over) for number in range(visitors)]
        began = time.monotonic()
        for visitor in crowd:
            visitor.start()
        here = psutil.Process(server.pid)
        while (now := time.monotonic() - began) < seconds and server.poll() is None:
            children = sorted(here.children(), key=lambda child: child.memory_info().rss)
            watched["the server"].look(here, now)
            if children:
                watched["what computes"].look(children[-1], now)
            over.wait(SAMPLE_EVERY)
        over.set()
        for visitor in crowd:
            visitor.join(180)
        lasted, ended = time.monotonic() - began, server.poll()
    finally:
        over.set()
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
    traces = log.read_text(errors="replace").count("Traceback")
    lines = [
        f"{visitors} visitors, {lasted / 60:.1f} minutes, {sum(tally.answers.values())} requests",
        f"what they did: {', '.join(f'{what} {count}' for what, count in tally.done.most_common())}",
        f"answers: {', '.join(f'{status}: {count}' for status, count in sorted(tally.answers.items()))}",
        *(one.told() for one in watched.values()),
        f"failed requests: {len(tally.failed)}; tracebacks in the log: {traces}; the server "
        + ("was there to the end" if ended is None else f"ended early with {ended}"),
        *tally.failed[:20],
    ]
    if traces:
        lines += [log.read_text(errors="replace")[-4000:]]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(tally.failed or traces or ended is not None))


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{url}/studio/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end and server.poll() is None, "the studio did not start"
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
