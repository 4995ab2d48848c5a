"""On a phone: messages can be read and closed whatever else is on the screen, and the models dialog fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import PHONE, Desk, sat_down
from tests.browser.screenshots import DUCK
from tests.pipelines.conftest import write_tiny_model

pytestmark = pytest.mark.browser

LONG = "a-model-with-a-name-of-which-somebody-did-not-want-to-leave-out-anything-v2.5-fp16"
UNCOVERED = """tray => [...tray.children].every(note => {
  const box = note.getBoundingClientRect(), inset = 4;
  return [[box.left + inset, box.top + inset], [box.right - inset, box.bottom - inset],
    [box.left + box.width / 2, box.top + box.height / 2]].every(at => note.contains(document.elementFromPoint(...at)));
})"""
WIDER = """sheet => [sheet, ...sheet.querySelectorAll('*')]
  .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .map(e => `${e.tagName} ${e.className}`)"""


@pytest.fixture(scope="module")
def studio_of_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, str]]:
    """A studio whose models are managed in the page, with one that has a long name and no weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=free_port(), warm_up=False)
        write_tiny_model(settings.own_models / LONG)
        for weights in (settings.own_models / LONG).rglob("*.safetensors"):
            weights.unlink()
        studio = build_studio(settings)
        page = open_page(studio, settings)
        yield studio, page.url
        page.close()
        studio.close()


def message(desk: Desk) -> Locator:
    """The tray of messages, once one is in it that nothing covers."""
    tray = desk.page.get_by_role("region", name="Messages")
    expect(tray.locator(".p-toast")).to_be_visible()
    assert tray.evaluate(UNCOVERED)
    return tray


def test_a_message_stands_above_the_run_bar(browser: Browser, studio_of_own: tuple[Studio, str]) -> None:
    with sat_down(browser, studio_of_own[1], PHONE) as desk:
        desk.open_example("Duck on the beach")
        desk.page.locator(".p-run").click()
        tray, run = message(desk).bounding_box(), desk.page.locator(".p-run").bounding_box()
        assert tray is not None and run is not None
        assert tray["x"] >= 0 and tray["x"] + tray["width"] <= PHONE[0]
        assert tray["y"] + tray["height"] <= run["y"]
        message(desk).get_by_role("button", name="Dismiss").click()
        desk.click(*DUCK)
        desk.page.locator(".p-run").click(trial=True)


def test_a_message_is_not_under_the_models_dialog(browser: Browser, studio_of_own: tuple[Studio, str]) -> None:
    with sat_down(browser, studio_of_own[1], PHONE) as desk:
        desk.open_example("Duck on the beach")
        desk.page.evaluate("palimpsest.actions.models()")
        dialog = desk.page.get_by_role("dialog", name="Models")
        expect(dialog.locator(f"[data-model='{LONG}']")).to_be_visible()
        desk.page.evaluate("palimpsest.toast('told while the dialog is open')")
        message(desk)
        desk.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        message(desk).get_by_role("button", name="Dismiss").click()


def test_the_models_dialog_fits_a_phone(browser: Browser, studio_of_own: tuple[Studio, str]) -> None:
    with sat_down(browser, studio_of_own[1], PHONE) as desk:
        desk.open_example("Duck on the beach")
        desk.page.evaluate("palimpsest.actions.models()")
        dialog = desk.page.get_by_role("dialog", name="Models")
        expect(dialog.locator(f"[data-model='{LONG}']")).to_contain_text("is missing")
        box = dialog.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]
        assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE[1]
        assert dialog.evaluate(WIDER) == []
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        for name in ("Pull", "Add"):
            button = dialog.get_by_role("button", name=name)
            button.scroll_into_view_if_needed()
            button.click(trial=True)
