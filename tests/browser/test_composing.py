"""A scene put together in the page: one typed instruction a turn, a branch, and two turns in the other order."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from pipelines.pictures import decode
from studio.app import Studio
from tests.browser.desk import Desk, sat_down

pytestmark = pytest.mark.browser

LINES = (
    "add a red cube",
    "add a blue sphere behind the red cube and left of it",
    "a green cylinder in front of the red cube and right of it",
    "add a yellow sphere right of the red cube and behind it",
    "a purple cube left of the red cube and in front of it",
)
OTHER = "a cyan cylinder left of the red cube and in front of it"


def add(desk: Desk, line: str) -> None:
    desk.says(subject=line)
    desk.runs()
    desk.keeps()


def test_five_turns_a_branch_and_a_swap(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Empty floor")
        expect(page.locator("#method input")).to_have_value("Compose")
        expect(page.locator("#model input")).to_have_value("Composer")
        # What has no say in it is not offered, and the tools say why.
        expect(page.locator(".p-advice")).to_be_hidden()
        expect(page.locator("#reference")).to_be_hidden()
        include = page.get_by_role("button", name="Include", exact=True)
        expect(include).to_be_disabled()
        expect(include).to_have_attribute("title", "Compose changes the whole picture: nothing has to be selected")
        desk.chooses("quality", "Draft")
        desk.says(subject="add a banana")
        page.locator(".p-run").click()
        expect(page.get_by_text("'banana' names nothing of this world").first).to_be_visible()
        for line in LINES:
            add(desk, line)
        assert desk.here == f"5 · {LINES[-1]}"
        session = studio.sessions.get(page.evaluate("palimpsest.state.sid"))
        pictures = [decode(session.picture_bytes(turn.picture)).picture for turn in session.view().turns]
        assert [picture.shape for picture in pictures] == [(256, 256, 3)] * 6
        red = pictures[1][..., 0].astype(int) - pictures[1][..., 1:].max(-1)
        assert (red > 40).mean() > 0.01 > (pictures[0][..., 0].astype(int) - pictures[0][..., 1:].max(-1) > 40).mean()

        page.locator(f".p-node[title='2 · {LINES[1]}']").click()
        expect(page.locator(".p-node.p-here")).to_have_attribute("title", f"2 · {LINES[1]}")
        add(desk, OTHER)
        assert desk.here == f"3 · {OTHER}" and len(session.view().branches) == 2

        page.get_by_role("button", name="Does the order of turns 2 and 3 matter?").click()
        comparison = page.get_by_role("region", name="Both orders compared")
        expect(comparison.locator(".p-badge")).to_be_visible(timeout=180_000)
        swapped = session.view().swap
        assert swapped is not None and swapped.first == session.view().turns[2].id
