"""Shortcuts that are given other keys: the browser keeps them, each tells its key, and typing presses none."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import sat_down

pytestmark = pytest.mark.browser


def test_a_shortcut_is_given_another_key(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        brush, key = page.get_by_role("button", name="Brush", exact=True), page.locator("[data-key=brush]")
        page.keyboard.press("b")
        expect(brush).to_have_attribute("aria-pressed", "true")

        page.keyboard.press("?")
        key.click()
        page.keyboard.press("Control+l")
        expect(page.locator(".p-key-told")).to_contain_text("Ctrl L belongs to the browser")
        page.keyboard.press("e")
        expect(page.locator(".p-key-told")).to_contain_text("E is the key of “Erase”, which would get B")
        page.get_by_role("button", name="Swap", exact=True).click()
        expect(key).to_have_text("E")
        expect(page.locator("[data-key=erase]")).to_have_text("B")
        page.keyboard.press("Escape")
        expect(brush).to_have_attribute("title", "Paint onto the mask (E)")

        desk.reload()
        page.keyboard.press("b")
        expect(page.get_by_role("button", name="Erase", exact=True)).to_have_attribute("aria-pressed", "true")
        page.locator("#subject textarea").press_sequentially("eben")
        expect(page.locator("#subject textarea")).to_have_value("eben")
        expect(brush).to_have_attribute("aria-pressed", "false")

        page.get_by_role("button", name="Shortcuts").click()
        page.get_by_role("button", name="All as usual").click()
        expect(key).to_have_text("B")
        assert page.evaluate("localStorage.getItem('palimpsest.keys')") is None
