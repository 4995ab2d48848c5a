"""What axe, an auditor of accessibility, finds in the page: nothing serious, in both themes and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.desk import DESKTOP, PHONE, Desk, sat_down
from tests.browser.screenshots import DUCK
from tests.browser.test_turns_by_hand import choose

AXE = Path(__file__).resolve().parents[1] / "page" / "node_modules" / "axe-core" / "axe.min.js"
FOUND = """() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
  .filter(({ impact }) => impact === 'serious' || impact === 'critical')
  .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`)))"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-page does that"),
]


def serious(desk: Desk) -> list[str]:
    """The rule and the element of each finding, once colours have faded into each other."""
    desk.page.evaluate(AXE.read_text(encoding="utf-8"))
    desk.page.wait_for_timeout(400)
    found: list[str] = desk.page.evaluate(FOUND)
    return found


def test_nothing_serious_is_found_in_either_theme(browser: Browser, url: str) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        page = desk.page
        assert serious(desk) == []
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("scope", "Background")  # a text that stays is dimmed, and legible
        page.locator("#advanced > button").click()
        for theme in ("Light", "Dark"):
            page.get_by_role("button", name=f"{theme} theme").click()
            assert serious(desk) == []
        choose(desk, "Light")
        page.wait_for_selector(".p-curve-dot")
        page.get_by_role("button", name="Export").click()
        page.get_by_role("menuitem", name="Size, quality").click()
        assert serious(desk) == []
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert serious(desk) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Sessions").click()
        page.wait_for_selector(".p-tile")
        assert serious(desk) == []


def test_nothing_serious_is_found_on_a_phone(browser: Browser, url: str) -> None:
    with sat_down(browser, url, PHONE) as desk:
        desk.open_example("Duck on the beach")
        desk.tap(*DUCK)
        assert serious(desk) == []
