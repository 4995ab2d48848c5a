"""Training a tiny network: stopped or not it comes to the same weights; what goes wrong leaves the last ones whole."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.compose.data import PublishedTurns, World
from pipelines.compose.folder import Kind, Loaded, load_composer, save_composer
from pipelines.compose.losses import cdd_loss, icm_loss, joint_loss, log_match, mse_loss, vlb_loss
from pipelines.compose.model import Composer, Sizes
from pipelines.compose.objective import Objective, Stage, Weights
from pipelines.compose.trainer import Plan, Trainer, planned, train_composer
from pipelines.errors import BadParameter, ModelError, NumericalError
from pipelines.training.checkpoint import CHECKPOINT

PLAN = Plan({Stage.MATCH: 3, Stage.DRAW: 4, Stage.GUIDE: 3}, batch=4, warmup=2)


def silent(_line: str) -> None: ...


@pytest.fixture
def start(tiny: Sizes, tmp_path: Path):
    def started(name: str = "scratch", plan: Plan = PLAN, sizes: Sizes = tiny) -> Trainer:
        return Trainer(World(sizes.side), Kind.SOLIDS, sizes, plan, tmp_path / name, "cpu")

    return started


def same(one: Composer, other: Composer) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ------------------------------------------------------------------------------------------------------- resuming


def test_a_training_that_was_stopped_comes_to_the_same_weights(start, tmp_path: Path) -> None:
    whole = start("whole")
    whole.run(tmp_path / "out", silent)
    for stop in (2, 3, 8):  # inside each stage, and between two
        start(f"stopped {stop}").run(tmp_path / "part", silent, until=stop)
        resumed = start(f"stopped {stop}")
        assert resumed.step == stop
        assert not same(resumed.composer, whole.composer)
        report = resumed.run(tmp_path / "part", silent)
        assert report.steps == 10
        assert same(resumed.composer, whole.composer), stop
    done = start("whole")
    assert done.step == 10 and same(done.composer, whole.composer)
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert (tmp_path / "part" / "model.safetensors").read_bytes() == before


def test_a_training_begins_at_another_ones_weights(start, tiny: Sizes, tmp_path: Path) -> None:
    first = start("first")
    first.run(tmp_path / "out", silent)
    second = start("second", replace(PLAN, seed=1))
    second.begin_at(tmp_path / "out")
    half = {name: value.half().float() for name, value in first.composer.state_dict().items()}
    assert all(torch.equal(value, half[name]) for name, value in second.composer.state_dict().items())
    second.run(tmp_path / "more", silent, until=2)
    resumed = start("second", replace(PLAN, seed=1))
    resumed.begin_at(tmp_path / "out")
    assert resumed.step == 2 and same(resumed.composer, second.composer)
    other = start("third", sizes=replace(tiny, joint=64))
    with pytest.raises(ModelError, match="begins at a composer of its own sizes and its own world"):
        other.begin_at(tmp_path / "out")


def test_each_stage_teaches_its_own_networks(start, tmp_path: Path) -> None:
    trainer = start()

    def now() -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in trainer.composer.state_dict().items()}

    changed = []
    for until in (3, 7, 10):
        before = now()
        trainer.run(tmp_path / "out", silent, until=until)
        after = now()
        changed.append({name.split(".")[0] for name in before if not torch.equal(before[name], after[name])})
    condition = {"image", "text", "fusion", "log_tau"}
    assert changed == [condition, condition | {"unet"}, {"noisy_image", "noisy_log_tau"}]


def test_another_seed_is_another_model(start, tmp_path: Path) -> None:
    one, other = start("one"), start("other", replace(PLAN, seed=1))
    one.run(tmp_path / "out", silent, until=2)
    other.run(tmp_path / "out", silent, until=2)
    assert not same(one.composer, other.composer)


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_in_the_middle_leaves_the_last_checkpoint(start, tmp_path: Path) -> None:
    trainer = start()
    trainer.run(tmp_path / "out", silent, until=5)
    checkpoint = tmp_path / "scratch" / CHECKPOINT
    before, model = checkpoint.read_bytes(), (tmp_path / "out" / "model.safetensors").read_bytes()
    (tmp_path / "scratch" / f"{CHECKPOINT}.part").symlink_to("/dev/full")
    with pytest.raises(ModelError, match=r"step 10 could not be written to .*; the last checkpoint is whole. Free"):
        replace_plan_run(trainer, tmp_path)
    assert checkpoint.read_bytes() == before
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == model
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == [CHECKPOINT]
    again = start()
    assert again.step == 5
    again.run(tmp_path / "out", silent)


def replace_plan_run(trainer: Trainer, tmp_path: Path) -> None:
    """On to the end without the checkpoint between two stages, which would be the first to fail."""
    steps = trainer.plan.steps
    trainer.plan = replace(
        trainer.plan, steps={**steps, Stage.DRAW: steps[Stage.DRAW] + steps[Stage.GUIDE], Stage.GUIDE: 0}
    )
    trainer.run(tmp_path / "out", silent)


def test_the_checkpoint_of_another_training_is_refused(start, tmp_path: Path, tiny: Sizes) -> None:
    start().run(tmp_path / "out", silent, until=2)
    with pytest.raises(ModelError, match=r"of another one \(sizes: joint 32 instead of 48\)"):
        start(sizes=replace(tiny, joint=48))
    with pytest.raises(ModelError, match=r"of another one \(plan: batch 4 instead of 8\)"):
        start(plan=replace(PLAN, batch=8))
    (tmp_path / "scratch" / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is no checkpoint, or damaged"):
        start()


def test_a_loss_that_is_not_finite_ends_it_and_writes_nothing(start, tmp_path: Path) -> None:
    trainer = start()
    trainer.run(tmp_path / "out", silent, until=2)
    before = (tmp_path / "scratch" / CHECKPOINT).read_bytes()
    with torch.no_grad():
        trainer.composer.fusion.gate.bias.fill_(math.nan)
    with pytest.raises(NumericalError, match="left the finite numbers at step 3"):
        trainer.run(tmp_path / "out", silent)
    assert (tmp_path / "scratch" / CHECKPOINT).read_bytes() == before


# ------------------------------------------------------------------------------------------------------ objectives


def test_each_stage_minimises_its_own_equation(start) -> None:
    trainer = start()
    composer, batch = trainer.composer, trainer._batch(0)
    told = composer.condition(batch.references, batch.words)
    x_t = composer.chain.noised(batch.targets, batch.eps, batch.t)
    seen = composer.image(batch.targets).whole
    others = composer.others(batch.references, batch.rivals)
    icm = icm_loss(told.c, seen, composer.tau) - log_match(seen, told.c, others, composer.tau).mean()
    assert trainer.objective(Stage.MATCH, batch).item() == pytest.approx(icm.item(), rel=1e-4)
    heard = composer.unconditional(told, batch.chance < 0.2)
    eps, v = composer.denoise(x_t, batch.t, batch.references, heard)
    said, _ = composer.say(x_t, batch.t, batch.references, heard)
    mse = mse_loss(composer.aim(batch.targets, batch.eps, batch.t), said)
    cdd = cdd_loss(mse, vlb_loss(composer.chain, batch.targets, x_t, batch.t, eps, v), 1.5)
    assert trainer.objective(Stage.DRAW, batch).item() == pytest.approx(joint_loss(cdd, icm, 0.1).item(), rel=1e-4)
    blurred, tau = composer.noisy_image(x_t).whole, composer.noisy_tau
    noisy = icm_loss(told.c, blurred, tau) - log_match(blurred, told.c, others, tau).mean()
    assert trainer.objective(Stage.GUIDE, batch).item() == pytest.approx(noisy.item(), rel=1e-4)
    alone = replace(batch, rivals=None)
    assert trainer.objective(Stage.MATCH, alone).item() == pytest.approx(
        icm_loss(told.c, seen, composer.tau).item(), rel=1e-4
    )
    bare = Objective(composer, Weights(delta=0))
    assert bare(Stage.DRAW, batch).item() == pytest.approx(cdd.item(), rel=1e-4)


def test_drawing_is_learnt_and_told_by_turns_that_were_not_taught(start, tmp_path: Path) -> None:
    trainer = start(plan=Plan({Stage.MATCH: 0, Stage.DRAW: 60, Stage.GUIDE: 0}, batch=16, rate=2e-3, warmup=5))
    before = trainer.validation_loss()
    assert before == trainer.validation_loss()
    report = trainer.run(tmp_path / "out", silent)
    assert report.measured["validation L_joint"] == round(trainer.validation_loss(), 4) < 0.6 * before
    assert json.loads((tmp_path / "out" / "training.json").read_text())["measured"] == report.measured


def test_the_loss_of_matching_falls(start, tmp_path: Path) -> None:
    trainer = start(plan=Plan({Stage.MATCH: 80, Stage.DRAW: 0, Stage.GUIDE: 0}, batch=16, rate=2e-3, warmup=5))
    fixed = trainer._batch(10_000)
    before = trainer.objective(Stage.MATCH, fixed).item()
    trainer.run(tmp_path / "out", silent)
    assert trainer.objective(Stage.MATCH, fixed).item() < 0.8 * before


def test_rates_rise_stay_and_fall() -> None:
    plan = Plan({Stage.MATCH: 0, Stage.DRAW: 100, Stage.GUIDE: 10}, rate=1.0, warmup=10, cooldown=0.25)
    assert [plan.rate_at(Stage.DRAW, step) for step in (0, 9, 50, 75, 99)] == pytest.approx([0.1, 1, 1, 1, 0.04])
    assert plan.stage_at(99) == (Stage.DRAW, 99) and plan.stage_at(100) == (Stage.GUIDE, 0)


def test_a_plan_fits_into_its_minutes() -> None:
    seconds = {Stage.MATCH: 0.5, Stage.DRAW: 2.0, Stage.GUIDE: 0.25}
    steps = planned(100, seconds, matching=True)
    assert sum(steps[stage] * seconds[stage] for stage in Stage) == pytest.approx(6000, rel=0.01)
    assert planned(100, seconds, matching=False) == {Stage.MATCH: 0, Stage.DRAW: 3000, Stage.GUIDE: 0}


# --------------------------------------------------------------------------------------------------- data, folders


def test_turns_are_true_ones() -> None:
    turns = World(16).turns("train", [0, 4])
    assert turns.references.shape == turns.targets.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(turns.references[0], World(16).turns("train", [5]).references[0])  # an empty floor
    assert turns.instructions[0].endswith("at the centre")
    np.testing.assert_array_equal(World(16).turns("train", [3]).targets[0], turns.references[1])


def test_published_turns_are_numbered_through(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for split, count in (("train", 2), ("val", 1)):
        with h5py.File(tmp_path / f"codraw_{split}.h5", "w") as file:
            file["background"] = np.zeros((128, 128, 3), np.uint8)
            for k in range(count):
                group = file.create_group(str(k))
                group["images"] = np.full((2 + k, 128, 128, 3), (10, 20, 30 + k), np.uint8)
                group.create_dataset("utterences", data=[f"turn {n}" for n in range(2 + k)], dtype=h5py.string_dtype())
                group["objects"], group["coords"] = np.ones((2 + k, 58)), np.zeros((2 + k, 58, 3))
    source = PublishedTurns(tmp_path, 16)
    assert source.count("train") == 5 and source.count("validation") == 2
    turns = source.turns("train", [2, 4])
    assert turns.instructions == ("turn 0", "turn 2") and turns.rivals is None
    assert turns.references[0].max() == 0 and turns.targets[0, 0, 0].tolist() == [31, 20, 10]
    assert turns.references[1, 0, 0].tolist() == [31, 20, 10]


def test_a_folder_is_read_as_it_was_written(start, tmp_path: Path) -> None:
    trainer = start()
    save_composer(tmp_path / "model", Loaded(trainer.composer, trainer.tokenizer, Kind.SOLIDS))
    loaded = load_composer(tmp_path / "model", torch.device("cpu"))
    assert loaded.kind is Kind.SOLIDS and loaded.composer.sizes == trainer.composer.sizes
    assert loaded.tokenizer("add a red cube").input_ids == trainer.tokenizer("add a red cube").input_ids
    for ours, theirs in zip(loaded.composer.parameters(), trainer.composer.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_other_folders_are_refused(start, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks config.json, tokenizer.json, model.safetensors; train one with"):
        load_composer(tmp_path, torch.device("cpu"))
    trainer, folder = start(), tmp_path / "model"
    save_composer(folder, Loaded(trainer.composer, trainer.tokenizer, Kind.SOLIDS))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sizes": config["sizes"] | {"joint": 48}}))
    with pytest.raises(ModelError, match="is damaged"):
        load_composer(folder, torch.device("cpu"))
    (folder / "config.json").write_text(json.dumps(config))
    words = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(words[:100])
    with pytest.raises(ModelError, match=r"is damaged \(tokenizer.json"):
        load_composer(folder, torch.device("cpu"))
    (folder / "config.json").write_text(json.dumps(config | {"kind": "judge"}))
    with pytest.raises(ModelError, match="must hold a composer, of kind 'composer'; it is 'judge'"):
        load_composer(folder, torch.device("cpu"))


def test_a_size_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="there is no size 'huge'; choose from small, paper"):
        train_composer(tmp_path / "out", tmp_path / "scratch", 1, silent, size="huge")
