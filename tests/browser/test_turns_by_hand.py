"""Turns that need no model, as a person makes them: chosen in the menu, set in their fields, kept and undone."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from pipelines.contract import Extent
from pipelines.curves import ToneCurve
from pipelines.hand.colour import curves_of
from pipelines.hand.params import LightParams
from pipelines.pictures import decode, decode_mask
from studio.app import Studio
from tests.browser.desk import Desk, sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser


def choose(desk: Desk, title: str) -> None:
    desk.page.locator("#method input").click()
    desk.page.get_by_role("option", name=title, exact=True).click()
    expect(desk.page.locator("#method input")).to_have_value(title)


def test_the_duck_is_recoloured_moved_and_removed_without_a_model(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("scope", "Subject")
        choose(desk, "Recolour")
        subject = page.locator("#subject textarea")
        expect(subject).to_have_attribute("placeholder", "this method reads no text here")
        hue = page.get_by_label("Hue", exact=True)
        expect(hue).to_be_visible()  # its settings are all there is to say: nobody has to look for them
        edges = page.locator("#knob-recolour-edge label:visible")
        expect(edges).to_have_text(["hard", "soft", "matted"])  # no network that mattes is among these models
        hue.fill("150")
        hue.blur()
        desk.runs()
        desk.keeps()
        assert desk.here == "1 · Recolour: hue 150"
        session = studio.sessions.get(page.evaluate("palimpsest.state.sid"))
        view = session.view()
        before, after = (decode(session.picture_bytes(turn.picture)).picture for turn in view.turns[:2])
        mask = decode_mask(session.picture_bytes(view.turns[1].mask or ""), Extent.of(before))
        changed = (before != after).any(-1)
        assert changed[mask].mean() > 0.8 and view.turns[1].outside_changed == 0

        choose(desk, "Place")
        right = page.get_by_label("To the right", exact=True)
        right.fill("0.25")
        right.blur()
        desk.runs()
        desk.keeps()
        assert desk.here == "2 · Place: right 0.25"
        desk.undoes()
        assert desk.here == "1 · Recolour: hue 150"

        choose(desk, "Remove")
        desk.runs()
        desk.keeps()
        assert desk.here == "2 · Remove"
        view = session.view()
        gone = decode(session.picture_bytes(view.turns[-1].picture)).picture
        assert not np.array_equal(gone[mask], after[mask]) and view.turns[-1].outside_changed == 0

        choose(desk, "Light")
        desk.chooses("scope", "Both")  # what was taken out is selected no more
        page.locator(".p-run").click()
        expect(page.get_by_text("every setting leaves the light as it is").first).to_be_visible()
        assert desk.here == "2 · Remove"


def test_a_curve_is_drawn_moved_by_keys_and_made(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.chooses("scope", "Both")
        choose(desk, "Light")
        square, field = page.locator("#knob-light-curve .p-curve-square"), page.locator("#knob-light-curve textarea")
        square.scroll_into_view_if_needed()
        box = square.bounding_box()
        assert box is not None

        def at(level: float, other: float) -> tuple[float, float]:
            return box["x"] + level / 255 * box["width"], box["y"] + (1 - other / 255) * box["height"]

        page.mouse.move(*at(100, 100))
        page.mouse.down()
        page.mouse.move(*at(100, 160), steps=4)
        page.mouse.up()
        x, y = (int(part) for part in field.input_value().split()[1].split(","))
        assert abs(x - 100) <= 2 and abs(y - 160) <= 2, "a press on the square is a point, which is dragged on"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Shift+ArrowRight")
        expect(field).to_have_value(f"0,0 {x + 10},{y + 1} 255,255")
        expect(page.get_by_role("slider", name=f"Level {x + 10} becomes {y + 1}")).to_be_focused()
        page.get_by_role("button", name="Add a point").press("Enter")
        page.keyboard.press("Delete")
        expect(page.locator(".p-curve-dot")).to_have_count(3)
        desk.runs()
        desk.keeps()
        assert desk.here == f"1 · Light: curve 0,0 {x + 10},{y + 1} 255,255"
        session = studio.sessions.get(page.evaluate("palimpsest.state.sid"))
        before, after = (decode(studio.pictures.get(turn.picture)).picture for turn in session.view().turns)
        curve = ToneCurve.of("curve", f"0,0 {x + 10},{y + 1} 255,255")
        assert (after == curves_of(LightParams(curve=curve))[:, 0][before]).all()
