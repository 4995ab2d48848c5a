"""Whoever pretends to be many pages: what each costs is bounded, and the others go on."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pipelines.contract import Scope
from studio.api import gate
from studio.ui import app
from studio.ui.app import open_page
from studio.ui.handlers import Handlers, Seat
from tests.security.conftest import Served, Visitor
from tests.studio.conftest import StandInEngine


def test_answers_that_go_on_are_bounded_and_given_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page(served.studio, served.studio.settings)
    monkeypatch.setattr(gate, "MOST_LASTING", 3)
    try:
        with httpx.Client(base_url=page.url, timeout=30) as client, ExitStack() as open_:
            for number in range(3):
                answer = open_.enter_context(client.stream("GET", f"/gradio_api/heartbeat/page{number}"))
                assert answer.status_code == 200
            refused = client.get("/gradio_api/heartbeat/page4")
            assert refused.status_code == 503 and refused.text == gate.TOO_MANY
            assert client.get("/studio/health").status_code == 200, "all else is answered"
            open_.close()
            end = time.monotonic() + 30  # Gradio looks some times a minute whether the other side is still there
            while time.monotonic() < end:
                with client.stream("GET", "/gradio_api/heartbeat/page5") as again:
                    if again.status_code == 200:
                        break
                time.sleep(0.1)
            else:
                pytest.fail("what was closed is still counted")
    finally:
        page.close()


def test_of_pages_that_come_without_end_the_longest_unused_are_forgotten(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_PAGES", 5)
    page = open_page(served.studio, served.studio.settings)
    try:
        few = Served(served.studio, page, served.uploads)
        with few.client() as client:
            for _ in range(12):
                assert Visitor(few, client).post(few.boot, [None]).status_code == 200
        assert page.page.app is not None and len(page.page.app.state_holder.session_data) == 5
    finally:
        page.close()


def test_a_page_follows_its_job_once_however_often_it_asks(served: Served) -> None:
    engine, handlers = served.studio.engine, Handlers(served.studio)
    assert isinstance(engine, StandInEngine)
    session = served.studio.sessions.create_example("duck-on-the-beach")
    seat, other = Seat(session.sid, "one"), Seat(session.sid, "other")
    engine.hold.clear()
    engine.reached.clear()
    engine.hold_at = ("denoise", 2)

    async def followed(seat: Seat, ended: list[str], name: str) -> list[Any]:
        messages = [message async for message in handlers.follow(seat)]
        ended.append(name)
        return messages

    async def ask() -> tuple[list[str], list[list[Any]]]:
        ended: list[str] = []
        tasks = [asyncio.create_task(followed(other, ended, "other"))]
        for number in range(5):
            tasks.append(asyncio.create_task(followed(seat, ended, f"ask {number}")))
            await asyncio.sleep(0.05)
        end = time.monotonic() + 20
        while len(ended) < 4 and time.monotonic() < end:
            await asyncio.sleep(0.05)
        before = list(ended)
        engine.hold.set()
        return before, await asyncio.gather(*tasks)

    try:
        draft = replace(session.view().draft, method="sdedit", scope=Scope.BOTH, subject="a duck", background="snow")
        session.set_draft(replace(draft, changes={}))
        session.start()
        assert engine.reached.wait(20)
        ended, messages = asyncio.run(ask())
    finally:
        engine.hold.set()
        engine.hold_at = None
    assert sorted(ended) == [f"ask {number}" for number in range(4)], "only the last one goes on, and that of others"
    assert "view" in messages[0][-1] and "view" in messages[-1][-1], "both are told what came of it"
    served.studio.sessions.trash(session.sid)
