"""The process that computes, stopped with SIGSTOP under a studio that is served: no page waits for it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from studio.app import build_studio
from studio.session.session import Session
from studio.settings import Settings
from studio.ui.app import open_page
from studio.ui.handlers import PLAIN_FIELDS
from tests.security.conftest import Served, Visitor

AT_ONCE = 5.0
"""Seconds within which a page that waits for nothing is answered, on a machine that has much else to do."""
TO_COMPUTE = 120.0
"""Seconds within which a new process has loaded its libraries and run a turn."""


@dataclass(frozen=True)
class Desk:
    """A page that shows the duck, clicked."""

    page: Visitor
    session: Session

    @classmethod
    def of(cls, served: Served, client: httpx.Client) -> Desk:
        page = Visitor(served, client)
        sid = page.fires("stage", "open_example", example="duck-on-the-beach")["sid"]
        return cls(page, served.studio.sessions.get(sid))

    @property
    def job(self) -> Any:
        return self.session.view().job

    def runs(self) -> None:
        """Begin a turn, and wait for its first step."""
        fields = [getattr(field, "value", None) for field in self.page.event("go", "run").inputs[1:]]
        for name, value in {"background": "in a forest", "quality": "draft", "filled": "draft on toybox"}.items():
            fields[PLAIN_FIELDS.index(name)] = value
        assert "notice" not in (answer := self.page.fires("go", "run", *fields)), answer["notice"]
        self.waits(lambda: self.job.step or self.job.error)
        assert self.job.error is None

    def waits(self, until: Callable[[], object]) -> None:
        end = time.monotonic() + TO_COMPUTE
        while not until():
            assert time.monotonic() < end, f"still {self.job}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with the embedded models and a process that computes."""
    with pytest.MonkeyPatch.context() as patch:
        uploads = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, device="cpu", device_process=True)
        studio = build_studio(settings)
        page = open_page(studio, settings)
        yield Served(studio, page, uploads)
        page.close()
        studio.close()


@pytest.fixture
def desk(served: Served, client: httpx.Client) -> Desk:
    client.timeout = TO_COMPUTE
    desk = Desk.of(served, client)
    (duck,) = (e for e in served.studio.sessions.examples() if e.id == "duck-on-the-beach")
    clicks = [{"x": x, "y": y, "include": True} for x, y in duck.clicks]
    assert desk.page.fires("stage", "mark", json.dumps({"count": 1, "prompts": {"clicks": clicks}}))["view"]["mask"][
        "area"
    ]
    return desk


@pytest.fixture
def pid(desk: Desk) -> Iterator[int]:
    """The process that runs the desk's turn, stopped in the middle of it."""
    desk.runs()
    device = desk.page.served.studio.device
    assert device is not None and device.pid is not None
    pid = device.pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    desk.page.fires("go", "cancel")
    if psutil.pid_exists(pid):
        os.kill(pid, signal.SIGCONT)


def at_once(ask: Callable[..., dict[str, Any]], *args: Any, **sent: Any) -> dict[str, Any]:
    begun = time.monotonic()
    answer = ask(*args, **sent)
    assert time.monotonic() - begun < AT_ONCE, args
    return answer


def test_every_button_that_computes_nothing_answers_while_the_process_is_stopped_and_cancel_frees_it(
    desk: Desk, pid: int, served: Served, client: httpx.Client
) -> None:
    other = Visitor(served, client)
    opened = at_once(other.fires, "stage", "open_example", example="duck-on-the-beach")
    assert opened["engine"] == "Toybox on CPU", "as it said last"
    assert at_once(other.fires, "top", "rename_here", name="other")["view"]["name"] == "other"
    stroke = {"points": [{"x": 20, "y": 20}, {"x": 30, "y": 30}], "radius": 6, "erase": False}
    painted = at_once(other.fires, "stage", "mark", json.dumps({"count": 2, "prompts": {"strokes": [stroke]}}))
    assert painted["view"]["mask"]["area"] > 0, "the brush needs no segmenter"
    for component, event in (("top", "undo"), ("top", "redo"), ("stage", "discard"), ("gallery", "seek_sessions")):
        at_once(other.fires, component, event)
    at_once(desk.page.fires, "gallery", "enter_session", sid=opened["sid"])
    at_once(desk.page.fires, "gallery", "enter_session", sid=desk.session.sid)
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED, "all of this came while it was stopped"
    assert "view" in at_once(desk.page.fires, "go", "cancel")
    assert desk.job.state == "cancelled"
    desk.runs()
    assert not psutil.pid_exists(pid), "the next turn has a process of its own"
    desk.page.fires("go", "cancel")


def test_a_turn_whose_process_is_stopped_fails_with_a_sentence(desk: Desk, pid: int) -> None:
    desk.waits(lambda: desk.job.state != "running")
    assert desk.job.state == "failed" and "gave no sign of life" in desk.job.error
    assert not psutil.pid_exists(pid)
