"""Composing as a method: what every entry of the catalogue promises, on the folder of a composer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from pipelines.catalog import CATALOG, offered
from pipelines.compose.detector import Detector
from pipelines.compose.folder import READER, Kind, Loaded, save_composer
from pipelines.compose.method import run
from pipelines.compose.model import Composer
from pipelines.compose.render import render
from pipelines.compose.world import Thing
from pipelines.contract import Backbone, EditRequest, Picture, Scope
from pipelines.engine import Engine
from pipelines.errors import BadParameter, BadRequest, ModelError, NumericalError
from pipelines.models.folders import fault_of, find_model
from pipelines.params import ComposeParams, SDEditParams
from pipelines.progress import Cancelled

FEW = ComposeParams(steps=3)
FLOOR = render([], 32)


@pytest.fixture
def models(composer: Composer, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    save_composer(tmp_path / "scenes", Loaded(composer, tokenizer, Kind.SOLIDS))
    return tmp_path


@pytest.fixture
def engine(models: Path) -> Engine:
    return Engine((models,), device="cpu")


def asked(text: str = "add a red cube", picture: Picture = FLOOR, seed: int = 7, candidates: int = 1) -> EditRequest:
    mask = np.zeros(picture.shape[:2], np.bool_)
    return EditRequest(
        subject=text,
        background="",
        scope=Scope.BOTH,
        seed=seed,
        picture=picture,
        mask=mask,
        candidates=candidates,
    )


def test_a_composers_folder_is_a_model_that_this_method_alone_runs_on(models: Path, engine: Engine) -> None:
    card = find_model("scenes", (models,))
    assert (card.backbone, card.resolution, fault_of(card)) == (Backbone.COMPOSER, 16, None)
    assert [m.name for m in offered(card.backbone) if m.needs_model] == ["compose"]
    with pytest.raises(ModelError, match=r"sdedit does not run on 'scenes'.* with this model choose compose"):
        engine.edit("scenes", "sdedit", asked(), SDEditParams())
    (models / "scenes" / "model.safetensors").write_bytes(b"no weights")
    assert "scenes" in str(fault_of(card))


def test_the_same_seed_gives_the_same_bytes_at_the_pictures_own_size(engine: Engine) -> None:
    first, again = (engine.edit("scenes", "compose", asked(candidates=2), FEW) for _ in range(2))
    assert [c.seed for c in first.candidates] == [7, 8]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first.candidates, again.candidates, strict=True))
    assert first.candidates[0].picture.shape == FLOOR.shape and first.candidates[0].picture.dtype == np.uint8
    alone = engine.edit("scenes", "compose", asked(seed=8), FEW).candidates[0].picture
    assert np.array_equal(alone, first.candidates[1].picture)
    assert not np.array_equal(alone, first.candidates[0].picture)
    assert first.weights_before == first.weights_after == engine.weights("scenes") != ""


def test_each_setting_and_each_word_has_a_say(engine: Engine) -> None:
    ways = [FEW, replace(FEW, steps=4), replace(FEW, guidance=1.0), replace(FEW, match=0.0), replace(FEW, strength=0.5)]
    made = [engine.edit("scenes", "compose", asked(), way).candidates[0].picture for way in ways]
    made.append(engine.edit("scenes", "compose", asked("add a blue cube"), FEW).candidates[0].picture)
    assert len({picture.tobytes() for picture in made}) == len(made)


@pytest.mark.parametrize(("guidance", "passes"), [(1.0, 6), (3.0, 12)])
def test_progress_never_goes_back_and_every_pass_is_counted(engine: Engine, guidance: float, passes: int) -> None:
    told: list[tuple[str, int, int]] = []
    previews: list[Picture] = []

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        told.append((stage, step, total))
        previews.extend([] if preview is None else [preview])

    params = replace(FEW, guidance=guidance)
    result = engine.edit("scenes", "compose", asked(candidates=2), params, tell)
    assert told == [("drawing", step, 6) for step in range(1, 7)]
    assert tuple(dict.fromkeys(stage for stage, _, _ in told)) == CATALOG["compose"].stages
    assert [(report.name, report.steps) for report in result.stages] == [("drawing", 6)]
    assert result.network_passes == passes
    assert previews and all(p.dtype == np.uint8 and p.shape == (16, 16, 3) for p in previews)


def test_stopping_leaves_the_model_as_it_was(engine: Engine) -> None:
    before = engine.edit("scenes", "compose", asked(), FEW)

    def stop(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.edit("scenes", "compose", asked(), FEW, stop)
    after = engine.edit("scenes", "compose", asked(), FEW)
    assert np.array_equal(before.candidates[0].picture, after.candidates[0].picture) and torch.is_grad_enabled()


def test_numbers_that_are_not_finite_stop_it(composer: Composer, tokenizer: PreTrainedTokenizerFast) -> None:
    with torch.no_grad():
        composer.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(NumericalError, match="nothing of it kept"):
        run(Loaded(composer, tokenizer, Kind.SOLIDS), asked(), FEW)


def test_what_the_instruction_speaks_of_is_sought_in_the_picture(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    Detector(8).save(models / "scenes" / READER)
    ball, tube = Thing("blue", "sphere"), Thing("green", "cylinder")
    stands = [ball]
    monkeypatch.setattr(Detector, "read", lambda self, pictures: [dict.fromkeys(stands, (0.5, 0.5))])
    engine = Engine((models,), device="cpu")
    for text in ("add a red cube behind the blue sphere", "add a red cube left of it"):
        engine.edit("scenes", "compose", asked(text), FEW)
    with pytest.raises(BadRequest, match="there is no yellow cube to be behind; found the blue sphere"):
        engine.edit("scenes", "compose", asked("add a red cube behind the yellow cube"), FEW)
    stands.append(tube)
    with pytest.raises(BadRequest, match='"it" needs a solid to stand for'):
        engine.edit("scenes", "compose", asked("add a red cube left of it"), FEW)


@pytest.mark.parametrize(
    ("text", "params", "error", "said"),
    [
        ("make it rain", FEW, BadRequest, "'make' names nothing of this world"),
        ("", FEW, BadRequest, "both texts are empty"),
        ("add a red cube", ComposeParams(steps=41), BadParameter, "steps must be at most 40"),
    ],
)
def test_what_cannot_be_is_refused(
    engine: Engine, text: str, params: ComposeParams, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        engine.edit("scenes", "compose", asked(text), params)


def test_a_composer_of_published_pictures_takes_any_text(
    composer: Composer, tokenizer: PreTrainedTokenizerFast
) -> None:
    result = run(Loaded(composer, tokenizer, Kind.PUBLISHED), asked("Boy kicks the ball"), FEW)
    assert result.candidates[0].picture.shape == FLOOR.shape
