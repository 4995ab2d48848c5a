"""Order swap where the true answer is known: the Toybox draws both orders, so independent edits commute exactly."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Mask, Picture, Scope
from pipelines.engine import ASSETS, Engine
from pipelines.evaluation.consistency import (
    BACKGROUND_COLOUR,
    CHANGED,
    DARK,
    GAIN,
    OVERLAP_COLOUR,
    SUBJECT_COLOUR,
    Comparison,
    Consistency,
    Edited,
    Order,
    Parts,
    compare,
    difference_map,
)
from pipelines.models.folders import find_model
from pipelines.pasting import edited_region
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject

Edit = Callable[[Scene], Scene]

LIMITS = find_model("toybox", (ASSETS / "models",)).domain.measured_by.limits
START = Scene("beach", Subject("dog", size="big"), background_seed=3)


def painted(colour: str) -> Edit:
    return lambda scene: scene.with_subject(colour=colour)


def placed(background: str) -> Edit:
    return lambda scene: replace(scene, background=background)


def jumping(scene: Scene) -> Scene:
    return scene.with_subject(action="jumping")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


def swapped(engine: Engine, start: Scene, a: tuple[Scope, Edit], b: tuple[Scope, Edit]) -> Comparison:
    """Both orders drawn, each edit with the mask of the subject that it finds."""

    def told(edit: tuple[Scope, Edit], other: tuple[Scope, Edit]) -> Sequence[Edited]:
        return [Edited(edit[0], render(found).mask) for found in (start, other[1](start))]

    ab, ba = render(b[1](a[1](start))).picture, render(a[1](b[1](start))).picture
    return engine.compare(ab, ba, render(start).picture, told(a, b), told(b, a), "toybox")


@pytest.mark.parametrize("subject_edit", [painted("blue"), jumping], ids=["colour", "action"])
def test_independent_edits_commute_exactly(engine: Engine, subject_edit: Edit) -> None:
    found = swapped(engine, START, (Scope.SUBJECT, subject_edit), (Scope.BACKGROUND, placed("forest")))
    numbers = found.consistency
    assert numbers.order is Order.SAME == "order does not matter"
    assert numbers.disagreement == 0 and numbers.clip == "toybox-clip"
    for part in (numbers.whole, numbers.subject, numbers.background, numbers.overlap):
        assert part.share > 0
        assert part.similarity == pytest.approx(1, abs=1e-5)
        assert part.ssim == pytest.approx(1)
        assert (part.changed, part.mean) == (0, 0)
    assert (found.difference == DARK).all()


@pytest.mark.parametrize("size", ["small", "big"])
def test_two_colours_of_one_subject_do_not_commute(engine: Engine, size: str) -> None:
    start = START.with_subject(size=size)
    found = swapped(engine, start, (Scope.SUBJECT, painted("blue")), (Scope.SUBJECT, painted("red")))
    numbers = found.consistency
    assert numbers.order is Order.MATTERS == "order matters"
    assert numbers.disagreement > 0.9 and numbers.whole.similarity < 0.882
    assert numbers.overlap.changed > 0.5 and numbers.overlap.ssim < 0.7 and numbers.overlap.mean > 30
    assert (numbers.background.changed, numbers.background.mean) == (0, 0)
    assert numbers.subject.share == 0 and numbers.subject.ssim is numbers.subject.similarity is None
    mask = render(start).mask
    assert found.difference[mask].mean() > 100 > DARK == found.difference[0, 0, 0]


def test_two_backgrounds_do_not_commute_and_keep_the_subject(engine: Engine) -> None:
    numbers = swapped(
        engine, START, (Scope.BACKGROUND, placed("forest")), (Scope.BACKGROUND, placed("city"))
    ).consistency
    assert numbers.order is Order.MATTERS
    assert numbers.overlap.changed > 0.5 and numbers.whole.similarity < 0.882
    kept = ~edited_region(render(START).mask, Scope.BACKGROUND, 2.0)
    assert numbers.subject.share == pytest.approx(kept.mean())
    assert numbers.subject.changed < 0.05  # the outline, half of whose pixels show the background


def test_without_a_clip_the_rest_still_comes(tmp_path: Path, engine: Engine) -> None:
    edits = (Scope.SUBJECT, painted("blue")), (Scope.SUBJECT, painted("red"))
    blind = swapped(Engine((tmp_path,), device="cpu"), START, *edits).consistency
    seeing = swapped(engine, START, *edits).consistency
    assert blind.clip is blind.whole.similarity is blind.overlap.similarity is None
    assert blind.order is Order.NOT_JUDGED
    assert (blind.whole.ssim, blind.whole.changed, blind.disagreement) == (
        seeing.whole.ssim,
        seeing.whole.changed,
        seeing.disagreement,
    )


def test_a_turn_on_the_whole_picture_overlaps_with_everything(engine: Engine) -> None:
    picture, mask = render(START).picture, render(START).mask
    whole, part = Edited(Scope.BOTH, None), Edited(Scope.SUBJECT, mask, feather=0)
    numbers = engine.compare(picture, picture, picture, [whole], [whole], "toybox").consistency
    assert numbers.overlap.share == 1
    numbers = engine.compare(picture, picture, picture, [whole], [part], "toybox").consistency
    assert mask.mean() < numbers.overlap.share < 2 * mask.mean()
    assert numbers.background.share == pytest.approx(1 - numbers.overlap.share)


# ------------------------------------------------------------------------------------------------------- by hand

SUBJECT: Mask = np.zeros((32, 48), bool)
SUBJECT[8:24, 8:24] = True
CHANGED_A: Mask = np.zeros_like(SUBJECT)
CHANGED_A[:, :16] = True
CHANGED_B: Mask = np.zeros_like(SUBJECT)
CHANGED_B[:, 12:] = True
PARTS = Parts.of(SUBJECT, CHANGED_A, CHANGED_B)
FLAT: Picture = np.full((32, 48, 3), 100, np.uint8)


def test_every_pixel_is_in_one_part() -> None:
    assert np.array_equal(PARTS.overlap, CHANGED_A & CHANGED_B)
    count = PARTS.subject.astype(int) + PARTS.background + PARTS.overlap
    assert (count == 1).all()
    assert PARTS.subject.sum() == 16 * 12 and PARTS.overlap.sum() == 32 * 4


def test_numbers_of_a_difference_made_by_hand() -> None:
    ab, ba, before = FLAT, FLAT.copy(), FLAT.copy()
    ba[PARTS.subject, 1] += np.uint8(CHANGED + 1)
    ba[PARTS.overlap] += np.uint8(CHANGED)
    before[:, :24] = 0
    numbers = compare(ab, ba, before, PARTS, None, LIMITS)
    assert (numbers.subject.changed, numbers.overlap.changed, numbers.background.changed) == (1, 0, 0)
    assert numbers.subject.mean == pytest.approx((CHANGED + 1) / 3)
    assert (numbers.overlap.mean, numbers.background.mean) == (CHANGED, 0)
    assert numbers.whole.changed == pytest.approx(16 * 12 / (32 * 48))
    assert numbers.disagreement == pytest.approx(16 * 12 / (32 * 24))
    assert numbers.order is Order.A_LITTLE


@pytest.mark.parametrize(
    ("columns", "order"),
    [(0, Order.SAME), (1, Order.A_LITTLE), (23, Order.A_LITTLE), (24, Order.MATTERS), (48, Order.MATTERS)],
)
def test_the_verdict_follows_the_share_that_came_out_differently(columns: int, order: Order) -> None:
    ba = FLAT.copy()
    ba[:, :columns] = 200
    assert compare(FLAT, ba, np.zeros_like(FLAT), PARTS, None, LIMITS).order is order


@pytest.mark.parametrize(
    ("similarity", "order"),
    [(1.0, Order.SAME), (0.985, Order.A_LITTLE), (0.89, Order.A_LITTLE), (0.88, Order.MATTERS), (-1.0, Order.MATTERS)],
)
def test_the_verdict_follows_what_a_clip_sees(similarity: float, order: Order) -> None:
    """Unit vectors at the angle that gives `similarity`: what a CLIP may answer for any two pictures."""

    class Angle:
        name = "angle"

        def __call__(self, pictures: Sequence[Picture]) -> np.ndarray:
            half = len(pictures) // 2
            away = (similarity, (1 - similarity**2) ** 0.5)
            return np.array([(1, 0)] * half + [away] * half, np.float32)

    numbers = compare(FLAT, FLAT, FLAT, PARTS, Angle(), LIMITS)
    assert numbers.whole.similarity == pytest.approx(similarity, abs=1e-6)
    assert numbers.order is order


def test_the_map_is_dark_where_equal_and_tinted_where_not() -> None:
    ba = FLAT.copy()
    ba[PARTS.subject | PARTS.overlap] = 255
    ba[0, -1, 2] += 17
    shown = difference_map(FLAT, ba, PARTS)
    assert (shown[PARTS.subject] == SUBJECT_COLOUR).all()
    assert (shown[PARTS.overlap] == OVERLAP_COLOUR).all()
    part = np.array(BACKGROUND_COLOUR) - DARK
    assert shown[0, -1].tolist() == np.round(DARK + part * (17 * GAIN / 255)).tolist()
    assert (shown[PARTS.background][:-1].sum(0) > 0).all()
    equal = PARTS.background.copy()
    equal[0, -1] = False
    assert (shown[equal] == DARK).all()


def test_numbers_survive_json() -> None:
    numbers = compare(FLAT, 255 - FLAT, FLAT, PARTS, None, LIMITS)
    assert Consistency.from_json(json.loads(json.dumps(numbers.to_json()))) == numbers
    assert isinstance(Consistency.from_json(numbers.to_json()).order, Order)


def test_a_model_without_limits_gets_figures_and_no_verdict() -> None:
    numbers = compare(FLAT, 255 - FLAT, FLAT, PARTS, None)
    assert numbers.order is Order.NOT_JUDGED
    assert replace(numbers, order=Order.MATTERS) == compare(FLAT, 255 - FLAT, FLAT, PARTS, None, LIMITS)
