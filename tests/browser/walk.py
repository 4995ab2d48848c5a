"""One picture, one wish, every way to get it: ``python -m tests.browser.walk --out FOLDER``.

Opens the example with the cat, asks for the same turn by one method after another, each as a branch of the same
picture, and takes a picture of the window before each is kept and of the tree in the end: to be looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import expect, sync_playwright

from studio.app import build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.browser.conftest import free_port
from tests.browser.desk import Desk, launched, sat_down

METHODS = ("Layered", "Inpaint", "MasaCtrl", "Plug-and-Play", "Prompt-to-Prompt", "Imagic")
CAT = (108, 104)


def walk(desk: Desk, out: Path, methods: tuple[str, ...], quality: str, subject: str) -> None:
    """Ask for `subject` by each of `methods`, whose titles begin so."""
    page = desk.page
    desk.open_example("Cat in the snow")
    desk.click(*CAT)
    desk.chooses("quality", quality)
    for number, method in enumerate(methods, 1):
        if number > 1:
            desk.turns.first.click()
        page.locator("#method input").click()
        page.get_by_role("option", name=method).first.click()
        page.keyboard.press("Escape")
        desk.says(subject=subject)
        desk.runs()
        expect(page.locator(".p-staging")).to_be_visible()
        (out / f"{number}-{method.lower()}.png").write_bytes(page.screenshot())
        desk.keeps()
    (out / "tree.png").write_bytes(desk.picture()[0])


def main() -> None:
    """Read the command line, open a studio of its own, walk."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.walk", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build") / "walk")
    parser.add_argument("--methods", default=",".join(METHODS), help="titles, separated by commas")
    parser.add_argument("--quality", default="Draft")
    parser.add_argument("--subject", default="a purple cat")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as data, sync_playwright() as playwright:
        settings = Settings(data=Path(data), port=free_port())
        studio = build_studio(settings)
        opened, browser = open_page(studio, settings), launched(playwright)
        try:
            with sat_down(browser, opened.url) as desk:
                walk(desk, asked.out, tuple(asked.methods.split(",")), asked.quality, asked.subject)
        finally:
            browser.close()
            opened.close()
            studio.close()


if __name__ == "__main__":
    main()
