"""One instruction as ordered turns: how clauses are put together, what is remembered, what is given back unread."""

from __future__ import annotations

import sys
import time
from subprocess import run

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Scope
from pipelines.instructions.contract import MOST_TURNS, Asked, Change
from pipelines.instructions.split import MOST_CLAUSES, split
from pipelines.requests import LONGEST_TEXT

SUBJECT, BACKGROUND, BOTH = Scope.SUBJECT, Scope.BACKGROUND, Scope.BOTH


def asked(instruction: str, subject: str = "", background: str = "") -> list[tuple[str, str, Scope]]:
    return [(turn.subject, turn.background, turn.scope) for turn in split(instruction, subject, background).turns]


def test_the_example_of_the_page() -> None:
    answer = split("make the dog blue and put it in a forest, then let it jump")
    assert answer.turns == (
        Asked("a blue dog", "in a forest", BOTH),
        Asked("a blue dog jumping", "", SUBJECT),
    )
    assert (answer.reader, answer.unread, answer.note) == ("rules", (), "")


@pytest.mark.parametrize(
    "joint", [" then ", ", then ", " and then ", "; ", ". ", "! ", "\n", " after that ", ", afterwards "]
)
def test_what_starts_a_turn(joint: str) -> None:
    assert asked(f"make the dog blue{joint}put it in a forest") == [
        ("a blue dog", "", SUBJECT),
        ("", "in a forest", BACKGROUND),
    ]


@pytest.mark.parametrize("joint", [" and ", ", ", ", and ", " and please ", " and also "])
def test_subject_and_background_joined_are_one_turn(joint: str) -> None:
    assert asked(f"make the dog blue{joint}put it in a forest") == [("a blue dog", "in a forest", BOTH)]


def test_only_a_subject_followed_by_a_background_is_joined() -> None:
    assert asked("put it in a forest and make the dog blue") == [
        ("", "in a forest", BACKGROUND),
        ("a blue dog", "", SUBJECT),
    ]
    assert asked("make the dog blue and let it jump and put it in a forest") == [
        ("a blue dog", "", SUBJECT),
        ("a blue dog jumping", "in a forest", BOTH),
    ]


def test_clauses_that_share_a_verb() -> None:
    assert asked("make the dog blue and the sky red") == [("a blue dog", "under a red sky", BOTH)]


def test_attributes_accumulate_from_what_is_known() -> None:
    assert asked("make it blue", "a green dog") == [("a blue dog", "", SUBJECT)]
    assert asked("let it jump. make it big. make it stand", "a blue dog") == [
        ("a blue dog jumping", "", SUBJECT),
        ("a big blue dog jumping", "", SUBJECT),
        ("a big blue dog standing", "", SUBJECT),
    ]
    assert asked("add a rainbow to the sky", background="on the beach") == [
        ("", "on the beach with a rainbow in the sky", BACKGROUND)
    ]


def test_a_synonym_is_the_known_subject_and_another_noun_is_not() -> None:
    assert asked("make the dog blue", "a small puppy") == [("a small blue puppy", "", SUBJECT)]
    assert asked("make the cat blue", "a small puppy") == [("a blue cat", "", SUBJECT)]


def test_nobody_is_guessed_for_a_pronoun() -> None:
    answer = split("make it blue and put it in a forest")
    assert answer.turns == (Asked("", "in a forest", BACKGROUND),)
    assert answer.unread == ("make it blue",)


def test_unread_pieces_come_back_letter_by_letter_and_in_no_turn() -> None:
    answer = split("Frobnicate  <b>the</b>\twidget, please. Make the dog blue! Rotate\x00 the picture by 90°?")
    assert answer.unread == ("Frobnicate  <b>the</b>\twidget", "Rotate\x00 the picture by 90°")
    assert answer.turns == (Asked("a blue dog", "", SUBJECT),)


@pytest.mark.parametrize(
    "wish",
    [
        " but keep the background as it is",
        ", keep the background",
        " while keeping everything else the same",
        " without changing the background",
        ". Leave the rest alone",
    ],
)
def test_a_wish_to_keep_is_understood_and_is_no_turn(wish: str) -> None:
    answer = split(f"make the dog blue{wish}")
    assert answer.turns == (Asked("a blue dog", "", SUBJECT),)
    assert answer.unread == ()


def test_lists_and_politeness() -> None:
    assert asked("1. Could you make the dog blue, please?\n2. Next, put it in a forest.") == [
        ("a blue dog", "", SUBJECT),
        ("", "in a forest", BACKGROUND),
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "and", "then;.!?", ", , ,", "please"])
def test_nothing_asked_is_nothing_done(text: str) -> None:
    answer = split(text)
    assert answer.turns == answer.unread == ()


def test_markup_and_control_characters_are_passed_on_as_they_are() -> None:
    (turn,) = split("put it in <script>alert('1')</script>\x07 {0} %s").turns
    assert turn == Asked("", "in <script>alert('1')</script>\x07 {0} %s", BACKGROUND)


WORDS = 10_000
FLOODS = {
    "one clause": "make " + "word " * WORDS,
    "one word": "x" * 1_000_000,
    "points": ";" * 60_000 + "a",
    "blanks": " " * 100_000 + "make the dog blue",
    "dots": "a. " * WORDS,
    "joints": "and then " * (WORDS // 2),
    "turns": "make the dog blue; " * (WORDS // 4),
    "shared verbs": "make the dog blue and the " * (WORDS // 5),
    "adjectives": "make the dog big and " + "fluffy and " * (WORDS // 2),
    "things": ("make the " + "x " * 26 + "; ") * (WORDS // 28),
    "gifts": ("give the " + "a " * 26 + "; ") * (WORDS // 28),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_ten_thousand_words_are_read_in_time(flood: str) -> None:
    """A hundred times what it takes: what grows with the square of the text is over it, a busy machine is not."""
    started = time.thread_time()
    answer = split(FLOODS[flood], "a green dog " + "with a hat and " * 60)
    assert time.thread_time() - started < 10
    assert len(answer.turns) <= MOST_TURNS
    assert len(answer.unread) <= MOST_CLAUSES + 1
    assert all(len(text) <= LONGEST_TEXT for turn in answer.turns for text in (turn.subject, turn.background))


def test_turns_beyond_the_most_are_one_unread_piece() -> None:
    answer = split("make the dog blue; make the dog red; " * MOST_TURNS)
    assert len(answer.turns) == MOST_TURNS
    assert answer.unread == (("make the dog blue; make the dog red; " * (MOST_TURNS // 2)).strip("; "),)


LETTERS = """
make turn put let give replace change the a an it his dog cat's sky background blue big hat in on to into with and then
of colour should jump jumping smile , ; . " <b> \x00 St. 2 more very upside down add remove is keep
"""
SCRAPS = st.sampled_from(LETTERS.split())


@settings(max_examples=250, deadline=None)
@given(st.lists(SCRAPS, max_size=14).map(" ".join), st.lists(SCRAPS, max_size=4).map(" ".join))
def test_whatever_is_said_the_answer_is_well_formed(text: str, known: str) -> None:
    answer = split(text, known)
    for turn in answer.turns:
        assert turn.scope == Change(turn.subject, turn.background).scope
        assert turn.subject or turn.background
    assert all(piece in text and piece.strip() for piece in answer.unread)


def test_no_tensors_are_loaded_to_split_by_rules() -> None:
    code = (
        "import sys; from pipelines.instructions.split import split; split('make the dog blue; smile'); "
        "print(*{'torch', 'transformers'} & set(sys.modules))"
    )
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
