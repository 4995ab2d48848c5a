"""The Space as a stranger meets it: in a frame of another site, in a browser that lets it store nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Frame, expect, sync_playwright

from studio.cli.space import contents
from tests.browser.conftest import free_port
from tests.browser.desk import ARGUMENTS
from tests.browser.screenshots import DUCK

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def outer() -> Iterator[tuple[str, dict[str, str]]]:
    """Another site, and what its page says."""
    page = {"body": ""}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page["body"].encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", page
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def space(tmp_path: Path, outer: tuple[str, dict[str, str]]) -> Iterator[str]:
    """The files of a Space in a folder of their own, started as a Space starts them; by the interpreter that
    ``SPACE_PYTHON`` names, where one has made an environment of ``space/requirements.txt`` alone."""
    folder, port = tmp_path / "space", free_port()
    for part in contents():
        (there := folder / part.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(part.file, there)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PALIMPSEST"))}
    environment |= {
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/studio",
        "SPACE_HOST": "someone-studio.hf.space",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "OMP_NUM_THREADS": "2",
        "PORT": str(port),
        "PALIMPSEST_FRAMES": outer[0],
    }
    log = (tmp_path / "log").open("w+")
    server = subprocess.Popen(
        [os.environ.get("SPACE_PYTHON", sys.executable), "app.py"],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url, end = f"http://localhost:{port}", time.monotonic() + 240
    try:
        while True:
            try:
                if httpx.get(f"{url}/studio/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert server.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.3)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.fixture
def context(tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser that lets nothing be stored in frames of other sites."""
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    blocked = {"profile": {"block_third_party_cookies": True, "cookie_controls_mode": 1}}
    (profile / "Preferences").write_text(json.dumps(blocked))
    path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile.parent, executable_path=path, args=list(ARGUMENTS), viewport={"width": 1440, "height": 900}
        )
        yield context
        context.close()


def test_an_example_is_edited_in_a_frame_of_another_site(
    space: str, outer: tuple[str, dict[str, str]], context: BrowserContext
) -> None:
    address, page_of = outer
    page_of["body"] = f'<iframe src="{space}/" style="width: 1400px; height: 860px; border: 0"></iframe>'
    page, troubles = context.new_page(), []
    page.set_default_timeout(120_000)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("response", lambda answer: troubles.append(answer.url) if answer.status >= 400 else None)
    page.goto(address)
    element = page.wait_for_selector("iframe")
    frame = element.content_frame() if element else None
    assert isinstance(frame, Frame)
    frame.wait_for_selector("#studio[data-session=none]", state="attached")
    stands_in = "() => 'value' in Object.getOwnPropertyDescriptor(window, 'localStorage')"
    assert frame.evaluate(stands_in), "the browser was to block storage"
    expect(frame.locator(".p-forgets")).to_contain_text("nobody uses for 24 hours is deleted")
    frame.locator(".p-card", has_text="Duck on the beach").click()
    expect(frame.locator("#studio")).to_have_attribute("data-session", "open", timeout=120_000)
    box = frame.locator(".p-frame").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + DUCK[0] / 256 * box["width"], box["y"] + DUCK[1] / 256 * box["height"])
    expect(frame.locator(".p-area")).to_contain_text("subject", timeout=120_000)
    frame.locator("#quality label", has_text="Draft").click()
    frame.locator(".p-run").click()
    frame.wait_for_selector("#go .p-root[data-state=staged]", timeout=240_000)
    frame.locator(".p-staging .p-go").click()
    expect(frame.get_by_role("treeitem")).to_have_count(2)
    assert troubles == [], troubles
