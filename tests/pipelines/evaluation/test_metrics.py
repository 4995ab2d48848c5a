"""Each measure on inputs whose right answer is known by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Mask, Scope
from pipelines.evaluation.cases import held_out_cases, make_case, values_of
from pipelines.evaluation.metrics import MOST_DB, kept_region, overlap, psnr, verdict
from pipelines.toybox.words import Attributes

SQUARE: Mask = np.zeros((64, 64), bool)
SQUARE[20:40, 20:40] = True


def test_equal_pictures_reach_the_largest_psnr() -> None:
    picture = np.full((64, 64, 3), 77, np.uint8)
    assert psnr(picture, picture) == MOST_DB


@given(level=st.integers(1, 255))
def test_psnr_of_a_constant_error(level: int) -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black + np.uint8(level)) == pytest.approx(min(MOST_DB, 20 * np.log10(255 / level)))


def test_psnr_sees_only_its_region() -> None:
    a = np.zeros((64, 64, 3), np.uint8)
    b = a.copy()
    b[SQUARE] = 200
    assert psnr(a, b, ~SQUARE) == MOST_DB
    assert psnr(a, b, SQUARE) == pytest.approx(20 * np.log10(255 / 200))


def test_psnr_of_an_empty_region_is_no_number() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    assert psnr(picture, picture, np.zeros((64, 64), bool)) is None


def test_the_kept_region_leaves_out_what_is_edited_and_the_seam() -> None:
    around = kept_region(SQUARE, Scope.SUBJECT, seam=4)
    assert not (around & SQUARE).any()
    assert around[20, 15]
    assert not around[20, 16]
    inside = kept_region(SQUARE, Scope.BACKGROUND, seam=4)
    assert not (inside & ~SQUARE).any()
    assert inside.sum() == 12 * 12
    assert not kept_region(SQUARE, Scope.BOTH).any()


def test_overlap_counts_shared_pixels() -> None:
    shifted = np.roll(SQUARE, 10, axis=1)
    assert overlap(SQUARE, SQUARE) == 1
    assert overlap(SQUARE, shifted) == pytest.approx(200 / 600)
    assert overlap(SQUARE & False, SQUARE & False) == 1
    assert overlap(SQUARE, SQUARE & False) == 0


@pytest.mark.parametrize("case", held_out_cases(12), ids=lambda case: case.name)
def test_the_target_is_right_and_the_source_is_not(case) -> None:  # type: ignore[no-untyped-def]
    right = verdict(case, Attributes(**values_of(case.target)))
    assert right.both_right
    assert right.wrong == ()
    untouched = verdict(case, Attributes(**values_of(case.source)))
    assert untouched.kept_right
    assert not untouched.asked_right


def test_a_verdict_names_every_fault() -> None:
    case = make_case(Scope.BOTH, 3)
    found = verdict(case, Attributes(background=case.asked["background"]))
    assert not found.asked_right
    assert not found.kept_right
    assert f"colour: asked {case.asked['colour']}, read nothing" in found.wrong
    assert f"size: kept {case.kept['size']}, read nothing" in found.wrong
