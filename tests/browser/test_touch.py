"""With fingers, and in small windows: a tap marks, two fingers look from nearer, and everything is within reach."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from studio.app import Studio
from tests.browser.desk import PHONE, Desk, sat_down
from tests.browser.screenshots import AT_REST, DUCK, PROGRESS

pytestmark = pytest.mark.browser

DEVICES = {  # CSS pixels, and device pixels to one of them
    "iphone-13": ((390, 664), 3),
    "galaxy-s9": ((320, 658), 4.5),
    "ipad-mini": ((768, 1024), 2),
    "iphone-13-on-its-side": ((750, 342), 3),
}
PIXEL_7 = (412, 839), 2.625
ZOOMED = {  # windows of a desktop at a zoom, by what is left of them
    "1440x900 at 200 %": ((720, 450), 2),
    "1280x1024 at 400 %": ((320, 256), 4),
}
AREA = pytest.approx(0.2, abs=0.02)
"""Share of the picture that the duck covers."""
COVERED = """fields => fields.filter(field => {
  field.scrollIntoView({ block: 'nearest', behavior: 'instant' });
  const box = field.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return !(top && (field.contains(top) || top.contains(field))) }).map(field => field.outerHTML)"""
"""Those that cannot be scrolled to where nothing lies over them."""
STRETCHED = "document.documentElement.scrollWidth - innerWidth"


def clicks(desk: Desk) -> list[float]:
    """From left to right, in pixels of the picture, where clicks stand."""
    found: list[float] = desk.page.evaluate("palimpsest.state.view.draft.prompts.clicks.map(c => c.x)")
    return found


@pytest.mark.parametrize("window", [*DEVICES, *ZOOMED])
def test_a_tap_marks_and_everything_is_within_reach(browser: Browser, url: str, window: str) -> None:
    with sat_down(browser, url, *(DEVICES | ZOOMED)[window], touch=window in DEVICES) as desk:
        page, point = desk.page, desk.tap if window in DEVICES else desk.click
        assert page.locator(".p-card").evaluate_all(COVERED) == []
        desk.open_example("Duck on the beach")
        page.locator(".p-frame").scroll_into_view_if_needed()
        point(*DUCK)
        assert len(clicks(desk)) == 1 and page.evaluate("palimpsest.state.view.mask.area") == AREA
        point(60, 60)
        assert len(clicks(desk)) == 2
        point(*DUCK)  # on the mark itself, which goes
        assert clicks(desk) == pytest.approx([60], abs=2)

        page.locator(".p-run").click(trial=True)
        fields = page.locator("#side :is(textarea, button, [role=combobox], input[type=number]):visible")
        assert fields.count() > 8
        assert fields.evaluate_all(COVERED) == []
        page.locator(".p-run").click(trial=True)
        page.locator("#p-rooms").scroll_into_view_if_needed()
        page.locator("#p-rooms").click()
        expect(page.locator(".p-tile")).to_have_count(1)
        assert page.evaluate(STRETCHED) <= 0


def test_two_fingers_look_and_mark_nothing(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1], *PIXEL_7, touch=True) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.tap(*DUCK)
        x, y = desk.on_screen(128, 128)
        level, whole = page.locator(".p-level"), page.locator(".p-level").inner_text()
        spread = [[(x + way * reach, y) for reach in range(20, 120, 10)] for way in (-1, 1)]
        for tool in ("Include", "Brush"):
            page.get_by_role("button", name=tool, exact=True).tap()
            desk.touches(*spread)
            expect(level).not_to_have_text(whole)
            desk.touches(*(finger[::-1] for finger in spread))
            expect(level).to_have_text(whole)
        assert page.locator(".p-live *").count() == 0
        session = served[0].sessions.get(page.evaluate("palimpsest.state.sid"))
        now = session.view().draft.prompts
        assert (len(now.clicks), now.box, now.strokes) == (1, None, ())
        desk.touches([desk.on_screen(30 + 5 * k, 40) for k in range(10)])  # one finger draws
        desk.wait_mask()
        (stroke,) = session.view().draft.prompts.strokes
        assert (stroke.points[0].x, stroke.points[-1].x) == pytest.approx((30, 75), abs=3)


def test_a_swipe_over_a_picture_that_takes_no_marks_scrolls(browser: Browser, url: str) -> None:
    with sat_down(browser, url, *DEVICES["iphone-13"], touch=True) as desk:
        desk.open_example("Duck on the beach")
        desk.page.evaluate(PROGRESS)
        x, y = desk.on_screen(128, 200)
        desk.touches([(x, y - 20 * k) for k in range(10)])
        desk.page.wait_for_function("scrollY > 50")
        desk.page.evaluate(AT_REST)
        assert clicks(desk) == [] and desk.page.locator(".p-live *").count() == 0, "nothing was marked on the way"


def test_the_press_that_closes_a_menu_does_nothing_else(browser: Browser, url: str) -> None:
    with sat_down(browser, url, PHONE) as desk:
        desk.open_example("Duck on the beach")
        desk.page.locator(".p-export").tap()
        expect(desk.page.locator(".p-menu")).to_be_visible()
        desk.page.touchscreen.tap(*desk.on_screen(20, 240))
        expect(desk.page.locator(".p-menu")).to_have_count(0)
        desk.tap(*DUCK)
        assert clicks(desk) == pytest.approx([DUCK[0]], abs=2)
