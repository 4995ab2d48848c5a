from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.color import deltaE_cie76, rgb2lab

from pipelines.contract import Box, Extent, Picture, Point
from pipelines.errors import BadRequest
from pipelines.masks.prompts import MaskPrompts, Stroke
from pipelines.masks.refine import compose
from pipelines.masks.wand import alike


@pytest.fixture
def discs() -> Picture:
    """Two red discs on grey noise."""
    picture = np.random.default_rng(0).integers(116, 140, (80, 120, 3), dtype=np.uint8)
    for x in (30, 90):
        cv2.circle(picture, (x, 40), 15, (200, 30, 30), -1)
    return picture


def wand(x: float, y: float, tolerance: float = 20.0, **more: bool) -> Stroke:
    return Stroke((Point(x, y),), 1.0, wand=tolerance, **more)


def test_what_hangs_together_with_the_place_or_all_of_its_colour(discs: Picture) -> None:
    red = discs[..., 0] > 180
    one = alike(discs, Point(30, 40), 20.0)
    assert np.array_equal(one, red & (np.arange(120) < 60))
    assert np.array_equal(alike(discs, Point(30, 40), 20.0, everywhere=True), red)
    grey = alike(discs, Point(60.5, 5.5), 20.0)
    assert np.array_equal(grey, ~red), "noise within the tolerance is one colour"
    assert alike(discs, Point(60.5, 5.5), 1.0).mean() < 0.05


def test_only_within_the_box(discs: Picture) -> None:
    found = alike(discs, Point(30, 35), 20.0, everywhere=True, within=Box(20, 0, 100, 40))
    red = discs[..., 0] > 180
    red[40:] = False
    red[:, :20] = red[:, 100:] = False
    assert np.array_equal(found, red)
    assert not alike(discs, Point(30, 40), 20.0, within=Box(50, 0, 100, 40)).any(), "a place beyond it"
    assert alike(discs, Point(120, 80), 20.0).any(), "the last corner is a pixel's"


def test_the_tolerance_is_a_colour_difference() -> None:
    """As scikit-image measures it, to the step that eight bits have."""
    picture = data.astronaut()[::4, ::4]
    lab = rgb2lab(picture)
    piece = lab[59:62, 69:72].reshape(-1, 3).mean(0)
    apart = deltaE_cie76(lab, np.broadcast_to(piece, lab.shape))
    found = alike(picture, Point(70, 60), 15.0, everywhere=True)
    assert found[apart < 13.5].all() and not found[apart > 16.5].any()


@pytest.mark.parametrize("how", ["add", "erase", "keep"])
def test_it_is_joined_with_what_was_drawn_around(discs: Picture, how: str) -> None:
    lasso = Stroke((Point(20, 20), Point(60, 20), Point(60, 40), Point(20, 40)), 1.0, fill=True)
    only = compose(None, MaskPrompts(strokes=(lasso,)), Extent.of(discs))
    disc = alike(discs, Point(30, 40), 20.0)
    mark = wand(30, 40, erase=how == "erase", keep=how == "keep")
    found = compose(None, MaskPrompts(strokes=(lasso, mark)), Extent.of(discs), discs)
    assert np.array_equal(found, {"add": only | disc, "erase": only & ~disc, "keep": only & disc}[how])
    again = compose(
        None, MaskPrompts(strokes=(mark, Stroke(lasso.points, 1.0, fill=True, keep=True))), Extent.of(discs), discs
    )
    assert np.array_equal(again, (disc & only) if how == "add" else np.zeros_like(only))


def test_it_is_stored_as_it_is_and_strokes_from_before_keep_their_text() -> None:
    prompts = MaskPrompts(strokes=(wand(1.0, 2.0, 8.0, everywhere=True, keep=True), Stroke((Point(1, 1),), 3.0)))
    assert MaskPrompts.from_json(prompts.to_json(), Extent(48, 32)) == prompts
    assert set(prompts.to_json()["strokes"][1]) == {"points", "radius", "erase"}
    with pytest.raises(BadRequest, match="a wand's tolerance must be between 0 and 100"):
        MaskPrompts.from_json({"strokes": [{"points": [[1, 1]], "radius": 1, "wand": 101}]}, Extent(48, 32))
