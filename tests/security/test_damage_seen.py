"""A damaged data folder behind a launched server, as a person meets it in the browser."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from studio.app import build_studio
from studio.settings import Gallery, Settings
from studio.store.recovery import DATABASE
from studio.store.store import Store
from studio.ui.app import open_page
from tests.browser.conftest import failures as failures
from tests.browser.desk import sat_down
from tests.security.test_damage import EDITS, grown
from tests.studio.conftest import StandInEngine

SESSIONS = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of five sessions without a copy of its database, so that nothing can be put back from one."""
    path = tmp_path_factory.mktemp("seen") / "data"
    store = Store(path)
    for number in range(SESSIONS):
        store.save(grown(store, number), None)
    store.close()
    shutil.rmtree(path / "backups")
    return path


@pytest.fixture
def damaged(whole: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The address of a studio on a folder in which other programs wrote, and its notice."""
    path = tmp_path / "data"
    shutil.copytree(whole, path)
    with closing(sqlite3.connect(path / DATABASE)) as connection, connection:
        connection.executescript(request.param)
    settings = Settings(data=path, port=0, warm_up=False, gallery=Gallery.ALL)
    studio = build_studio(settings, StandInEngine())
    page = open_page(studio, settings)
    yield page.url, studio.store.notice or ""
    page.close()
    studio.close()


@pytest.mark.browser
@pytest.mark.parametrize("damaged", [EDITS["a turn gone"]], indirect=True)
def test_a_damaged_session_is_shown_as_far_as_it_is_whole_and_every_other_can_be_worked_on(
    browser: Browser, damaged: tuple[str, str], failures: Path
) -> None:
    with sat_down(browser, damaged[0]) as desk:
        page = desk.page
        page.locator("#p-rooms").click()
        expect(page.locator(".p-tile")).to_have_count(SESSIONS)
        page.screenshot(path=failures / "damaged-gallery.png")
        marked = page.locator(".p-tile", has_text="damaged")
        expect(marked).to_have_count(1)
        marked.locator("img").first.click()
        expect(page.locator(".p-session")).to_have_text("Dog number 4")
        page.screenshot(path=failures / "damaged-session.png")
        expect(page.locator(".p-facts")).to_contain_text("of 6 turns 5 are whole")
        expect(page.locator(".p-run")).to_be_disabled()
        page.locator("#p-rooms").click()
        page.locator(".p-tile", has_text="Dog number 0").locator("img").first.click()
        expect(page.locator(".p-session")).to_have_text("Dog number 0")
        expect(page.locator(".p-facts")).not_to_contain_text("whole")
        page.locator(".p-session").click()
        page.locator(".p-naming").first.fill("Renamed all the same")
        page.keyboard.press("Enter")
        expect(page.locator(".p-session")).to_have_text("Renamed all the same")
