"""Drawing what the subject is: lines that are followed, and an outline by hand or by corners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from pipelines.contract import Extent, Mask, Point, Scope
from pipelines.masks.prompts import MaskPrompts, Stroke, refining
from pipelines.masks.refine import painted
from pipelines.pictures import decode_mask, encode_mask, encode_png
from studio.app import Studio
from tests.browser.desk import DESKTOP, Desk, sat_down
from tests.pipelines.masks.hair import as_selected, drawn
from tests.studio.conftest import until

pytestmark = pytest.mark.browser

SQUARE = ((60.0, 60.0), (160.0, 60.0), (160.0, 160.0), (60.0, 160.0))


def selected(desk: Desk, studio: Studio) -> Mask:
    digest = desk.shown_mask
    assert digest is not None
    return decode_mask(studio.store.pictures.get(digest), Extent(256, 256))


def test_an_outline_is_drawn_freely_or_by_its_corners(
    browser: Browser, served: tuple[Studio, str], failures: Path
) -> None:
    with sat_down(browser, served[1], DESKTOP) as desk:
        page, studio = desk.page, served[0]
        desk.open_example("Duck on the beach")
        page.keyboard.press("l")
        expect(page.get_by_role("button", name="Lasso")).to_have_attribute("aria-pressed", "true")
        desk.drag(*SQUARE, SQUARE[0])
        desk.wait_mask()
        square = selected(desk, studio)
        assert square[62:158, 62:158].all() and square.mean() == pytest.approx(101**2 / 256**2, rel=0.03)
        page.screenshot(path=failures / "lasso.png")

        for x, y in ((100.0, 100.0), (200.0, 100.0), (200.0, 200.0)):  # with Alt: a corner of it is taken away
            page.keyboard.down("Alt")
            desk.click(x, y)
            page.keyboard.up("Alt")
        page.screenshot(path=failures / "lasso-corners.png")
        page.keyboard.press("Enter")
        desk.wait_mask()
        cut = selected(desk, studio)
        assert not cut[110, 150] and cut[150, 110] and not cut[101, 159] and cut.sum() < square.sum()
        desk.undoes()
        desk.wait_mask()
        assert np.array_equal(selected(desk, studio), square), "one step that can be undone"

        desk.click(20, 20)
        desk.click(40, 20)
        page.keyboard.press("Escape")
        assert page.evaluate("palimpsest.state.view.draft.prompts.strokes.length") == 1, "left undone"


def test_a_scribble_is_followed_and_another_says_what_is_not_meant(
    browser: Browser, served: tuple[Studio, str], failures: Path
) -> None:
    with sat_down(browser, served[1], DESKTOP) as desk:
        page, studio = desk.page, served[0]
        desk.open_example("Duck on the beach")
        page.keyboard.press("s")
        desk.drag((110.0, 130.0), (140.0, 150.0), (160.0, 150.0))
        desk.wait_mask()
        first = selected(desk, studio)
        assert 0.05 < first.mean() < 0.5 and first[150, 145]
        page.keyboard.down("Alt")
        desk.drag((20.0, 40.0), (120.0, 30.0))
        page.keyboard.up("Alt")
        desk.wait_mask()
        assert not selected(desk, studio)[30:42, 20:120].any()
        told = page.evaluate("palimpsest.state.view.draft.prompts.scribbles.map(s => s.erase)")
        assert told == [False, True]
        page.screenshot(path=failures / "scribble.png")
        page.keyboard.press("x")
        expect(page.locator(".p-area")).to_have_text("nothing selected")


def test_the_mask_that_a_turn_left_can_be_taken_again(browser: Browser, served: tuple[Studio, str]) -> None:
    session = served[0].sessions.create_example("duck-on-the-beach")
    session.set_prompts(
        MaskPrompts(strokes=(Stroke((Point(100, 100), Point(150, 100), Point(120, 160)), 1, fill=True),))
    )
    fresh = replace(session.view().draft, method="recolour", scope=Scope.SUBJECT, changes={"hue": 90.0})
    session.set_draft(fresh)
    session.start()
    until(lambda: bool(session.view().staged), 60)
    turn = session.accept(0)
    with sat_down(browser, f"{served[1]}/?session={session.sid}", DESKTOP) as desk:
        button = desk.page.get_by_role("button", name="Last mask")
        masks = desk.page.get_by_role("button", name="Masks", exact=True)
        masks.click()
        expect(button).to_be_disabled()
        desk.page.keyboard.press("Escape")
        desk.page.keyboard.press("x")
        masks.click()
        button.click()
        desk.wait_mask()
        assert desk.shown_mask == turn.mask_after and turn.mask_after is not None
        expect(button).to_be_disabled()


def test_a_colour_is_selected_by_the_wand_and_kept_by_name(
    browser: Browser, served: tuple[Studio, str], failures: Path
) -> None:
    with sat_down(browser, served[1], DESKTOP) as desk:
        page, studio = desk.page, served[0]
        desk.open_example("Duck on the beach")
        page.keyboard.press("w")
        expect(page.get_by_role("button", name="Wand")).to_have_attribute("aria-pressed", "true")
        desk.click(128, 244)  # the sand
        sand = selected(desk, studio)
        assert sand[250, 20] and not sand[20, 20] and not sand[150, 128]
        slider = page.get_by_label("How unlike a colour may be")
        slider.fill("2")
        desk.wait_mask()
        assert selected(desk, studio).sum() < sand.sum(), "the same place, another tolerance"
        slider.fill("12")
        desk.wait_mask()
        assert np.array_equal(selected(desk, studio), sand)

        page.get_by_role("button", name="Masks", exact=True).click()
        page.get_by_label("Name to save the mask under").fill("sand")
        page.keyboard.press("Enter")
        expect(page.get_by_role("list", name="Saved masks")).to_contain_text("sand")
        page.screenshot(path=failures / "masks.png")
        page.keyboard.press("Escape")
        page.get_by_label("What lasso and wand do").select_option("Take away")
        desk.click(128, 244)
        assert not selected(desk, studio).any() if desk.shown_mask != "none" else True
        page.keyboard.press("x")
        desk.wait_mask()
        page.keyboard.press("l")
        page.get_by_label("What lasso and wand do").select_option("Add")
        desk.drag((0.0, 128.0), (128.0, 128.0), (128.0, 256.0), (0.0, 256.0), (0.0, 128.0))
        half = selected(desk, studio)
        page.get_by_role("button", name="Masks", exact=True).click()
        page.get_by_role("button", name="Intersect with sand").click()
        desk.wait_mask()
        page.wait_for_function("palimpsest.state.view.draft.prompts.uploaded")
        desk.wait_mask()
        assert np.array_equal(selected(desk, studio), sand & half)
        page.keyboard.press("Escape")
        page.keyboard.down("Shift")  # only what is in both
        page.keyboard.press("w")
        desk.click(60, 250)
        page.keyboard.up("Shift")
        assert np.array_equal(selected(desk, studio), sand & half)


def test_a_brush_over_an_edge_finds_what_belongs_there(browser: Browser, served: tuple[Studio, str]) -> None:
    picture, alpha, _ = drawn(512, 3)
    session = served[0].sessions.create(encode_png(picture), "hair")
    session.upload_mask(encode_mask(as_selected(alpha)))
    with sat_down(browser, f"{served[1]}/?session={session.sid}", DESKTOP) as desk:
        before = decode_mask(served[0].pictures.get(desk.shown_mask or ""), Extent(512, 512))
        desk.page.keyboard.press("f")
        expect(desk.page.get_by_role("button", name="Refine", exact=True)).to_have_attribute("aria-pressed", "true")
        desk.page.get_by_label("Brush size in pixels").fill("60")
        desk.drag((440.0, 256.0), (410.0, 350.0), (350.0, 415.0))
        area = painted(refining(session.view().draft.prompts), Extent(512, 512))
        found = decode_mask(served[0].pictures.get(desk.shown_mask or ""), Extent(512, 512))
        assert np.array_equal(found[~area], before[~area])
        hair = alpha > 0.5
        assert (found != hair)[area].mean() < 0.2 * (before != hair)[area].mean()


def test_what_the_model_would_be_shown_is_drawn(browser: Browser, served: tuple[Studio, str], failures: Path) -> None:
    picture = np.tile(np.linspace(40, 220, 1200, dtype=np.uint8)[None, :, None], (800, 1, 3))
    session = served[0].sessions.create(encode_png(picture), "wide")
    session.set_prompts(MaskPrompts(strokes=(Stroke((Point(600, 400), Point(680, 430)), 40),)))
    session.set_draft(replace(session.view().draft, scope=Scope.SUBJECT, changes={"window": "around"}))
    with sat_down(browser, f"{served[1]}/?session={session.sid}", DESKTOP) as desk:
        seen = session.view().sees
        box = desk.page.locator(".p-sees").bounding_box()
        assert seen is not None and box is not None
        desk.page.screenshot(path=failures / "sees.png")
        left, top = desk.on_screen(seen.left, seen.top)
        right, bottom = desk.on_screen(seen.right, seen.bottom)
        assert (box["x"], box["y"]) == pytest.approx((left, top), abs=3)
        assert (box["width"], box["height"]) == pytest.approx((right - left, bottom - top), abs=4)


def test_a_pen_paints_as_wide_as_it_is_pressed(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1], DESKTOP) as desk:
        page, studio = desk.page, served[0]
        desk.open_example("Duck on the beach")
        page.keyboard.press("b")
        full: float = page.evaluate("Number(document.querySelector('.p-size input').value)")
        pen = page.context.new_cdp_session(page)

        def put(kind: str, x: float, y: float, force: float) -> None:
            at = desk.on_screen(x, y)
            told = {"type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": 1, "clickCount": 1}
            pen.send("Input.dispatchMouseEvent", {**told, "pointerType": "pen", "force": force})

        put("mousePressed", 60, 60, 0.2)
        for x in range(70, 210, 10):
            put("mouseMoved", x, 60, 0.2 if x < 130 else 0.9)
        put("mouseReleased", 200, 60, 0.9)
        desk.wait_mask()
        strokes = studio.sessions.get(page.evaluate("palimpsest.state.sid")).view().draft.prompts.strokes
        assert [stroke.radius for stroke in strokes] == [full / 4, full]
        wide = selected(desk, studio).sum(0)
        assert wide[190] == pytest.approx(4 * wide[80], rel=0.3) and wide[80] > 0
        desk.undoes()
        assert desk.shown_mask in (None, "none"), "one movement, one step"
