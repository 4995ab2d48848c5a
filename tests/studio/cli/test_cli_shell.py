"""The commands around an edit: lists, versions, help, and the server's start."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest
import typer

from pipelines.catalog import CATALOG, serving
from pipelines.contract import Backbone, Quality
from pipelines.params import knobs
from studio.app import build_studio
from studio.cli import main as shell
from studio.cli.options import DEFAULTS, settings_from
from studio.cli.report import table
from studio.cli.serve import is_loopback
from studio.settings import Settings
from tests.studio.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    *("serve", "edit", "segment", "split", "swap", "replay", "sessions", "export", "import"),
    *("models", "methods", "bench", "speed", "compose", "train", "demo-session", "password", "space", "mcp"),
)


def test_models_says_what_can_be_used_and_why_the_rest_cannot(run: Run, tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "more" / "pickled"
    (broken / "unet").mkdir(parents=True)
    (broken / "model_index.json").write_text('{"unet": ["diffusers", "UNet2DConditionModel"]}')
    (broken / "unet" / "config.json").write_text("{}")
    (broken / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    found = {m["id"]: m for m in run("models", "--models", tiny.parent, "--models", broken.parent, "--json").json}
    assert found["tiny"] | {"title": "", "notes": ""} == {
        "id": "tiny",
        "title": "",
        "kind": "text-to-image",
        "family": "",
        "methods": [m.name for m in serving(Backbone.PLAIN)],
        "resolution": 32,
        "path": str(tiny),
        "bytes": sum(path.stat().st_size for path in tiny.rglob("*") if path.is_file()),
        "source": "",
        "commit": "",
        "usable": True,
        "fault": None,
        "notes": "",
        "remarks": [],
    }
    assert not found["pickled"]["usable"]
    assert "pickle" in found["pickled"]["fault"]
    assert found["toybox-segmenter"]["kind"] == "segmenter"
    assert found["toybox-segmenter"]["methods"] == []
    listed = run("models", "--models", broken.parent).out
    assert "pickled" in listed
    assert "Looked in" in listed


def test_methods_lists_the_catalogue_and_every_setting(run: Run) -> None:
    assert [entry["name"] for entry in run("methods", "--json").json] == list(CATALOG)
    for name, entry in CATALOG.items():
        listed = run("methods", name, "--json").json
        assert [setting["name"] for setting in listed] == list(knobs(entry.params))
        assert all(set(setting["presets"]) == {"draft", "standard", "exact"} for setting in listed)
        words = run("methods", name).out
        assert all(field in words for field in knobs(entry.params))


def test_an_unknown_method_is_named_with_those_there_are(run: Run) -> None:
    ran = run("methods", "magic")
    assert ran.code == 2
    assert "layered, sdedit, inpaint" in ran.err


def test_version_is_the_projects(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version").out == f"{project['name']} {project['version']}\n"


def test_help_lists_every_command(run: Run) -> None:
    told = run("--help").out.split("Commands:")[1]
    assert all(f"  {command} " in told for command in COMMANDS)
    assert "..." not in told  # no explanation is cut off


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_explained(run: Run, command: str) -> None:
    group = typer.main.get_command(shell.app)
    context = typer.Context(group)
    described = group.get_command(context, command)  # type: ignore[attr-defined]
    assert described.help
    unexplained = [option.name for option in described.params if not getattr(option, "help", None)]
    assert unexplained == []
    assert run(command, "--help").code == 0


@pytest.mark.parametrize("arguments", [["edit", "--imagine", "x"], ["paint"], ["edit"], ["bench", "--cases", "0"]])
def test_a_misspelt_command_line_is_refused_the_usual_way(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_without_a_command_the_studio_opens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("studio.cli.serve.serve", lambda: opened.append(True))
    assert run().code == 0
    assert opened == [True]


def test_a_second_server_on_the_same_data_folder_is_refused(run: Run, tmp_path: Path) -> None:
    studio = build_studio(Settings(data=tmp_path, warm_up=False))
    try:
        ran = run("serve", "--data", tmp_path, "--port", 0, "--no-browser", "--no-warm-up")
    finally:
        studio.close()
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith("palimpsest: ")
    assert str(tmp_path) in ran.err


def test_a_port_that_is_taken_is_named(run: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("serve", "--data", tmp_path, "--port", port, "--no-browser", "--no-warm-up")
    assert ran.code == 2
    assert f"the port {port} at 127.0.0.1 is taken" in ran.err
    build_studio(Settings(data=tmp_path, warm_up=False)).close()  # the data folder was given free


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_only_this_machine_reaches_the_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_columns_are_aligned() -> None:
    assert table([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]


@pytest.mark.slow
def test_bench_answers_with_a_summary_and_goes_on_where_it_stopped(run: Run, tiny: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    asked = ["bench", "--cases", 3, "--methods", "sdedit,layered:g", "--quality", "draft", "--true-masks"]
    asked += ["--chains", 1, "--turns", 2, "--report", report]
    first = run(*asked, "--model", tiny, "--out", tmp_path, "--json")
    assert first.code == 0, first.err
    assert "not here: instruct: instruct does not run on 'tiny'" in first.err
    assert [(row["method"], row["turn"]) for row in first.json["turn_rows"]][:2] == [("sdedit", 1), ("sdedit", 2)]
    assert all(row["network_passes"] > 0 for row in first.json["rows"])
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "texts are not fitted (Eq. 2)" in page and "Turn after turn" in page
    assert len(first.json["rows"]) == 6
    assert {summary["method"] for summary in first.json["summary"]} == {"sdedit", "layered:g"}
    assert (tmp_path / "sheet.png").is_file()
    assert run(*asked, "--model", tiny, "--out", tmp_path, "--json").json == first.json


@pytest.mark.slow
def test_speed_prints_what_it_measured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.cli.speed.QUALITIES", (Quality.DRAFT,))
    ran = run("speed", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["peak_memory_mb"] > 0
    assert "layered edit, draft" in ran.json["seconds"]
    assert all(took > 0 for took in ran.json["seconds"].values())


def test_a_model_is_a_name_a_folder_or_a_file(tmp_path: Path) -> None:
    folder, file = tmp_path / "v1.5", tmp_path / "sam" / "sam_vit_b_01ec64.pth"
    folder.mkdir()
    file.parent.mkdir()
    file.touch()
    own = settings_from([tmp_path], model=str(folder), segmenter=str(file))
    assert (own.model, own.segmenter) == ("v1.5", "sam_vit_b_01ec64")
    assert own.model_folders == (tmp_path, file.parent, *DEFAULTS.model_folders, tmp_path)
    assert settings_from([]) == DEFAULTS
    assert settings_from([], model="nonesuch").model == "nonesuch"
