"""Where a subject is after it was redrawn: the embedded segmenter on drawn scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipelines.contract import Mask
from pipelines.engine import ASSETS, Engine
from pipelines.masks.follow import SAME_PLACE, followed
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import SegmenterAnswer
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine((ASSETS / "models",), device="cpu")


@pytest.mark.parametrize(
    ("place", "was", "became"),
    [("forest", "cat", "penguin"), ("beach", "duck", "rabbit"), ("city", "car", "turtle"), ("night", "dog", "balloon")],
)
def test_a_subject_that_was_redrawn_is_found_in_its_place(engine: Engine, place: str, was: str, became: str) -> None:
    before = render(Scene(place, Subject(was, size="big"), background_seed=3))
    after = render(Scene(place, Subject(became, size="big"), background_seed=3))
    found = engine.follow(after.picture, before.mask)
    assert overlap(found, after.mask) > 0.9
    assert overlap(found, after.mask) > overlap(before.mask, after.mask) + 0.15, "more than where it was"


def test_the_mask_of_before_stays_where_nothing_is_in_its_place(engine: Engine) -> None:
    scene = render(Scene("beach", Subject("duck")))
    empty = render(Scene("beach", None)).picture
    found = engine.follow(empty, scene.mask)
    assert found is scene.mask or overlap(found, scene.mask) >= SAME_PLACE
    for whole in (np.ones_like(scene.mask), np.zeros_like(scene.mask)):
        assert engine.follow(scene.picture, whole) is whole


PLAIN = np.full((40, 50, 3), 128, np.uint8)
"""Colours that say nothing."""


def answering(*masks: Mask) -> Callable[[MaskPrompts], SegmenterAnswer]:
    def segment(prompts: MaskPrompts) -> SegmenterAnswer:
        (click,) = prompts.clicks
        assert click.include
        return SegmenterAnswer(
            np.stack(masks), np.linspace(1, 0.5, len(masks), dtype=np.float32), ("a", "b", "c")[: len(masks)]
        )

    return segment


def box(top: int, bottom: int, left: int = 10, right: int = 30) -> Mask:
    mask = np.zeros((40, 50), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_of_the_alternatives_the_one_that_overlaps_most_counts() -> None:
    was, part, whole, scenery = box(10, 30), box(15, 19), box(8, 31), ~box(0, 2)
    lit = np.where(whole[..., None], np.uint8(220), PLAIN)
    assert np.array_equal(followed(lit, was, answering(part, whole, scenery)), whole)
    assert followed(PLAIN, was, answering(part, box(0, 40, 0, 50))) is was, "neither is the subject"


def test_the_click_is_inside_of_a_subject_at_the_pictures_edge() -> None:
    was = box(0, 40, 0, 3)
    seen: list[MaskPrompts] = []
    followed(PLAIN, was, lambda prompts: seen.append(prompts) or answering(was)(prompts))
    (click,) = seen[0].clicks
    assert was[int(click.y), int(click.x)]


def test_colours_bring_back_what_the_segmenter_missed() -> None:
    """The head is as dark as what is behind it, and the segmenter takes it for that."""
    was, body = box(6, 32), box(16, 32)
    picture = np.where(was[..., None], np.uint8([20, 30, 160]), np.uint8([20, 80, 40])).astype(np.uint8)
    assert overlap(followed(picture, was, answering(body)), was) > 0.98
    assert overlap(body, was) < 0.65


def test_a_large_picture_is_cut_small_and_given_back_at_its_own_size() -> None:
    was = np.zeros((900, 1300), bool)
    was[200:700, 300:900] = True
    picture = np.where(was[..., None], np.uint8([200, 30, 20]), np.uint8([20, 80, 40])).astype(np.uint8)
    half = was.copy()
    half[:400] = False
    found = followed(picture, was, answering(half))
    assert found.shape == was.shape and overlap(found, was) > 0.98
