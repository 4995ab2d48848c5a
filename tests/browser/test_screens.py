"""Every screen against its baseline. ``make baselines`` takes new ones; look at each before committing it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from pixelmatch.contrib.PIL import pixelmatch
from playwright.sync_api import Browser

from tests.browser.screenshots import BASELINES, major, screens

pytestmark = pytest.mark.browser

MOST = 400
"""Pixels that may differ visibly: another processor rounds the model's arithmetic differently."""


def test_every_screen_looks_as_it_did(browser: Browser, url: str, failures: Path) -> None:
    wrong = []
    for name, png in screens(browser, url):
        baseline = BASELINES / f"{name}-chromium{major(browser)}.png"
        if not baseline.is_file():
            pytest.skip(f"there are no baselines for Chromium {major(browser)}; `make baselines` takes them")
        if png == baseline.read_bytes():
            continue
        now, then = (Image.open(io.BytesIO(data)).convert("RGB") for data in (png, baseline.read_bytes()))
        shown = Image.new("RGBA", now.size)
        different = MOST + 1 if now.size != then.size else pixelmatch(now, then, shown, threshold=0.1)
        if different > MOST:
            for what, image in (("now", now), ("then", then), ("difference", shown)):
                image.save(failures / f"{name}-{what}.png")
            wrong.append(f"{name}: {different} pixels differ")
    assert not wrong, f"{wrong}; see {failures}"
