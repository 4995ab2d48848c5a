"""The paper's figures, on a tiny network and on answers that are known."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.contract import Picture
from pipelines.errors import BadParameter
from pipelines.evaluation.clip import ClipEmbed
from pipelines.models.folders import CLIP, find_model
from pipelines.params import RefineParams
from pipelines.training.choices import Edges
from pipelines.training.measure import BASE, UNEDITED, Queries, as_lines, measure, queries, recalls, row_of
from pipelines.training.trainer import Trainer
from tests.pipelines.training.conftest import COLOURS, PLAN, Halves

FEW = RefineParams(steps=1)


@pytest.fixture(scope="module")
def asked(folders: tuple[Path, ...]) -> Queries:
    embed = ClipEmbed(find_model("tiny-clip", folders, CLIP), torch.device("cpu"))
    return queries(Halves(), 32, 12, 40, embed)


def carried_out(asked: Queries, texts: Sequence[Sequence[str]]) -> list[Picture]:
    """What a person does who reads every word that is in its place."""
    made = []
    for k, picture in enumerate(asked.references):
        picture = picture.copy()
        for part in texts:
            words = part[k].replace(",", "").split()
            for half, colour in pairwise(words):
                if half in ("left", "right") and colour in COLOURS:
                    picture[:, slice(16) if half == "left" else slice(16, 32)] = COLOURS[colour]
        made.append(picture)
    return made


def test_recall_is_by_how_many_are_more_alike() -> None:
    gallery = np.eye(60, dtype=np.float32)
    right, second = np.eye(60)[:2].astype(np.float32), np.eye(60)[[1, 0]].astype(np.float32)
    assert recalls(right, gallery) == {1: 1, 10: 1, 50: 1}
    seen = np.array([second[0] + 0.5 * right[0], np.linspace(0, 1, 60)], np.float32)  # 1 and 58 before their own
    assert recalls(seen, gallery) == {1: 0, 10: 0.5, 50: 0.5}


def test_who_does_all_that_is_asked_has_every_figure_full(asked: Queries) -> None:
    row = row_of("a person", carried_out, asked)
    assert row.recall == {1: 1, 10: 1, 50: 1}
    assert row.fid == pytest.approx(0, abs=1e-6) and row.two_rounds_fid == pytest.approx(0, abs=1e-6)
    for value in (row.clip, row.two_rounds_clip, row.first_part_clip, row.swap):
        assert value == pytest.approx(1, abs=1e-5)
    assert row.right == row.two_rounds_right == 1
    assert row.rotated < 0.9999 and row.masked[9] < row.clip


def test_who_forgets_the_first_part_loses_by_the_second(asked: Queries) -> None:
    row = row_of("forgetful", lambda one, texts: carried_out(one, texts[-1:]), asked)
    assert row.clip == pytest.approx(1, abs=1e-5) and row.two_rounds_clip < 0.9999
    assert row.swap < 0.9999 and row.two_rounds_fid > row.fid
    assert row.right == 1 and row.two_rounds_right < 1


def test_order_is_not_swapped_where_it_matters(asked: Queries) -> None:
    """A person carries out dependent parts in the wrong order too, and is not blamed for it."""
    assert not all(said.independent for said in asked.instructions)
    assert row_of("a person", carried_out, asked).swap == pytest.approx(1, abs=1e-5)
    none = replace(asked, instructions=[replace(said, independent=False) for said in asked.instructions])
    assert row_of("a person", carried_out, none).swap is None


def test_every_trained_folder_is_a_row_of_its_own(
    start: Callable[..., Trainer], asked: Queries, folders: tuple[Path, ...], tmp_path: Path
) -> None:
    trained = {}
    for name, edges in (("led", Edges.TRAINED), ("ControlNet", Edges.ALONE)):
        trained[name] = tmp_path / name
        start(f"scratch {name}", replace(PLAN, steps=3, rate=0.05, edges=edges)).run(trained[name], lambda _line: None)
    card, few = find_model("tiny", folders), replace(asked, references=asked.references[:2])
    few = replace(few, instructions=asked.instructions[:2], targets=asked.targets[:2], between=asked.between[:2])
    few = replace(few, right=lambda _pictures: None)
    rows = measure(card, folders, few, trained, FEW, torch.device("cpu"))
    assert [row.name for row in rows] == [UNEDITED, BASE, *trained]
    assert rows[0].swap == pytest.approx(1) and rows[0].clip == rows[0].two_rounds_clip
    assert len({row.clip for row in rows}) == len(rows)
    again = measure(card, folders, few, {"ControlNet": trained["ControlNet"]}, FEW, torch.device("cpu"))
    assert again == [*rows[:2], rows[3]], "nothing of one row is left in the next"
    led = {"led": trained["led"]}
    by_target = measure(card, folders, few, led, FEW, torch.device("cpu"), edges_of_target=True)
    assert by_target[1] == rows[1] and by_target[2] != rows[2]
    table = as_lines(rows)
    assert len(table) == 2 + len(rows) and len({line.count("|") for line in table}) == 1
    assert table[2].count("| – |") == 2, "nobody can tell what is right"
    with pytest.raises(BadParameter, match=r"must be a folder of launch\.py train rounds; it has no reference\.json"):
        measure(card, folders, few, {"lost": tmp_path}, FEW, torch.device("cpu"))


def test_more_than_there_is_cannot_be_asked(asked: Queries) -> None:
    for count, candidates in ((12, 65), (20, 10), (1, 10)):
        with pytest.raises(BadParameter, match=f"no more than the 64 held-out triples of halves; got {count} queries"):
            queries(Halves(), 32, count, candidates, asked.embed)


@pytest.mark.slow
def test_the_command_prints_the_table(tmp_path: Path, folders: tuple[Path, ...]) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines.training.measure",
        "--model",
        str(folders[0] / "tiny"),
        "--device",
        "cpu",
    ]
    command += ["--clip", str(folders[1] / "tiny-clip"), "--count", "2", "--candidates", "3", "--steps", "2"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "rows.json")], capture_output=True, text=True, timeout=300, check=True
    )
    assert "toy world, 2 edits, 3 candidates, every figure by tiny-clip" in done.stdout
    assert "| base | " in done.stdout
    assert [row["name"] for row in json.loads((tmp_path / "rows.json").read_text())["rows"]] == ["unedited", "base"]
