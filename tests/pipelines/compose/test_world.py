"""The world's scenes and sequences: the same from a seed, and told truly."""

import random

import cv2
import numpy as np
import pytest

from pipelines.compose.data import RIVALS, rivals
from pipelines.compose.render import RADIUS, render, seen_at
from pipelines.compose.world import (
    MARGIN,
    REACH,
    ROOM,
    THINGS,
    Depth,
    Instruction,
    Placed,
    Relation,
    Side,
    Thing,
    alternatives,
    placed_as_told,
    relation,
    sample_scene,
    story,
)

STORIES = [story("test", number) for number in range(60)]


def test_there_are_24_things() -> None:
    assert len(set(THINGS)) == 24


def test_a_number_is_one_sequence_and_splits_differ() -> None:
    assert story("test", 7) == story("test", 7)
    assert story("train", 7) != story("test", 7) != story("test", 8)


def test_scenes_hold_each_thing_once_and_keep_their_distance() -> None:
    for told in STORIES:
        assert len({placed.thing for placed in told.scene}) == len(told.scene) == len(told.instructions) == 5
        assert told.scene[0][1:] == (0, 0)
        for k, one in enumerate(told.scene):
            assert max(abs(one.x), abs(one.y)) <= REACH
            for other in told.scene[:k]:
                assert min(abs(one.x - other.x), abs(one.y - other.y)) >= MARGIN
                assert np.hypot(one.x - other.x, one.y - other.y) >= ROOM


def test_an_instruction_tells_where_the_new_thing_is_in_the_picture() -> None:
    for told in STORIES:
        for turn, instruction in enumerate(told.instructions):
            assert instruction.thing == told.scene[turn].thing
            assert bool(instruction.relations) == (turn > 0)
            places = {placed.thing: seen_at(placed) for placed in told.after(turn)}
            x, y = places[instruction.thing]
            for told_of in instruction.relations:
                there = places[told_of.to]
                assert told_of.depth is (Depth.BEHIND if y < there[1] else Depth.FRONT)
                assert told_of.side is (Side.LEFT if x < there[0] else Side.RIGHT)


def test_an_instruction_is_said_in_one_form() -> None:
    cube, ball, tube = Thing("red", "cube"), Thing("blue", "sphere"), Thing("green", "cylinder")
    assert str(Instruction(cube)) == "add a red cube at the centre"
    one, other = Relation(ball, Depth.BEHIND, Side.LEFT), Relation(tube, side=Side.RIGHT)
    assert str(Instruction(cube, (one, other))) == (
        "add a red cube behind the blue sphere and left of it, right of the green cylinder"
    )


def test_alternatives_differ_in_one_word_each() -> None:
    told = Instruction(Thing("red", "cube"), (Relation(Thing("blue", "sphere"), Depth.BEHIND, Side.LEFT),))
    found = alternatives(told)
    assert len(set(found)) == len(found) == 7 + 2 + 2 and told not in found
    assert Instruction(told.thing, (Relation(Thing("blue", "sphere"), Depth.FRONT, Side.LEFT),)) in found[:2]


def test_a_scene_as_told_has_every_place_that_was_said() -> None:
    other = 0
    for number, one in enumerate(STORIES[:20]):
        scene = placed_as_told(one.instructions, random.Random(number))
        assert [placed.thing for placed in scene] == [placed.thing for placed in one.scene]
        at = {placed.thing: placed for placed in scene}
        for told in one.instructions:
            for place in told.relations:
                seen = relation(at[told.thing], at[place.to])
                assert place.depth in (None, seen.depth) and place.side in (None, seen.side)
        other += scene != one.scene
    assert other == 20, "what was not said is somewhere else"


def test_rivals_are_every_other_place_and_then_other_things() -> None:
    cube, ball, tube = Thing("red", "cube"), Thing("blue", "sphere"), Thing("green", "cylinder")
    places = Relation(ball, Depth.BEHIND, Side.LEFT), Relation(tube, Depth.FRONT, Side.LEFT)
    for told, moved in ((Instruction(cube), 0), (Instruction(cube, places[:1]), 2), (Instruction(cube, places), 4)):
        found = rivals(told, random.Random(1))
        assert len(set(found)) == RIVALS and str(told) not in found
        assert [text.startswith("add a red cube") for text in found].count(True) == moved
        assert found == rivals(told, random.Random(1))


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("side", [64, 128])
def test_a_scene_is_drawn_the_same_every_time(side: int) -> None:
    picture = render(STORIES[0].scene, side)
    assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, render(STORIES[0].scene, side))


def test_a_solid_is_where_it_is_said_to_be() -> None:
    """The middle of what differs from the floor, without the shadow, which is grey."""
    for x, y in [(0.0, 0.0), (-0.6, 0.5), (0.7, -0.7)]:
        placed = Placed(Thing("red", "sphere"), x, y)
        picture = render([placed], 128).astype(int)
        rows, columns = np.nonzero(picture[..., 0] - picture[..., 2] > 20)
        seen = (columns.min() + columns.max() + 1) / 256, (rows.min() + rows.max() + 1) / 256
        assert seen == pytest.approx(seen_at(placed), abs=0.008)


def test_who_stands_in_front_hides_who_stands_behind() -> None:
    near, far = Placed(Thing("red", "cube"), 0.11, 0.2), Placed(Thing("blue", "cube"), 0, -0.2)
    both, alone = render([near, far], 64).astype(int), render([near], 64).astype(int)
    covered = (alone[..., 0] - alone[..., 2] > 40).astype(np.uint8)
    solid = cv2.erode(covered, np.ones((3, 3))) > 0  # at its edge the solid covers half a pixel
    assert solid.sum() > 60
    np.testing.assert_array_equal(both[solid], alone[solid])
    np.testing.assert_array_equal(both, render([far, near], 64).astype(int))


def test_all_things_can_be_told_apart_by_their_pixels() -> None:
    pictures = np.array([render([Placed(thing, 0, 0)], 64) for thing in THINGS]).astype(float)
    for k in range(len(THINGS)):
        apart = np.abs(pictures - pictures[k]).max((1, 2, 3))
        assert sorted(apart)[1] > 40, THINGS[k]


def test_every_solid_lies_inside_the_picture() -> None:
    rng = random.Random(5)
    for _ in range(40):
        scene = sample_scene(rng, 5, centred=False)
        for placed in scene:
            assert all(RADIUS / 2.4 < at < 1 - RADIUS / 2.4 for at in seen_at(placed))


@pytest.mark.parametrize("centred", [True, False])
def test_a_scene_holds_as_many_as_were_asked_for(centred: bool) -> None:
    for count in range(7):
        assert len(sample_scene(random.Random(3), count, centred)) == count
