"""``replay``: a session file run again on the real engine, and what is found out about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_png
from studio.history.turn import Turn, TurnRequest
from studio.store.blobs import Blobs
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run, photo_png, subject_png

OTHER = "0" * 64
TOUR = Path(__file__).resolve().parents[3] / "docs" / "tour.palimpsest"
"""Eight turns on a photograph without a model; see `tests.studio.tour`."""


@pytest.fixture
def asked(tiny: Path) -> list[object]:
    return ["--models", tiny.parent, "--json"]


def grey(turn: Turn, request: TurnRequest, pictures: Blobs) -> tuple[TurnRequest, str]:
    """Another picture for the turns that asked for a red dog."""
    if request.subject != "a red dog":
        return request, turn.picture
    return request, pictures.put(encode_png(np.full((32, 40, 3), 128, np.uint8)))


def other_weights(turn: Turn, request: TurnRequest, pictures: Blobs) -> tuple[TurnRequest, str]:
    return replace(request, weights=OTHER), turn.picture


def other_layers(turn: Turn, request: TurnRequest, pictures: Blobs) -> tuple[TurnRequest, str]:
    return (request if request.warm is None else replace(request, warm=OTHER)), turn.picture


def test_every_turn_comes_out_as_it_was_recorded(run: Run, asked: list[object], session_file: Path) -> None:
    ran = run("replay", session_file, "--check", *asked)
    assert ran.code == 0, ran.err
    told = ran.json
    assert (told["identical"], told["within_tolerance"], told["different"]) == (4, 0, 0)
    assert [(t["number"], t["branch"]) for t in told["turns"]] == [
        (1, "main"),
        (2, "main"),
        (3, "main"),
        (2, "branch 2"),
    ]
    for turn in told["turns"]:
        assert turn["verdict"] == "identical"
        assert turn["picture_recorded"] == turn["picture_now"]
        assert turn["weights_recorded"] == turn["weights_now"] != ""
        assert turn["mean_difference"] == turn["largest_difference"] == 0
        assert turn["model"] == "tiny"
        assert turn["seconds"] > 0


def test_the_tour_of_the_docs_is_made_again_to_the_pixel(run: Run) -> None:
    ran = run("replay", TOUR, "--check", "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    assert (told["identical"], told["within_tolerance"], told["different"]) == (8, 0, 0)


def test_a_recorded_picture_that_cannot_have_been_made_is_found(
    run: Run, asked: list[object], session_file: Path, tmp_path: Path
) -> None:
    """The turns after it were not made from it either: each is compared on the recorded picture before it."""
    file = saved.changed(session_file, tmp_path / "pictures", grey)
    ran = run("replay", file, "--check", *asked)
    assert ran.code == 1
    turns = ran.json["turns"]
    assert turns[0]["verdict"] == "different"
    assert turns[0]["mean_difference"] > 10
    assert turns[0]["largest_difference"] > 100
    assert turns[0]["picture_recorded"] != turns[0]["picture_now"]
    assert turns[2]["verdict"] == "identical", "its own parent was left as recorded"
    assert ran.json["different"] == sum(turn["verdict"] == "different" for turn in turns)
    close = run("replay", file, "--check", "--tolerance", 255, *asked)
    assert close.code == 0
    assert close.json["turns"][0]["verdict"] == "within tolerance"
    assert "different" in run("replay", file, "--check", *asked[:-1]).out


def test_other_weights_are_named(run: Run, asked: list[object], session_file: Path, tmp_path: Path) -> None:
    ran = run("replay", saved.changed(session_file, tmp_path / "pictures", other_weights), "--check", *asked)
    assert ran.code == 0, "the weights were recorded wrongly, the pictures are right all the same"
    assert "the weights of 'tiny' are not the recorded ones: '000000000000' then" in ran.err
    assert {turn["weights_recorded"] for turn in ran.json["turns"]} == {OTHER}


def test_a_turn_that_began_at_the_layers_before_it_begins_there_again(
    run: Run, asked: list[object], tiny: Path, tmp_path: Path
) -> None:
    """Layers do not travel: those of the turn before are fitted again first. Where they come out as others, the turn
    begins cold, and that is said."""
    file = tmp_path / "warm.palimpsest"
    saved.make_warm(tiny, photo_png(), subject_png(), tmp_path / "data", file)
    for how in (["--check"], ["--out", tmp_path / "again.palimpsest"]):
        ran = run("replay", file, *how, *asked)
        assert (ran.code, ran.json["identical"], "began cold" in ran.err) == (0, 2, False), ran.err
        first, second = ran.json["turns"]
        assert first["warm_recorded"] is first["warm_now"] is None
        assert second["warm_recorded"] == second["warm_now"] != None  # noqa: E711  a digest
    ran = run("replay", saved.changed(file, tmp_path / "pictures", other_layers), "--check", *asked)
    assert (ran.code, ran.json["different"]) == (1, 1)
    assert "turn 2 of the branch 'main' began at what the turn before it had fitted, which is not here" in ran.err
    assert (ran.json["turns"][1]["warm_recorded"], ran.json["turns"][1]["warm_now"]) == (OTHER, None)


def test_a_model_that_is_not_there_is_named_before_anything_runs(run: Run, session_file: Path) -> None:
    ran = run("replay", session_file, "--check", "--json")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith(
        "palimpsest: turn 1 of the branch 'main' cannot be run again: there is no text-to-image model called 'tiny'"
    )
    assert len(ran.err.splitlines()) == 1


def test_without_a_check_the_rerun_is_a_new_session(
    run: Run, asked: list[object], session_file: Path, tmp_path: Path
) -> None:
    data = ["--data", tmp_path / "data"]
    first = run("replay", session_file, *data, *asked)
    second = run("replay", session_file, *data, *asked)
    assert first.code == second.code == 0, first.err
    assert first.json["identical"] == 4
    listed = run("sessions", *data, "--json").json
    assert {row["session"] for row in listed} == {first.json["session"], second.json["session"]}
    assert {(row["name"], row["turns"]) for row in listed} == {("dog.png", 4)}


def test_the_rerun_as_a_file_has_the_same_timeline(
    run: Run, asked: list[object], session_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again.palimpsest"
    ran = run("replay", session_file, "--out", out, *asked)
    assert ran.code == 0, ran.err
    assert ran.json["out"] == str(out)
    (was, _), (now, _) = saved.read(session_file, tmp_path / "a"), saved.read(out, tmp_path / "b")
    assert list(now.tree.turns) == list(was.tree.turns)
    assert (now.tree.branches, now.tree.branch, now.tree.current) == (
        was.tree.branches,
        was.tree.branch,
        was.tree.current,
    )


def test_turns_follow_on_what_the_ones_before_came_to(
    run: Run, asked: list[object], session_file: Path, tmp_path: Path
) -> None:
    """A forged first picture is gone after the rerun, and so is what it was the ground of."""
    out = tmp_path / "again.palimpsest"
    forged = saved.changed(session_file, tmp_path / "pictures", grey)
    assert run("replay", forged, "--out", out, *asked).code == 0
    (was, _), (now, _) = saved.read(session_file, tmp_path / "a"), saved.read(out, tmp_path / "b")
    assert list(now.tree.turns) == list(was.tree.turns)


def test_a_check_writes_nothing(run: Run, session_file: Path, tmp_path: Path) -> None:
    ran = run("replay", session_file, "--check", "--out", tmp_path / "again.palimpsest")
    assert ran.code == 2
    assert "--check keeps nothing" in ran.err


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\3\4" + bytes(100)], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_session_is_refused_in_a_line(run: Run, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.palimpsest"
    file.write_bytes(data)
    for command in (["replay", file, "--check"], ["swap", file, "--turns", "1,2", "--data", tmp_path / "data"]):
        ran = run(*command, "--json")
        assert ran.code == 2
        assert ran.err.startswith("palimpsest: this is not a ")
        assert len(ran.err.splitlines()) == 1
        assert ran.out == ""
