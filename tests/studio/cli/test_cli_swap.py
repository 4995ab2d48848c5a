"""``swap``: both orders of two turns of a session file, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.pictures import digest
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[3]


def test_both_orders_are_compared_and_the_second_time_remembered(
    run: Run, session_file: Path, tiny: Path, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "orders" / "2-3"
    ran = run("swap", session_file, "--turns", "2,3", "--models", tiny.parent, "--data", data, "--out", out, "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    record, _ = saved.read(session_file, tmp_path / "pictures")
    line = record.tree.line(record.tree.branches["main"])
    assert (told["branch"], told["turns"]) == ("main", [2, 3])
    assert told["verdict"] == "no verdict: this model has no limits"
    assert told["verdict"] == told["consistency"]["order"]
    assert told["ab"] == {"turns": list(line[2:4]), "picture": record.tree[line[3]].picture}
    assert len(told["ba"]["turns"]) == 2 and not set(told["ba"]["turns"]) & set(line)
    assert told["same_weights"] is True
    assert told["seconds"] >= told["run_seconds"] > 0
    files = {"ab": told["ab"]["picture"], "ba": told["ba"]["picture"], "difference": told["difference"]}
    assert told["out"] == [str(out / f"{name}.png") for name in files]
    assert {name: digest((out / f"{name}.png").read_bytes()) for name in files} == files

    # Another process, and no model folder: the answer comes from the data folder, and torch is never loaded.
    arguments = ["launch.py", "swap", str(session_file), "--turns", "2,3", "--data", str(data), "--json"]
    code = f"""if True:
        import atexit, sys
        from studio.cli.main import main
        atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
        sys.argv = {arguments!r}
        main()"""
    again = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert again.stderr.splitlines()[-1] == "False"
    remembered = json.loads(again.stdout)
    assert remembered["seconds"] < 1
    for name in ("verdict", "consistency", "ab", "ba", "difference", "run_seconds"):
        assert remembered[name] == told[name]
    assert run("sessions", "--data", data, "--json").json == [], "the gallery is not filled by asking"

    words = run("swap", session_file, "--turns", "2,3", "--data", data).out
    assert words.startswith(f"{told['verdict']}: 2 then 3 or 3 then 2")
    assert "background" in words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--turns", "1,3"], "only two turns that follow one another can be swapped"),
        (["--turns", "3,2"], "turn 2 does not come right after turn 3"),
        (["--turns", "2,2"], "turn 2 does not come right after turn 2"),
        (["--turns", "0,1"], "the original was made by no turn"),
        (["--turns", "3,4"], "the turns 0 (the original) to 3; got 4"),
        (["--turns", "2,3", "--branch", "branch 2"], "the turns 0 (the original) to 2; got 3"),
        (["--turns", "1,2", "--branch", "nowhere"], "no branch 'nowhere'; its branches are main, branch 2"),
        (["--turns", "2"], "--turns needs the numbers of two"),
        (["--turns", "two,three"], "--turns needs the numbers of two"),
        (["--turns", "-1,2"], "--turns needs the numbers of two"),
        (["--turns", "9" * 5000 + ",2"], "--turns needs the numbers of two"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_turns_that_cannot_be_swapped_are_refused(
    run: Run, session_file: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    ran = run("swap", session_file, *arguments, "--data", tmp_path / "data", "--json")
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.out == ""


def test_a_branch_counts_its_own_turns(run: Run, session_file: Path, tiny: Path, tmp_path: Path) -> None:
    asked = ["--turns", "1,2", "--branch", "branch 2", "--models", tiny.parent, "--data", tmp_path / "data", "--json"]
    told = run("swap", session_file, *asked).json
    record, _ = saved.read(session_file, tmp_path / "pictures")
    assert told["ab"]["turns"] == list(record.tree.line(record.tree.branches["branch 2"])[1:])


def test_a_model_that_is_not_there_is_named(run: Run, session_file: Path, tmp_path: Path) -> None:
    ran = run("swap", session_file, "--turns", "1,2", "--data", tmp_path / "data")
    assert ran.code == 2
    assert "there is no text-to-image model called 'tiny'" in ran.err
