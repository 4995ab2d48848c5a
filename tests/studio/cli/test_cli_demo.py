"""``demo-session`` on the embedded model, and what is then done with the file: the whole way, without a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.cli import demo
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run


@pytest.mark.slow
def test_a_demonstration_is_made_checked_and_swapped(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [turn.after for turn in demo.TURNS] == [0, 1, 2, 3, 4, 5, 2]
    monkeypatch.setattr(demo, "TURNS", (*demo.TURNS[:2], replace(demo.TURNS[2], after=1)))
    file = tmp_path / "S.palimpsest"
    made = run("demo-session", "--out", file, "--json")
    assert made.code == 0, made.err
    assert made.json["branches"] == ["main", "branch 2"]
    assert [turn["label"] for turn in made.json["turns"]][:2] == ["a blue turtle", "on the beach"]
    record, _ = saved.read(file, tmp_path / "pictures")
    assert len(record.tree.turns) == 4
    assert (record.tree.branch, record.tree.current) == ("main", record.tree.branches["main"])

    checked = run("replay", file, "--check", "--data", tmp_path / "other", "--json")
    assert checked.code == 0, checked.err
    assert [turn["verdict"] for turn in checked.json["turns"]] == ["identical"] * 3

    asked = ["swap", file, "--turns", "1,2", "--data", tmp_path / "other", "--json"]
    first, second = run(*asked), run(*asked)
    assert first.code == second.code == 0, first.err
    assert second.json["seconds"] < 1
    assert {**first.json, "seconds": 0} == {**second.json, "seconds": 0}
    assert 0.5 < first.json["consistency"]["whole"]["similarity"] <= 1


def test_only_a_session_file_is_written(run: Run, tmp_path: Path) -> None:
    for name, says in (("S.png", "must end in .palimpsest"), ("no/S.palimpsest", "does not exist")):
        ran = run("demo-session", "--out", tmp_path / name)
        assert ran.code == 2
        assert says in ran.err


def test_a_model_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    ran = run("demo-session", "--out", tmp_path / "S.palimpsest", "--model", "nonesuch")
    assert ran.code == 2
    assert "there is no text-to-image model called 'nonesuch'" in ran.err
    assert not (tmp_path / "S.palimpsest").exists()
