"""Negations, removals, instructions and others' notation are told from descriptions."""

from __future__ import annotations

import pytest

from pipelines.evaluation.cases import held_out_cases
from pipelines.hints.contract import Kind
from pipelines.hints.phrasing import left_out, negations, notations, orders


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("no trees", [("no trees", "trees")]),
        ("a beach with no people", [("no people", "people")]),
        ("a dog without a hat in a forest", [("without a hat", "a hat")]),
        ("a cat that is not black, on a mat", [("not black", "black")]),
        ("a street with nobody on it", [("nobody", "")]),
        ("No trees and no houses", [("No trees", "trees"), ("no houses", "houses")]),
        ("a dog that isn’t barking", [("isn’t barking", "barking")]),
        ("free of clouds", [("free of clouds", "clouds")]),
        ("nothing", [("nothing", "")]),
        (
            "a sky without any of the very large grey clouds",
            [("without any of the very large", "any of the very large")],
        ),
        ("a knot, a nowhere man, Notting Hill and a cannot", []),
        ("an empty beach", []),
        ("", []),
    ],
)
def test_negations(text: str, negated: list[tuple[str, str]]) -> None:
    assert [(text[start:end], named) for (start, end), named in negations(text)] == negated


@pytest.mark.parametrize(
    ("text", "cut", "left"),
    [
        ("a beach with no people", "no people", "a beach"),
        ("no trees", "no trees", ""),
        ("a dog without a hat in a forest", "without a hat", "a dog in a forest"),
        ("no trees, a lake", "no trees", "a lake"),
        ("a lake, no trees, a hut", "no trees", "a lake, a hut"),
        ("a cat that is not black", "not black", "a cat"),
        ("a lake and no trees.", "no trees", "a lake."),
    ],
)
def test_what_is_left_without_it(text: str, cut: str, left: str) -> None:
    start = text.index(cut)
    assert left_out(text, (start, start + len(cut))) == left


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("make it blue", [(Kind.INSTRUCTION, "make it blue")]),
        ("Please make it blue", [(Kind.INSTRUCTION, "Please make it blue")]),
        ("a dog, and make it blue", [(Kind.INSTRUCTION, "make it blue")]),
        ("make it blue and put it in a forest", [(Kind.INSTRUCTION, "make it blue and put it in a forest")]),
        ("turn the dog into a cat", [(Kind.INSTRUCTION, "turn the dog into a cat")]),
        ("change its colour to red", [(Kind.INSTRUCTION, "change its colour to red")]),
        ("add snow", [(Kind.INSTRUCTION, "add snow")]),
        ("the dog should jump", [(Kind.INSTRUCTION, "the dog should jump")]),
        ("I want the dog to jump", [(Kind.INSTRUCTION, "I want the dog to jump")]),
        ("give him a hat", [(Kind.INSTRUCTION, "give him a hat")]),
        ("keep the background", [(Kind.INSTRUCTION, "keep the background")]),
        ("remove the dog", [(Kind.REMOVAL, "remove the dog")]),
        ("Delete everything", [(Kind.REMOVAL, "Delete everything")]),
        ("get rid of the tree", [(Kind.REMOVAL, "get rid of the tree")]),
        ("take away the hat, make it blue", [(Kind.REMOVAL, "take away the hat"), (Kind.INSTRUCTION, "make it blue")]),
        ("a blue dog", []),
        ("paint splashes on a wall", []),
        ("place with a view", []),
        ("a turn in the road", []),
        ("swap meet at night", []),
        ("a watch set in gold", []),
        ("leave piles", []),
        ("a dog made of blue glass", []),
        ("make", []),
        ("", []),
    ],
)
def test_orders(text: str, found: list[tuple[Kind, str]]) -> None:
    assert [(kind, text[start:end]) for kind, (start, end) in orders(text)] == found


def test_no_text_of_the_bench_is_taken_for_anything_but_a_description() -> None:
    texts = [text for case in held_out_cases(60) for text in (case.subject, case.background)]
    assert len(texts) == 120
    assert [text for text in texts if [*orders(text), *negations(text), *notations(text)]] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a (blue:1.3) dog", [("(blue:1.3)", "blue")]),
        ("a ((very blue:0.8)) dog", [("((very blue:0.8))", "very blue")]),
        ("a ((blue)) [dog]", [("((blue))", "blue"), ("[dog]", "dog")]),
        ("[blue:red:0.5]", [("[blue:red:0.5]", "blue:red:0.5")]),
        ("a dog <lora:fluffy:0.7>", [("<lora:fluffy:0.7>", "")]),
        ("a dog --ar 16:9 --tile", [("--ar 16:9", ""), ("--tile", "")]),
        ("a blue++ dog", [("blue++", "blue")]),
        ("a dog (blue) at 10:30", []),
        ("a dog - blue - at night", []),
    ],
)
def test_notations(text: str, found: list[tuple[str, str]]) -> None:
    assert sorted((text[start:end], words) for (start, end), words in notations(text)) == sorted(found)
