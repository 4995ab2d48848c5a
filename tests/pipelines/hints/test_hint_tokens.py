"""Where a model stops reading is told from its tokenizer's files as its tokenizer itself would tell it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from pipelines.hints.tokens import FRAME, TextReader, text_reader
from pipelines.models.folders import ModelCard, find_model
from pipelines.models.original import TOKENIZER
from studio.settings import ASSETS
from tests.pipelines.conftest import TOKENS, write_tiny_model

STRANGE = [
    "",
    "  ",
    "Naïve café\u0301s",
    "🦆🦆 duck",
    "don't it's",
    "a\tb\n c",
    "ﬁn İstanbul",
    "狮子",
    "x" * 400,
    "1234",
    "<b>&amp;",
]


def reader_of(card: ModelCard) -> TextReader:
    found = text_reader(card)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def embedded() -> ModelCard:
    return find_model("toybox", [ASSETS / "models"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A checkpoint in one file: it is read with CLIP's own vocabulary."""
    file = tmp_path_factory.mktemp("one-file") / "model.safetensors"
    file.write_bytes(b"")
    return ModelCard("model", "Model", file, "text-to-image")


def texts() -> list[str]:
    rng = random.Random(7)
    words = ["a", "big", "blue-eyed", "DOG", "jumping,", "(the)", "moon:", "3.5", "hamburgers'", "antidisestablishment"]
    return [*STRANGE, *(" ".join(rng.choices(words, k=rng.randrange(1, 60))) for _ in range(60))]


@pytest.mark.parametrize("name", ["embedded", "published"])
def test_the_tokens_are_those_of_the_library(name: str, request: pytest.FixtureRequest) -> None:
    card: ModelCard = request.getfixturevalue(name)
    reader = reader_of(card)
    theirs = CLIPTokenizer.from_pretrained(TOKENIZER if card.path.is_file() else card.path / "tokenizer")
    assert reader.limit == theirs.model_max_length - FRAME
    for text in texts():
        whole, cut = (theirs(text, truncation=short).input_ids for short in (False, True))
        assert len(reader.tokens(text)) == len(whole) - FRAME
        assert (reader.unread_from(text) is not None) == (len(cut) < len(whole))


@pytest.mark.parametrize("name", ["embedded", "published"])
def test_what_stands_after_the_mark_changes_nothing_and_what_stands_before_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    card: ModelCard = request.getfixturevalue(name)
    reader = reader_of(card)
    theirs = CLIPTokenizer.from_pretrained(TOKENIZER if card.path.is_file() else card.path / "tokenizer")

    def read(text: str) -> list[int]:
        return list(theirs(text, truncation=True, padding="max_length").input_ids)

    told = 0
    for text in texts():
        if (place := reader.unread_from(text)) is None:
            continue
        told += 1
        assert place == 0 or text[place - 1].isspace(), "a mark stands before a word"
        word = text[place:].split()[0]
        assert read(text) == read(text[: place + len(word)] + " and now something else"), text
        if place:
            assert read(text) != read("red " + text[4:]) or text.startswith("red "), text
    assert told > 10


def test_a_limit_comes_from_the_files_that_state_it(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny")
    card = find_model("tiny", [tmp_path])
    assert reader_of(card).limit == TOKENS - FRAME
    config = tmp_path / "tiny" / "tokenizer" / "tokenizer_config.json"
    said = json.loads(config.read_text())
    for told in ({}, {"model_max_length": 10**30}, {"model_max_length": "77"}):  # then the text encoder's own
        config.write_text(json.dumps({**{k: v for k, v in said.items() if k != "model_max_length"}, **told}))
        assert reader_of(card).limit == TOKENS - FRAME
    config.write_text(json.dumps(said | {"model_max_length": 5}))
    assert reader_of(card).limit == 5 - FRAME


@pytest.mark.parametrize("spoilt", ["gone", "not JSON", "of another form", "no tokenizer"])
def test_a_tokenizer_that_cannot_be_read_gives_no_mark(tmp_path: Path, spoilt: str) -> None:
    folder = tmp_path / "tiny"
    write_tiny_model(folder)
    card = find_model("tiny", [tmp_path])
    tokenizer = folder / "tokenizer"
    if spoilt == "gone":
        for file in tokenizer.iterdir():
            file.unlink()
    elif spoilt == "not JSON":
        (tokenizer / "tokenizer.json").write_text("{")
    elif spoilt == "of another form":
        (tokenizer / "tokenizer.json").write_text(json.dumps({"model": 3}))
    else:
        (tokenizer / "tokenizer.json").unlink()
        (tokenizer / "vocab.json").write_text("[]")
    assert text_reader(card) is None


def test_a_folder_without_tokenizer_json_is_read_by_its_vocabulary(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny")
    card = find_model("tiny", [tmp_path])
    whole = reader_of(card).tokens("a blue dog, 3")
    (tmp_path / "tiny" / "tokenizer" / "tokenizer.json").unlink()
    assert reader_of(card).tokens("a blue dog, 3") == whole
