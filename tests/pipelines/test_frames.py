from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Box, Extent, Point
from pipelines.frames import Frame, Moves

numbers = st.floats(-500, 500)
moves = st.builds(
    Moves.turn, st.floats(-180, 180), st.floats(0.1, 8), *(st.builds(Point, numbers, numbers) for _ in range(2))
)


@given(moves, moves, numbers, numbers)
def test_one_after_the_other_and_back_again(first: Moves, second: Moves, x: float, y: float) -> None:
    there = first.point(x, y)
    both = first.then(second).point(x, y)
    assert (both.x, both.y) == pytest.approx(tuple(vars(second.point(there.x, there.y)).values()), abs=1e-6)
    back = first.inverse.point(there.x, there.y)
    assert (back.x, back.y) == pytest.approx((x, y), abs=1e-6)


def test_a_turn_is_counterclockwise_as_it_is_seen() -> None:
    """What lies right of the middle goes up, and y is down."""
    turn = Moves.turn(90.0, 2.0, Point(10, 10), Point(0, 0))
    assert vars(turn.point(11, 10)) == pytest.approx({"x": 0.0, "y": -2.0})
    assert turn.scale == pytest.approx(2.0)


def test_a_box_is_the_one_around_its_corners() -> None:
    mirrored = Moves(a=-1.0, c=100.0)
    assert mirrored.box(Box(10, 5, 30, 8)) == Box(70, 5, 90, 8)


def test_pixels_are_numbered_by_their_middles() -> None:
    """Twice as large, the first pixel's middle lies on the border between the first two."""
    (a, _, c), _ = Moves(a=2.0, e=2.0).of_pixels
    assert (a, c) == (2.0, 0.5)


def test_frames_that_are_told_from_one_picture_lead_to_each_other() -> None:
    original = Frame(Extent(100, 80))
    cropped = original.then(Frame(Extent(50, 40), Moves(c=-20, f=-10)))
    doubled = cropped.then(Frame(Extent(100, 80), Moves(a=2, e=2)))
    assert cropped.to(doubled) == Moves(a=2, e=2)
    assert doubled.to(original).point(0, 0) == Point(20, 10)
