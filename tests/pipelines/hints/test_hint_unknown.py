"""Words that a vocabulary does not have: where they stand, what is near, and how that takes their place."""

from __future__ import annotations

import time

import pytest

from pipelines.hints.unknown import exchanged, nearest, says_any, unknown_in, usual_under
from pipelines.models.domain import MOST_FORMS, Vocabulary, domain_of


def vocabulary(**headings: object) -> Vocabulary:
    found = domain_of({"vocabulary": headings}).vocabulary
    assert found is not None
    return found


ZOO = vocabulary(
    subject=[["lion"], ["zebra", "striped horse"], ["elephant"]],
    colour=[["blue", "azure"], ["large blue"]],
    background=[["on the savannah", "savannah"], ["at the zoo", "zoo"]],
    action=[["upside down", "on its head"]],
)


def marked(text: str) -> list[str]:
    return [text[start:end] for start, end in unknown_in(text, ZOO)]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a blue lion on the savannah", []),
        ("A BLUE Lion", []),
        ("a blaue lion with a hat", ["blaue", "hat"]),
        ("", []),
        ("…!?", []),
        ("a lion, upside down.", []),
        ("a lion looking down", ["looking", "down"]),
        ("a lion's head", ["lion's", "head"]),
        ("a lion on its head", []),
        ("in Times Square at the zoo", ["Times Square"]),
        ("in Times Square, New York", ["Times Square", "New York"]),
        ("a lion\nTimes\nSquare", ["Times", "Square"]),
        ("a striped horse", []),
        ("a striped zebra", ["striped"]),
        ("3 lions", ["3", "lions"]),
        ("ein Löwe im Zoo", ["ein", "Löwe", "im"]),
        ("🦁 a lion 狮子", ["狮子"]),
        ("a t-shirt", ["t-shirt"]),
        ("a don’t lion", ["don’t"]),
    ],
)
def test_what_is_marked(text: str, unknown: list[str]) -> None:
    assert marked(text) == unknown


def test_what_is_known_otherwise_is_not_marked() -> None:
    assert unknown_in("make it grey", ZOO, [(0, 12)]) == []
    assert unknown_in("make it grey", ZOO, [(0, 8)]) == [(8, 12)]


@pytest.mark.parametrize(
    ("word", "part", "near"),
    [
        ("blaue", "subject", ["blue"]),
        ("azur", "subject", ["azure", "blue"]),
        ("lions", "subject", ["lion"]),
        ("savana", "background", ["on the savannah"]),
        ("zebras", "background", []),  # a subject is not offered for a background
        ("xylophone", "subject", []),
    ],
)
def test_what_is_offered(word: str, part: str, near: list[str]) -> None:
    assert nearest(word, ZOO, part) == near


@pytest.mark.parametrize(
    ("text", "word", "form", "after"),
    [
        ("a blaue lion", "blaue", "blue", "a blue lion"),
        ("a blaue lion", "blaue", "azure", "an azure lion"),
        ("an ocelot", "ocelot", "lion", "a lion"),
        ("the ocelot", "ocelot", "elephant", "the elephant"),
        ("in Times Square", "Times Square", "at the zoo", "at the zoo"),
        ("a lion in the Bronx, asleep", "Bronx", "at the zoo", "a lion at the zoo, asleep"),
        ("Bronx", "Bronx", "at the zoo", "at the zoo"),
    ],
)
def test_how_one_word_takes_the_place_of_another(text: str, word: str, form: str, after: str) -> None:
    start = text.index(word)
    assert exchanged(text, (start, start + len(word)), form) == after


def test_what_a_text_is_about() -> None:
    assert says_any("a red striped horse", "subject", ZOO) and not says_any("a red horse", "subject", ZOO)
    assert not says_any("a lion", "subject", vocabulary(words=["lion"])), "no heading of that name"
    assert usual_under("background", ZOO) == ("on the savannah", "at the zoo")
    assert usual_under("weather", ZOO) == ()


def test_the_largest_vocabulary_is_asked_in_no_time() -> None:
    """A generous bound: what is typed is answered while it is typed."""
    large = vocabulary(words=[f"word{number}" for number in range(MOST_FORMS)])
    began = time.perf_counter()
    for word in ("wrd77", "unknown", "savannah"):
        nearest(word, large, "subject")
    assert time.perf_counter() - began < 3.0
