"""The finished session on the empty page: opened, looked at in another order, ready to be changed from its start."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import sat_down
from tests.browser.test_timeline import RUNS, chooses

pytestmark = pytest.mark.browser

TITLE = "A turtle in six turns"
LINE = ("original", "1 · a blue turtle", "2 · on the beach", "3 · Recolour", "4 · at night", "5 · Light", "6 · Place")


def test_a_finished_session_is_played_with(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example(TITLE)
        expect(desk.turns).to_have_count(8)
        expect(desk.page.locator(".p-branch")).to_have_text(["main", "branch 2"])
        captions = desk.page.locator(".p-node:not(.p-small) .p-cap").all_inner_texts()
        assert all(any(caption.startswith(start) for caption in captions) for start in LINE), captions
        assert desk.here.startswith("6 · Place")

        desk.page.get_by_role("button", name="Does the order of turns 3 and 4 matter?").click()
        comparison = desk.page.get_by_role("region", name="Both orders compared")
        expect(comparison).to_contain_text("Does the order of turns 3 and 4 matter?", timeout=RUNS)
        expect(comparison.locator(".p-badge")).to_have_text(re.compile(r"\S"))
        desk.page.keyboard.press("Escape")

        chooses(desk, LINE[1], "Change this turn")
        expect(desk.page.locator("#heading")).to_contain_text("5 later turns run again")
        expect(desk.page.locator(".p-run")).to_contain_text("Run 6 turns")
        expect(desk.page.locator("#subject textarea")).to_have_value("a blue turtle")
