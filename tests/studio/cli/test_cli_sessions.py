"""``sessions``, ``export`` and ``import``: what goes into a data folder and comes out of it, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.colour_spaces import ColourSpace, profile
from pipelines.pictures import decode
from studio.app import build_studio
from studio.exports.pictures import read_recipe
from studio.settings import Settings
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run


@pytest.fixture
def data(tmp_path: Path) -> list[object]:
    return ["--data", tmp_path / "data"]


@pytest.fixture
def sid(run: Run, session_file: Path, data: list[object]) -> str:
    """The id of the session file, imported."""
    ran = run("import", session_file, *data, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["name"], ran.json["turns"]) == ("dog.png", 4)
    return str(ran.json["session"])


# The gallery


def test_an_imported_session_is_listed_and_can_be_opened(run: Run, sid: str, data: list[object]) -> None:
    (row,) = run("sessions", *data, "--json").json
    assert (row["session"], row["name"], row["turns"]) == (sid, "dog.png", 4)
    listed = run("sessions", *data).out.splitlines()
    assert listed[0].split() == ["SESSION", "NAME", "TURNS", "SAVED"]
    assert listed[1].startswith(f"{sid}  dog.png  4")
    studio = build_studio(Settings(data=Path(str(data[1])), warm_up=False))
    try:
        view = studio.sessions.get(sid).view()
    finally:
        studio.close()
    assert len(view.turns) == 5
    assert view.mask.mask is None
    assert [name for name, _ in view.branches] == ["main", "branch 2"]


def test_sessions_are_found_by_their_words(run: Run, sid: str, data: list[object]) -> None:
    for words, found in (("night DOG", 1), ("dog.png", 1), ("night rocket", 0)):
        assert len(run("sessions", "--search", words, *data, "--json").json) == found


def test_sessions_are_renamed_copied_trashed_and_brought_back(run: Run, sid: str, data: list[object]) -> None:
    assert run("sessions", "rename", sid, "The dog", *data).code == 0
    copy = run("sessions", "duplicate", sid, *data).out.strip()
    assert {(r["session"], r["name"]) for r in run("sessions", *data, "--json").json} == {
        (sid, "The dog"),
        (copy, "The dog copy"),
    }
    assert run("sessions", "trash", sid, *data).code == 0
    assert [r["session"] for r in run("sessions", *data, "--json").json] == [copy]
    assert [r["session"] for r in run("sessions", "--trash", *data, "--json").json] == [sid]
    assert run("sessions", "restore", sid, *data).code == 0
    assert len(run("sessions", *data, "--json").json) == 2


@pytest.mark.parametrize(
    "command", [["rename", "abc", "x"], ["duplicate", "abc"], ["trash", "abc"], ["restore", "abc"]]
)
def test_a_session_that_is_not_there_is_refused(run: Run, data: list[object], command: list[str]) -> None:
    ran = run("sessions", *command, *data)
    assert ran.code == 2
    assert "no such session" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_folder_named_before_the_command_is_not_passed_over(run: Run, sid: str, data: list[object]) -> None:
    ran = run("sessions", *data, "trash", sid)
    assert ran.code == 2
    assert "options come after the command: sessions trash" in ran.err
    assert len(run("sessions", *data, "--json").json) == 1


def test_an_empty_data_folder_has_no_sessions(run: Run, data: list[object]) -> None:
    assert run("sessions", *data, "--json").json == []


# Out


def read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_turn_leaves_as_a_picture_with_or_without_its_recipe(
    run: Run, session_file: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / f"turn.{kind}"
    ran = run("export", session_file, "--to", kind, "--turn", 2, "--out", out, "--json")
    assert ran.code == 0, ran.err
    record, pictures = saved.read(session_file, tmp_path / "pictures")
    turn = record.tree.line(record.tree.branches["main"])[2]
    assert ran.json == {"out": str(out), "format": kind, "turn": turn, "bytes": out.stat().st_size}
    image, wanted = read(out), decode(pictures.get(record.tree[turn].picture)).picture
    assert (image.format, image.size) == (kind.upper(), (40, 32))
    if kind == "png":
        np.testing.assert_array_equal(np.asarray(image), wanted)
    recipe = read_recipe(out.read_bytes())
    assert recipe is not None
    assert [t["id"] for t in recipe["turns"]] == list(record.tree.line(turn))
    assert run("export", session_file, "--to", kind, "--turn", 2, "--out", out, "--no-metadata").code == 0
    assert read_recipe(out.read_bytes()) is None
    assert b"on the beach" not in out.read_bytes()
    assert run("export", session_file, "--to", kind, "--out", out, "--colours", "adobe-rgb").code == 0
    assert read(out).info["icc_profile"] == profile(ColourSpace.ADOBE_RGB)


def test_several_kinds_are_finished_alike_and_go_into_one_zip(run: Run, session_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "turn.zip"
    ran = run(
        "export", session_file, "--to", "png", "--to", "avif", "--to", "png", "--size", "20", "--out", out, "--json"
    )
    assert ran.code == 0 and ran.json["format"] == "png, avif", ran.err
    with zipfile.ZipFile(out) as files:
        assert files.namelist() == ["turn.png", "turn.avif"]
        assert {Image.open(io.BytesIO(files.read(name))).size for name in files.namelist()} == {(20, 16)}
    fine = tmp_path / "turn.tif"
    assert run("export", session_file, "--to", "tiff", "--bits", "16", "--out", fine).code == 0
    assert read(fine).tag_v2[258] == (16, 16, 16)
    refused = run("export", session_file, "--to", "png", "--to", "webp", "--out", tmp_path / "turn.png")
    assert refused.code == 2 and "a file of several kinds ends in .zip; got" in " ".join(refused.err.split())
    assert "size is a share" in run("export", session_file, "--to", "tiff", "--size", "0%", "--out", fine).err


def test_a_turn_is_chosen_by_number_and_branch(run: Run, session_file: Path, tmp_path: Path) -> None:
    record, _ = saved.read(session_file, tmp_path / "pictures")
    tree, out = record.tree, tmp_path / "turn.png"
    for arguments, wanted in (
        ([], tree.current),
        (["--turn", "0"], tree.line(tree.current)[0]),
        (["--branch", "branch 2"], tree.branches["branch 2"]),
        (["--branch", "branch 2", "--turn", "1"], tree.line(tree.current)[1]),
    ):
        told = run("export", session_file, "--to", "png", *arguments, "--out", out, "--json").json
        assert told["turn"] == wanted


def test_layers_and_animations_leave_too(run: Run, session_file: Path, tmp_path: Path) -> None:
    record, pictures = saved.read(session_file, tmp_path / "pictures")
    wanted = decode(pictures.get(record.tree.here.picture)).picture
    outs = {kind: tmp_path / f"dog.{kind.partition('-')[0]}" for kind in ("ora", "psd", "gif", "webp-animation")}
    for kind, out in outs.items():
        ran = run("export", session_file, "--to", kind, "--out", out)
        assert ran.code == 0, ran.err
    with zipfile.ZipFile(outs["ora"]) as ora:
        assert ora.read("mimetype") == b"image/openraster"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(ora.read("mergedimage.png")))), wanted)
    psd = read(outs["psd"])
    assert psd.format == "PSD"
    np.testing.assert_array_equal(np.asarray(psd), wanted)
    assert read(outs["gif"]).format == "GIF"
    for kind in ("gif", "webp-animation"):
        with Image.open(outs[kind]) as animation:
            assert animation.n_frames > 4  # type: ignore[attr-defined]


def test_a_session_leaves_as_a_file_and_comes_back_the_same(
    run: Run, sid: str, data: list[object], session_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.palimpsest"
    assert run("export", sid, "--to", "palimpsest", "--out", out, *data).code == 0
    (was, _), (now, _) = saved.read(session_file, tmp_path / "a"), saved.read(out, tmp_path / "b")
    assert now.tree == was.tree
    again = run("import", out, *data, "--json").json["session"]
    assert again != sid, "a session that is taken in twice is two sessions"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonesuch", "--to", "png"], "'nonesuch' is neither a file nor the id of a session"),
        (["FILE", "--to", "png", "--turn", "4"], "the turns 0 (the original) to 3; got 4"),
        (["FILE", "--to", "png", "--turn", "-1"], "--turn"),
        (["FILE", "--to", "png", "--branch", "x"], "no branch 'x'"),
        (["FILE", "--to", "gif", "--turn", "0"], "at least two pictures"),
        (["FILE", "--to", "bmp"], "bmp"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_what_cannot_be_exported_is_refused(
    run: Run, session_file: Path, data: list[object], tmp_path: Path, arguments: list[str], says: str
) -> None:
    asked = [str(session_file) if argument == "FILE" else argument for argument in arguments]
    out = tmp_path / f"out.{asked[asked.index('--to') + 1]}"
    ran = run("export", *asked, "--out", out, *data)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""
    assert not out.exists()


def test_a_folder_that_is_not_there_is_refused_first(run: Run, session_file: Path, tmp_path: Path) -> None:
    ran = run("export", session_file, "--to", "png", "--out", tmp_path / "no" / "turn.png")
    assert ran.code == 2
    assert "does not exist or cannot be written to" in ran.err


# In


def forged(session_file: Path, name: str, data: bytes) -> bytes:
    """The session file with one more entry."""
    buffer = io.BytesIO(session_file.read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def test_a_hostile_file_leaves_nothing_behind(
    run: Run, sid: str, data: list[object], session_file: Path, tmp_path: Path
) -> None:
    pictures = Path(str(data[1])) / "pictures"
    before = sorted(pictures.iterdir())
    hostile = {
        "traversal": (forged(session_file, "../../evil.png", b"x"), "only session.json and pictures/"),
        "absolute": (forged(session_file, "/etc/evil", b"x"), "only session.json and pictures/"),
        "cut": (session_file.read_bytes()[:-200], "not a "),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a session file"),
        "forged": (forged(session_file, f"pictures/{'0' * 64}.png", b"x"), "pictures that no turn names"),
    }
    for name, (bytes_, says) in hostile.items():
        file = tmp_path / f"{name}.palimpsest"
        file.write_bytes(bytes_)
        ran = run("import", file, *data)
        assert ran.code == 2, name
        assert says in ran.err
        assert len(ran.err.splitlines()) == 1
    assert len(run("sessions", *data, "--json").json) == 1
    assert sorted(pictures.iterdir()) == before
    assert not (tmp_path.parent / "evil.png").exists()


# While a studio runs


def test_a_data_folder_in_use_is_named_in_a_line(
    run: Run, session_file: Path, data: list[object], tmp_path: Path
) -> None:
    commands: list[list[object]] = [
        ["sessions"],
        ["sessions", "rename", "abc", "x"],
        ["import", session_file],
        ["export", "abc", "--to", "png", "--out", tmp_path / "a.png"],
        ["swap", session_file, "--turns", "1,2"],
        ["replay", session_file],
    ]
    studio = build_studio(Settings(data=Path(str(data[1])), warm_up=False))
    try:
        for command in commands:
            ran = run(*command, *data)
            assert ran.code == 2, command
            assert ran.err.startswith("palimpsest: another studio (process ")
            assert len(ran.err.splitlines()) == 1
    finally:
        studio.close()
