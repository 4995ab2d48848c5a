"""``speed``: how long a person waits for what, on this machine, with the embedded model. It judges nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Mask, Picture, Quality, Scope
from pipelines.evaluation.cases import Case, make_case
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.models.folders import find_models
from pipelines.pictures import encode_png
from studio.app import build_studio
from studio.cli.options import Device, Json, settings_from, snaps
from studio.cli.report import answer, peak_memory_mb, say, table
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.jobs.work import EditingEngine, lazy_engine
from studio.settings import Settings

LAUNCH = Path(__file__).resolve().parents[2] / "launch.py"
LATER_CLICKS = 5
MANY_TURNS = 1000
QUALITIES = (Quality.DRAFT, Quality.STANDARD)
PATIENCE = 120
"""Seconds in which the page must come up."""


def speed(device: Device = "auto", as_json: Json = False) -> None:
    """Time what a person waits for.

    The page, clicks, and an edit at draft and at standard quality; nothing is judged.
    """
    own = settings_from([], device)
    measured = {"page ready": page_ready()} | timed_timeline(own)
    say("page and timeline measured; now the engine")
    engine = lazy_engine(own)
    measured["model and its libraries loaded"] = seconds(lambda: engine.warm_up(own.model))
    case = make_case(Scope.BOTH, 0)
    picture = case.picture()
    clicks, mask = timed_clicks(engine, own, picture, case)
    measured |= clicks
    for quality in QUALITIES:
        measured[f"layered edit, {quality}"] = seconds(edit_of(engine, own, case, picture, mask, quality))
    value = {name: round(took, 3) for name, took in measured.items()}
    memory, cores = peak_memory_mb(), os.cpu_count()
    rows = [*((name, f"{took:.2f} s") for name, took in value.items()), ("peak memory", f"{memory} MB")]
    about = {"seconds": value, "peak_memory_mb": memory, "cores": cores, "engine": engine.describe()}
    answer(as_json, about, lambda: [f"{engine.describe()}, {cores} cores", *table(rows)])


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def timed_clicks(engine: EditingEngine, own: Settings, picture: Picture, case: Case) -> tuple[dict[str, float], Mask]:
    """The first click, which embeds the picture, and the median of some that move; the first one's mask."""
    at = case.click
    masks: list[Mask] = []

    def click(shift: float) -> None:
        prompts = MaskPrompts(clicks=(Click(at.x + shift, at.y),), snap=snaps(own, None))
        masks.append(engine.segment(picture, prompts, own.segmenter).mask)

    first = seconds(lambda: click(0))
    later = median(seconds(lambda: click(shift)) for shift in range(1, LATER_CLICKS + 1))  # noqa: B023
    return {"first click, segmenter loaded with it": first, "each click after it": later}, masks[0]


def edit_of(
    engine: EditingEngine, own: Settings, case: Case, picture: Picture, mask: Mask, quality: Quality
) -> Callable[[], object]:
    """One edit of both tracks, ready to be timed."""
    request = EditRequest(
        picture=picture, mask=mask, subject=case.subject, background=case.background, scope=case.scope, seed=7
    )
    card = find_models(own.all_model_folders).get(own.model)
    return lambda: engine.edit(own.model, "layered", request, settings("layered", quality, card=card))


def timed_timeline(own: Settings) -> dict[str, float]:
    """A session of `MANY_TURNS` turns on 200 branches: opening it, and the 95th percentile of moving in it."""
    with tempfile.TemporaryDirectory() as data:
        studio = build_studio(replace(own, data=Path(data), warm_up=False))
        hold = threading.Event()
        try:
            sid = studio.sessions.create(encode_png(make_case(Scope.BOTH, 0).picture()), "many").sid
            first = studio.store.load(sid)
            assert first is not None
            large = replace(first, sid="0" * 32, tree=grown(first.tree))
            studio.store.save(large, None)
            opening = seconds(lambda: studio.sessions.get(large.sid).view())
            session, ids = studio.sessions.get(large.sid), list(large.tree.turns)
            studio.runner.submit("speed", "wait", (), lambda _: hold.wait(PATIENCE), lambda _: None)
            moves = [
                seconds(move)
                for id in ids[:: MANY_TURNS // 20]
                for move in (partial(session.jump, id), session.undo, session.redo, session.branch, session.view)
            ]
        finally:
            hold.set()
            studio.close()
    name = f"of {MANY_TURNS} turns"
    return {f"a session {name} opened": opening, f"a move in one {name}, a job running": quantiles(moves, n=20)[18]}


def grown(tree: Tree) -> Tree:
    """`tree` with many turns, every fifth of which branches off; all show the picture there is."""
    turns = [tree.here]
    for seed in range(MANY_TURNS):
        parent = turns[-1] if seed % 5 else turns[5 * (seed // 10)]
        asked = TurnRequest(
            model=Settings().model,
            weights="",
            method="sdedit",
            params={},
            quality=Quality.DRAFT,
            subject="a dog",
            background="",
            scope=Scope.BOTH,
            seed=seed,
            mask=None,
            prompts={},
            feather=2.0,
        )
        turns.append(Turn.after(parent.id, asked, parent.picture, Outcome()))
        tree = tree.append(turns[-1])
    return tree


def page_ready() -> float:
    """Seconds from starting the server as `serve` does, the model loading meanwhile, to its first whole page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        options = ["serve", "--port", str(port), "--data", data, "--no-browser"]
        began = time.perf_counter()
        server = subprocess.Popen(  # noqa: S603  our own interpreter and file
            [sys.executable, str(LAUNCH), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/", server)
            return time.perf_counter() - began
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when `url` answers; raises `RuntimeError` when the server ended or `PATIENCE` ran out."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:  # noqa: S310  our own address
                page.read()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"the server did not answer at {url}; run `launch.py serve` to see why")
