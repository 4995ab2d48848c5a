"""Each measure on values worked out by hand, and what the catalogue says of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.contract import Mask, Picture, Scope
from pipelines.evaluation import measures
from pipelines.evaluation.measures import MEASURES, Better, Need, Requirement, Tools, Trial, measured

SIDE = 64
SQUARE: Mask = np.zeros((SIDE, SIDE), bool)
SQUARE[20:40, 20:40] = True
CORNER: Mask = np.zeros((SIDE, SIDE), bool)
CORNER[:8, :8] = True


def flat(level: int) -> Picture:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def painted(level: int, on: int = 0, where: Mask = SQUARE) -> Picture:
    picture = flat(on)
    picture[where] = level
    return picture


class Light:
    """Stands for a CLIP whose two axes are the darkness and the lightness of a picture's middle."""

    name = "light"

    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        angles = np.array([p[p.shape[0] // 2, p.shape[1] // 2, 0] / 255 * math.pi / 2 for p in pictures])
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def words(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([{"dark": (1, 0), "light": (0, 1)}[text] for text in texts], np.float32)


class Apart:
    name = "apart"

    def __call__(self, a: Picture, b: Picture) -> float:
        return float(np.abs(a.astype(int) - b).mean())


TOOLS = Tools(Light(), words, Apart())


def met(*answers: bool, asked: bool = True) -> tuple[Requirement, ...]:
    return tuple(Requirement("colour", "red", "red" if answer else "blue", asked) for answer in answers)


TRIAL = Trial(
    before=flat(0),
    after=painted(255),
    scope=Scope.SUBJECT,
    subject=SQUARE,
    requirements=met(True),
    says_before="dark",
    says_after="light",
    used=SQUARE,
    target=painted(255),
    target_subject=SQUARE,
    found=SQUARE,
    others=(painted(255),),
    readings=({"colour": "red"}, {"colour": "red"}),
    of_noisy=painted(255),
)
"""An edit that did everything right: a dark square on black is to be light."""


def value(name: str, *trials: Trial, tools: Tools = TOOLS) -> float:
    found = MEASURES[name].of(trials, tools)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------ the kept part


def test_the_kept_part_by_every_measure_of_it() -> None:
    spoilt = replace(TRIAL, after=painted(255, on=51))  # everything around the square is 51 levels off
    assert value("psnr-outside", spoilt) == pytest.approx(20 * math.log10(5))
    assert value("reconstruction", spoilt) == pytest.approx(51)
    c1 = (0.01 * 255) ** 2
    whole = replace(spoilt, after=flat(51))  # flat, so that no window reaches over an edge
    assert value("ssim-outside", whole) == pytest.approx(c1 / (51**2 + c1), abs=1e-6)
    kept = TRIAL.kept.mean()
    assert value("lpips-outside", spoilt) == pytest.approx(51 * kept), "what was to change is grey in both"


def test_where_both_parts_change_nothing_is_kept() -> None:
    both = replace(TRIAL, scope=Scope.BOTH)
    names = ("psnr-outside", "ssim-outside", "lpips-outside", "reconstruction", "scene")
    assert {name: MEASURES[name].of([both], TOOLS) for name in names} == dict.fromkeys(names)


def test_the_scene_is_looked_at_without_its_subject() -> None:
    trial = replace(TRIAL, subject=CORNER, after=painted(255, where=CORNER))
    assert value("scene", trial) == pytest.approx(1, abs=1e-6), "the middle is as it was"
    assert value("scene", replace(trial, after=flat(255))) == pytest.approx(0, abs=1e-6), "black became white"


def test_a_shape_is_compared_where_it_is_to_stay() -> None:
    beside = np.roll(SQUARE, 10, axis=1)
    assert value("shape", replace(TRIAL, found=beside)) == pytest.approx(200 / 600)
    assert MEASURES["shape"].of([replace(TRIAL, target_subject=beside)], TOOLS) is None


# ------------------------------------------------------------------------------------------------- the truth


def test_the_subject_against_the_right_answer() -> None:
    off = replace(TRIAL, after=painted(204))
    assert value("psnr-inside", off) == pytest.approx(20 * math.log10(5))
    c1 = (0.01 * 255) ** 2
    on_white = replace(off, after=flat(204), target=flat(255))
    assert value("ssim-inside", on_white) == pytest.approx((2 * 204 * 255 + c1) / (204**2 + 255**2 + c1), abs=1e-6)
    assert MEASURES["psnr-inside"].of([replace(off, scope=Scope.BACKGROUND)], TOOLS) is None


def test_masks_by_overlap_and_by_pixel() -> None:
    trial = replace(TRIAL, used=np.roll(SQUARE, 10, axis=1))
    assert value("miou", trial) == pytest.approx(200 / 600)
    assert value("miou", trial, TRIAL) == pytest.approx((1 / 3 + 1) / 2)
    assert value("mask-accuracy", trial) == pytest.approx(1 - 400 / SIDE**2)


def test_an_outline_is_followed_within_two_pixels() -> None:
    assert int(measures.outline(SQUARE).sum()) == 4 * 19
    assert value("boundary", replace(TRIAL, found=np.roll(SQUARE, 2, axis=1))) == 1
    # Three to the side: of the upper and the lower edge 19 of 20 pixels are near the found ones, of the right edge two
    # pixels more at either end, of the left edge none.
    assert measures.followed(np.roll(SQUARE, 3, axis=1), SQUARE) == pytest.approx((2 * 19 + 2 * 2) / (4 * 19))
    assert measures.followed(SQUARE, SQUARE & False) is None
    assert measures.followed(SQUARE & False, SQUARE) == 0
    border = np.ones((SIDE, SIDE), bool)
    assert not measures.outline(border).any(), "the picture's own border is nobody's outline"


# ---------------------------------------------------------------------------------------------- what was asked


def test_requirements_by_edit_by_target_and_as_a_whole() -> None:
    half = replace(TRIAL, requirements=(*met(True, False), *met(True, True, asked=False)))  # 3 of 4; asked 1 of 2
    none = replace(TRIAL, requirements=met(False))
    assert value("drfr", half, none) == pytest.approx((3 / 4 + 0) / 2)
    assert value("grounding", half, none) == pytest.approx(1 / 3)
    assert value("success", half, none, TRIAL) == pytest.approx(1 / 3)
    failed = replace(TRIAL, after=None, requirements=(Requirement("colour", "red", None, True),))
    assert value("success", failed, TRIAL) == 0.5, "an edit that failed is one that did not succeed"


def test_what_the_clip_sees_of_texts_and_of_the_way_there() -> None:
    assert value("clip-text", TRIAL) == pytest.approx(1, abs=1e-6)
    grey = replace(TRIAL, after=painted(51))  # a fifth of a right angle
    assert value("clip-text", grey) == pytest.approx(math.sin(math.pi / 10), abs=1e-6)
    assert value("clip-picture", grey) == pytest.approx(math.sin(math.pi / 10), abs=1e-6)
    # From (1, 0) to (cos, sin) along (-1, 1): a chord of angle a points pi/2 + a/2, the words 3 pi/4.
    assert value("clip-direction", grey) == pytest.approx(math.cos(math.pi / 4 - math.pi / 20), abs=1e-5)
    assert value("clip-direction", replace(TRIAL, after=flat(0))) == 0, "a picture that did not change went nowhere"


# ------------------------------------------------------------------------------------------------ seeds and noise


def test_seeds_that_come_out_alike() -> None:
    red, blue = {"colour": "red"}, {"colour": "blue"}
    assert value("consistency", replace(TRIAL, readings=(red, red, blue, red))) == pytest.approx(2 / 3)
    assert MEASURES["consistency"].of([replace(TRIAL, readings=(red,))], TOOLS) is None


def test_how_far_seeds_are_apart_in_levels_and_in_colours() -> None:
    same, black = replace(TRIAL, others=(painted(255),)), replace(TRIAL, others=(painted(0),))
    assert value("apart", black) == 255
    assert value("apart", same) == value("diversity", same) == 0
    assert value("diversity", black) == pytest.approx(math.log(2)), "two seeds that share no colour"
    # Half of one is the other's: p = (1, 0) and (1/2, 1/2), their mean (3/4, 1/4).
    p = np.array([[1, 0], [0.5, 0.5]])
    by_hand = (math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2
    assert measures.divergence(p) == pytest.approx(by_hand)
    assert measures.colours(np.array([[0, 0, 63], [255, 255, 255]], np.uint8))[[0, 63]] == pytest.approx([0.5, 0.5])


def test_noise_that_changes_an_edit() -> None:
    assert value("noise", replace(TRIAL, of_noisy=painted(155))) == pytest.approx(100 * SQUARE.mean())


# ------------------------------------------------------------------------------------------------ the catalogue

WRONG = replace(
    TRIAL,
    after=np.random.default_rng(0).integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8),
    requirements=met(False),
    used=np.roll(SQUARE, 15, axis=0),
    found=np.roll(SQUARE, 15, axis=0),
    readings=({"colour": "blue"}, {"colour": "red"}),
    of_noisy=painted(255),
)
"""An edit that did everything wrong."""


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
def test_every_measure_lies_in_its_range_and_points_its_way(measure: measures.Measure) -> None:
    other = replace(TRIAL, after=painted(254), target=painted(254))
    pairs = [[TRIAL, other], [WRONG, WRONG]]
    if measure.name == "scene":  # the stand-in looks at the middle, which must not be the subject
        pairs = [
            [replace(trial, subject=CORNER) for trial in pair] for pair in ([replace(TRIAL, after=flat(0))], [WRONG])
        ]
    right, wrong = (measure.of(pair, TOOLS) for pair in pairs)
    assert right is not None and wrong is not None
    assert measure.low <= right <= measure.high and measure.low <= wrong <= measure.high
    if measure.better is Better.HIGHER:
        assert right > wrong
    elif measure.better is Better.LOWER:
        assert right < wrong


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
def test_every_measure_says_its_range_and_direction(measure: measures.Measure) -> None:
    said = " ".join((measure.of.__doc__ or "").split())
    assert str(measure.better) in said or "either way is better" in said or measure.name == "kid"
    if measure.high in (1, 60, 255):
        assert f" to {measure.high:.0f}" in said
    assert measure.needs in Need and measure.title


def test_without_its_models_a_measure_has_no_value() -> None:
    found = measured([TRIAL, WRONG], Tools())
    without = {name for name, figure in found.items() if figure is None}
    assert without == {m.name for m in MEASURES.values() if m.needs in (Need.CLIP, Need.LPIPS)}
    assert set(measured([], Tools()).values()) == {None}
