"""The same turn by several methods: chosen in the page, told apart as candidates, one of them kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from studio.app import Studio
from tests.browser.desk import sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser


def test_two_methods_are_tried_and_one_is_kept(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("quality", "Draft")
        page.get_by_role("button", name="Try several").click()
        asks = page.get_by_role("dialog", name="Try several methods")
        expect(asks.get_by_role("checkbox", checked=True)).to_have_count(3)
        asks.get_by_role("checkbox", name="D-Edit").uncheck()
        asks.get_by_role("button", name="Try 2 methods").click()
        candidates = page.get_by_role("radio", name="Candidate")
        expect(candidates).to_have_count(2, timeout=120_000)
        expect(candidates.nth(0)).to_contain_text("Layered")
        expect(page.get_by_role("button", name="More seeds")).to_have_count(0)
        candidates.nth(1).click()
        expect(candidates.nth(1)).to_contain_text("Inpaint")
        desk.keeps()
        view = studio.sessions.get(page.evaluate("palimpsest.state.sid")).view()
        assert [turn.method for turn in view.turns[1:]] == ["inpaint"] and view.draft.method == "layered"
