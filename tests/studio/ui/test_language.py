"""The page in another language: every sentence has one, and a request is answered in the language that it asks for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipelines.catalog import CATALOG
from pipelines.models.starters import STARTERS
from pipelines.params import knobs
from studio.ui import language, text
from studio.ui.language import say, speaking, wanted
from studio.ui.spoken import Spoken

UI = Path(text.__file__).parent
OTHERS = [name for name in language.LANGUAGES if name != language.ENGLISH]


def panel_sentences() -> Iterator[str]:
    """What the code of `studio/ui` says: a sentence in the call, or the name of one in `text`. What it has at hand only
    when it runs is a method's or a setting's, see below, or one of the tables of `text`."""
    for path in UI.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say"):
                continue
            match call.args[0]:
                case ast.Constant(value=str(sentence)):
                    yield sentence
                case ast.Attribute(value=ast.Name(id="text"), attr=name):
                    yield getattr(text, name)
    yield from (words for words, _ in text.SCOPES)
    yield from text.QUALITIES.values()
    yield from (words for pair in text.TURN_TEXTS.values() for words in pair)


def method_sentences() -> Iterator[str]:
    for method in CATALOG.values():
        yield from (method.title, method.when, *filter(None, method.labels))
        if not method.needs_model:  # others name their paper alone
            yield method.paper


def model_sentences() -> Iterator[str]:
    return (starter.use for starter in STARTERS)


def setting_sentences() -> Iterator[str]:
    for method in CATALOG.values():
        for name, (kind, _, knob) in knobs(method.params).items():
            yield text.label(name, method.name)
            yield from map(str, kind if issubclass(kind, StrEnum) else ())
            if knob.unit:
                yield knob.unit


def help_sentences() -> Iterator[str]:
    for method in CATALOG.values():
        yield from (knob.help for _, _, knob in knobs(method.params).values())


def remark_sentences() -> Iterator[str]:
    """What the remarks on a text are made of."""
    for path in (UI.parents[1] / "pipelines" / "hints").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Said":
                match call.args[0]:
                    case ast.Constant(value=str(sentence)):
                        yield sentence


def example_sentences() -> Iterator[str]:
    return (json.loads(path.read_text())["title"] for path in (language.ASSETS / "examples").glob("*.json"))


SAID = {
    "panel": panel_sentences,
    "methods": method_sentences,
    "settings": setting_sentences,
    "help": help_sentences,
    "models": model_sentences,
    "remarks": remark_sentences,
    "examples": example_sentences,
}
"""Headings that are complete in every language, with what belongs under each. Those of our scripts are looked at by
``tests/page/language.test.js``."""


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("heading", SAID)
def test_every_sentence_has_one_in_the_catalogue_and_none_is_there_for_nothing(name: str, heading: str) -> None:
    found, said = language.catalogue(name)[heading], set(SAID[heading]())
    assert said - found.keys() == set()
    assert found.keys() - said == set()
    for english, other in found.items():
        assert sorted(re.findall(r"\{\w+\}", other)) == sorted(re.findall(r"\{\w+\}", english)), english


@pytest.mark.parametrize("name", OTHERS)
def test_a_catalogue_is_in_order_and_says_the_same_of_the_same(name: str) -> None:
    parts = language.catalogue(name)
    assert set(parts) == {language.PAGE, *SAID}
    for heading, part in parts.items():
        assert list(part) == sorted(part, key=lambda one: (one.lower(), one)), heading
    said: dict[str, str] = {}
    for heading in SAID:
        for english, other in parts[heading].items():
            assert said.setdefault(english, other) == other, english


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({}, "en"),
        ({"accept-language": "de-AT,de;q=0.9,en;q=0.8"}, "de"),
        ({"accept-language": "fr, en;q=0.5, de;q=0.7"}, "de"),
        ({"accept-language": "de;q=0, *"}, "en"),
        ({"accept-language": "de;q=much, en"}, "en"),
        ({"accept-language": "en-US", "cookie": "other=1; palimpsest-language=de"}, "de"),
        ({"accept-language": "de", "cookie": "palimpsest-language=en"}, "en"),
        ({"accept-language": "de", "cookie": "palimpsest-language=../../x"}, "de"),
    ],
)
def test_what_was_chosen_comes_before_what_the_browser_says(headers: dict[str, str], answered: str) -> None:
    assert wanted(headers) == answered


def test_a_sentence_is_said_in_the_language_of_the_request_with_its_values() -> None:
    assert text.in_trash("{name}") == "“{name}” is in the trash."
    with speaking("de"):
        assert text.in_trash("{name}") == "„{name}“ ist im Papierkorb."
        assert text.quality("draft", 0.84) == "Entwurf 0,8 s"
        assert say("a sentence that nobody translated") == "a sentence that nobody translated"
    assert say("Undo") == "Undo"


def test_the_page_is_the_same_in_every_language_but_for_its_words() -> None:
    def arrange() -> None:
        gr.Textbox(label=say("Method"), placeholder=say("Seed"))
        gr.Radio([(say("Both"), "both")], value="both", label=say("Change"))

    with Spoken(arrange, analytics_enabled=False) as page:
        arrange()
    english: dict[str, Any] = page.config
    with speaking("de"):
        german: dict[str, Any] = page.config
    (field, row), (theirs, their_row) = (
        [part["props"] for part in config["components"] if "label" in part["props"]] for config in (english, german)
    )
    assert (field["label"], row["label"], row["choices"]) == ("Method", "Change", [("Both", "both")])
    assert (theirs["label"], their_row["label"], their_row["choices"]) == ("Verfahren", "Ändern", [("Beides", "both")])
    assert their_row["value"] == "both"
    assert [part["id"] for part in german["components"]] == [part["id"] for part in english["components"]]
    assert "words" not in english
    assert german["words"]["Undo"] == "Rückgängig"
    json.dumps(german["words"])
