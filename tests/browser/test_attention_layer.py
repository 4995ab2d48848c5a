"""What the model looks at for a word, as a layer in the page: on, another word, off, and gone with the picture."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from studio.app import Studio
from tests.browser.desk import sat_down

pytestmark = pytest.mark.browser


def test_a_word_is_looked_for_on_the_picture(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Cat in the snow")
        desk.says(subject="a red cat", background="in a forest")
        eye = page.get_by_role("button", name="What the model looks at")
        expect(eye).to_have_attribute("aria-pressed", "false")
        eye.click()
        bar = page.get_by_role("group", name="What the model looks at")
        expect(bar).to_be_visible(timeout=60_000)
        expect(eye).to_have_attribute("aria-pressed", "true")
        expect(bar.get_by_role("radio")).to_have_text(["a", "red", "cat", "in", "forest"])
        expect(bar.get_by_role("radio", checked=True)).to_have_text("cat")
        layer = page.get_by_role("img", name="Where the model looks for “cat”")
        expect(layer).to_be_visible()
        bar.get_by_role("radio", name="cat").press("ArrowLeft")
        expect(bar.get_by_role("radio", checked=True)).to_have_text("red")
        expect(page.get_by_role("img", name="Where the model looks for “red”")).to_be_visible()
        session = studio.sessions.get(page.evaluate("palimpsest.state.sid"))
        assert len(session.view().turns) == 1 and session.view().mask.mask is None
        bar.get_by_role("button", name="Put this layer away").click()
        expect(bar).to_be_hidden()
        expect(eye).to_be_focused()
        eye.click()  # what was found is there
        expect(bar).to_be_visible()
        desk.says(subject="", background="")
        bar.get_by_role("button", name="Look again").click()
        expect(page.locator(".p-toast")).to_contain_text("there is no word to look for")
