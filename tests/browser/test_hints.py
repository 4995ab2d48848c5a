"""What is said before Run, in a real page: marks under words while they are typed, a question, a crop; on a desk and a
phone. The pictures are left in ``build/screenshots`` to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

from pipelines.pictures import encode_png
from pipelines.requests import LONGEST_TEXT
from tests.browser.desk import DESKTOP, PHONE, Desk, sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser

MARKS = "part => [...document.querySelectorAll(`#${part} .p-mark`)].map(mark => mark.textContent)"
PLACED = """part => {
  const box = document.querySelector(`#${part} textarea`), copy = box.parentNode.querySelector('.p-marks');
  const a = box.getBoundingClientRect(), b = copy.getBoundingClientRect();
  return [a.left - b.left, a.top - b.top, a.height - b.height, box.scrollTop - copy.scrollTop,
    box.scrollHeight - copy.scrollHeight]; }"""


def types(desk: Desk, part: str, words: str) -> None:
    """As a person does, letter by letter, into a field that is emptied first."""
    field = desk.page.locator(f"#{part} textarea")
    field.fill("")
    field.press_sequentially(words)


def marked(desk: Desk, part: str, *words: str) -> None:
    desk.page.wait_for_function(
        f"([part, words]) => JSON.stringify(({MARKS})(part)) === words", arg=[part, list_(words)]
    )
    assert all(abs(difference) <= 1 for difference in desk.page.evaluate(PLACED, part)), "the marks lie under the words"


def list_(words: tuple[str, ...]) -> str:
    return "[" + ",".join(f'"{word}"' for word in words) + "]"


def says(desk: Desk, part: str) -> Locator:
    return desk.page.locator(f"#{part} .p-hint-line")


def chip(desk: Desk, part: str, label: str) -> Locator:
    return says(desk, part).get_by_role("button", name=label, exact=True)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_words_are_marked_as_one_types_and_replaced_on_a_click(
    browser: Browser, url: str, failures: Path, size: tuple[int, int]
) -> None:
    with sat_down(browser, url, size) as desk:
        desk.open_example("Duck on the beach")
        desk.chooses("scope", "Both")
        types(desk, "subject", "🦆 a blaue duck with a hat")
        types(desk, "background", "in Times Square, no trees")
        marked(desk, "subject", "blaue", "hat")
        marked(desk, "background", "Times Square", "no trees")
        expect(says(desk, "subject")).to_contain_text("Toybox was not taught “blaue” and “hat”.")
        desk.page.screenshot(path=failures / f"hints-{size[0]}.png")
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= size[0]

        chip(desk, "subject", "blaue → blue").click()
        expect(desk.page.locator("#subject textarea")).to_have_value("🦆 a blue duck with a hat")
        marked(desk, "subject", "hat")
        desk.page.wait_for_function("palimpsest.state.view.draft.subject === '🦆 a blue duck with a hat'")
        chip(desk, "background", "Leave it out").click()
        marked(desk, "background", "Times Square")
        chip(desk, "background", "What it knows").click()
        known = desk.page.get_by_role("dialog", name="What it knows")
        desk.page.screenshot(path=failures / f"hints-known-{size[0]}.png")
        known.get_by_role("button", name="in the city", exact=True).click()
        expect(desk.page.locator("#background textarea")).to_have_value("in the city")
        marked(desk, "background")
        expect(says(desk, "background")).to_have_count(0)
        desk.page.locator("#background textarea").press("Control+z")
        expect(desk.page.locator("#background textarea")).not_to_have_value("in the city")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_what_is_kept_out_is_marked_run_and_kept_with_its_turn(
    browser: Browser, url: str, failures: Path, size: tuple[int, int]
) -> None:
    with sat_down(browser, url, size) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.wait_mask()
        desk.says(background="in a forest")
        desk.page.locator("#advanced > button").click()
        field = desk.page.get_by_label("Keep out")
        types(desk, "negative", "snow, (trees:1.3)")
        marked(desk, "negative", "(trees:1.3)")
        expect(says(desk, "negative")).to_contain_text("weights and options do nothing")
        desk.page.screenshot(path=failures / f"kept-out-{size[0]}.png")
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        types(desk, "negative", "snow")
        desk.chooses("quality", "Draft")
        desk.chooses("candidates", "1")
        desk.runs()
        desk.keeps()
        expect(field).to_have_value("")
        expect(desk.page.locator(".p-facts")).to_contain_text("Kept outsnow")
        desk.page.locator("#advanced > button").click()
        expect(field).to_be_hidden()
        desk.page.locator(".p-node.p-here").click(button="right")
        desk.page.get_by_role("menuitem", name="Change this turn").click()
        expect(field).to_be_visible()
        expect(field).to_have_value("snow")


def test_an_instruction_is_rewritten_or_moved(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.chooses("scope", "Both")
        types(desk, "subject", "make the duck blue and put it in a forest")
        marked(desk, "subject", "make the duck blue and put it in a forest")
        chip(desk, "subject", "a blue duck, in a forest").click()
        expect(desk.page.locator("#subject textarea")).to_have_value("a blue duck")
        expect(desk.page.locator("#background textarea")).to_have_value("in a forest")
        types(desk, "subject", "turn the duck into a penguin")
        chip(desk, "subject", "Say it as an instruction").click()
        expect(desk.page.locator("#subject textarea")).to_have_value("")
        expect(desk.page.locator(".p-words")).to_have_value("turn the duck into a penguin")
        expect(desk.page.locator(".p-asked .p-subject input")).to_have_value("a penguin")


def test_a_long_text_is_marked_where_reading_ends(browser: Browser, url: str, failures: Path) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.chooses("scope", "Both")
        field = desk.page.locator("#subject textarea")
        assert field.get_attribute("maxlength") == str(LONGEST_TEXT)
        field.fill("a big red dog jumping " * 6 + "a rocket in space")
        marked(desk, "subject", "a rocket in space")
        expect(says(desk, "subject")).to_contain_text("reads 30 tokens: nothing from “a rocket in space” on.")
        desk.page.screenshot(path=failures / "hints-cut.png")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_photograph_is_asked_about_once(
    browser: Browser, url: str, failures: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    grain = np.random.default_rng(4).normal(128, 30, (200, 256, 3))
    (tmp_path / "photo.png").write_bytes(encode_png(np.clip(grain, 0, 255).astype(np.uint8)))
    with sat_down(browser, url, size) as desk:
        page = desk.page
        page.locator("#stage input[type=file][accept]").last.set_input_files(tmp_path / "photo.png")
        expect(page.locator("#studio")).to_have_attribute("data-session", "open")
        desk.drag((40, 40), (120, 120), (200, 160))
        desk.chooses("scope", "Both")
        desk.says(subject="a penguin")
        desk.chooses("quality", "Draft")
        page.locator(".p-run").click()
        question = page.get_by_role("alertdialog", name="Before it runs")
        expect(question).to_contain_text("Toybox was made for flat drawings")
        page.screenshot(path=failures / f"hints-photo-{size[0]}.png")
        question.get_by_role("button", name="Not now").click()
        expect(question).to_be_hidden()
        page.locator(".p-run").click()
        question.get_by_role("button", name="Run anyway").click()
        expect(page.locator(".p-cancel")).to_be_visible()
        page.locator(".p-cancel").click()
        expect(page.locator(".p-run")).to_be_visible()
        page.locator(".p-run").click()
        expect(page.locator(".p-cancel")).to_be_visible()
        expect(question).to_be_hidden()
        page.locator(".p-cancel").click()
        expect(page.locator(".p-run")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_picture_that_is_too_long_is_cropped_when_it_is_opened(
    browser: Browser, url: str, failures: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "long.png").write_bytes(encode_png(np.full((50, 400, 3), (90, 120, 150), np.uint8)))
    with sat_down(browser, url, size) as desk:
        page = desk.page
        page.locator("#stage input[type=file][accept]").last.set_input_files(tmp_path / "long.png")
        dialog = page.get_by_role("dialog", name="Too long to be edited")
        expect(dialog).to_contain_text("400 × 50 pixels. At most 4 times as long as wide can be edited")
        page.screenshot(path=failures / f"hints-crop-{size[0]}.png")
        dialog.get_by_role("button", name="Leave it whole").click()
        page.get_by_role("button", name="Choose a part").click()
        dialog.get_by_role("slider").press("Home")
        dialog.get_by_role("button", name="Use this part").click()
        page.wait_for_function("palimpsest.state.view.width === 200 && palimpsest.state.view.height === 50")
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("button", name="Choose a part")).to_have_count(0)


def test_an_example_needs_no_remark(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.page.wait_for_timeout(600)
        expect(desk.page.locator(".p-hint-line")).to_have_count(0)
        expect(desk.page.locator(".p-mark")).to_have_count(0)
