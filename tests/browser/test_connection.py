"""A studio that does not answer for a while: it is told in the studio's words, and nothing typed meanwhile is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from playwright.sync_api import Browser, expect

from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import Desk, sat_down
from tests.browser.screenshots import AT_REST, DUCK, PROGRESS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, Settings]]:
    """A studio whose page can be closed and opened again at the same address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=free_port(), warm_up=False)
        studio = build_studio(settings)
        yield studio, settings
        studio.close()


@contextmanager
def served(studio: Studio, settings: Settings) -> Iterator[str]:
    """The address at which the page is served for as long as this lasts; jobs of the studio run on after it."""
    page = open_page(studio, settings)
    try:
        yield page.url
    finally:
        page.close()


def type_everywhere(desk: Desk) -> None:
    """Fill the panel in, as somebody does who does not look up."""
    desk.page.locator("#subject textarea").fill("a blue duck")
    desk.chooses("candidates", "3")
    desk.page.locator("#seed input").fill("12")
    desk.page.locator(".p-words").fill("put it in the snow")
    desk.page.locator("#background textarea").fill("in a city")


def test_what_is_typed_while_it_is_away_is_kept(browser: Browser, own: tuple[Studio, Settings]) -> None:
    with ExitStack() as until_away:
        url = until_away.enter_context(served(*own))
        with sat_down(browser, url) as desk:
            page, away = desk.page, desk.page.locator(".p-away")
            desk.open_example("Duck on the beach")
            desk.click(*DUCK)
            desk.chooses("quality", "Exact")
            page.locator(".p-run").click()
            page.wait_for_function("palimpsest.state.view.job?.step > 0")

            until_away.close()
            expect(away).to_contain_text("The studio does not answer", timeout=20_000)
            expect(page.locator(".p-progress")).to_contain_text("No connection")
            expect(page.locator(".p-progress")).not_to_contain_text("left")
            expect(page.locator(".p-cancel")).to_be_disabled()
            expect(page.get_by_text("Attempting reconnection")).to_be_hidden()
            type_everywhere(desk)
            assert own[0].sessions.open()[0].view().draft.subject == "", "it was not heard"

            with served(*own):
                draft = "window.palimpsest?.state.view?.draft"
                page.wait_for_function(f"{draft}?.background === 'in a city'", timeout=60_000)
                page.wait_for_function(f"{draft}.subject === 'a blue duck' && {draft}.scope === 'both'")
                page.wait_for_function(
                    f"{draft}.seed === 12 && {draft}.candidates === 3 && {draft}.quality === 'exact'"
                )
                expect(page.locator("#subject textarea")).to_have_value("a blue duck")
                expect(page.locator(".p-words")).to_have_value("put it in the snow")
                expect(page.locator(".p-toast", has_text="is here again")).to_be_visible()
                expect(away).to_have_count(0)
                page.get_by_role("button", name="Cancel").click()  # the run went on
                page.wait_for_selector("#go .p-root[data-state=idle]")
                page.reload()
                desk.wait_ready()
                expect(page.locator("#subject textarea")).to_have_value("a blue duck")
                desk.troubles.clear()  # all of what could not be reached


def test_a_moment_without_an_answer_changes_nothing(browser: Browser, own: tuple[Studio, Settings]) -> None:
    with served(*own) as url, sat_down(browser, url) as desk:
        page, away, wrong = desk.page, desk.page.locator(".p-away"), desk.page.locator(".p-toast.p-bad")
        desk.open_example("Duck on the beach")
        page.evaluate("window.same = true")
        page.route("**/app_id", lambda route: route.abort())
        page.evaluate(PROGRESS)  # a run of which no word comes
        expect(away).to_be_visible(timeout=20_000)
        expect(page.locator(".p-tool").first).to_be_disabled()
        page.unroute("**/app_id")
        expect(away).to_have_count(0, timeout=20_000)
        page.evaluate(AT_REST)
        expect(page.locator(".p-run")).to_be_enabled()
        assert page.evaluate("window.same"), "the page was loaded anew for nothing"

        page.route("**/run/predict*", lambda route: route.fulfill(status=500, json={"error": None}))
        page.mouse.click(*desk.on_screen(*DUCK))
        expect(wrong).to_contain_text("your turns are safe")
        expect(page.locator(".p-dot")).to_have_count(0)
        page.unroute("**/run/predict*")
        desk.troubles.clear()  # the answers that were made up
        desk.click(*DUCK)
        expect(wrong).to_have_count(0)
        expect(page.locator(".p-dot")).to_have_count(1)
