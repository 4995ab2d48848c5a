"""The first layered edit, end to end, as a person makes it: the real page, the real model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from pipelines.contract import Extent
from pipelines.pictures import decode, decode_mask, encode_png
from studio.app import Studio
from studio.settings import ASSETS
from tests.browser.desk import PHONE, SMALL, sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser

TURTLE = (108, 152)
"""On the subject of the example "Turtle in the desert"."""


def test_two_turns_undo_and_a_reload(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        assert re.match(r"subject \d+ %", desk.page.locator(".p-area").inner_text())
        desk.chooses("scope", "Both")
        desk.says(subject="a blue duck", background="in a forest")
        desk.chooses("quality", "Draft")
        progress = desk.runs()
        assert len(progress) > 2, f"progress must move, but was {progress}"
        desk.keeps()
        assert desk.here == "1 · a blue duck, in a forest"

        desk.says(background="in the snow")
        desk.chooses("scope", "Background")
        desk.runs()
        expect(desk.page.locator(".p-outside")).to_have_text("subject kept: 0 pixels changed")
        desk.keeps()
        assert desk.here == "2 · in the snow"

        desk.page.keyboard.press("Escape")
        desk.page.locator(".p-node.p-here").focus()
        desk.page.keyboard.press("Control+z")
        expect(desk.page.locator(".p-node.p-here")).to_have_attribute("title", "1 · a blue duck, in a forest")

        desk.reload()
        expect(desk.turns).to_have_count(3)
        assert desk.here == "1 · a blue duck, in a forest"


def test_a_reload_meets_the_run_where_it_is_and_cancel_ends_it(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Elephant in a meadow")
        desk.click(134, 136)
        desk.chooses("quality", "Exact")
        desk.page.keyboard.press("Control+Enter")
        desk.page.wait_for_selector(".p-progress")
        desk.reload()
        desk.page.wait_for_selector(".p-progress")
        desk.page.get_by_role("button", name="Cancel").click()
        desk.page.wait_for_selector("#go .p-root[data-state=idle]")
        expect(desk.turns).to_have_count(1)


def test_a_subject_reference_is_cut_out_shown_and_taken_away(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1]) as desk:
        desk.open_example("Duck on the beach")
        page, row = desk.page, desk.page.locator(".p-ref-box[data-part=subject]")
        row.locator("input[type=file]").set_input_files(ASSETS / "examples" / "turtle-in-the-desert.png")
        expect(row.locator("canvas")).to_be_visible(timeout=60_000)  # the first one waits for the segmenter
        expect(row.get_by_role("button", name="Reference subject", exact=True)).to_have_attribute(
            "title", re.compile("the middle")
        )
        draft = served[0].sessions.get(page.evaluate("palimpsest.state.sid")).view().draft
        cut = decode_mask(served[0].pictures.get(draft.subject_reference_mask or ""), Extent(256, 256))
        assert cut[TURTLE[1], TURTLE[0]] and not cut[5, 5] and 0.02 < cut.mean() < 0.5
        assert draft.background_reference is None
        page.get_by_role("button", name="Remove the reference subject").click()
        expect(row.locator("canvas")).to_have_count(0)
        expect(row.get_by_role("button", name="Remove the reference subject")).to_be_hidden()


def test_running_from_an_earlier_turn_branches(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1]) as desk:
        desk.open_example("Turtle in the desert")
        desk.click(108, 152)
        desk.chooses("quality", "Draft")
        desk.chooses("scope", "Subject")
        for words in ("a red turtle", "a green turtle"):
            desk.turns.first.click()
            desk.says(subject=words, background="")  # before the server has answered: what was typed stands
            expect(desk.page.locator("#heading")).to_contain_text("the original")
            expect(desk.page.locator("#subject textarea")).to_have_value(words)
            desk.runs()
            desk.keeps()
        session = served[0].sessions.get(desk.page.evaluate("palimpsest.state.sid"))
        assert sorted(turn.number for turn in session.view().turns) == [0, 1, 1]
        desk.turns.first.focus()
        desk.page.keyboard.press("ArrowRight")
        desk.page.keyboard.press("ArrowDown")
        desk.page.keyboard.press("Enter")
        expect(desk.page.locator(".p-node.p-here")).to_have_attribute("title", "1 · a red turtle")


def test_marking_by_click_box_brush_and_undo(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1]) as desk:
        desk.open_example("Duck on the beach")
        session = served[0].sessions.get(desk.page.evaluate("palimpsest.state.sid"))
        desk.click(*DUCK)
        first = desk.shown_mask
        desk.click(20, 240, button="right")
        desk.page.keyboard.press("b")
        desk.drag((30, 30), (60, 30))
        desk.page.keyboard.press("e")
        desk.drag(DUCK, (DUCK[0] + 10, DUCK[1]))
        made = session.view().draft.prompts
        assert [(round(c.x), round(c.y), c.include) for c in made.clicks] == [(*DUCK, True), (20, 240, False)]
        assert [stroke.erase for stroke in made.strokes] == [False, True]
        assert abs(made.strokes[0].points[-1].x - 60) < 1 and abs(made.strokes[0].points[-1].y - 30) < 1
        for _ in range(3):
            desk.undoes()
        assert desk.shown_mask == first
        desk.page.keyboard.press("c")
        desk.drag((60, 60), (200, 230))
        box = session.view().draft.prompts.box
        assert box is not None
        assert [round(edge) for edge in (box.left, box.top, box.right, box.bottom)] == pytest.approx(
            [60, 60, 200, 230], abs=1
        )
        desk.page.keyboard.press("x")
        expect(desk.page.locator(".p-area")).to_have_text("nothing selected")


def test_quick_clicks_all_arrive(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1]) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        for k in range(5):
            desk.page.mouse.click(*desk.on_screen(100 + 8 * k, 120))
        desk.page.wait_for_function("palimpsest.state.view.draft.prompts.clicks.length === 6")
        session = served[0].sessions.get(desk.page.evaluate("palimpsest.state.sid"))
        assert [round(c.x) for c in session.view().draft.prompts.clicks] == [DUCK[0], 100, 108, 116, 124, 132]


@pytest.mark.parametrize("shape", [(300, 700), (700, 300)])
def test_clicks_hit_the_same_point_of_tall_and_wide_pictures(
    browser: Browser, served: tuple[Studio, str], shape: tuple[int, int], tmp_path: Path
) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    (tmp_path / "noise.png").write_bytes(encode_png(picture))
    with sat_down(browser, served[1], SMALL) as desk:
        desk.page.locator("#stage input[type=file][accept]").last.set_input_files(tmp_path / "noise.png")
        expect(desk.page.locator(".p-session")).to_have_text("noise.png")
        height, width = shape
        desk.click(width * 0.9, height * 0.2)
        session = served[0].sessions.get(desk.page.evaluate("palimpsest.state.sid"))
        click = session.view().draft.prompts.clicks[0]
        assert (click.x, click.y) == pytest.approx((width * 0.9, height * 0.2), abs=2.5)


def test_hostile_words_are_shown_as_they_are(browser: Browser, served: tuple[Studio, str], tmp_path: Path) -> None:
    words = "<img src=x onerror=alert(1)> ${document.title} {{value}} \\ =}"
    file = tmp_path / "{{value}}${alert(1)}.png"
    file.write_bytes(encode_png(np.full((64, 64, 3), 90, np.uint8)))
    with sat_down(browser, served[1]) as desk:
        desk.page.on("dialog", lambda dialog: desk.troubles.append(dialog.message))
        desk.page.locator("#stage input[type=file][accept]").last.set_input_files(file)
        expect(desk.page.locator(".p-session")).to_have_text(file.name)
        desk.says(subject=words, background="")
        session = served[0].sessions.get(desk.page.evaluate("palimpsest.state.sid"))
        desk.page.wait_for_function("words => palimpsest.state.view.draft.subject === words", arg=words)
        assert session.view().draft.subject == words
        desk.reload()
        expect(desk.page.locator("#subject textarea")).to_have_value(words)


def test_bad_files_are_refused_in_words(browser: Browser, url: str, tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    with sat_down(browser, url) as desk:
        desk.page.locator("#stage input[type=file][accept]").last.set_input_files(tmp_path / "not.png")
        desk.page.wait_for_selector(".p-toast")
        assert "PNG" in desk.messages[0]
        expect(desk.page.locator("#studio")).to_have_attribute("data-session", "none")
        desk.open_example("Duck on the beach")
        desk.page.locator(".p-run").click()
        desk.page.wait_for_selector(".p-toast:has-text('click the subject')")


def test_the_picture_comes_down_as_it_is(browser: Browser, served: tuple[Studio, str]) -> None:
    with sat_down(browser, served[1]) as desk:
        desk.open_example("Rocket at night")
        with desk.page.expect_download() as coming:
            desk.exports("PNG")
        assert coming.value.suggested_filename == "Rocket at night - original.png"
        example = next(e for e in served[0].sessions.examples() if e.id == "rocket-at-night")
        assert (
            decode(Path(coming.value.path()).read_bytes()).picture == decode(example.picture.read_bytes()).picture
        ).all()


@pytest.mark.parametrize("size", [SMALL, (1920, 1080), PHONE])
def test_run_is_in_sight_and_the_picture_is_the_largest_thing(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    with sat_down(browser, url, size) as desk:
        desk.open_example("Duck on the beach")
        run, frame = (desk.page.locator(name).bounding_box() for name in (".p-run", ".p-frame"))
        assert run is not None and frame is not None
        assert run["y"] + run["height"] <= size[1] and run["x"] + run["width"] <= size[0]
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        others = [desk.page.locator(name).bounding_box() for name in ("#subject", ".p-tools", "#go")]
        assert all(o is None or o["width"] * o["height"] < frame["width"] * frame["height"] for o in others)


def test_the_letters_come_with_the_page(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        tools = desk.page.context.new_cdp_session(desk.page)
        tools.send("DOM.enable")
        tools.send("CSS.enable")
        root = tools.send("DOM.getDocument", {"depth": -1})["root"]["nodeId"]
        for place in ("#top", ".p-tools", ".p-tabs", "#side", "#film"):
            node = tools.send("DOM.querySelector", {"nodeId": root, "selector": place})["nodeId"]
            fonts = tools.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
            assert all(font["isCustomFont"] for font in fonts), (place, fonts)
