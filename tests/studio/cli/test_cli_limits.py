"""``edit`` says on stderr what the model cannot do, and does what it was told; a size that nothing takes is refused
before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_mask, encode_png
from pipelines.requests import LONGEST_TEXT
from tests.studio.cli.conftest import Run

CARD = {
    "title": "Toys",
    "vocabulary": {"subject": [["dog", "puppy"]], "colour": ["blue"], "background": [["in a forest", "forest"]]},
    "pictures": {"made_for": "flat drawings", "smooth": 0.5},
}


@pytest.fixture
def particular(tiny: Path, tmp_path: Path) -> Path:
    """A whole model whose card says what it was made for."""
    folder = tmp_path / "particular"
    shutil.copytree(tiny, folder)
    (folder / "card.json").write_text(json.dumps(CARD))
    return folder


def command(model: Path, photo: Path, mask: Path, out: Path, **texts: str) -> list[object]:
    said = [part for name, text in texts.items() for part in (f"--{name}", text)]
    quick = ["--quality", "draft", "--set", "steps=1", "--method", "inpaint"]
    return ["edit", "--image", photo, "--mask", mask, "--model", model, *said, *quick, "--out", out]


def test_what_the_model_cannot_do_is_said_and_done_all_the_same(
    run: Run, particular: Path, photo: Path, subject: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    ran = run(*command(particular, photo, subject, out, subject="a blaue dog", background="make it dark"))
    assert ran.code == 0 and out.is_file(), ran.err
    said = ran.err.split("\n")
    assert "--subject: Toys was not taught “blaue”. Or: blue." in said
    assert any(line.startswith("--background: “make it dark” is an instruction: ") for line in said)
    assert any(
        line.startswith("--background: Toys reads 10 tokens of both texts together: nothing from “m") for line in said
    )
    assert any(line.startswith("Toys was made for flat drawings. This looks like a photograph") for line in said)


def test_a_model_whose_card_says_nothing_says_nothing(
    run: Run, tiny: Path, photo: Path, subject: Path, tmp_path: Path
) -> None:
    ran = run(*command(tiny, photo, subject, tmp_path / "out.png", subject="blaue"))
    assert ran.code == 0
    assert [line for line in ran.err.split("\n") if line and not line.startswith("denoise: ")] == []


@pytest.mark.parametrize("option", ["--image", "--background-image", "--subject-image"])
def test_a_picture_that_is_too_long_is_refused_before_anything_is_loaded(
    run: Run, tiny: Path, photo: Path, subject: Path, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object) -> object:
        raise AssertionError("the engine was asked for")

    monkeypatch.setattr("studio.jobs.work.resolve", loaded)
    long, mask = tmp_path / "long.png", tmp_path / "mask.png"
    long.write_bytes(encode_png(np.zeros((250, 1001, 3), np.uint8)))
    mask.write_bytes(encode_mask(np.eye(250, 1001) > 0))
    arguments = command(tiny, photo, subject, tmp_path / "out.png", subject="a dog", background="at night")
    if option == "--image":
        arguments[arguments.index("--image") + 1], arguments[arguments.index("--mask") + 1] = long, mask
    else:
        arguments += [option, long]
    ran = run(*arguments)
    assert ran.code == 2 and "must be at most 4 times as long as wide; got 1001 x 250. Crop it first" in ran.err


def test_a_text_that_is_too_long_is_refused_with_the_limit_of_the_page(
    run: Run, tiny: Path, photo: Path, subject: Path, tmp_path: Path
) -> None:
    ran = run(*command(tiny, photo, subject, tmp_path / "out.png", subject="x" * (LONGEST_TEXT + 1)))
    assert ran.code == 2 and f"may have {LONGEST_TEXT} characters" in ran.err


def test_models_tell_of_a_card_that_was_not_understood(run: Run, particular: Path) -> None:
    (particular / "card.json").write_text(json.dumps({"title": "Toys", "vocabulary": ["dog"]}))
    ran = run("models", "--models", particular.parent)
    assert ran.code == 0
    assert "particular: the vocabulary in its card was left out: expected headings with words under them" in ran.out
    told = {model["id"]: model for model in run("models", "--models", particular.parent, "--json").json}
    assert "['dog']" in told["particular"]["remarks"][0] and told["particular"]["usable"]
    assert told["toybox"]["remarks"] == []
