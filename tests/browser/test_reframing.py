"""Turns that change the frame, as a person makes them: drawn on the picture, kept, compared, and painted on."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from pipelines.pictures import decode
from studio.app import Studio
from tests.browser.desk import PHONE, Desk, sat_down
from tests.browser.screenshots import DUCK
from tests.browser.test_turns_by_hand import choose

pytestmark = pytest.mark.browser


def shape(desk: Desk) -> list[int]:
    size: list[int] = desk.page.evaluate("[palimpsest.state.view.width, palimpsest.state.view.height]")
    return size


def cuts(desk: Desk, hold: str, x: float, y: float) -> None:
    """Take the frame at one of its holds, named by its sides, and move it by so many pixels of the picture."""
    page = desk.page
    box = page.locator(f".p-hold[data-sides='{hold}']").bounding_box()
    assert box is not None
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    zero, to = desk.on_screen(0, 0), desk.on_screen(x, y)
    before = page.evaluate("palimpsest.state.view.rev")
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + to[0] - zero[0], at[1] + to[1] - zero[1], steps=5)
    page.mouse.up()
    page.wait_for_function("before => palimpsest.state.view.rev > before", arg=before)


def test_the_duck_is_cropped_on_the_picture_compared_and_painted(browser: Browser, served: tuple[Studio, str]) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        choose(desk, "Crop")
        size = page.locator(".p-crop-bar output")
        expect(size).to_have_text("256 × 256 pixels")
        cuts(desk, "left top", 40, 24)
        expect(size).to_have_text("216 × 232 pixels")
        expect(page.locator("#knob-crop-left input")).to_have_value(re.compile(r"^0\.15625"))
        page.get_by_role("radio", name="1:1").click()
        expect(size).to_have_text("256 × 256 pixels")
        cuts(desk, "left top", 64, 0)
        expect(size).to_have_text("192 × 192 pixels")
        page.locator(".p-hold[data-sides='left top']").press("ArrowRight")
        expect(size).to_have_text("191 × 191 pixels")
        page.locator(".p-hold[data-sides='left top']").press("ArrowLeft")
        expect(size).to_have_text("192 × 192 pixels")
        desk.runs()
        expect(page.locator(".p-outside")).to_have_text("192 × 192 pixels, from 256 × 256 pixels")
        desk.keeps()
        expect(page.locator(".p-crop-bar output")).to_have_text("192 × 192 pixels")
        assert shape(desk) == [192, 192]
        session = studio.sessions.get(page.evaluate("palimpsest.state.sid"))
        turns = session.view().turns
        whole, cut = (decode(session.picture_bytes(turn.picture)).picture for turn in turns)
        assert np.array_equal(cut, whole[64:, 64:])
        desk.wait_mask()
        assert desk.shown_mask == turns[1].mask_after

        # What was before it lies under it, pixel on pixel.
        desk.looks("Difference")
        expect(page.locator(".p-difference")).to_have_attribute("data-ready", re.compile("blob:"))
        expect(page.locator(".p-legend")).to_contain_text("0 % differs")
        desk.looks("Picture")

        choose(desk, "Layered")
        desk.chooses("scope", "Subject")
        desk.chooses("quality", "Draft")
        desk.says("a green duck")
        desk.runs()
        desk.keeps()
        view = session.view()
        painted = decode(session.picture_bytes(view.turns[-1].picture)).picture
        assert painted.shape == (192, 192, 3) and view.turns[-1].outside_changed == 0
        desk.undoes()
        desk.undoes()
        assert shape(desk) == [256, 256]
        desk.wait_mask()
        assert desk.shown_mask == view.turns[1].mask


def test_a_frame_is_drawn_with_a_finger(browser: Browser, url: str) -> None:
    with sat_down(browser, url, PHONE) as desk:
        desk.open_example("Duck on the beach")
        choose(desk, "Crop")
        desk.page.evaluate("scrollTo(0, 0)")
        corner = desk.page.locator(".p-hold[data-sides='right bottom']")
        expect(corner).to_be_visible()
        hold = corner.bounding_box()
        assert hold is not None
        x, y = hold["x"] + hold["width"] / 2, hold["y"] + hold["height"] / 2
        zero, to = desk.on_screen(0, 0), desk.on_screen(64, 32)
        step = (to[0] - zero[0]) / 4, (to[1] - zero[1]) / 4
        desk.touches([(x - k * step[0], y - k * step[1]) for k in range(5)])
        expect(desk.page.locator(".p-crop-bar output")).to_have_text("192 × 224 pixels")
