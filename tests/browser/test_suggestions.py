"""What a text may go on with while it is typed, and the way back to earlier texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from pipelines.contract import Point, Scope
from pipelines.masks.prompts import Stroke
from studio.app import Studio
from tests.browser.desk import DESKTOP, sat_down
from tests.studio.conftest import until

pytestmark = pytest.mark.browser

SQUARE = (Stroke((Point(80, 80), Point(160, 80), Point(160, 160), Point(80, 160)), 1, fill=True),)


def test_words_of_the_model_are_offered_and_earlier_texts_come_back(
    browser: Browser, served: tuple[Studio, str]
) -> None:
    session = served[0].sessions.create_example("duck-on-the-beach")
    for words in ("navy", "maroon to white"):
        asked = replace(session.view().draft, method="backdrop", background=words, changes={"match": 0.0})
        session.set_draft(asked)
        session.set_prompts(replace(session.view().draft.prompts, strokes=SQUARE))
        session.start()
        until(lambda: bool(session.view().staged), 60)
        session.accept(0)
    session.set_draft(replace(session.view().draft, method="layered", scope=Scope.BOTH, subject="", background=""))
    with sat_down(browser, f"{served[1]}/?session={session.sid}", DESKTOP) as desk:
        page, offers = desk.page, desk.page.get_by_role("listbox", name="Suggestions").get_by_role("option")
        subject, background = (page.locator(f"#{part} textarea") for part in ("subject", "background"))
        subject.focus()
        page.keyboard.type("a big el")
        expect(offers).to_have_text(["a big elephant"])
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(subject).to_have_value("a big elephant")
        expect(offers).to_have_count(0)
        page.keyboard.type(" du")
        offers.first.click()
        expect(subject).to_have_value("a big elephant duck")
        page.wait_for_function("palimpsest.state.view.draft.subject === 'a big elephant duck'")

        background.focus()
        page.keyboard.press("ArrowDown")
        expect(offers).to_have_text(["maroon to white", "navy"])
        page.keyboard.press("Escape")
        expect(offers).to_have_count(0)
        for there in ("maroon to white", "navy"):
            page.keyboard.press("ArrowUp")
            expect(background).to_have_value(there)
        page.keyboard.press("ArrowDown")
        expect(background).to_have_value("maroon to white")
        page.keyboard.press("ArrowDown")
        expect(background).to_have_value("")
