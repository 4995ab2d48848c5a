"""The optional language model: its answers are checked, and what fails is read by the rules with the reason said.

The model here is a real Llama with random weights in a folder made in a moment: what it writes is noise.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pipelines.contract import Scope
from pipelines.errors import ModelError
from pipelines.instructions.contract import MOST_TURNS, Asked
from pipelines.instructions.language_model import (
    LONGEST_ANSWER,
    LONGEST_INSTRUCTION,
    BadAnswer,
    read_answer,
    split_by_model,
)
from pipelines.instructions.split import split
from pipelines.progress import Cancelled, silent
from pipelines.requests import LONGEST_TEXT
from tests.pipelines.instructions.tiny import write_language_model

ASKED = "make the dog blue, then put it in a forest"
TURNS = (Asked("a blue dog", "", Scope.SUBJECT), Asked("", "in a forest", Scope.BACKGROUND))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    write_language_model(path)
    return path


def answer(*turns: object) -> str:
    return json.dumps({"turns": turns})


BLUE = {"subject": "a blue dog", "background": "", "scope": "subject"}


def test_a_right_answer_is_read_with_words_around_it() -> None:
    both = {"subject": " a cat ", "background": "at night", "scope": "both"}
    text = f"Sure! Here you are:\n```json\n{answer(BLUE, both)}\n```\nAnything else?"
    assert read_answer(text) == (
        Asked("a blue dog", "", Scope.SUBJECT),
        Asked("a cat", "at night", Scope.BOTH),
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "holds none"),
        ("I cannot do that.", "holds none"),
        ('{"turns": [', "broken or cut off"),
        ('{"turns": ' + "[" * 100_000, "broken or cut off"),
        ("{}", "1 to 24 turns"),
        (answer(), "1 to 24 turns"),
        (answer(*[BLUE] * (MOST_TURNS + 1)), "1 to 24 turns"),
        (answer("make it blue"), "turn 1: expected exactly"),
        (answer({**BLUE, "path": "x"}), "turn 1: expected exactly"),
        (answer(BLUE, {"subject": "a dog", "scope": "subject"}), "turn 2: expected exactly"),
        (answer({**BLUE, "subject": 3}), "must be texts"),
        (answer({**BLUE, "background": None}), "must be texts"),
        (answer({**BLUE, "subject": "x" * (LONGEST_TEXT + 1)}), f"may have {LONGEST_TEXT} characters"),
        (answer({**BLUE, "scope": "everything"}), "one of subject, background, both"),
        (answer({**BLUE, "scope": ["subject"]}), "one of subject, background, both"),
        (answer({**BLUE, "scope": "background"}), "does not go with the texts"),
        (answer({**BLUE, "scope": "both"}), "does not go with the texts"),
        (answer({**BLUE, "subject": "  "}), "does not go with the texts"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_reason(text: str, wrong: str) -> None:
    with pytest.raises(BadAnswer, match=wrong):
        read_answer(text)


def test_noise_from_the_model_falls_back_to_the_rules(folder: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    said = split(
        ASKED, model=str(folder), progress=lambda stage, step, total, preview=None: steps.append((stage, step, total))
    )
    assert (said.turns, said.reader) == (TURNS, "rules")
    assert said.note.startswith("the language model did not answer, so the rules read the instruction: expected JSON")
    assert steps[0] == ("reading", 1, LONGEST_ANSWER)
    assert [step for _, step, _ in steps] == list(range(1, len(steps) + 1))


def test_a_model_that_answers_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its random weights cannot write JSON, so the bytes it writes are chosen; all else is the real path."""

    def write(self: LlamaForCausalLM, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        asked.append(tokenizer.decode(input_ids[0]))
        said = tokenizer(answer(BLUE), return_tensors="pt", add_special_tokens=False).input_ids
        return torch.cat([input_ids, said], dim=1)

    asked: list[str] = []
    monkeypatch.setattr(LlamaForCausalLM, "generate", write)
    said = split('make it "blue"', "a dog", "in a forest", model=str(folder))
    assert (said.turns, said.reader, said.note) == ((Asked("a blue dog", "", Scope.SUBJECT),), "tiny-llama", "")
    given = {"subject so far": "a dog", "background so far": "in a forest", "instruction": 'make it "blue"'}
    assert json.dumps(given) in asked[0]


def test_cancelling_passes_through(folder: Path) -> None:
    def stop(stage: str, step: int, total: int, preview: object = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        split(ASKED, model=str(folder), progress=stop)


def test_a_model_that_is_not_there_falls_back_and_names_no_path(tmp_path: Path) -> None:
    said = split(ASKED, model=str(tmp_path / "absent"))
    assert said.turns == TURNS
    assert "'absent' cannot be loaded" in said.note
    assert str(tmp_path) not in said.note


def test_whatever_a_model_fails_with_the_rules_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(self: LlamaForCausalLM, **_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB at /some/path")

    monkeypatch.setattr(LlamaForCausalLM, "generate", run_out)
    said = split(ASKED, model=str(folder))
    assert (said.turns, said.reader) == (TURNS, "rules")
    assert said.note.endswith("it failed with OutOfMemoryError")


def test_pickled_weights_are_never_opened(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.suffix == ".json" or path.suffix == ".jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(LlamaForCausalLM.from_pretrained(folder).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        split_by_model(str(tmp_path), ASKED, "", "", "cpu", silent)


def test_weights_that_are_missing_are_not_drawn_at_random(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, first model\.norm\.weight"):
        split_by_model(str(tmp_path), ASKED, "", "", "cpu", silent)


def test_an_output_layer_that_is_the_embedding_is_not_missing(tmp_path: Path) -> None:
    write_language_model(tmp_path, tied=True)
    with pytest.raises(BadAnswer, match="expected JSON"):
        split_by_model(str(tmp_path), ASKED, "", "", "cpu", silent)


def test_code_that_comes_with_a_model_never_runs(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        split_by_model(str(tmp_path), ASKED, "", "", "cpu", silent)
    assert not ran.exists()


def test_what_does_not_fit_is_not_asked(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadAnswer, match=f"at most {LONGEST_INSTRUCTION} characters"):
        split_by_model(str(folder), "x" * (LONGEST_INSTRUCTION + 1), "", "", "cpu", silent)
    write_language_model(tmp_path, context=512)
    with pytest.raises(BadAnswer, match="context of 512 tokens"):
        split_by_model(str(tmp_path), ASKED, "", "", "cpu", silent)
