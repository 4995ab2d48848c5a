"""What a card says of the words and pictures that its model was made for, also where it says it badly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models.domain import MOST_FORMS, domain_of
from pipelines.models.folders import find_model, find_models
from tests.pipelines.conftest import write_tiny_model

WORDS = {"subject": [["Dog", "  puppy "], "cat"], "also": ["a", "on  its head"]}
PICTURES = {"made_for": "flat drawings", "smooth": 0.5}


def test_words_are_grouped_under_headings_in_lower_case() -> None:
    domain = domain_of({"vocabulary": WORDS, "pictures": PICTURES})
    assert domain.remarks == ()
    assert domain.vocabulary is not None
    assert domain.vocabulary.groups == (("dog", "puppy"), ("cat",), ("a",), ("on its head",))
    assert domain.vocabulary.forms == ("dog", "puppy", "cat", "a", "on its head")
    assert domain.pictures is not None
    assert (domain.pictures.made_for, domain.pictures.smooth) == ("flat drawings", 0.5)


def test_a_card_without_either_says_nothing() -> None:
    domain = domain_of({"title": "Mine"})
    assert (domain.vocabulary, domain.pictures, domain.remarks) == (None, None, ())


@pytest.mark.parametrize(
    ("value", "expected", "got"),
    [
        (["dog"], "headings", "['dog']"),
        ("dog", "headings", "'dog'"),
        (7, "headings", "7"),
        (None, "headings", "None"),
        ({}, "headings", "{}"),
        ({"subject": "dog"}, "a list of words under 'subject'", "'dog'"),
        ({"subject": {"dog": 1}}, "a list of words under 'subject'", "{'dog': 1}"),
        ({"subject": [7]}, "words of at most", "7"),
        ({"subject": [""]}, "words of at most", "''"),
        ({"subject": [["dog", None]]}, "words of at most", "None"),
        ({"subject": [[["dog"]]]}, "words of at most", "['dog']"),
        ({"subject": [[]]}, "a word or phrase in each list", "an empty list"),
        ({"subject": ["x" * 101]}, "words of at most 100 characters", "xxx"),
        ({"subject": ["dog"] * (MOST_FORMS + 1)}, "5,000 words and phrases", "5,001"),
    ],
)
def test_a_vocabulary_of_another_form_is_left_out_with_the_reason(value: Any, expected: str, got: str) -> None:
    domain = domain_of({"vocabulary": value, "pictures": PICTURES})
    (remark,) = domain.remarks
    assert domain.vocabulary is None and domain.pictures is not None
    assert remark.startswith("the vocabulary in its card was left out: ")
    assert expected in remark and got in remark


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("flat drawings", "'flat drawings'"),
        ({"smooth": 0.5}, "None"),
        ({"made_for": " ", "smooth": 0.5}, "' '"),
        ({"made_for": "drawings", "smooth": "much"}, "'much'"),
        ({"made_for": "drawings", "smooth": True}, "True"),
        ({"made_for": "drawings", "smooth": 50}, "50"),
        ({"made_for": "drawings", "smooth": float("nan")}, "nan"),
    ],
)
def test_what_is_said_of_pictures_in_another_form_is_left_out_with_the_reason(value: Any, got: str) -> None:
    domain = domain_of({"vocabulary": WORDS, "pictures": value})
    (remark,) = domain.remarks
    assert domain.pictures is None and domain.vocabulary is not None
    assert remark.startswith("what its card says of pictures was left out: expected") and got in remark


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(vocabulary=json_values, pictures=json_values)
def test_no_json_is_too_strange_for_a_card(vocabulary: Any, pictures: Any) -> None:
    domain = domain_of({"vocabulary": vocabulary, "pictures": pictures})
    assert (domain.vocabulary is None) + (domain.pictures is None) == len(domain.remarks)


def test_a_model_with_a_spoilt_card_is_found_all_the_same(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "mine")
    (tmp_path / "mine" / "card.json").write_text(json.dumps({"title": "Mine", "vocabulary": 3}))
    card = find_model("mine", [tmp_path])
    assert card.title == "Mine" and "got 3" in card.domain.remarks[0]
    (tmp_path / "mine" / "card.json").unlink()
    assert find_models([tmp_path])["mine"].domain.remarks == ()


def test_the_methods_that_do_best_are_named_in_their_order() -> None:
    assert domain_of({"methods": ["inpaint", "layered"]}).methods == ("inpaint", "layered")
    domain = domain_of({"methods": {"inpaint": 1}})
    assert domain.methods == () and "expected a list of names; got {'inpaint': 1}" in domain.remarks[0]
