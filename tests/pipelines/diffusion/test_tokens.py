"""Words, the tokens that stand for them, and which tokens of two texts answer each other."""

from __future__ import annotations

import pytest
import torch

from pipelines.diffusion.tokens import places_of, refined, replaced, tokens_of, words_of
from pipelines.errors import BadRequest
from pipelines.models.bundle import ModelBundle


def letters(text: str) -> int:
    """The tiny tokenizer has one token a letter, between its start and its end."""
    return len(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("text", "phrase", "places"),
    [
        ("a dog", "dog", (2, 3, 4)),
        ("a Dog", "dog", (2, 3, 4)),
        ("a dog", " DOG, ", (2, 3, 4)),
        ("dog a dog", "dog", (1, 2, 3, 5, 6, 7)),
        ("dogs a dog", "dog", (6, 7, 8)),
        ("a red dog", "red dog", (2, 3, 4, 5, 6, 7)),
        ("a red  dog", "red, dog", (2, 3, 4, 5, 6, 7)),
    ],
)
def test_a_word_is_found_as_it_is_written(bundle: ModelBundle, text: str, phrase: str, places: tuple[int, ...]) -> None:
    assert places_of(bundle, text, phrase) == places


def test_punctuation_beside_a_word_is_no_part_of_it(bundle: ModelBundle) -> None:
    plain, marked = "a dog runs", "a dog, runs"
    (dog,) = {
        tuple(tokens_of(bundle, text)[k].number for k in places_of(bundle, text, "dog")) for text in (plain, marked)
    }
    assert len(dog) == 3
    assert words_of("A dog’s ear, well-known!") == ["a", "dog’s", "ear", "well-known"]


@pytest.mark.parametrize(
    ("text", "phrase", "told"),
    [
        ("a dog", "cat", "has no 'cat'"),
        ("a dog", "do", "has no 'do'"),
        ("a dog", "  ", "has no '  '"),
        ("a very very red dog", "dog", "does not read as far as 'dog'"),
    ],
)
def test_a_word_that_is_not_read_is_told(bundle: ModelBundle, text: str, phrase: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        places_of(bundle, text, phrase)


@pytest.mark.parametrize("way", [refined, replaced])
def test_a_text_answers_to_itself(bundle: ModelBundle, way: object) -> None:
    alignment = way(bundle, "a dog", "a dog")  # type: ignore[operator]
    assert torch.equal(alignment.answers, torch.eye(12)) and alignment.known.all()


def test_added_letters_are_new_and_the_others_answer_to_their_own(bundle: ModelBundle) -> None:
    alignment = refined(bundle, "a dog", "a red dog")
    assert alignment.known.tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert alignment.answers.argmax(0)[[0, 1, 5, 6, 7, 8]].tolist() == [0, 1, 2, 3, 4, 5]
    a, b = torch.rand(3, 12), torch.rand(3, 12)
    mixed = alignment.mixed(a, b)
    assert torch.equal(mixed[:, 2:5], b[:, 2:5]) and torch.equal(mixed[:, 5:8], a[:, 2:5])
    assert torch.equal(alignment.mixed(a, b, 0.0), b)


def test_a_swapped_word_takes_the_place_of_the_other(bundle: ModelBundle) -> None:
    same = replaced(bundle, "a dog", "a cat")
    assert torch.equal(same.answers, torch.eye(12)) and same.known.all()
    longer = replaced(bundle, "a dog", "a sheep")
    assert longer.answers[2:5, 2:7].eq(1 / 5).all() and longer.answers[2:5].sum(1).allclose(torch.ones(3))
    assert longer.answers[5, 7] == 1 and longer.known.all(), "the ends answer each other"


def test_texts_of_different_numbers_of_words_do_not_answer_word_for_word(bundle: ModelBundle) -> None:
    with pytest.raises(BadRequest, match=r"'a dog' has 2, 'a red dog' has 3\. Say it in 2 words, or choose refine"):
        replaced(bundle, "a dog", "a red dog")
