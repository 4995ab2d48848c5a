"""What is read of a body, and what of it goes on."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from studio.api.bodies import DEEPEST, MOST_VALUES, EventShape, event, read
from studio.errors import BadBody

SHAPES = {3: EventShape(2, queued=False), 4: EventShape(0, queued=True)}
EVENT = {"data": ["a", 1], "event_data": {"x": [1, {"y": None}]}, "fn_index": 3, "trigger_id": 0, "session_hash": "ab1"}
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(10**40), 10**40) | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=20,
)


def depth(value: object) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def is_finite(value: object) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (not isinstance(value, float) or math.isfinite(value)) and all(map(is_finite, inside))


@given(VALUES, some.booleans())
@example({"Infinity": None}, False)
def test_what_can_be_written_is_read_as_it_is(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    if depth(value) > DEEPEST or not is_finite(value):
        with pytest.raises(BadBody):
            read(text.encode())
    else:
        assert read(text.encode()) == value


@pytest.mark.parametrize("text", ['"[[[["', '"\\"[[,"', '{"a]": "{"}', r'"\\"', r'["\\", "]"]', '"\\u005b"'])
def test_brackets_and_commas_in_texts_are_no_values(text: str) -> None:
    assert read(text.encode(), most=2, deepest=1) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * DEEPEST + "[" + "]" * (DEEPEST + 1), "inside each other"),
        ("[" + "1," * MOST_VALUES + "1,1]", "values are read at once"),
        ("[" + "[]," * MOST_VALUES + "1]", "values are read at once"),
        ("[" + '"",' * (3 * MOST_VALUES) + '""]', "texts are read at once"),
        ('"abc', "JSON is expected"),
        ("]]]", "JSON is expected"),
        ("NaN", "no finite number"),
        ("-Infinity", "no finite number"),
        ("1e999", "no finite number"),
        ("9" * 5000, "JSON is expected"),
    ],
)
def test_what_is_too_much_or_no_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadBody, match=words) as refused:
        read(text.encode())
    assert len(str(refused.value)) < 200


def test_bytes_that_are_no_text_are_refused_and_half_a_character_is_replaced() -> None:
    for data in (b"\xff", b'"\xed\xa0\x80"', '"a"'.encode("utf-16")):
        with pytest.raises(BadBody):
            read(data)
    assert read(b'{"\\ud800": "a\\uDC00b", "c": "\\ud83d\\ude00"}') == {"\ufffd": "a\ufffdb", "c": "😀"}


def test_an_event_goes_on_with_the_fields_that_were_asked_for_and_no_others() -> None:
    more = {"batched": True, "simple_format": True, "event_id": "x", "oauth_token": "y", "request": {}}
    assert json.loads(event(json.dumps(EVENT | more).encode(), SHAPES, queued=False)) == EVENT
    assert json.loads(event(json.dumps(EVENT | {"event_data": None}).encode(), SHAPES, False))["event_data"] == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fn_index": 5}, "there is no event 5"),
        ({"fn_index": 4}, "there is no event 4"),
        ({"fn_index": True}, "fn_index"),
        ({"fn_index": "3"}, "fn_index"),
        ({"fn_index": math.pi}, "fn_index"),
        ({"data": ["a"]}, "2 values go with"),
        ({"data": "ab"}, "data"),
        ({"data": [["a"], 1]}, "data"),
        ({"data": [{"path": "/etc/hostname"}, 1]}, "data"),
        ({"data": [{"sid": ["a"]}, 1]}, "data"),
        ({"event_data": []}, "event_data"),
        ({"event_data": {"a": [{"path": "x"}]}}, "'path'"),
        ({"trigger_id": "0"}, "trigger_id"),
        ({"session_hash": "../x"}, "session_hash"),
        ({"session_hash": "a" * 41}, "session_hash"),
        ({"session_hash": None}, "session_hash"),
    ],
)
def test_what_is_no_event_of_the_page_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadBody, match=words):
        event(json.dumps(EVENT | change).encode(), SHAPES, queued=False)


def test_what_a_browser_remembers_may_go_with_an_event() -> None:
    assert event(json.dumps(EVENT | {"data": [{"sid": "ab"}, None]}).encode(), SHAPES, queued=False)
