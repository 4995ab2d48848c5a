"""A studio that is served, for programs: its engine computes nothing costly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import OpenPage, open_page
from tests.studio.conftest import StandInEngine

EXAMPLE = "duck-on-the-beach"


@dataclass(frozen=True)
class Served:
    """A studio, and where it answers programs."""

    studio: Studio
    page: OpenPage
    engine: StandInEngine

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=f"{self.page.url}/api/v1", headers=headers, timeout=30)

    def again(self, **settings: Any) -> OpenPage:
        """The same studio, served a second time with other settings."""
        return open_page(self.studio, replace(self.studio.settings, **settings))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, warm_up=False, upload_limit=1, queue_limit=2)
        engine = StandInEngine()
        studio = build_studio(settings, engine)
        page = open_page(studio, settings)
        yield Served(studio, page, engine)
        engine.hold.set()
        page.close()
        studio.close()


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture
def sid(api: httpx.Client) -> str:
    """A session of an example, its subject pointed at."""
    made: str = api.post("/sessions", json={"example": EXAMPLE}).json()["sid"]
    assert api.post(f"/sessions/{made}/mask", json={"clicks": [{"x": 137, "y": 160}]}).status_code == 200
    return made


@pytest.fixture
def duck() -> bytes:
    return (Path(__file__).resolve().parents[3] / "assets" / "examples" / f"{EXAMPLE}.png").read_bytes()
