"""The screens that are compared with their baselines and shown in the README, taken from the real studio.

``python tests/browser/screenshots.py FOLDER`` writes them there; ``--baselines`` writes them as the new baselines.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, expect, sync_playwright

from studio.app import build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.browser.desk import DESKTOP, PHONE, SMALL, Box, launched, sat_down

BASELINES = Path(__file__).parent / "baselines"
DUCK = (137, 160)
"""On the subject of the example "Duck on the beach"."""
# A run as the page is told of it, always at the same point: a real one never stands still for its picture.
PROGRESS = """() => palimpsest.receive({ sid: palimpsest.state.sid, tick: { job: {
  id: 'shown', state: 'running', stage: 'guidance', step: 11, total: 30, seconds_left: 6, ahead: 0, preview: 0,
  error: null, stages: [['reference', 1], ['embeddings', 1], ['fine-tune', 1], ['guidance', 11 / 30]].map(
    ([name, fraction]) => ({ name, fraction })),
} } })"""
AT_REST = "() => palimpsest.receive({ sid: palimpsest.state.sid, tick: { job: null } })"


Screen = tuple[str, bytes, list[Box]]
"""Name, PNG, and where pictures stand that a model made or masked: their pixels are the processor's as well."""


def screens(browser: Browser, url: str) -> Iterator[Screen]:
    """Every screen, in the order a person meets them."""
    with sat_down(browser, url, DESKTOP) as desk:
        yield "first", *desk.picture()
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        yield "mask", *desk.picture()
        address = desk.page.url
        desk.page.evaluate(PROGRESS)
        yield "running", *desk.picture()
        desk.page.evaluate(AT_REST)
        desk.chooses("quality", "Draft")
        desk.chooses("candidates", "3")
        desk.runs()
        yield "candidates", *desk.picture()
        desk.keeps()
        expect(desk.page.locator("#subject textarea")).to_have_value("")
        desk.page.wait_for_function("!palimpsest.state.settling")
        yield "result", *desk.picture()
        desk.looks("Before / after")
        yield "slider", *desk.picture()
        desk.looks("Difference")
        desk.page.wait_for_selector(".p-difference[data-ready]")
        yield "difference", *desk.picture()
        desk.looks("Picture")
        desk.chooses("scope", "Subject")
        desk.chooses("candidates", "1")
        desk.says(subject="a big blue duck")
        desk.runs()
        desk.keeps()
        desk.page.get_by_role("button", name="Does the order of turns 1 and 2 matter?").click()
        compared = desk.page.get_by_role("region", name="Both orders compared")
        expect(compared.get_by_role("button", name="Use 2 then 1")).to_be_visible(timeout=180_000)
        desk.looks("Side by side")
        yield "swap", *desk.picture()
        compared.get_by_role("button", name="Close", exact=True).last.click()
        expect(compared).to_be_hidden()
    for name, size in (("small", SMALL), ("phone", PHONE)):
        with sat_down(browser, address, size) as desk:
            yield name, *desk.picture()


def major(browser: Browser) -> str:
    """The browser's major version: letters are drawn differently from one to the next."""
    return browser.version.split(".")[0]


def write(folder: Path, suffix: bool) -> None:
    """Take every screen and store it in `folder`, with the browser's version in the name when it is a baseline."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        settings = Settings(data=Path(data), port=0)
        studio = build_studio(settings)
        page = open_page(studio, settings)
        browser = launched(playwright)
        try:
            for name, png, _ in screens(browser, page.url):
                (folder / f"{name}{f'-chromium{major(browser)}' if suffix else ''}.png").write_bytes(png)
        finally:
            browser.close()
            page.close()
            studio.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/browser/screenshots.py FOLDER | --baselines")
    write(BASELINES, True) if sys.argv[1] == "--baselines" else write(Path(sys.argv[1]), False)
