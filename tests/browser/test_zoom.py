"""Looking from near: by wheel, keys, buttons and fingers, with marks where they are set, and crisp edges."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import DESKTOP, PHONE, Desk, sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser

BEAK = (82.0, 96.0)
"""Of the example "Duck on the beach"."""
SIGHT = """() => { const r = document.querySelector('.p-frame').getBoundingClientRect();
  return [r.left, r.top, r.width, r.height]; }"""


def level(desk: Desk) -> int:
    """Percent."""
    return int(desk.page.locator(".p-level").inner_text().removesuffix("%"))


def clicks(desk: Desk) -> list[list[float]]:
    found: list[list[float]] = desk.page.evaluate("palimpsest.state.view.draft.prompts.clicks.map(c => [c.x, c.y])")
    return found


def turned(desk: Desk, at: tuple[float, float], by: float) -> None:
    """The wheel, with the pointer at a place of the picture."""
    desk.page.mouse.move(*desk.on_screen(*at))
    desk.page.mouse.wheel(0, by)
    desk.page.wait_for_timeout(150)  # the outline is drawn when the sight has come to rest


def test_the_wheel_leads_to_what_is_under_the_pointer(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        desk.open_example("Duck on the beach")
        fit, whole = desk.page.evaluate(SIGHT), level(desk)
        before = desk.on_screen(*BEAK)
        turned(desk, BEAK, -700)
        assert level(desk) == pytest.approx(4 * whole, rel=0.1)
        assert desk.on_screen(*BEAK) == pytest.approx(before, abs=2), "the beak is where it was"

        desk.click(*BEAK)
        desk.wait_mask()
        assert clicks(desk)[0] == pytest.approx(BEAK, abs=0.2)
        for _ in range(3):
            turned(desk, BEAK, -700)
        assert level(desk) == 3200
        expect(desk.page.locator(".p-grid")).to_be_visible()
        desk.page.screenshot(path=failures / "zoom-squares.png")
        desk.page.keyboard.press("0")
        assert desk.page.evaluate(SIGHT) == fit and level(desk) == whole
        expect(desk.page.locator(".p-grid")).to_be_hidden()
        desk.page.keyboard.press("9")
        assert level(desk) == 100
        desk.page.keyboard.press("+")
        assert level(desk) == 141
        desk.page.get_by_role("button", name="Zoom out").click()
        expect(desk.page.get_by_role("button", name="Zoom out")).to_be_disabled()


def test_it_is_moved_by_the_middle_button_and_by_the_space_bar(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.wait_mask()
        page.keyboard.press("b")
        turned(desk, DUCK, -700)
        left, top, *_ = page.evaluate(SIGHT)
        x, y = desk.on_screen(*DUCK)
        for held, button in (("", "middle"), (" ", "left")):
            page.mouse.move(x, y)
            if held:
                page.keyboard.down(held)
            page.mouse.down(button=button)
            page.mouse.move(x + 40, y - 30, steps=4)
            page.mouse.up(button=button)
            if held:
                page.keyboard.up(held)
        now = page.evaluate(SIGHT)
        assert (now[0] - left, now[1] - top) == pytest.approx((80, -60), abs=1)
        assert page.evaluate("palimpsest.state.view.draft.prompts.strokes.length") == 0, "nothing was painted"
        page.wait_for_timeout(200)
        page.screenshot(path=failures / "zoom-outline.png")
        page.mouse.move(x, y)  # and now it paints
        page.mouse.down()
        page.mouse.move(x + 60, y, steps=4)
        page.mouse.up()
        page.wait_for_function("palimpsest.state.view.draft.prompts.strokes.length === 1")
        desk.wait_mask()
        page.keyboard.press("2")
        page.keyboard.press("1")
        for _ in range(9):  # it is never moved out of sight
            page.mouse.move(700, 400)
            page.mouse.down(button="middle")
            page.mouse.move(1000, 700)
            page.mouse.up(button="middle")
        room = page.locator(".p-room").bounding_box()
        edge = page.evaluate(SIGHT)
        assert room is not None and room["x"] <= edge[0] <= room["x"] + 30 and edge[1] <= room["y"] + 30


def test_another_picture_is_seen_as_a_whole(browser: Browser, url: str) -> None:
    with sat_down(browser, url, DESKTOP) as desk:
        desk.open_example("Duck on the beach")
        fit = level(desk)
        turned(desk, DUCK, -700)
        desk.page.get_by_role("button", name="New").click()
        desk.open_example("Turtle in the desert")
        assert level(desk) == fit


def test_two_fingers_look_and_one_marks(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url, PHONE, 2, touch=True) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        whole = level(desk)
        x, y = desk.on_screen(*DUCK)
        desk.touches(*([(x + way * reach, y) for reach in range(20, 120, 10)] for way in (-1, 1)))
        assert level(desk) > 3 * whole and page.evaluate("visualViewport.scale") == 1
        assert page.evaluate("palimpsest.state.view.draft.prompts.clicks.length") == 0
        desk.tap(*DUCK)
        assert clicks(desk)[0] == pytest.approx(DUCK, abs=2)
        page.wait_for_timeout(200)
        page.screenshot(path=failures / "zoom-phone.png")
        desk.touches(*([(x + way * reach, y) for reach in range(110, 10, -10)] for way in (-1, 1)))
        assert level(desk) == whole
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
