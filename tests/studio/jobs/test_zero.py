"""A GPU that is lent for single calls, against a stand-in of the package that lends it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.context import LocalContext

from pipelines.catalog import settings as params_of
from pipelines.contract import EditRequest, Quality, Scope
from pipelines.errors import NumericalError
from pipelines.masks.prompts import MaskPrompts
from pipelines.progress import Cancelled
from studio.app import build_studio
from studio.errors import DeviceLost
from studio.jobs import zero
from studio.jobs.zero import NO_COMPILER, ZeroEngine, seconds_of
from studio.settings import Settings
from studio.ui.app import open_page
from tests.studio.conftest import StandInEngine

STAND_IN = Path(__file__).with_name("stand_in")
ROOT = Path(__file__).resolve().parents[3]
TOKEN = {"x-ip-token": "of the visitor"}


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(STAND_IN))
    launch = gr.Blocks.launch
    yield importlib.import_module("spaces")
    gr.Blocks.launch = launch
    del sys.modules["spaces"]


@pytest.fixture
def visitor() -> Iterator[None]:
    token = LocalContext.request.set(SimpleNamespace(headers=TOKEN))  # type: ignore[arg-type]
    yield
    LocalContext.request.reset(token)


@pytest.fixture
def request_() -> EditRequest:
    picture = np.zeros((32, 48, 3), np.uint8)
    mask = np.zeros((32, 48), np.bool_)
    mask[8:20, 8:30] = True
    return EditRequest(
        picture=picture, mask=mask, subject="a duck", background="", scope=Scope.BOTH, seed=3, candidates=2
    )


PARAMS = params_of("sdedit", Quality.DRAFT, {})


def test_a_lent_gpu_gives_the_same_and_tells_each_step(
    spaces: ModuleType, visitor: None, request_: EditRequest
) -> None:
    here = StandInEngine()
    engine = ZeroEngine(here, spaces.GPU)
    steps: list[tuple[str, int, int]] = []
    lent = engine.edit("toybox", "sdedit", request_, PARAMS, lambda *told: steps.append(told[:3]))
    assert here.requests == [], "it ran in a fork"
    own = here.edit("toybox", "sdedit", request_, PARAMS)
    assert [c.picture.tobytes() for c in lent.candidates] == [c.picture.tobytes() for c in own.candidates]
    assert (lent.fitted, lent.weights_after) == (own.fitted, own.weights_after)
    assert steps == [("denoise", step, 4) for step in range(1, 5)]
    assert engine.weights("toybox") == "weights" and spaces.forks == [0, 0]
    assert seconds_of("edit", (), {}, True) > seconds_of("segment", (), {}, False) > 0


def test_without_the_visitors_request_there_is_none_and_its_words_are_passed_on(
    spaces: ModuleType, request_: EditRequest
) -> None:
    engine = ZeroEngine(StandInEngine(), spaces.GPU)
    with pytest.raises(DeviceLost, match=spaces.LIMIT):
        engine.edit("toybox", "sdedit", request_, PARAMS)
    painted = MaskPrompts(grow=1)
    assert not engine.segment(request_.picture, painted, "").mask.any(), "a mask that no model makes needs none"


def test_a_call_is_stopped_at_its_next_step(spaces: ModuleType, visitor: None, request_: EditRequest) -> None:
    engine, seen = ZeroEngine(StandInEngine(), spaces.GPU), []

    def cancelled(stage: str, step: int, total: int, preview: Any = None) -> None:
        seen.append(step)
        raise Cancelled

    with pytest.raises(Cancelled):
        engine.edit("toybox", "sdedit", request_, PARAMS, cancelled)
    assert seen == [1] and spaces.forks == [0], "the fork ended, and by itself"
    # What runs in the fork: closed, it is stopped in the middle of whatever it does next.
    held = StandInEngine(hold_at=("denoise", 2))
    steps = zero.answered(held, "edit", ("toybox", "sdedit", request_, PARAMS), {}, True)
    next(steps)
    before = threading.active_count()
    steps.close()
    assert threading.active_count() < before


def test_what_is_raised_there_is_raised_here_by_its_name(
    spaces: ModuleType, visitor: None, request_: EditRequest
) -> None:
    told = StandInEngine(raises=NumericalError("the picture became NaN"), raise_at=("denoise", 2))
    with pytest.raises(NumericalError, match="became NaN"):
        ZeroEngine(told, spaces.GPU).edit("toybox", "sdedit", request_, PARAMS)
    bug = StandInEngine(raises=KeyError("x"), raise_at=("denoise", 1))
    with pytest.raises(RuntimeError, match="KeyError"):
        ZeroEngine(bug, spaces.GPU).edit("toybox", "sdedit", request_, PARAMS)


@dataclass
class Killed(StandInEngine):
    def weights(self, model: str) -> str:
        os._exit(9)


def test_a_fork_that_is_ended_is_told(spaces: ModuleType, visitor: None) -> None:
    with pytest.raises(DeviceLost, match="aborted"):
        ZeroEngine(Killed(), spaces.GPU).weights("toybox")


def test_the_engine_is_there_before_the_page_and_turns_are_the_visitors(
    spaces: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through the page's own events: they are queued, and the worker's call is made in the visitor's context."""
    prepared: list[tuple[bool, bool, str, str]] = []

    class Prepared(StandInEngine):
        def prepare(self, model: str, segmenter: str) -> None:
            main = threading.current_thread() is threading.main_thread()
            prepared.append((main, spaces.launched, model, segmenter))

    monkeypatch.setattr(zero, "resolve", lambda entry: spaces.GPU if "GPU" in entry else lambda **_: Prepared())
    monkeypatch.setenv(NO_COMPILER, "1")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    settings = Settings.hosted(
        host="127.0.0.1", port=0, data=tmp_path / "data", warm_up=False, device_process=False, zero_gpu=True
    )
    studio = build_studio(settings)
    page = open_page(studio, settings)
    try:
        assert prepared == [(True, False, "toybox", "toybox-segmenter")] and spaces.launched
        assert studio.device is None and isinstance(studio.engine, ZeroEngine)
        session = studio.sessions.create_example("duck-on-the-beach")
        fns = {
            (getattr(page.page.blocks.get(id_), "elem_id", None), name): fn
            for fn in page.page.fns.values()
            for id_, name in fn.targets
        }
        answering = {fn.queue for (_, name), fn in fns.items() if name in ("run", "mark", "keep", "more_seeds")}
        assert answering == {True}, "the hub says who somebody is with events of the queue alone"
        with httpx.Client(base_url=page.url, headers={"origin": page.url}, timeout=30) as client:
            boot = next(fn for fn in page.page.fns.values() if fn.targets and fn.targets[0][1] == "load")
            told = queued(client, boot, [{"sid": session.sid}, *values(boot)[1:]], None)
            assert session.sid in json.dumps(told)
            mark = next(fn for (_, name), fn in fns.items() if name == "mark")
            clicked = {"count": 1, "prompts": {"clicks": [{"x": 137, "y": 160, "include": True}]}}
            answer = queued(client, mark, [None, json.dumps(clicked)], {})
            assert session.view().mask.area > 0, answer
            run = next(fn for (_, name), fn in fns.items() if name == "run")
            filled = values(run)
            filled[2] = "in a forest"
            queued(client, run, filled, {})
            end = time.monotonic() + 30
            while not session.view().staged:
                assert time.monotonic() < end, session.view().job
                session.wait(session.view().rev, 0.2)
            alone = client.post("/gradio_api/run/predict", json={"data": [], "fn_index": run._id, "session_hash": "a"})
            assert alone.status_code == 400, "and no other way leads there"
    finally:
        page.close()
        studio.close()


