"""Commands that ask a running studio, whose data folder is in use and therefore closed to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.contract import Scope
from pipelines.errors import NumericalError
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import decode, digest
from studio.app import Studio, build_studio
from studio.settings import Settings
from studio.ui.app import OpenPage, open_page
from tests.studio.cli import saved
from tests.studio.cli.conftest import Run
from tests.studio.conftest import StandInEngine

TOKEN = "correct-horse-battery"
KINDS = {"png": b"\x89PNG", "tiff": b"II*\0", "psd": b"8BPS", "palimpsest": b"PK"}


@dataclass(frozen=True)
class Served:
    studio: Studio
    page: OpenPage
    engine: StandInEngine

    @property
    def url(self) -> str:
        return self.page.url

    @property
    def data(self) -> Path:
        return self.studio.settings.data


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, warm_up=False)
        engine = StandInEngine()
        studio = build_studio(settings, engine)
        page = open_page(studio, settings)
        yield Served(studio, page, engine)
        page.close()
        studio.close()


def test_a_data_folder_in_use_is_refused_with_the_way_out_and_the_way_works(run: Run, served: Served) -> None:
    sid = served.studio.sessions.create_example("duck-on-the-beach").sid
    refused = run("sessions", "--data", served.data)
    assert refused.code == 2 and "--server" in refused.err
    listed = run("sessions", "--server", served.url, "--json").json
    assert sid in [one["session"] for one in listed]
    assert sid in run("sessions", "--server", f"{served.url}/", "--search", "duck").out
    run("sessions", "rename", sid, "Another name", "--server", served.url)
    assert served.studio.sessions.record(sid).name == "Another name"
    copy = run("sessions", "duplicate", sid, "--server", served.url).out.strip()
    assert served.studio.sessions.record(copy).name == "Another name copy"
    run("sessions", "trash", copy, "--server", served.url)
    assert [one["session"] for one in run("sessions", "--trash", "--server", served.url, "--json").json] == [copy]
    assert run("sessions", "restore", copy, "--server", served.url).code == 0
    assert served.studio.sessions.record(copy).sid == copy


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_exported_there_is_what_is_exported_here(run: Run, served: Served, tmp_path: Path, kind: str) -> None:
    session = served.studio.sessions.create_example("duck-on-the-beach")
    session.jump(session.view().current)
    out = tmp_path / f"duck.{kind}"
    told = run("export", session.sid, "--to", kind, "--turn", 0, "--out", out, "--server", served.url, "--json").json
    assert told["turn"] == session.view().current and told["bytes"] == out.stat().st_size
    assert out.read_bytes().startswith(KINDS[kind])
    if kind == "png":
        original = served.studio.services.pixels(session.view().turns[0].picture)
        assert (decode(out.read_bytes()).picture == original).all()
    if kind == "palimpsest":
        taken = run("import", out, "--server", served.url, "--json").json
        assert served.studio.sessions.record(taken["session"]).name == session.view().name == taken["name"]


def test_the_order_of_two_turns_is_asked_there(run: Run, served: Served, tmp_path: Path) -> None:
    session = served.studio.sessions.create_example("duck-on-the-beach")
    session.set_prompts(MaskPrompts(clicks=(Click(137, 160),)))
    for subject, background, scope in (("a blue duck", "", Scope.SUBJECT), ("", "in a forest", Scope.BACKGROUND)):
        saved.turn(session, "toybox", subject, background, scope, changes={"steps": 2})
    out = tmp_path / "orders"
    asked = ["--turns", "1,2", "--server", served.url, "--json"]
    told = run("swap", session.sid, *asked, "--out", out).json
    view = session.view().swap
    assert view is not None and told["session"] == session.sid
    assert told["verdict"] == told["consistency"]["order"] == view.consistency["order"]
    assert told["ab"] == {"turns": [view.first, view.second], "picture": view.ab}
    files = {"ab": view.ab, "ba": view.ba, "difference": view.difference}
    assert {name: digest((out / f"{name}.png").read_bytes()) for name in files} == files
    assert "1 then 2 or 2 then 1" in run("swap", session.sid, *asked[:-1]).out
    refused = run("swap", session.sid, "--turns", "0,1", "--server", served.url)
    assert refused.code == 2 and "the original was made by no turn" in refused.err
    # Of a file a session is made there.
    file = tmp_path / "duck.palimpsest"
    run("export", session.sid, "--to", "palimpsest", "--out", file, "--server", served.url)
    other = run("swap", file, *asked).json
    assert other["session"] != session.sid and other["ba"] == told["ba"]


def test_a_job_that_came_to_nothing_is_told(run: Run, served: Served) -> None:
    session = served.studio.sessions.create_example("duck-on-the-beach")
    session.set_prompts(MaskPrompts(clicks=(Click(137, 160),)))
    for subject in ("a blue duck", "a red duck"):
        saved.turn(session, "toybox", subject, "", Scope.SUBJECT, changes={"steps": 3})
    served.engine.raises, served.engine.raise_at = NumericalError("the picture became NaN"), ("denoise", 2)
    try:
        ran = run("swap", session.sid, "--turns", "1,2", "--server", served.url)
    finally:
        served.engine.raises = None
    assert ran.code == 2 and "the picture became NaN" in ran.err


def test_a_session_there_is_run_again_here_and_becomes_another_there(
    run: Run, served: Served, session_file: Path, tiny: Path, tmp_path: Path
) -> None:
    sid = run("import", session_file, "--server", served.url, "--json").json["session"]
    asked = ["--server", served.url, "--models", tiny.parent, "--json"]
    told = run("replay", sid, *asked).json
    assert (told["identical"], told["different"]) == (4, 0)
    was, now = (served.studio.sessions.record(id).tree for id in (sid, told["session"]))
    assert told["session"] != sid and [len(was.turns), was.branches.keys()] == [len(now.turns), now.branches.keys()]
    assert {turn.picture for turn in was.turns.values()} == {turn.picture for turn in now.turns.values()}
    neither = run("replay", sid)
    assert neither.code == 2 and "say --server and an id" in neither.err
    unknown = run("replay", "0" * 32, "--server", served.url)
    assert unknown.code == 2 and "there is no session of that id" in unknown.err


def test_what_the_studio_says_no_to_is_told_in_its_words(run: Run, served: Served, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    for said, words in (
        (("export", "0" * 32, "--to", "png", "--out", out), "there is no session of that id"),
        (("export", "../models", "--to", "png", "--out", out), "does not answer this address"),
        (("sessions", "rename", "0" * 32, "x"), "there is no session of that id"),
    ):
        ran = run(*said, "--server", served.url)
        assert ran.code == 2 and words in ran.err and not out.exists(), ran.err
    session = served.studio.sessions.create_example("duck-on-the-beach").sid
    for more, words in ((("--turn", 7), "got 7"), (("--branch", "none"), "has no branch 'none'")):
        ran = run("export", session, "--to", "png", "--out", out, "--server", served.url, *more)
        assert ran.code == 2 and words in ran.err and not out.exists(), ran.err


def test_where_no_studio_answers_that_is_said(run: Run) -> None:
    nobody = run("sessions", "--server", "http://127.0.0.1:9")
    assert nobody.code == 2 and "no studio answers at http://127.0.0.1:9" in nobody.err
    assert "is like http://localhost:7860" in run("sessions", "--server", "localhost:7860").err


def test_the_token_is_read_from_the_environment(run: Run, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = open_page(served.studio, replace(served.studio.settings, token=TOKEN))
    try:
        assert "has a key" in run("sessions", "--server", locked.url).err
        monkeypatch.setenv("PALIMPSEST_TOKEN", TOKEN)
        assert run("sessions", "--server", locked.url).code == 0
    finally:
        locked.close()
