"""The server that people start, or its device's process, ended with SIGKILL in the middle of a run: nothing is lost."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser

LAUNCH = Path(__file__).resolve().parents[2] / "launch.py"


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a studio in a process of its own, which is killed without a word in the end."""
    command = [sys.executable, str(LAUNCH), "serve", "--port", "0", "--no-browser", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = next((found for line in server.stderr if (found := re.search(r"open at (http://\S+)", line))), None)
            assert told is not None, "the server ended before it was open"
            threading.Thread(target=server.stderr.read, daemon=True).start()  # or a full pipe would stop it
            yield told[1], psutil.Process(server.pid)
        finally:
            server.kill()


def test_a_killed_server_loses_nothing_that_was_kept(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _), sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("quality", "Draft")
        desk.runs()
        desk.keeps()
        desk.says(background="in the snow")
        session = desk.page.evaluate("palimpsest.state.sid")
        desk.page.locator(".p-run").click()
        expect(desk.page.locator(".p-progress")).to_be_visible()
        mask = desk.page.evaluate("palimpsest.state.view.mask.mask")
    with serving(tmp_path) as (url, _), sat_down(browser, f"{url}/?session={session}") as desk:
        expect(desk.turns).to_have_count(2)
        assert desk.here == "1 · in a forest"
        expect(desk.page.locator("#background textarea")).to_have_value("in the snow")
        desk.wait_mask()
        assert desk.shown_mask == mask is not None
        expect(desk.page.locator(".p-progress")).to_be_hidden()
        assert desk.page.evaluate("palimpsest.state.view.job.state") == "interrupted"
        desk.runs()
        desk.keeps()
        assert desk.here == "2 · in the snow"


def device_of(server: psutil.Process) -> psutil.Process:
    """The process that computes: the only child that is told to serve one."""
    (found,) = (child for child in server.children() if any("spawn_main" in word for word in child.cmdline()))
    return found


def test_e04_a_killed_device_fails_its_turn_and_the_next_run_works(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as (url, server), sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("quality", "Draft")
        desk.says(background="in a forest")
        desk.page.locator(".p-run").click()
        expect(desk.page.locator(".p-progress")).to_be_visible()
        desk.page.wait_for_function("palimpsest.state.view.job.step > 0")
        first = device_of(server)
        first.kill()
        expect(desk.page.get_by_text("was killed from outside")).to_be_visible()
        assert desk.page.evaluate("palimpsest.state.view.job.state") == "failed"
        expect(desk.turns).to_have_count(1)
        desk.runs()
        desk.keeps()
        expect(desk.turns).to_have_count(2)
        assert device_of(server) != first and server.is_running()
