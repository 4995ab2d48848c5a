"""``train rounds``: begun, gone on with, refused, and what it leaves used in an edit; on a network of a few pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.pictures import encode_png
from pipelines.toybox.triples import ToyTriples
from tests.pipelines.conftest import write_tiny_model
from tests.pipelines.training.conftest import write_tiny_clip
from tests.studio.cli.conftest import Run


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "models" / "tiny")
    write_tiny_clip(tmp_path / "models" / "tiny-clip")
    return tmp_path / "models"


def test_a_training_is_begun_gone_on_with_and_used(run: Run, models: Path, tmp_path: Path) -> None:
    where = ("--out", models / "loras" / "rounds", "--scratch", tmp_path / "scratch", "--device", "cpu")
    what = ("--model", models / "tiny", "--clip", models / "tiny-clip", "--batch", 2, *where)
    ran = run("train", "rounds", "--steps", 2, *what, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["steps"] == 2 and "from step 0 of 2: tiny, toy world, tiny-clip" in ran.err
    assert ran.json["measured"]["held out: multi"] > 0
    again = run("train", "rounds", "--steps", 2, *what)
    assert again.code == 0 and "from step 2 of 2" in again.err
    other = run("train", "rounds", "--steps", 2, *what, "--weight", "fixed")
    assert other.code == 2 and "of another one (plan: decay linear instead of fixed)" in other.err

    (tmp_path / "in.png").write_bytes(encode_png(ToyTriples().triple("held out", 2)[0]))
    used = run(
        *("edit", "--image", tmp_path / "in.png", "--out", tmp_path / "out.png", "--background", "put it in space"),
        *("--box", "60,120,190,240", "--segmenter", "colour", "--method", "refine", "--set", "steps=2"),
        *("--model", "tiny", "--models", models, "--lora", "rounds", "--device", "cpu"),
    )
    assert used.code == 0, used.err
    assert (tmp_path / "out.png").exists()


def test_minutes_are_turned_into_steps(run: Run, models: Path, tmp_path: Path) -> None:
    where = ("--out", tmp_path / "out", "--scratch", tmp_path / "scratch", "--device", "cpu", "--batch", 1)
    ran = run("train", "rounds", "--minutes", 0.01, "--model", models / "tiny", "--clip", models / "tiny-clip", *where)
    assert ran.code == 0, ran.err
    assert "a step takes" in ran.err and "from step 0 of" in ran.err


def test_what_cannot_be_trained_on_is_one_sentence(run: Run, models: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for options, said in (
        (("--data", tmp_path / "data", "--steps", 1), "must hold FashionIQ"),
        (("--steps", 1, "--model", tmp_path / "lost"), "there is no text-to-image model called"),
        ((), "a training needs either minutes or steps"),
    ):
        chosen = ("--model", models / "tiny") if "--model" not in options else ()
        ran = run("train", "rounds", "--clip", models / "tiny-clip", *chosen, *options, "--scratch", tmp_path / "s")
        assert ran.code == 2 and said in ran.err and len(ran.err.splitlines()) == 1, ran.err