def values(fn: Any) -> list[Any]:
    return [None if isinstance(block, gr.State) else getattr(block, "value", None) for block in fn.inputs]


def queued(client: httpx.Client, fn: Any, data: list[Any], sent: Any) -> Any:
    """As the hub's page sends an event, with the token that says who it is; what the studio answered."""
    body = {"data": data, "event_data": sent, "fn_index": fn._id, "trigger_id": 0, "session_hash": "visitor"}
    joined = client.post("/gradio_api/queue/join", json=body, headers=TOKEN)
    assert joined.status_code == 200, joined.text
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "visitor"}) as lines:
        for line in lines.iter_lines():
            if line.startswith("data:") and (message := json.loads(line[5:]))["msg"] == "process_completed":
                assert message["success"], message
                return message["output"]["data"]
    raise AssertionError("the queue did not answer")


@pytest.mark.slow
def test_a_real_model_draws_the_same_bytes(tmp_path: Path) -> None:
    """In a process of its own, for nothing may have computed before the fork."""
    code = """if True:
        import sys
        from pathlib import Path
        from types import SimpleNamespace
        import numpy as np
        from gradio.context import LocalContext
        from pipelines.catalog import settings as params_of
        from pipelines.contract import EditRequest, Quality, Scope
        from studio.jobs.zero import zero_engine
        from studio.settings import Settings
        engine = zero_engine(Settings(data=Path(sys.argv[1]), device="cpu"))
        LocalContext.request.set(SimpleNamespace(headers={"x-ip-token": "x"}))
        picture = np.full((64, 64, 3), 200, np.uint8)
        picture[20:44, 20:44] = (255, 220, 0)
        mask = (picture[..., 2] == 0)
        said = dict(subject="a big blue duck", background="", scope=Scope.SUBJECT, seed=3)
        request = EditRequest(picture=picture, mask=mask, **said)
        params = params_of("inpaint", Quality.DRAFT, {"steps": 2})
        steps = []
        lent = engine.edit("toybox", "inpaint", request, params, lambda *told: steps.append(told[:3]))
        here = engine._engine.edit("toybox", "inpaint", request, params)
        assert steps and lent.candidates[0].picture.tobytes() == here.candidates[0].picture.tobytes()
        assert lent.candidates[0].picture.tobytes() != picture.tobytes()
        assert (lent.weights_before, lent.weights_after) == (here.weights_before, here.weights_after)
        print("the same")
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(STAND_IN), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert ran.stdout == "the same\n", ran.stderr[-3000:]
