from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Box, Point
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from studio.history.turn import canonical_json
from studio.session.selection import MOST_STEPS, Selection, Selections
from studio.session.view import MaskChoice


def clicked(*xs: float) -> Selection:
    prompts = MaskPrompts(clicks=tuple(Click(x, 1.0) for x in xs))
    return Selection(prompts, "a" * 64, 0.1, (MaskChoice("whole", 0.9),), 0, "p" * 64, "p" * 64)


def test_steps_are_taken_back_and_done_again_on_their_own_turn_only() -> None:
    steps = Selections().put(clicked(1), "t").put(clicked(1, 2), "t")
    assert steps.can_undo("t") and not steps.can_undo("elsewhere") and not steps.can_redo("t")
    back = steps.undo()
    assert back.now == clicked(1) and back.undo().now == Selection() and not back.undo().can_undo("t")
    assert back.redo() == steps
    assert not back.put(clicked(3), "t").can_redo("t"), "a new step forgets the ones taken back"


def test_a_step_on_another_turn_begins_anew_and_can_still_be_taken_back() -> None:
    steps = Selections().put(clicked(1), "t").put(clicked(5), "u")
    assert steps.undo().now == clicked(1) and not steps.undo().can_undo("u")


def test_old_steps_are_forgotten() -> None:
    steps = Selections()
    for x in range(MOST_STEPS + 20):
        steps = steps.put(clicked(float(x % 40)), "t")
    assert len(steps.past) == MOST_STEPS


numbers = st.floats(0, 32, allow_nan=False)
strokes = st.builds(
    Stroke,
    st.lists(st.builds(Point, numbers, numbers), max_size=4).map(tuple),
    st.floats(0.5, 20),
    st.booleans(),
)
prompts = st.builds(
    MaskPrompts,
    clicks=st.lists(st.builds(Click, numbers, numbers, st.booleans()), max_size=3).map(tuple),
    box=st.none() | st.just(Box(1.0, 2.0, 3.0, 4.0)),
    choice=st.none() | st.integers(0, 2),
    uploaded=st.none() | st.just("c" * 64),
    strokes=st.lists(strokes, max_size=4).map(tuple),
    invert=st.booleans(),
    grow=st.integers(-9, 9),
    feather=st.floats(0, 9),
)
selections = st.builds(Selection, prompts, st.none() | st.just("d" * 64), st.floats(0, 1))


def test_what_was_pointed_at_waits_while_one_stands_in_another_frame() -> None:
    here = Selections().put(clicked(1, 2), "t")
    there = here.away(clicked(7))
    assert there.now == clicked(7) and there.pointed == clicked(1, 2)
    assert there.away(clicked(9)).at_home() == here, "going to and fro loses nothing"
    assert there.put(clicked(8), "u").pointed == clicked(8), "until something else is pointed at"


@given(st.lists(selections, min_size=1, max_size=5), st.integers(0, 3), st.none() | selections)
def test_everything_reads_back_as_it_was(made: list[Selection], undone: int, elsewhere: Selection | None) -> None:
    steps = Selections()
    for selection in made:
        steps = steps.put(selection, "t")
    for _ in range(min(undone, len(made))):
        steps = steps.undo()
    steps = steps if elsewhere is None else steps.away(elsewhere)
    assert Selections.from_json(json.loads(canonical_json(steps.to_json()))) == steps


def test_a_stroke_is_written_once_however_many_steps_hold_it() -> None:
    drawn = [Stroke(tuple(Point(float(i % 40), float(j % 30)) for j in range(50)), 3.0) for i in range(40)]
    steps = Selections()
    for count in range(1, 41):
        steps = steps.put(Selection(MaskPrompts(strokes=tuple(drawn[:count]))), "t")
    assert len(canonical_json(steps.to_json())) < 100_000
