"""A real studio with the embedded models, served on a free port, and a real browser."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from studio.app import Studio, build_studio
from studio.settings import Gallery, Settings
from studio.ui.app import open_page
from tests.browser.desk import launched


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a file: while it is open its event loop is this thread's, and no test elsewhere could run its own."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, str]]:
    """The studio and its address. Uploads go to a folder of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        # Each test's browser is another person's, so none is shown what the tests before it made.
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=free_port(), gallery=Gallery.OWN)
        studio = build_studio(settings)
        page = open_page(studio, settings)
        yield studio, page.url
        page.close()
        studio.close()


@pytest.fixture
def url(served: tuple[Studio, str]) -> str:
    return served[1]


@pytest.fixture
def failures(request: pytest.FixtureRequest) -> Path:
    """Where pictures of a failed comparison are put."""
    folder = request.config.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
