"""Mask prompts read from untrusted JSON: whole again after a round trip, and nothing but `BadRequest` for the rest."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Box, Extent, Point
from pipelines.errors import BadRequest
from pipelines.masks.prompts import LARGEST_RADIUS, MOST_CLICKS, Click, MaskPrompts, Stroke

EXTENT = Extent(300, 200)
laws = settings(max_examples=100, deadline=None)

xs, ys = st.floats(0, 300), st.floats(0, 200)
clicks = st.builds(Click, xs, ys, st.booleans())
strokes = st.builds(
    Stroke,
    st.lists(st.builds(Point, st.floats(-300, 600), st.floats(-300, 600)), max_size=5).map(tuple),
    st.floats(0.5, 300),
    st.booleans(),
)
prompts = st.builds(
    MaskPrompts,
    clicks=st.lists(clicks, max_size=4).map(tuple),
    box=st.none() | st.builds(Box, st.floats(0, 140), st.floats(0, 90), st.floats(150, 300), st.floats(100, 200)),
    choice=st.none() | st.integers(0, 2),
    uploaded=st.none() | st.just("a" * 64),
    snap=st.booleans(),
    strokes=st.lists(strokes, max_size=3).map(tuple),
    invert=st.booleans(),
    grow=st.integers(-200, 200),
    feather=st.floats(0, 64),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(prompts)
@laws
def test_a_round_trip_through_json_changes_nothing(value: MaskPrompts) -> None:
    assert MaskPrompts.from_json(json.loads(json.dumps(value.to_json())), EXTENT) == value


@given(st.dictionaries(st.sampled_from([*MaskPrompts.__dataclass_fields__, "more"]), anything) | anything)
@laws
def test_any_other_json_is_read_or_refused(data: object) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(MaskPrompts.from_json(data, EXTENT), MaskPrompts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"clicks": [{"x": 301, "y": 5}]}, "a click's x must be between 0 and 300; got 301"),
        ({"clicks": [{"x": float("nan"), "y": 5}]}, "must be a number; got nan"),
        ({"clicks": [{"x": 10**400, "y": 5}]}, "must be between"),
        ({"clicks": [{"x": True, "y": 5}]}, "must be a number; got True"),
        ({"clicks": [{"x": 1, "y": 1}] * (MOST_CLICKS + 1)}, "at most 64 clicks are taken; got 65"),
        ({"box": {"left": 9, "top": 0, "right": 9, "bottom": 5}}, "right edge"),
        ({"strokes": [{"points": [[1, 1]], "radius": LARGEST_RADIUS + 1}]}, "between 0.5 and 512"),
        ({"strokes": [{"points": [[1]], "radius": 3}]}, "two coordinates; got .1."),
        ({"grow": 201}, "between -200 and 200"),
        ({"uploaded": "../../etc/passwd"}, "64-digit digest"),
        ({"clicks": [{"x": 1, "y": 1, "z": 1}]}, "only the fields include, x, y"),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_came(data: object, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        MaskPrompts.from_json(data, EXTENT)


def test_what_came_later_is_left_out_where_it_asks_for_nothing() -> None:
    """The ids of turns are made from this text: those from before must stay."""
    old = {"clicks", "box", "choice", "uploaded", "strokes", "invert", "grow", "feather"}
    assert set(MaskPrompts(clicks=(Click(1, 1),)).to_json()) == old
    assert set(MaskPrompts(snap=True).to_json()) == old | {"snap"}
    for fill, fields in ((False, {"points", "radius", "erase"}), (True, {"points", "radius", "erase", "fill"})):
        drawn = MaskPrompts(strokes=(Stroke((Point(1, 2),), 3, fill=fill),), scribbles=(Stroke((Point(1, 2),), 3),))
        assert set(drawn.to_json()["strokes"][0]) == fields
        assert MaskPrompts.from_json(drawn.to_json(), EXTENT) == drawn


def test_what_asks_the_segmenter() -> None:
    click, stroke = (Click(1, 1),), (Stroke((Point(1, 1),), 3),)
    assert MaskPrompts().is_empty and not MaskPrompts(strokes=stroke).is_empty
    assert MaskPrompts(clicks=click).asks_segmenter and not MaskPrompts(strokes=stroke).asks_segmenter
    assert not MaskPrompts(clicks=click, uploaded="a" * 64).asks_segmenter, "an upload replaces the segmenter's answer"
