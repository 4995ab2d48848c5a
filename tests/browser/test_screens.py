"""Every screen against its baseline. ``make baselines`` takes new ones; look at each before committing it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pixelmatch.contrib.PIL import pixelmatch
from playwright.sync_api import Browser

from tests.browser.desk import Box, sat_down
from tests.browser.screenshots import BASELINES, PROGRESS, major, screens

pytestmark = pytest.mark.browser

MOST = 400
"""Pixels of the page itself that may differ visibly."""
MOST_LEVELS = 16.0
"""Mean difference, of 255 levels, that a picture made by a model may have: another processor rounds otherwise."""


def test_every_screen_looks_as_it_did(browser: Browser, url: str, failures: Path) -> None:
    wrong = []
    for name, png, made in screens(browser, url):
        baseline = BASELINES / f"{name}-chromium{major(browser)}.png"
        if not baseline.is_file():
            pytest.skip(f"there are no baselines for Chromium {major(browser)}; `make baselines` takes them")
        if png == baseline.read_bytes():
            continue
        now, then = (Image.open(io.BytesIO(data)).convert("RGB") for data in (png, baseline.read_bytes()))
        if complaint := unlike(now, then, made):
            now.save(failures / f"{name}-now.png")
            then.save(failures / f"{name}-then.png")
            wrong.append(f"{name}: {complaint}")
    assert not wrong, f"{wrong}; see {failures}"


WORDY = PROGRESS.replace(
    "'guidance', step: 11, total: 30, seconds_left: 6", "'reference', step: 50, total: 50, seconds_left: 88"
)
TAKEN = """() => document.querySelectorAll('#quality label > span').forEach(
  (label, i) => { label.textContent = ['Draft 6 s', 'Standard 38 s', 'Exact 15 min'][i] })"""
CLIPPED = """() => ['.p-progress', '.p-progress-head b', '.p-bars', '#quality label'].filter(
  (part) => [...document.querySelectorAll(part)].some((e) => e.scrollWidth > e.clientWidth))"""
PAST_ITS_BOX = """() => { const right = (part) => document.querySelector(part).getBoundingClientRect().right;
  return right('.p-progress-head .p-hint') > right('.p-progress') || right('.p-progress') > right('.p-cancel')
    || right('#quality label:last-of-type') > right('#quality .wrap:has(label)') }"""


def test_long_words_and_figures_have_room(browser: Browser, url: str) -> None:
    with sat_down(browser, url) as desk:
        desk.open_example("Duck on the beach")
        desk.page.evaluate(TAKEN)
        for does, stage, title in (
            ("edit", "reference", "Drawing reference"),
            ("replay", "turn 10 of 12", "Turn 10 of 12"),
            ("swap", "turn 1 of 2", "Other order"),
            ("orders", "pair 1 of 3", "Pair 1 of 3"),
        ):
            desk.page.evaluate(
                WORDY.replace("state: ", f"does: '{does}', state: ", 1).replace("'reference'", f"'{stage}'", 1)
            )
            head = desk.page.locator(".p-progress-head").inner_text().split("\n")
            assert head[0] == title and head[-1].endswith("88 s left")
            assert desk.page.evaluate(CLIPPED) == [], does
            assert not desk.page.evaluate(PAST_ITS_BOX), does


def unlike(now: Image.Image, then: Image.Image, made: list[Box]) -> str:
    """What is different, or nothing. Pictures in the boxes of `made` are compared more kindly than the page."""
    if now.size != then.size:
        return f"it is {now.size} pixels large, and was {then.size}"
    for box in made:
        levels = float(np.abs(np.asarray(now.crop(box), float) - np.asarray(then.crop(box), float)).mean())
        if levels > MOST_LEVELS:
            return f"the picture at {box} differs by {levels:.1f} levels"
        then.paste(now.crop(box), box)
    different = pixelmatch(now, then, None, threshold=0.1)
    return f"{different} pixels of the page differ" if different > MOST else ""


def test_a_changed_page_is_noticed() -> None:
    page = Image.new("RGB", (200, 100), "#141619")
    moved = page.copy()
    moved.paste("#f4b23e", (10, 10, 50, 30))
    assert unlike(page, page.copy(), []) == ""
    assert "pixels of the page differ" in unlike(page, moved, [])
    assert "picture at" in unlike(page, moved, [(0, 0, 60, 40)])
    assert "pixels large" in unlike(page, page.crop((0, 0, 100, 100)), [])
