"""``models``: listing, pulling from a hub on loopback, adding, verifying and removing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines.models.folders import find_models
from pipelines.models.hub import pull
from studio.cli import options
from studio.settings import Settings
from tests.pipelines.models.loras import write
from tests.pipelines.models.small_hub import COMMIT, SmallHub, files_of, served
from tests.studio.cli.conftest import Run
from tests.studio.conftest import until

ROOT = Path(__file__).resolve().parents[3]
UNET = "unet/diffusion_pytorch_model.safetensors"
LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of this test's own."""
    folder = tmp_path / "data"
    monkeypatch.setattr(options, "DEFAULTS", dataclasses.replace(Settings(), data=folder))
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "launch.py"), "models", *arguments]


def environment(data: Path, hub: SmallHub) -> dict[str, str]:
    """Where a process of its own finds the hub and the data folder."""
    return {**os.environ, "HF_ENDPOINT": hub.endpoint, "PALIMPSEST_DATA": str(data), "OMP_NUM_THREADS": "1"}


def test_a_model_is_pulled_listed_verified_used_and_removed(
    tiny: Path, data: Path, run: Run, photo: Path, subject: Path, tmp_path: Path
) -> None:
    with served(files_of(tiny)) as hub:
        pulled = subprocess.run(
            command("pull", hub.repo), env=environment(data, hub), capture_output=True, text=True, timeout=300
        )
    assert pulled.returncode == 0, pulled.stderr
    assert f"of {hub.repo} at {COMMIT[:12]}; use it with --model tiny-model" in pulled.stdout
    assert "fetching, MB: 1 of 1" in pulled.stderr
    found = {model["id"]: model for model in run("models", "--json").json}
    assert found["tiny-model"]["usable"] and Path(found["tiny-model"]["path"]).parent == data / "models"
    verified = run("models", "verify", "tiny-model", "--json").json
    assert [(v["id"], v["recorded"], v["faults"]) for v in verified] == [("tiny-model", True, [])]
    edited = run(
        *(
            "edit",
            "--image",
            photo,
            "--mask",
            subject,
            "--subject",
            "a dog",
            "--method",
            "inpaint",
            "--quality",
            "draft",
        ),
        *("--model", "tiny-model", "--out", tmp_path / "out.png"),
    )
    assert edited.code == 0, edited.err  # the hub is gone by now

    unet = data / "models" / "tiny-model" / UNET
    unet.write_bytes(unet.read_bytes()[:-1])
    wrong = run("models", "verify", "tiny-model")
    assert wrong.code == 1 and f"tiny-model: {UNET} has" in wrong.out
    refused = run("models", "remove", "tiny-model")
    assert refused.code == 2 and "say --yes" in refused.err
    assert run("models", "remove", "tiny-model", "--yes").code == 0
    assert "tiny-model" not in {model["id"] for model in run("models", "list", "--json").json}


def test_a_pull_that_is_killed_goes_on_where_it_stopped(tiny: Path, data: Path) -> None:
    files = files_of(tiny)
    half = len(files[UNET]) // 2
    with served(files) as hub:
        hub.hang[UNET] = half
        running = subprocess.Popen(command("pull", hub.repo), env=environment(data, hub), stderr=subprocess.DEVNULL)
        part = data / "models" / ".fetching" / "someone--tiny-model" / "parts"
        until(lambda: any(path.stat().st_size == half for path in part.glob("*")), 120)
        running.kill()
        running.wait()
        assert find_models((data / "models",)) == {}
        hub.hang.clear()
        hub.asked.clear()
        pull(hub.repo, data / "models", endpoint=hub.endpoint)
        assert hub.sent(UNET) == [f"bytes={half}-"]


def test_a_lora_is_pulled_listed_verified_and_removed(data: Path, run: Run, tmp_path: Path) -> None:
    with served({"styles/pencil.safetensors": write(tmp_path / "x.safetensors", LORA).read_bytes()}) as hub:
        pulled = subprocess.run(
            command("pull", hub.repo, "--file", "styles/pencil.safetensors"),
            env=environment(data, hub),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert pulled.returncode == 0, pulled.stderr
    assert f"of {hub.repo} at {COMMIT[:12]}; use it with --lora pencil" in pulled.stdout
    file = data / "models" / "loras" / "pencil.safetensors"
    (found,) = [model for model in run("models", "list", "--json").json if model["id"] == "pencil"]
    assert found | {"family": "", "notes": ""} == {
        "id": "pencil",
        "title": "pencil",
        "kind": "lora",
        "family": "",
        "methods": [],
        "resolution": 0,
        "path": str(file),
        "bytes": file.stat().st_size,
        "source": hub.repo,
        "commit": COMMIT,
        "usable": True,
        "fault": None,
        "notes": "",
        "remarks": [],
    }
    (line,) = [line for line in run("models", "list").out.splitlines() if line.startswith("pencil ")]
    assert line.split()[1] == "lora" and f"{hub.repo} at {COMMIT[:12]}" in line and line.endswith(str(file))
    assert run("models", "verify", "pencil").out.strip() == "pencil: 1 file as recorded"
    file.write_bytes(file.read_bytes()[:-1])
    wrong = run("models", "verify")
    assert wrong.code == 1 and "pencil: pencil.safetensors has" in wrong.out
    assert "is not safetensors" not in wrong.out and "its header promises" in run("models", "list").out
    assert run("models", "remove", "pencil", "--yes").code == 0
    assert not file.exists() and "pencil" not in run("models", "list").out


def test_a_lora_with_a_models_name_is_removed_by_its_kind(data: Path, run: Run) -> None:
    lora = write(data / "models" / "loras" / "toybox.safetensors", LORA)
    assert [v["kind"] for v in run("models", "verify", "toybox", "--json").json] == ["text-to-image", "lora"]
    refused = run("models", "remove", "toybox", "--yes")
    assert refused.code == 2 and "neither pulled nor added" in refused.err and lora.is_file()
    assert run("models", "remove", "toybox", "--lora", "--yes").code == 0
    assert not lora.exists()


def test_what_was_deleted_by_hand_is_told_and_forgotten(tiny: Path, data: Path, run: Run) -> None:
    run("models", "add", tiny)
    (data / "models" / "tiny").unlink()
    assert "`models remove tiny` forgets it" in run("models", "list").err
    gone = run("models", "verify", "tiny")
    assert gone.code == 1 and f"tiny: {UNET} cannot be read" in gone.out
    assert run("models", "remove", "tiny", "--yes").code == 0
    assert "forgets it" not in run("models", "list").err


def test_a_folder_is_added(tiny: Path, data: Path, run: Run) -> None:
    added = run("models", "add", tiny, "--json")
    assert added.code == 0 and added.json["usable"] and added.json["id"] == "tiny"
    assert run("models", "add", tiny).code == 2
    assert run("models", "verify", "tiny").out.strip().endswith("files as recorded")
    assert run("models", "remove", "tiny", "--yes").code == 0
    assert (tiny / UNET).is_file()


def test_the_embedded_models_cannot_be_removed(data: Path, run: Run) -> None:
    refused = run("models", "remove", "toybox", "--yes")
    assert refused.code == 2 and "neither pulled nor added" in refused.err
    assert run("models", "verify", "ghost").code == 2
