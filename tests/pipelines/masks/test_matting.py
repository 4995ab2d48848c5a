"""The alpha of hair, against pictures that were drawn with a known one; and what must not move."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.contract import EditRequest, Extent, Point, Scope
from pipelines.hand.changed import subject_share
from pipelines.masks.matting import foreground, matted
from pipelines.masks.prompts import MaskPrompts, Stroke, refining
from pipelines.masks.refine import compose, painted, soft_edge
from pipelines.params import Edge
from tests.pipelines.masks.hair import as_selected, drawn


@pytest.mark.parametrize(("side", "seed"), [(256, 0), (400, 1), (1200, 2)])
def test_the_alpha_of_hair_is_at_least_twice_as_near_as_the_feathered_masks(side: int, seed: int) -> None:
    picture, alpha, _ = drawn(side, seed)
    mask = as_selected(alpha)
    feathered = min(float(np.abs(soft_edge(mask, feather) - alpha).mean()) for feather in (0, 2, 4, side / 50))
    found = float(np.abs(matted(picture, mask) - alpha).mean())
    assert found < 0.5 * feathered, (found, feathered)


def test_away_from_the_edge_nothing_moves() -> None:
    picture, alpha, _ = drawn(256, 3)
    mask = as_selected(alpha)
    found = matted(picture, mask)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    inner = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outer = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    assert (found[inner > 20] == 1).all() and (found[outer > 40] == 0).all()
    assert np.array_equal(found, matted(picture, mask)), "the same every time"


@pytest.mark.parametrize("value", [False, True])
def test_an_empty_or_full_mask_is_its_own_alpha(value: bool) -> None:
    picture = drawn(64, 0)[0]
    assert np.array_equal(matted(picture, np.full((64, 64), value)), np.full((64, 64), value, np.float32))


@pytest.mark.parametrize(
    "place", [(slice(0, 1), slice(0, 1)), (slice(0, 64), slice(0, 3)), (slice(5, 60), slice(63, 64))]
)
def test_thin_masks_and_masks_at_the_border_are_fine(place: tuple[slice, slice]) -> None:
    picture = drawn(64, 0)[0]
    mask = np.zeros((64, 64), bool)
    mask[place] = True
    found = matted(picture, mask)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_flat_colours_leave_the_mask_as_it_is() -> None:
    picture = np.full((80, 80, 3), (200, 30, 30), np.uint8)
    picture[:, 40:] = (20, 40, 200)
    mask = np.zeros((80, 80), bool)
    mask[:, :40] = True
    assert np.abs(matted(picture, mask) - mask).max() < 0.05


def test_the_subjects_own_colour_is_free_of_what_is_behind_it() -> None:
    picture, alpha, head = drawn(256, 4)
    own = foreground(picture, alpha)
    hair = (alpha > 0.2) & (alpha < 0.8)
    assert hair.sum() > 500
    before, after = (float(np.abs(seen[hair].astype(float) - head[hair]).mean()) for seen in (picture, own))
    assert after < 0.4 * before, (after, before)
    assert np.array_equal(own[alpha >= 1], picture[alpha >= 1])
    assert np.array_equal(own[alpha <= 0], picture[alpha <= 0])


def ring(side: int) -> MaskPrompts:
    """A brush over the hair on the right."""
    turns = np.linspace(-1.5, 0.3, 40)
    points = tuple(Point(side / 2 + 0.36 * side * np.cos(t), side / 2 + 0.36 * side * np.sin(t)) for t in turns)
    return MaskPrompts(strokes=(Stroke(points, 0.11 * side, refine=True),))


@pytest.mark.parametrize(("side", "seed"), [(400, 1), (1200, 2)])
def test_a_brush_over_an_edge_finds_the_hair_there_and_nothing_moves_elsewhere(side: int, seed: int) -> None:
    picture, alpha, _ = drawn(side, seed)
    mask, prompts = as_selected(alpha), ring(side)
    area = painted(refining(prompts), Extent.of(picture))
    found = compose(mask, prompts, Extent.of(picture), picture)
    assert np.array_equal(found[~area], mask[~area])
    wrong, before = (float((part != (alpha > 0.5))[area].mean()) for part in (found, mask))
    assert wrong < 0.15 * before, (wrong, before)
    share = matted(picture, mask, area)
    assert np.array_equal(share[~area], mask[~area].astype(np.float32))
    feathered = min(float(np.abs(soft_edge(mask, feather) - alpha)[area].mean()) for feather in (0, 2, 4, side / 50))
    assert float(np.abs(share - alpha)[area].mean()) < 0.25 * feathered


def test_a_turn_takes_the_alpha_where_the_brush_was_and_fades_elsewhere() -> None:
    picture, alpha, _ = drawn(400, 1)
    area = painted(refining(ring(400)), Extent.of(picture))
    mask = compose(as_selected(alpha), ring(400), Extent.of(picture), picture)
    asked = EditRequest(
        picture=picture, mask=mask, subject="", background="navy", scope=Scope.BACKGROUND, seed=7, refined=area
    )
    share = subject_share(asked, Edge.SOFT)
    assert np.array_equal(share[~area], soft_edge(mask, asked.feather)[~area])
    assert np.abs(share - alpha)[area].mean() < 0.5 * np.abs(soft_edge(mask, asked.feather) - alpha)[area].mean()
    assert np.array_equal(subject_share(asked, Edge.HARD), mask)


def test_over_nothing_a_brush_finds_nothing() -> None:
    picture = drawn(64, 0)[0]
    for value in (False, True):
        mask = np.full((64, 64), value)
        assert np.array_equal(compose(mask, ring(64), Extent(64, 64), picture), mask)
