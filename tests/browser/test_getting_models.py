"""A model of the starter kit, by one click: fetched from a hub, followed on its way, and listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipelines.models.folders import CLIP
from pipelines.models.starters import STARTERS
from studio.app import build_studio
from studio.session.registry import ModelRegistry
from studio.settings import ASSETS, Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import sat_down
from tests.pipelines.models.small_hub import files_of, served

pytestmark = pytest.mark.browser

STARTER = next(starter for starter in STARTERS if starter.kind == CLIP)
WEIGHTS = "model.safetensors"


def test_a_starter_is_one_click(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    settings = Settings(data=tmp_path / "data", port=free_port(), warm_up=False)
    with served(files_of(ASSETS / "models" / "toybox-clip")) as hub:
        hub.repo = STARTER.repo
        hub.hang[WEIGHTS] = 2_000_000
        monkeypatch.setattr("studio.app.ModelRegistry", lambda settings: ModelRegistry(settings, hub.endpoint))
        studio = build_studio(settings)
        page_ = open_page(studio, settings)
        try:
            with sat_down(browser, page_.url) as desk:
                desk.open_example("Coffee")
                desk.page.locator(".p-model").click()
                dialog = desk.page.get_by_role("dialog", name="Models")
                row = dialog.locator(f"[data-starter='{STARTER.repo}']")
                expect(row).to_contain_text(STARTER.use)
                expect(row).to_contain_text(STARTER.licence)
                row.get_by_role("button", name=f"Get {STARTER.title}").click()
                expect(dialog.locator(".p-models-job")).to_contain_text(re.compile(r"Fetching: [1-9]\d* of \d+ MB"))
                hub.hang.clear()
                hub.closing.set()  # what hangs is broken off, and goes on where it stopped
                name = STARTER.repo.partition("/")[2]
                expect(dialog).to_contain_text(f"{name} is here and can be chosen.", timeout=30_000)
                expect(dialog.locator(f"[data-model='{name}']")).to_contain_text(f"from {STARTER.repo}")
                expect(row).to_have_count(0)
            assert [span for span in hub.sent(WEIGHTS) if span.startswith("bytes=")]
        finally:
            page_.close()
            studio.close()
