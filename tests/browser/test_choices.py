"""Another model brings other methods and other words, in a real page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from studio.app import build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import sat_down
from tests.pipelines.conftest import write_tiny_model

pytestmark = pytest.mark.browser


def test_a_model_for_instructions_asks_for_instructions(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
    settings = Settings(data=tmp_path_factory.mktemp("data"), port=free_port(), warm_up=False)
    write_tiny_model(settings.own_models / "doer", family="instruct")
    studio = build_studio(settings)
    page_ = open_page(studio, settings)
    try:
        with sat_down(browser, page_.url) as desk:
            page = desk.page
            desk.open_example("Duck on the beach")
            desk.chooses("scope", "Both")
            subject, background = (page.locator(f"#{part} textarea") for part in ("subject", "background"))
            method, model = page.locator("#method input"), page.locator("#model input")
            expect(subject).to_have_attribute("placeholder", "for example: a blue dog")
            expect(page.get_by_label("Subject becomes")).to_be_visible()

            page.locator("#advanced > button").click()
            steps = page.get_by_label("Embedding steps")
            steps.fill("123")
            steps.blur()
            page.wait_for_function("palimpsest.state.view.draft.changes.embed_steps === 123")
            method.focus()
            page.keyboard.press("Tab")
            page.wait_for_timeout(500)
            assert page.evaluate("palimpsest.state.view.draft.changes.embed_steps") == 123, "nothing was chosen"

            desk.says(subject="paint it red")
            model.click()
            page.get_by_role("option", name="Doer").click()
            expect(method).to_have_value("InstructPix2Pix (say what to do)")
            expect(subject).to_have_attribute("placeholder", "for example: make the dog blue")
            expect(background).to_have_attribute("placeholder", "for example: let it snow")
            for words in ("What to do with the subject", "What to do with the background"):
                expect(page.get_by_label(words)).to_be_visible()
            expect(page.get_by_text("becomes")).to_have_count(0)
            expect(subject).to_have_value("paint it red")

            method.click()
            page.get_by_role("option", name="VISII").click()
            for words in ("Before the edit", "After the edit"):
                expect(page.locator(".p-ref", has_text=words)).to_be_enabled()
            method.click()
            page.get_by_role("option", name="InstructPix2Pix").click()
            expect(page.locator(".p-ref", has_text="edit")).to_have_count(0)

            first = page.get_by_text("Click the subject on the picture first")
            expect(first).to_be_hidden()
            desk.chooses("scope", "Subject")  # of which nobody knows yet where it is
            expect(first).to_be_visible()
            desk.chooses("scope", "Both")

            studio.registry.remove("doer")
            page.evaluate("palimpsest.actions.models()")
            dialog = page.get_by_role("dialog", name="Models")
            expect(dialog.locator("[data-model=toybox]")).to_be_visible()
            expect(dialog.locator("[data-model=doer]")).to_have_count(0)
            page.keyboard.press("Escape")
            desk.says(background="let it rain")
            page.wait_for_function("palimpsest.state.view.draft.background === 'let it rain'")
            desk.says(background="")

            model.click()
            page.get_by_role("option", name="Toybox", exact=True).click()
            expect(method).to_have_value("Layered")
            expect(background).to_have_attribute("placeholder", "for example: in a forest")
            expect(page.get_by_label("Background becomes")).to_be_visible()
    finally:
        page_.close()
        studio.close()


def test_a_method_that_goes_by_what_the_picture_shows_asks_for_it(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        page.locator("#advanced > button").click()
        shows = page.get_by_label("The picture shows now")
        expect(page.get_by_label("Keep out")).to_be_visible()
        expect(shows).to_have_count(0)
        page.locator("#method input").click()
        page.get_by_role("option", name="Prompt-to-Prompt").click()
        expect(shows).to_be_visible()
        expect(page.get_by_text("For when a word or two of what the picture shows change")).to_be_visible()
        shows.fill("a duck on the beach")
        shows.blur()
        page.wait_for_function("palimpsest.state.view.draft.source === 'a duck on the beach'")
        page.locator("#method input").click()
        page.get_by_role("option", name="Layered").click()
        expect(shows).to_have_count(0)
        assert page.evaluate("palimpsest.state.view.draft.source") == "a duck on the beach", "it is kept for later"


def test_a_setting_without_effect_says_so_where_it_stands(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.chooses("quality", "Draft")
        page.locator("#advanced > button").click()
        rate = page.locator("#knob-layered-tune_rate")
        expect(rate.get_by_role("note")).to_have_text("No effect now: no weight is tuned: tuned is none")
        rate.scroll_into_view_if_needed()
        page.screenshot(path=failures / "idle.png")
        desk.chooses("quality", "Standard")
        expect(rate.get_by_role("note")).to_have_count(0)
