"""Drift along lines whose pictures are drawn or spoilt on purpose, so that what must be found is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Picture, Scope
from pipelines.engine import ASSETS, Engine
from pipelines.evaluation.consistency import Edited
from pipelines.evaluation.drift import Drift
from pipelines.evaluation.metrics import MOST_DB
from pipelines.models.folders import find_model
from pipelines.pasting import edited_region
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject

LIMITS = find_model("toybox", (ASSETS / "models",)).domain.measured_by.limits
assert LIMITS is not None
START = Scene("beach", Subject("dog", size="big"), background_seed=3)
DRAWN = render(START)
SUBJECT, BACKGROUND = Edited(Scope.SUBJECT, DRAWN.mask), Edited(Scope.BACKGROUND, DRAWN.mask)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


def along(engine: Engine, pictures: list[Picture], edits: list[Edited]) -> list[Drift]:
    """Each picture of a line after the turns that led to it."""
    return [engine.drift(DRAWN.picture, [picture], edits[: k + 1], "toybox")[0] for k, picture in enumerate(pictures)]


def test_equal_pictures_do_not_drift(engine: Engine) -> None:
    line = along(engine, [DRAWN.picture] * 3, [SUBJECT, SUBJECT, BACKGROUND])
    for point in line:
        assert point.subject == pytest.approx(1, abs=1e-5)
        assert point.background == pytest.approx(1, abs=1e-5)
        assert not point.too_far
    assert [point.kept_psnr for point in line] == [MOST_DB, MOST_DB, None]
    assert line[0].kept_share == line[1].kept_share < 1 - DRAWN.mask.mean()
    assert line[2].kept_share == 0
    assert [(point.subject_turns, point.background_turns) for point in line] == [(1, 0), (2, 0), (2, 1)]


def test_what_was_asked_to_change_may_change(engine: Engine) -> None:
    blue = START.with_subject(colour="blue")
    pictures = [render(scene).picture for scene in (blue, replace(blue, background="night"))]
    first, second = along(engine, pictures, [SUBJECT, BACKGROUND])
    assert first.subject < LIMITS.least_similarity < first.background
    assert max(second.subject, second.background) < LIMITS.least_similarity
    assert first.kept_psnr == MOST_DB and second.kept_psnr is None
    assert not first.too_far and not second.too_far


def test_what_was_to_stay_and_does_not_is_drift(engine: Engine) -> None:
    """The turns name the subject, and the background gives way more and more."""
    night = render(replace(START, background="night")).picture.astype(float)
    pictures: list[Picture] = [
        np.round(DRAWN.picture * (1 - share) + night * share).astype(np.uint8) for share in (0, 0.01, 0.3)
    ]
    line = along(engine, pictures, [SUBJECT] * 3)
    psnrs = [point.kept_psnr for point in line]
    assert psnrs[0] == MOST_DB > psnrs[1] > LIMITS.least_db > psnrs[2]
    assert line[0].background > line[2].background and line[2].background < LIMITS.least_similarity
    assert [bool(point.too_far) for point in line] == [False, False, True]


def test_a_subject_that_nobody_asked_to_change_is_drift_too(engine: Engine) -> None:
    spoilt = render(START.with_subject(kind="penguin")).picture
    picture = np.where(DRAWN.mask[..., None], spoilt, DRAWN.picture)
    (point,) = along(engine, [picture], [BACKGROUND])
    assert point.subject < LIMITS.least_similarity and point.too_far


def test_the_subject_is_all_that_any_turn_called_so(engine: Engine) -> None:
    """A subject that was moved is gone from its old place and stands in the new one: neither is background."""
    moved = render(START.with_subject(x=0.3))
    both = DRAWN.mask | moved.mask
    picture = np.where(both[..., None], moved.picture, DRAWN.picture)
    edits = [SUBJECT, Edited(Scope.SUBJECT, moved.mask)]
    _, point = along(engine, [DRAWN.picture, picture], edits)
    assert point.background == pytest.approx(1, abs=1e-5)
    assert point.subject < 1


@pytest.mark.parametrize("scope", [Scope.SUBJECT, Scope.BACKGROUND])
def test_the_seam_that_a_turn_of_one_part_may_change_is_no_drift_of_the_other(engine: Engine, scope: Scope) -> None:
    """Some pixels around a redrawn subject, the outermost of a kept one: painted black here."""
    edit = Edited(scope, DRAWN.mask)
    seam = edited_region(DRAWN.mask, scope, edit.feather) & (DRAWN.mask ^ (scope is Scope.SUBJECT))
    picture = np.where(seam[..., None], np.uint8(0), DRAWN.picture)
    (point,) = along(engine, [picture], [edit])
    other = point.background if scope is Scope.SUBJECT else point.subject
    assert seam.any() and other < 1 and not point.too_far
    touched = picture.copy()
    touched[~seam] = np.where(touched[~seam] < 255, touched[~seam] + 1, 254)  # 48 dB: too little for an alarm by itself
    (point,) = along(engine, [touched], [edit])
    other = point.background if scope is Scope.SUBJECT else point.subject
    assert point.kept_psnr > LIMITS.least_db and bool(point.too_far) is (other < LIMITS.least_similarity)


def test_painting_one_part_again_and_again_is_drift(engine: Engine) -> None:
    line = along(engine, [DRAWN.picture] * (LIMITS.most_repaints + 1), [SUBJECT] * (LIMITS.most_repaints + 1))
    assert [bool(point.too_far) for point in line] == [False] * LIMITS.most_repaints + [True]


def test_what_no_model_painted_is_not_painted_over(engine: Engine) -> None:
    by_hand = replace(SUBJECT, painted=False)
    point = along(engine, [DRAWN.picture] * 6, [SUBJECT, *[by_hand] * 5])[-1]
    assert (point.subject_turns, point.subject_repaints, point.too_far) == (6, 1, "")


def test_turns_without_a_mask_have_no_subject(engine: Engine, tmp_path: Path) -> None:
    whole = Edited(Scope.BOTH, None)
    (point,) = along(engine, [DRAWN.picture], [whole])
    assert point.subject is None and point.background == pytest.approx(1, abs=1e-5) and point.kept_psnr is None
    (blind,) = along(Engine((tmp_path,), device="cpu"), [DRAWN.picture], [SUBJECT])
    assert blind.clip is blind.subject is blind.background is None
    assert blind.kept_psnr == MOST_DB and not blind.too_far


def test_the_reason_is_said_in_words(engine: Engine) -> None:
    night = render(replace(START, background="night")).picture
    grey = np.full_like(DRAWN.picture, 128)
    parts = [Edited(Scope.SUBJECT, DRAWN.mask)] * 4
    assert along(engine, [DRAWN.picture] * 4, parts)[-1].too_far == "its subject was painted over 4 times"
    (point,) = along(engine, [grey], [SUBJECT])
    assert point.too_far == f"kept pixels are down to {point.kept_psnr:.0f} dB"
    faint = np.round(DRAWN.picture * 0.93 + night * 0.07).astype(np.uint8)
    loud = replace(along(engine, [faint], [SUBJECT])[0], kept_psnr=40.0, background=0.5)
    assert loud.beyond(LIMITS) == "the background changed though no turn asked for it"


def test_candidates_are_measured_together_as_one_by_one(engine: Engine) -> None:
    pictures = [DRAWN.picture, 255 - DRAWN.picture]
    together = engine.drift(DRAWN.picture, pictures, [SUBJECT], "toybox")
    assert together == tuple(engine.drift(DRAWN.picture, [picture], [SUBJECT], "toybox")[0] for picture in pictures)
    assert together[0] != together[1]


def test_a_model_without_limits_gets_figures_and_no_verdict(engine: Engine) -> None:
    """And no CLIP that was made for other pictures."""
    (known,), (unknown,) = (
        engine.drift(DRAWN.picture, [255 - DRAWN.picture], [SUBJECT], model) for model in ("toybox", "another")
    )
    assert known.too_far and not unknown.too_far
    assert (unknown.clip, unknown.subject) == (None, None) and known.clip == "toybox-clip"
    assert unknown.kept_psnr == known.kept_psnr and unknown.subject_turns == 1


LATER = ("too_far", "subject_repaints", "background_repaints")


def test_a_point_survives_json(engine: Engine) -> None:
    (point,) = along(engine, [255 - DRAWN.picture], [SUBJECT])
    assert Drift.from_json(json.loads(json.dumps(point.to_json()))) == point
    earlier = {name: value for name, value in point.to_json().items() if name not in LATER}
    assert not Drift.from_json(earlier).too_far
