"""Subjects are found by colour and edges alone, nothing leaves the box, and marks repair where they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Box, Point
from pipelines.engine import Engine
from pipelines.errors import BadRequest
from pipelines.evaluation.pointing import Photograph, corrected, iou, marks_of, measured, photographs
from pipelines.masks.cut import ColourSegmenter
from pipelines.masks.prompts import Click, MaskPrompts, Stroke

PHOTOGRAPHS = {photograph.name: photograph for photograph in photographs()}
QUICK = ("coffee", "coin", "flower")


def asking(photograph: Photograph):
    segmenter = ColourSegmenter()
    embedding = segmenter.embed(photograph.picture)
    return lambda prompts: segmenter.segment(embedding, prompts)


def test_all_ten_photographs_are_here_and_none_is_all_subject() -> None:
    assert len(PHOTOGRAPHS) == 10
    assert all(0.005 < photograph.subject.mean() < 0.85 for photograph in PHOTOGRAPHS.values())


@pytest.mark.parametrize("name", QUICK)
def test_a_click_a_box_and_three_marks_find_the_subject(name: str) -> None:
    click, box, marks = measured(PHOTOGRAPHS[name], asking(PHOTOGRAPHS[name]))
    assert click.iou > 0.75, click
    assert box.iou > 0.9, box
    assert marks.iou > 0.95, marks
    assert marks.edge < 4, marks


def test_a_scribble_repairs_what_the_box_got_wrong() -> None:
    photograph = PHOTOGRAPHS["astronaut"]
    ask = asking(photograph)
    _, box = marks_of(photograph.subject)
    box = MaskPrompts(box=box.box, choice=0)
    first = ask(box).masks[0]
    prompts = corrected(box, first, photograph.subject)
    after = ask(prompts).masks[0]
    assert iou(after, photograph.subject) > iou(first, photograph.subject)
    (scribble,) = prompts.scribbles
    middle = scribble.points[1]
    assert after[int(middle.y), int(middle.x)] == (not scribble.erase)


@settings(max_examples=15, deadline=None)
@given(
    left=st.integers(0, 80),
    top=st.integers(0, 60),
    width=st.integers(4, 60),
    height=st.integers(4, 60),
    marks=st.lists(st.tuples(st.integers(0, 149), st.integers(0, 109), st.booleans()), max_size=3),
)
def test_nothing_leaves_the_box_and_the_same_marks_give_the_same_mask(left, top, width, height, marks) -> None:
    picture = np.ascontiguousarray(PHOTOGRAPHS["coffee"].picture[::4, ::4])[:110, :150]
    box = Box(left, top, min(150, left + width), min(100, top + height))
    prompts = MaskPrompts(
        box=box, clicks=tuple(Click(min(x, picture.shape[1] - 1), min(y, 99), i) for x, y, i in marks)
    )
    masks = []
    for _ in range(2):
        segmenter = ColourSegmenter()
        masks.append(segmenter.segment(segmenter.embed(picture), prompts).masks)
    assert np.array_equal(*masks)
    outside = np.ones(picture.shape[:2], bool)
    outside[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = False
    assert not masks[0][:, outside].any()


def test_a_mark_changes_nothing_far_from_it() -> None:
    photograph = PHOTOGRAPHS["cheetah"]
    ask = asking(photograph)
    _, box = marks_of(photograph.subject)
    before = ask(box)
    corner = Click(40.0, 50.0, False)  # in its left ear
    after = ask(MaskPrompts(box=box.box, clicks=(corner,))).masks[0]
    changed = after ^ before.masks[before.best(None)]
    assert changed.any()
    assert not changed[:, 160:].any()


def test_alternatives_are_named_by_their_size() -> None:
    photograph = PHOTOGRAPHS["astronaut"]
    click, _ = marks_of(photograph.subject)
    answer = asking(photograph)(click)
    areas = answer.masks.sum((1, 2))
    assert len(answer.labels) == len(areas) > 1
    assert list(areas) == sorted(areas)
    assert answer.labels[0] == "small"
    assert answer.labels[-1] == "large"


def test_a_large_picture_has_its_edge_at_its_own_size() -> None:
    y, x = np.mgrid[:900, :1200]
    disc = (x - 600) ** 2 + (y - 450) ** 2 < 250**2
    noise = np.random.default_rng(0).integers(0, 12, (900, 1200, 1))
    picture = (np.where(disc[..., None], [200, 120, 40], [40, 90, 160]) + noise).astype(np.uint8)
    segmenter = ColourSegmenter()
    answer = segmenter.segment(segmenter.embed(picture), MaskPrompts(clicks=(Click(600, 450),)))
    wrong = answer.masks[answer.best(None)] ^ disc
    assert wrong.sum() < 0.5 * 2 * np.pi * 250  # less than half a pixel along its edge


def test_what_only_excludes_is_refused() -> None:
    ask = asking(PHOTOGRAPHS["coin"])
    for prompts in (
        MaskPrompts(clicks=(Click(5, 5, False),)),
        MaskPrompts(scribbles=(Stroke((Point(5, 5),), 3, erase=True),)),
    ):
        with pytest.raises(BadRequest, match="box around it"):
            ask(prompts)


def test_photographs_are_cut_by_colour_and_drawings_by_the_segmenter_that_learnt_them() -> None:
    engine = Engine()
    photograph = PHOTOGRAPHS["coffee"]
    click, _ = marks_of(photograph.subject)
    assert iou(engine.segment(photograph.picture, click).mask, photograph.subject) > 0.75
    drawing = np.full((64, 64, 3), 230, np.uint8)
    drawing[20:44, 20:44] = [200, 30, 30]
    chips = engine.segment(drawing, MaskPrompts(clicks=(Click(32, 32),))).choices
    assert [label for label, _ in chips] == ["part", "subject", "with shadow"]
    assert [label for label, _ in engine.segment(drawing, MaskPrompts(clicks=(Click(32, 32),)), "colour").choices]
