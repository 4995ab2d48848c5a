"""The models dialog in a browser: a pull that is followed and cancelled, LoRA files as rows and as a turn's choice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, expect

from studio.app import build_studio
from studio.session.registry import ModelRegistry
from studio.settings import ASSETS, Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import PHONE, sat_down
from tests.pipelines.models.loras import write
from tests.pipelines.models.small_hub import COMMIT, files_of, served

pytestmark = pytest.mark.browser

UNET = "unet/diffusion_pytorch_model.safetensors"
LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}


def test_models_are_pulled_and_removed_and_loras_chosen(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    settings = Settings(data=tmp_path / "data", port=free_port(), warm_up=False)
    write(settings.own_models / "loras" / "pencil.safetensors", LORA)
    ink = write(tmp_path / "x.safetensors", LORA).read_bytes()
    with served(files_of(ASSETS / "models" / "toybox") | {"ink.safetensors": ink}) as hub:
        monkeypatch.setattr("studio.app.ModelRegistry", lambda settings: ModelRegistry(settings, hub.endpoint))
        hub.hang[UNET] = 1_000_000
        studio = build_studio(settings)
        page_ = open_page(studio, settings)
        try:
            with sat_down(browser, page_.url) as desk:
                page = desk.page
                desk.open_example("Duck on the beach")
                page.locator("#advanced > button").click()
                pencil = page.locator("[data-lora=pencil]")
                pencil.get_by_role("checkbox").check()
                page.wait_for_function("palimpsest.state.view.draft.loras.pencil === 1")
                pencil.get_by_role("spinbutton").fill("0.4")
                pencil.get_by_role("spinbutton").press("Tab")
                page.wait_for_function("palimpsest.state.view.draft.loras.pencil === 0.4")

                page.locator(".p-loras").get_by_role("button", name="Models").click()
                dialog = page.get_by_role("dialog", name="Models")
                expect(dialog.locator("[data-model]")).to_have_count(9)
                expect(dialog.get_by_role("button", name="Get Stable Diffusion 1.5")).to_be_enabled()
                dialog.get_by_label("The model's id on the hub").fill(hub.repo)
                dialog.get_by_role("button", name="Pull").click()
                expect(dialog.locator(".p-models-job")).to_contain_text(re.compile(r"Fetching: [1-9]\d* of \d+ MB"))
                dialog.get_by_role("button", name="Cancel").click()
                expect(dialog).to_contain_text("Cancelled. What was fetched is kept")
                hub.hang.clear()
                hub.closing.set()  # lets the connection that hangs go
                expect(dialog.get_by_role("button", name="Pull")).to_be_enabled()
                dialog.get_by_role("button", name="Pull").click()
                expect(dialog).to_contain_text("tiny-model is here and can be chosen.", timeout=30_000)
                mine = dialog.locator("[data-model=tiny-model]")
                expect(mine).to_contain_text(f"from {hub.repo}")
                assert len(hub.sent(UNET)) == 2 and hub.sent(UNET)[1].startswith("bytes=")

                dialog.get_by_label("The model's id on the hub").fill(hub.repo)
                dialog.get_by_label("One file of it").fill("ink.safetensors")
                dialog.get_by_role("button", name="Pull").click()
                expect(dialog).to_contain_text("ink is here and can be chosen.")
                expect(page.locator("[data-lora=ink]")).to_be_attached()
                pulled = dialog.locator("[data-model='loras/ink']")
                expect(pulled).to_contain_text(
                    f"LoRA for a model that its layers do not tell · 0.2 KB · from {hub.repo}"
                )
                expect(pulled).to_contain_text(f"at {COMMIT[:7]}")
                pulled.get_by_role("button", name="Verify").click()
                expect(dialog).to_contain_text("ink: 1 file as recorded.")

                page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
                expect(mine).to_be_visible()
                mine.get_by_role("button", name="Remove").click()
                mine.get_by_role("button", name="Really remove").click()
                expect(dialog).to_contain_text("tiny-model is removed.")
                expect(dialog.locator("[data-model]")).to_have_count(10)
                loras = dialog.locator("[data-model='loras/pencil']")
                loras.get_by_role("button", name="Remove the LoRA pencil").click()
                loras.get_by_role("button", name="Really remove the LoRA pencil").click()
                expect(dialog).to_contain_text("pencil is removed.")
                expect(dialog.locator("[data-model]")).to_have_count(9)
                page.keyboard.press("Escape")
                expect(dialog).to_be_hidden()

                expect(pencil).to_contain_text("pencil (not here)")
                expect(pencil.get_by_role("checkbox")).to_be_checked()
                page.wait_for_function("palimpsest.state.view.draft.loras.pencil === 0.4")
                pencil.get_by_role("checkbox").click()  # its row goes, so there is no box to look at again
                expect(pencil).not_to_be_attached()
                assert page.evaluate("palimpsest.state.view.draft.loras") == {}
        finally:
            page_.close()
            studio.close()
