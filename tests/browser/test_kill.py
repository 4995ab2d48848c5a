"""The server that people start, ended with SIGKILL in the middle of a run: what was kept is there again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser

LAUNCH = Path(__file__).resolve().parents[2] / "launch.py"


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """The address of a studio in a process of its own, which is killed without a word in the end."""
    command = [sys.executable, str(LAUNCH), "serve", "--port", "0", "--no-browser", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = next((found for line in server.stderr if (found := re.search(r"open at (http://\S+)", line))), None)
            assert told is not None, "the server ended before it was open"
            yield told[1]
        finally:
            server.kill()


def test_a_killed_server_loses_nothing_that_was_kept(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as url, sat_down(browser, url) as desk:
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
    with serving(tmp_path) as url, sat_down(browser, f"{url}/?session={session}") as desk:
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
