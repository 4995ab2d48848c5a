"""What is selected after each turn: three of them on the duck, clicked once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from pipelines.contract import Extent
from pipelines.pictures import decode, decode_mask
from studio.app import Studio
from tests.browser.desk import sat_down
from tests.browser.screenshots import DUCK

pytestmark = pytest.mark.browser


def test_one_click_lasts_through_three_turns(browser: Browser, served: tuple[Studio, str], failures: Path) -> None:
    studio, url = served
    with sat_down(browser, url) as desk:
        page = desk.page
        desk.open_example("Duck on the beach")
        desk.click(*DUCK)
        desk.chooses("quality", "Draft")
        for number, said in enumerate(
            ({"background": "in a forest"}, {"subject": "a big blue duck"}, {"background": "on the beach"}), 1
        ):
            part = next(iter(said))
            desk.says(**{"subject": "", "background": "", **said})
            desk.chooses("scope", part.capitalize())
            desk.runs()
            desk.keeps()
            page.wait_for_function(f"palimpsest.state.view.turns.length === {number + 1}")
            view = page.evaluate("palimpsest.state.view")
            turn = view["turns"][-1]
            assert view["mask"]["mask"] == turn["mask_after"]
            if part == "background":
                assert turn["mask_after"] == turn["mask"], "to the pixel"
                assert page.locator(".p-area").inner_text().startswith("subject ")
            else:
                assert page.locator(".p-area").inner_text() == "carried over: check it"
            desk.page.screenshot(path=failures / f"carried-{number}.png")
        first, second, third = view["turns"][1:]
        assert second["mask"] == first["mask_after"] and third["mask"] == second["mask_after"]
        pictures = [decode(studio.pictures.get(turn["picture"])).picture for turn in (second, third)]
        duck = decode_mask(studio.pictures.get(third["mask"]), Extent(256, 256))
        inside = duck & np.roll(duck, 1, 0) & np.roll(duck, -1, 0) & np.roll(duck, 1, 1) & np.roll(duck, -1, 1)
        assert np.array_equal(pictures[0][inside], pictures[1][inside]), "all of the blue duck is there"
        clicked = decode_mask(studio.pictures.get(first["mask"]), Extent(256, 256))
        top, bottom = np.flatnonzero(clicked.any(1))[[0, -1]]
        head = clicked & (np.arange(256) < top + (bottom - top) / 3)[:, None]
        assert (duck & head).sum() > 0.85 * head.sum(), "it has its head"
