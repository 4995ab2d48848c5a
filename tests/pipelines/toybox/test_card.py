"""The cards of the embedded painters say the words that their captions are made of, and no others."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipelines.hints.unknown import unknown_in
from pipelines.models.domain import domain_of
from pipelines.models.folders import find_model
from pipelines.toybox import card, words
from pipelines.toybox.scene import sample_scene, training_caption
from pipelines.toybox.train_instruct import said_of
from pipelines.toybox.triples import told
from pipelines.training.triples import TRAINING
from studio.settings import ASSETS

AGAIN = "the words changed: run python -m pipelines.toybox.card, and commit the card"


@pytest.mark.parametrize("name", card.PAINTERS)
def test_the_card_that_is_shipped_is_the_one_that_the_command_writes(name: str, tmp_path: Path) -> None:
    copy, shipped = tmp_path / "card.json", card.MODELS / name / "card.json"
    copy.write_bytes(shipped.read_bytes())
    card.write(copy, card.PAINTERS[name])
    assert copy.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8"), AGAIN


def test_the_command_leaves_what_else_the_card_says(tmp_path: Path) -> None:
    copy = tmp_path / "card.json"
    copy.write_text(json.dumps({"title": "Mine", "vocabulary": {}, "notes": "none"}))
    card.write(copy, [])
    said = json.loads(copy.read_text())
    assert (said["title"], said["notes"]) == ("Mine", "none")
    assert domain_of(said).remarks == ()


def test_card_and_tokenizer_know_the_same_words() -> None:
    vocabulary = find_model("toybox", [ASSETS / "models"]).domain.vocabulary
    assert vocabulary is not None
    assert sorted({word for form in vocabulary.forms for word in form.split()}) == words.vocabulary(), AGAIN


def test_no_instruction_of_the_training_has_a_word_that_is_marked() -> None:
    vocabulary = find_model("toybox-instruct", [ASSETS / "models"]).domain.vocabulary
    assert vocabulary is not None
    rng = random.Random(3)
    texts = [text for number in range(200) for text in said_of(told(TRAINING, number), rng)]
    assert [text for text in texts if unknown_in(text, vocabulary)] == []


def test_no_caption_of_the_training_has_a_word_that_is_marked() -> None:
    vocabulary = find_model("toybox", [ASSETS / "models"]).domain.vocabulary
    assert vocabulary is not None
    rng = random.Random(3)
    captions = [training_caption(sample_scene(rng), rng) for _ in range(500)]
    assert [caption for caption in captions if unknown_in(caption, vocabulary)] == []
