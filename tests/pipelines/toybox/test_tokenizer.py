"""The Toybox tokenizer: whole words for the world, characters for the rest, and the real class loads it."""

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from pipelines.toybox.tokenizer import LONGEST, build_tokenizer
from pipelines.toybox.words import vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("word", vocabulary())
def test_every_word_of_the_world_is_one_token(tokenizer: CLIPTokenizer, word: str) -> None:
    start, inner, end = tokenizer(word).input_ids
    assert (start, end) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.convert_ids_to_tokens(inner) == f"{word}</w>"


def test_ids_are_distinct_for_distinct_words(tokenizer: CLIPTokenizer) -> None:
    assert len({tokenizer(word).input_ids[1] for word in vocabulary()}) == len(vocabulary())


@pytest.mark.parametrize("text", ["quixotic zebra, 42!", "a wizard's café", "x", "Über", "日本", "a_b?"])
def test_other_text_is_encoded_without_unknown_tokens(tokenizer: CLIPTokenizer, text: str) -> None:
    inner = tokenizer(text).input_ids[1:-1]
    assert inner and tokenizer.unk_token_id not in inner
    assert tokenizer.decode(inner).replace(" ", "") == text.lower().replace(" ", "")


def test_case_and_spaces_do_not_matter(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer("A  Big\nRED dog").input_ids == tokenizer("a big red dog").input_ids


def test_padding_and_cutting_give_the_models_length(tokenizer: CLIPTokenizer) -> None:
    for text in ("", "a dog", "a dog " * 40):
        ids = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == tokenizer.model_max_length == LONGEST
        assert ids[-1] == tokenizer.eos_token_id == tokenizer.pad_token_id == max(tokenizer.get_vocab().values())


def test_it_has_the_files_of_a_clip_tokenizer(folder: Path) -> None:
    assert {"vocab.json", "merges.txt", "tokenizer_config.json"} <= {path.name for path in folder.iterdir()}


def test_building_it_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    build_tokenizer(tmp_path)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
