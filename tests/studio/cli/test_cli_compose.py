"""``compose`` and ``train``: what they read, write and refuse, on a network of a few pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.compose.data import World, build_tokenizer
from pipelines.compose.folder import Kind, Loaded, save_composer
from pipelines.compose.model import SIZES, Composer
from tests.pipelines.compose.conftest import TINY
from tests.studio.cli.conftest import Run


@pytest.fixture
def composer(tmp_path: Path) -> Path:
    torch.manual_seed(4)
    tokenizer = build_tokenizer(World(16).texts(), TINY.words)
    save_composer(
        tmp_path / "composer", Loaded(Composer(TINY, len(tokenizer), tokenizer.eos_token_id), tokenizer, Kind.SOLIDS)
    )
    return tmp_path / "composer"


def test_a_file_of_instructions_becomes_a_strip(run: Run, composer: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "script.txt", tmp_path / "out.png"
    script.write_text("add a red cube\nadd a blue ball left of it\n")
    ran = run("compose", "--instructions", script, "--out", out, "--model", composer, "--steps", 2, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["instructions"] == ["add a red cube at the centre", "add a blue sphere left of the red cube"]
    assert np.asarray(Image.open(out)).shape == (256, 512, 3)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("add a banana", "palimpsest: line 1: 'banana' names nothing of this world"),
        ("add a red cube\nadd a blue cube behind the green cube", "palimpsest: line 2: there is no green cube"),
        ("", "palimpsest: there is no instruction; write one a line"),
    ],
)
def test_bad_instructions_are_one_sentence(run: Run, composer: Path, tmp_path: Path, script: str, said: str) -> None:
    (tmp_path / "script.txt").write_text(script)
    out = tmp_path / "out.png"
    ran = run("compose", "--instructions", tmp_path / "script.txt", "--out", out, "--model", composer)
    assert ran.code == 2 and ran.err.startswith(said) and len(ran.err.splitlines()) == 1
    assert not out.exists()


def test_a_folder_that_is_no_composer_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text("add a red cube")
    ran = run("compose", "--instructions", tmp_path / "script.txt", "--out", tmp_path / "o.png", "--model", tmp_path)
    assert ran.code == 2 and "lacks config.json" in ran.err and len(ran.err.splitlines()) == 1


def test_a_training_is_begun_gone_on_with_and_used(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)
    where = ("--out", tmp_path / "model", "--scratch", tmp_path / "scratch", "--device", "cpu", "--batch", 4)
    ran = run("train", "compose", "--steps", 2, *where, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["steps"] == 4 and "from step 0 of 4: 1 (match), 2 (draw), 1 (guide)" in ran.err
    again = run("train", "compose", "--steps", 2, *where)
    assert again.code == 0 and "from step 4 of 4" in again.err
    other = run("train", "compose", "--steps", 2, *where[:-1], 8)
    assert other.code == 2 and "of another one (plan: batch 4 instead of 8)" in other.err
    (tmp_path / "script.txt").write_text("add a red cube")
    used = run(
        *("compose", "--instructions", tmp_path / "script.txt", "--out", tmp_path / "o.png"),
        *("--model", tmp_path / "model", "--steps", 1),
    )
    assert used.code == 0, used.err


def test_minutes_are_turned_into_steps(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)
    where = ("--out", tmp_path / "model", "--scratch", tmp_path / "scratch", "--device", "cpu", "--batch", 4)
    ran = run("train", "compose", "--minutes", 0.02, "--without-matching", *where)
    assert ran.code == 0, ran.err
    assert "a step takes" in ran.err and "0 (match)" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "a training needs either minutes or steps; give --minutes 60"),
        (("--minutes", 1, "--size", "huge"), "there is no size 'huge'; choose from small, paper"),
        (("--minutes", 1, "--data", "."), "must hold one of clevr_train.h5 and codraw_train.h5; found"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    run: Run, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    ran = run("train", "compose", *options, "--out", tmp_path / "m", "--scratch", tmp_path / "s")
    assert ran.code == 2 and said in ran.err and len(ran.err.splitlines()) == 1


def test_a_detector_is_trained_and_told_of(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.compose.detector.TIMED", 2)
    ran = run("train", "detector", "--minutes", 0.1, "--out", tmp_path / "detector", "--json")
    assert ran.code == 0, ran.err
    assert ran.json.keys() == {"steps", "seconds", "precision", "recall", "f1", "rsim"}
    assert (tmp_path / "detector" / "model.safetensors").is_file()
