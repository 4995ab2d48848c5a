"""The real engine in the device's process, from a studio that never imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.params import LayeredParams, SDEditParams, Tuned
from studio.jobs.device import DeviceProcess
from studio.settings import Settings, default_model_folders
from tests.pipelines.conftest import write_tiny_model

ROOT = Path(__file__).resolve().parents[3]
LAYERED = LayeredParams(steps=3, embed_steps=2, tune_steps=2, tuned=Tuned.UNET)
FEW = SDEditParams(steps=4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The embedded models and a tiny one."""
    root = tmp_path_factory.mktemp("models")
    write_tiny_model(root / "tiny")
    return (*default_model_folders({}), root)


@pytest.fixture(scope="module")
def device(folders: tuple[Path, ...]) -> Iterator[DeviceProcess]:
    device = DeviceProcess(Settings(model_folders=folders, device="cpu"))
    yield device
    device.close()


def request(**changes: Any) -> EditRequest:
    rng = np.random.default_rng(0)
    picture: Picture = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    mask: Mask = np.zeros((32, 40), bool)
    mask[8:20, 14:26] = True
    return EditRequest(
        picture=picture,
        mask=mask,
        subject="a blue dog",
        background="in a forest",
        scope=Scope.BOTH,
        **{"seed": 7, **changes},
    )


def test_what_the_process_makes_is_what_the_engine_makes(device: DeviceProcess, folders: tuple[Path, ...]) -> None:
    here = Engine(folders, device="cpu")
    for name, params in (("layered", LAYERED), ("sdedit", FEW)):
        there, expected = (e.edit("tiny", name, request(), params) for e in (device, here))
        assert np.array_equal(there.candidates[0].picture, expected.candidates[0].picture)
        assert (there.weights_after, there.fitted) == (expected.weights_before, expected.fitted)
    click = MaskPrompts(clicks=(Click(20, 14),))
    masks = [e.segment(request().picture, click, "toybox-segmenter") for e in (device, here)]
    assert np.array_equal(masks[0].mask, masks[1].mask) and masks[0].choices == masks[1].choices
    assert device.weights("tiny") == here.weights("tiny")
    assert device.describe() == here.describe() == "Tiny on CPU"


def test_refusals_arrive_in_their_own_words(device: DeviceProcess) -> None:
    with pytest.raises(ModelError, match="huge"):
        device.edit("huge", "sdedit", request(), FEW)
    with pytest.raises(BadRequest, match="candidates"):
        device.edit("tiny", "sdedit", request(candidates=0), FEW)


def test_the_studio_computes_without_torch_of_its_own(tmp_path: Path) -> None:
    """A fresh process builds a studio as `serve` does, clicks, and looks at what it has imported."""
    script = tmp_path / "fresh.py"
    script.write_text(
        "import json, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from pipelines.masks.prompts import Click, MaskPrompts\n"
        "from studio.app import build_studio\n"
        "from studio.settings import Settings\n"
        "if __name__ == '__main__':\n"
        f"    settings = Settings(data=Path({str(tmp_path / 'data')!r}), warm_up=False, device_process=True)\n"
        "    studio = build_studio(settings)\n"
        "    picture = np.full((64, 64, 3), 255, np.uint8)\n"
        "    answer = studio.engine.segment(picture, MaskPrompts(clicks=(Click(9, 9),)), settings.segmenter)\n"
        "    pid = studio.device.pid\n"
        "    studio.close()\n"
        "    heavy = [name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules]\n"
        "    print(json.dumps({'choices': len(answer.choices), 'heavy': heavy, 'pid': pid}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=300)
    told = json.loads(ran.stdout)
    assert told["choices"] == 3 and told["heavy"] == []
    assert not psutil.pid_exists(told["pid"]), "the studio was closed"


@pytest.mark.slow
def test_e06_fifty_edits_and_cancels_leave_the_process_its_weights_and_its_size(device: DeviceProcess) -> None:
    """After five rounds to warm up, the process grows by less than 25 MB in twenty-five more."""

    class Enough(Exception):
        pass

    def stops(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if step == 2:
            raise Enough

    def once() -> None:
        assert np.array_equal(device.edit("tiny", "layered", request(), LAYERED).candidates[0].picture, expected)
        with pytest.raises(Enough):
            device.edit("tiny", "layered", request(), LAYERED, stops)
        with pytest.raises(BadRequest):
            device.edit("tiny", "layered", request(candidates=0), LAYERED)

    pristine, pid = device.weights("tiny"), device.pid
    expected = device.edit("tiny", "layered", request(), LAYERED).candidates[0].picture
    process = psutil.Process(pid)
    for _ in range(5):
        once()
    before = process.memory_info().rss
    for _ in range(25):
        once()
    grown = (process.memory_info().rss - before) / 2**20
    assert grown < 25, f"it grew by {grown:.1f} MB"
    assert device.weights("tiny") == pristine and device.pid == pid
