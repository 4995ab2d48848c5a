"""The page in German: chosen in the page, kept by the browser, and with room for longer words."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.desk import DESKTOP, PHONE, sat_down

pytestmark = pytest.mark.browser

MAY = ".p-sr, .p-strip, .p-facts, .p-tools, .p-zoom, .p-session, [aria-hidden='true']"
"""A strip that scrolls, names that people gave, and what is not to be seen."""
CUT = """(may) => [...document.querySelectorAll('button, label, h1, h2, h3, .p-hint, #side span')].filter((node) => {
  const box = node.getBoundingClientRect(), style = getComputedStyle(node);
  if (!node.checkVisibility({ visibilityProperty: true }) || box.width < 2 || node.closest(may)) return false;
  return box.right > innerWidth + 1 || box.left < -1
    || (style.overflow !== 'visible' && node.scrollWidth > node.clientWidth + 1);
}).map((node) => `${node.textContent.slice(0, 40)} (${node.className})`)"""
"""What reaches beyond the window or is cut off and may not."""


def speak_german(page: Page) -> None:
    page.get_by_role("button", name="Language").click()
    page.get_by_role("menuitem", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.wait_for_selector("#studio[data-session]")


def test_the_page_speaks_german_once_that_is_chosen(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        page = desk.page
        expect(page.locator("html")).to_have_attribute("lang", "en")
        speak_german(page)
        expect(page.get_by_role("heading", name="Mit einem Bild beginnen")).to_be_visible()
        desk.open_example("Ente am Strand")
        expect(page.locator("#background label").first).to_contain_text("Hintergrund wird")
        expect(page.locator("#subject textarea")).to_have_attribute("placeholder", "bleibt, wie es ist")
        expect(page.locator(".p-run")).to_contain_text("Schritt ausführen")
        expect(page.locator(".p-top")).to_contain_text("Sitzungen")
        desk.click(130, 140)
        expect(page.locator(".p-area")).to_contain_text("Motiv ")
        page.locator("#method input").click()
        page.get_by_role("option", name="Umfärben").click()
        hue = page.locator("#knob-recolour-hue")  # its panel opens by itself, and a label of it comes from Python
        expect(hue).to_contain_text("Farbton")
        expect(hue).to_contain_text("Dreht jeden Farbton um so viel: -180 bis 180 Grad")
        page.screenshot(path=failures / "german.png")
        assert page.evaluate(CUT, MAY) == []
        page.keyboard.press("?")
        expect(page.get_by_role("heading", name="Tastenkürzel")).to_be_visible()
        assert page.evaluate(CUT, MAY) == []
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Sprache").click()
        page.get_by_role("menuitem", name="Wie der Browser").click()
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_german_fits_on_a_phone(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, PHONE) as desk:
        page = desk.page
        speak_german(page)
        desk.open_example("Ente am Strand")
        desk.tap(130, 140)
        page.screenshot(path=failures / "german-phone.png", full_page=True)
        assert page.evaluate(CUT, MAY) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
