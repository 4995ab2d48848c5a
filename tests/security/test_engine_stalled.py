"""The process that computes, stopped with SIGSTOP under a studio that is served: no page waits for it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import OpenPage, open_page
from studio.ui.handlers import PLAIN_FIELDS

AT_ONCE = 5.0
"""Seconds within which a page that waits for nothing is answered, on a machine that has much else to do."""
TO_COMPUTE = 120.0
"""Seconds within which a new process has loaded its libraries and run a turn."""


@dataclass
class Desk:
    """One page of a studio that is served, as its own script asks."""

    studio: Studio
    page: OpenPage
    client: httpx.Client
    hash: str = "a page"
    texts: dict[str, Any] = field(default_factory=lambda: {"background": "in a forest", "quality": "draft"})

    def ask(self, name: str, told: Any = None, **filled: Any) -> dict[str, Any]:
        """Send the page's event `name`; its message."""
        (number,) = (number for number, event in self.page.page.fns.items() if event.api_name == name)
        inputs = self.page.page.fns[number].inputs
        data = [None if part.get_block_name() == "state" else getattr(part, "value", None) for part in inputs]
        if name == "run":
            for place, part in enumerate(PLAIN_FIELDS, 1):
                data[place] = {**self.texts, **filled}.get(part, data[place])
        if name == "mark":
            data[1] = told
        body = {"fn_index": number, "data": data, "session_hash": self.hash, "event_data": told}
        answer = self.client.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 200, answer.text
        (message,) = (v for v in answer.json()["data"] if isinstance(v, str) and v[:1] == "{")
        return dict(json.loads(message))

    @property
    def job(self) -> Any:
        (session,) = (s for s in self.studio.sessions.open() if s.view().name == "kept")
        return session.view().job

    def runs(self) -> None:
        """Begin a turn, and wait for its first step."""
        assert "notice" not in (answer := self.ask("run")), answer["notice"]
        end = time.monotonic() + TO_COMPUTE
        while not (self.job.step or self.job.error):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert self.job.error is None


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A page that shows the duck, clicked, in a studio with the embedded models and a process that computes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, device="cpu", device_process=True)
        studio = build_studio(settings)
        page = open_page(studio, settings)
        with httpx.Client(base_url=page.url, headers={"origin": page.url}, timeout=TO_COMPUTE) as client:
            desk = Desk(studio, page, client)
            (duck,) = (e for e in studio.sessions.examples() if e.id == "duck-on-the-beach")
            desk.ask("open_example", {"example": duck.id})
            desk.ask("rename", {"name": "kept"})
            clicks = [{"x": x, "y": y, "include": True} for x, y in duck.clicks]
            desk.ask("mark", {"count": 1, "prompts": {"clicks": clicks}})
            yield desk
        page.close()
        studio.close()


@pytest.fixture
def pid(desk: Desk) -> Iterator[int]:
    """The process that runs a turn, stopped in the middle of it."""
    desk.runs()
    assert desk.studio.device is not None and desk.studio.device.pid is not None
    pid = desk.studio.device.pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    if psutil.pid_exists(pid):
        os.kill(pid, signal.SIGCONT)


def in_time(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    begun = time.monotonic()
    answer = ask()
    assert time.monotonic() - begun < AT_ONCE
    return answer


def test_every_button_that_computes_nothing_answers_while_the_process_is_stopped_and_cancel_frees_it(
    desk: Desk, pid: int
) -> None:
    other = Desk(desk.studio, desk.page, desk.client, "another page")
    opened = in_time(lambda: other.ask("open_example", {"example": "duck-on-the-beach"}))
    assert opened["engine"] == "Toybox on CPU", "as it said last"
    assert in_time(lambda: other.ask("rename", {"name": "other"}))["view"]["name"] == "other"
    stroke = {"points": [{"x": 20, "y": 20}, {"x": 30, "y": 30}], "radius": 6, "erase": False}
    painted = in_time(lambda: other.ask("mark", {"count": 2, "prompts": {"strokes": [stroke]}}))
    assert painted["view"]["mask"]["area"] > 0, "the brush needs no segmenter"
    for name in ("undo", "redo", "seek", "look", "drafted", "discard", "boot"):
        in_time(lambda name=name: other.ask(name, {}))
    sid = opened["sid"]
    in_time(lambda: desk.ask("enter", {"sid": sid}))
    (kept,) = (s for s in desk.studio.sessions.open() if s.view().name == "kept")
    in_time(lambda: desk.ask("enter", {"sid": kept.sid}))
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED, "all of this came while it was stopped"
    assert "view" in in_time(lambda: desk.ask("cancel"))
    assert desk.job.state == "cancelled"
    desk.runs()
    assert not psutil.pid_exists(pid), "the next turn has a process of its own"
    desk.ask("cancel")


def test_a_turn_whose_process_is_stopped_fails_with_a_sentence(desk: Desk, pid: int) -> None:
    end = time.monotonic() + TO_COMPUTE
    while desk.job.state == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert desk.job.state == "failed" and "gave no sign of life" in desk.job.error
    assert not psutil.pid_exists(pid)
