"""Fitted layers used again, with the real engine: the turns are, byte for byte, those of a studio that fits each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.catalog import preset
from pipelines.contract import Point, Quality
from pipelines.engine import Engine
from pipelines.masks.prompts import MaskPrompts, Stroke
from pipelines.pictures import encode_png
from pipelines.progress import silent
from studio.app import build_studio
from studio.history.turn import Turn
from studio.session.present import draft_of
from studio.session.session import Session
from studio.session.view import JobState
from studio.settings import Settings, default_model_folders
from tests.pipelines.conftest import write_tiny_model

STEPS = {"embed_steps": 2, "tune_steps": 2, "tune_rate": 1e-3, "steps": 3, "start": "composite", "tuned": "lora"}
BRUSH = MaskPrompts(strokes=(Stroke((Point(16.0, 16.0), Point(26.0, 16.0)), 5.0),))
PICTURE = encode_png(np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("models")
    write_tiny_model(root / "tiny")
    (root / "tiny" / "presets").mkdir()
    own = {quality: {"guidance": 3.0, "strength": 0.85} for quality in Quality}
    (root / "tiny" / "presets" / "layered.json").write_text(json.dumps(own))
    return Engine((*default_model_folders({}), root), device="cpu")


@contextmanager
def opened(data: Path, engine: Engine) -> Iterator[Session]:
    settings = Settings(data=data, model_folders=engine._folders, model="tiny", warm_up=False)
    studio = build_studio(settings, engine)
    yield studio.sessions.create(PICTURE, "noise.png")
    studio.close()


def made(session: Session, more: bool = False, on: str | None = None, **changes: Any) -> Turn:
    """Run on the original, or the turn `on`, and keep the newest candidate."""
    session.jump(session.view().turns[0].id if on is None else on)
    values = {"subject": "a blue dog", "background": "in a forest", "changes": {**STEPS, **changes}}
    session.set_draft(replace(session.view().draft, **values))
    session.set_prompts(BRUSH)
    for run in (session.start, session.more_seeds)[: 1 + more]:
        run()
        end = time.monotonic() + 120
        while (job := session.view().job) is not None and job.state in (JobState.QUEUED, JobState.RUNNING):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert job is not None and job.state is JobState.DONE, job
    kept = session.accept(len(session.view().staged) - 1)
    record = session._services.store.load(session.sid)
    assert record is not None
    return record.tree[kept.id]


def test_a_turn_from_layers_that_were_fitted_before_is_the_same_turn(tmp_path: Path, engine: Engine) -> None:
    wanted: list[dict[str, Any]] = [
        {"strength": 0.7},
        {"strength": 0.7, "more": True},
        {"strength": 0.9, "paste_back": False, "residual": 4.0},
        {"start": "noise", "alternate": False, "blend_latents": False},
    ]
    with opened(tmp_path / "reusing", engine) as session:
        made(session, strength=0.5)
        reused = [made(session, **changes) for changes in wanted]
    for number, (again, changes) in enumerate(zip(reused, wanted, strict=True)):
        with opened(tmp_path / f"fitting {number}", engine) as session:
            afresh = made(session, **changes)
        assert (again.picture, again.id) == (afresh.picture, afresh.id), changes
        assert (again.outcome.fitted, again.outcome.background_reference) == (
            afresh.outcome.fitted,
            afresh.outcome.background_reference,
        )
        assert [stage.name for stage in again.outcome.stages] == ["guidance"]
    assert len({turn.picture for turn in reused}) == len(wanted), "each setting made another picture"


def test_a_warm_turn_is_the_same_in_another_studio_and_not_the_cold_one(tmp_path: Path, engine: Engine) -> None:
    def two(data: Path, warm: bool) -> tuple[Turn, Turn]:
        with opened(data, engine) as session:
            first = made(session, warm_start=warm)
            return first, made(session, on=first.id, warm_start=warm)

    (first, second), (_, again), (_, cold) = (
        two(tmp_path / str(n), warm) for n, warm in enumerate((True, True, False))
    )
    assert first.request is not None and second.request is not None and cold.request is not None
    assert (first.request.warm, second.request.warm) == (None, first.outcome.fitted)
    assert (second.id, second.outcome.fitted) == (again.id, again.outcome.fitted)
    assert cold.outcome.fitted != second.outcome.fitted and cold.request.warm is None


def test_a_turn_from_before_a_setting_is_run_again_without_it(tmp_path: Path, engine: Engine) -> None:
    """Whatever the preset says of that setting by now."""
    later = {"guidance": 7.5, "strength": 1.0}
    with opened(tmp_path / "data", engine) as session:
        turn = made(session, **later)
        assert turn.request is not None
        card = session._services.card(turn.request.model)
        assert preset("layered", turn.request.quality, card).keys() == later.keys()
        params = {name: value for name, value in turn.request.params.items() if name not in later}
        before, root = replace(turn.request, params=params), session._record.tree[turn.parent or ""]
        (again,) = session._computing.candidates([root], before, 1, silent)
        assert again.request.params == params and again.picture == turn.picture
        draft = session.view().draft
        assert draft_of(before, draft, card).changes == draft_of(turn.request, draft, card).changes
        assert later.items() <= draft_of(before, draft, card).changes.items(), "the panel asks for the same again"
