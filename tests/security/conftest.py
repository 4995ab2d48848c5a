"""A studio that is served as a person serves it, for those who mean it harm; its engine computes nothing costly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import OpenPage, open_page
from tests.browser.desk import launched
from tests.studio.conftest import StandInEngine


@dataclass(frozen=True)
class Served:
    """A studio that runs, and where."""

    studio: Studio
    page: OpenPage
    uploads: Path
    """Gradio's upload folder."""

    @property
    def url(self) -> str:
        return self.page.url

    def client(self, **more: str) -> httpx.Client:
        """A client that says of itself that it is the studio's own page, but for what `more` headers say."""
        return httpx.Client(base_url=self.url, headers={"origin": self.url} | more, timeout=30)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all: what a test does to it must not be felt by the next."""
    with pytest.MonkeyPatch.context() as patch:
        uploads = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, warm_up=False)
        studio = build_studio(settings, StandInEngine())
        page = open_page(studio, settings)
        yield Served(studio, page, uploads)
        page.close()
        studio.close()


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()
