"""A studio that is served as a person serves it, for those who mean it harm; its engine computes nothing costly."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.blocks import BlockFunction
from playwright.sync_api import Browser, sync_playwright

from studio.app import Studio, build_studio
from studio.session.registry import ModelRegistry
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

    @property
    def boot(self) -> BlockFunction:
        """The handler of a page that was just loaded."""
        return next(fn for fn in self.page.page.fns.values() if fn.targets and fn.targets[0][1] == "load")

    def client(self, **more: str) -> httpx.Client:
        """A client that says of itself that it is the studio's own page, but for what `more` headers say."""
        return httpx.Client(base_url=self.url, headers={"origin": self.url} | more, timeout=30)


@dataclass(frozen=True)
class Visitor:
    """A page of the studio, as the browser's script speaks for it; it has a seat of its own."""

    served: Served
    client: httpx.Client
    name: str = field(default_factory=lambda: secrets.token_hex(6))

    def event(self, component: str, event: str) -> BlockFunction:
        """The handler of an event, by the component's id on the page."""
        blocks = self.served.page.page.blocks
        for fn in self.served.page.page.fns.values():
            for id_, name in fn.targets:
                if name == event and getattr(blocks.get(id_), "elem_id", None) == component:
                    return fn
        raise LookupError(f"{component} has no event {event}")

    def post(self, fn: BlockFunction, data: list[Any], sent: Any = None) -> httpx.Response:
        body = {"data": data, "event_data": sent, "fn_index": fn._id, "trigger_id": 0, "session_hash": self.name}
        return self.client.post(
            "/gradio_api/run/predict", content=json.dumps(body), headers={"content-type": "application/json"}
        )

    def values(self, fn: BlockFunction) -> list[Any]:
        """What a page that was just loaded sends with an event: what stands in its fields."""
        return [None if isinstance(block, gr.State) else getattr(block, "value", None) for block in fn.inputs]

    def fires(self, component: str, event: str, *values: Any, **sent: Any) -> dict[str, Any]:
        """The message that answers the event; `values` are those of the fields that go with it."""
        fn = self.event(component, event)
        states = [None for block in fn.inputs if isinstance(block, gr.State)]
        answer = self.post(fn, [*states, *values], sent)
        assert answer.status_code == 200, answer.text
        wire = [block.elem_id for block in fn.outputs].index("wire")
        said = answer.json()["data"][wire]
        message: dict[str, Any] = json.loads(said) if isinstance(said, str) else {}
        return message

    def sends(self, data: bytes) -> str:
        """The ticket of a file that was sent."""
        ticket: str = self.client.post("/studio/upload", content=data).json()["ticket"]
        return ticket


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all: what a test does to it must not be felt by the next."""
    with pytest.MonkeyPatch.context() as patch:
        uploads = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        # Nobody answers there: what is pulled is asked for on this machine, if at all.
        patch.setattr("studio.app.ModelRegistry", lambda settings: ModelRegistry(settings, "http://127.0.0.1:9"))
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


@pytest.fixture
def visitor(served: Served, client: httpx.Client) -> Visitor:
    return Visitor(served, client)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()
