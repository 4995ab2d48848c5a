"""``split``: an instruction as turns, from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.pipelines.instructions.tiny import write_language_model
from tests.studio.cli.conftest import Run


def test_an_instruction_becomes_turns(run: Run) -> None:
    ran = run("split", "make the dog blue and put it in a forest, then let it jump", "--json")
    assert ran.code == 0, ran.err
    assert ran.json == {
        "turns": [
            {"subject": "a blue dog", "background": "in a forest", "scope": "both"},
            {"subject": "a blue dog jumping", "background": "", "scope": "subject"},
        ],
        "reader": "rules",
        "unread": [],
        "note": "",
    }


def test_the_subject_so_far_is_what_it_means(run: Run) -> None:
    told = run("split", "make it red", "--subject", "a big cat", "--json").json
    assert told["turns"] == [{"subject": "a big red cat", "background": "", "scope": "subject"}]


def test_what_is_not_understood_is_shown_as_it_was_typed(run: Run) -> None:
    ran = run("split", "make the dog blue, then <b>$(frobnicate)</b>")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split() == ["1", "subject", "a", "blue", "dog", "-"]
    assert "not understood: <b>$(frobnicate)</b>" in ran.out
    assert run("split", "", "--json").json["turns"] == []


def test_a_flood_of_words_is_no_trouble(run: Run) -> None:
    told = run("split", "make the dog blue then " * 2500, "--json").json
    assert len(told["turns"]) == 24
    assert told["unread"]


def test_a_language_model_is_asked_and_the_rules_answer_for_its_noise(run: Run, tmp_path: Path) -> None:
    write_language_model(tmp_path / "tiny-llama")
    ran = run("split", "make the dog blue", "--language-model", tmp_path / "tiny-llama", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].split() == ["1", "subject", "a", "blue", "dog", "-"]
    assert "split by rules" in ran.out and "the language model did not answer" in ran.out
    told = run("split", "make the dog blue", "--language-model", tmp_path / "absent", "--json").json
    assert told["turns"] and "'absent' cannot be loaded" in told["note"]
