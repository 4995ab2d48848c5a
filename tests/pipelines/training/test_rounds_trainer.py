"""Training a tiny network for many rounds: stopped or not it comes to the same weights, and leaves a plain LoRA."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from pipelines.errors import BadParameter, ModelError, NumericalError
from pipelines.models.adapters import attached
from pipelines.models.bundle import ModelBundle
from pipelines.models.lora_files import find_loras
from pipelines.models.network import eager
from pipelines.seeds import derived_seed
from pipelines.training.checkpoint import CHECKPOINT
from pipelines.training.choices import Decay, Edges, Form
from pipelines.training.common import silent
from pipelines.training.losses import first_round
from pipelines.training.trainer import Plan, Trainer, train_rounds
from tests.pipelines.training.conftest import PLAN, Halves

Start = Callable[..., Trainer]
ROOT = Path(__file__).resolve().parents[3]
FAST = replace(PLAN, steps=20, batch=4, rate=2e-2, warmup=4, ema=0.9)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.objective.taught().items()}


def same(one: Trainer, other: Trainer) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# -------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("edges", [Edges.NONE, Edges.TRAINED])
def test_a_training_that_was_stopped_comes_to_the_same_weights(start: Start, tmp_path: Path, edges: Edges) -> None:
    plan = replace(PLAN, edges=edges)
    whole = start("whole", plan)
    whole.run(tmp_path / "out", silent)
    start("stopped", plan).run(tmp_path / "part", silent, until=2)
    resumed = start("stopped", plan, workers=1)
    assert resumed.step == 2 and not same(resumed, whole)
    report = resumed.run(tmp_path / "part", silent)
    assert report.steps == 6 and same(resumed, whole)
    for name in ("pytorch_lora_weights.safetensors", "reference.safetensors"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_result_of_a_training_that_is_over_is_there_again(start: Start, tmp_path: Path) -> None:
    start().run(tmp_path / "out", silent)
    before = (tmp_path / "out" / "pytorch_lora_weights.safetensors").read_bytes()
    again = start().run(tmp_path / "out", silent)
    assert again.steps == 6 and again.measured["held out: single"] > 0
    assert (tmp_path / "out" / "pytorch_lora_weights.safetensors").read_bytes() == before


def test_another_seed_and_another_weight_are_other_loras(start: Start, tmp_path: Path) -> None:
    trainers = [start("a"), start("b", replace(PLAN, seed=1)), start("c", replace(PLAN, decay=Decay.NONE))]
    for trainer in trainers:
        trainer.run(tmp_path / "out", silent, until=3)
    assert not any(same(trainers[0], other) for other in trainers[1:])


# -------------------------------------------------------------------------------------------------- what is learnt


@pytest.mark.parametrize(
    ("model", "clip"),
    [("tiny", "tiny-clip"), ("tiny-v", "tiny-clip"), ("tiny-xl", "tiny-clip"), ("tiny-instruct", None)],
)
def test_the_losses_fall_on_what_was_not_taught(start: Start, tmp_path: Path, model: str, clip: str | None) -> None:
    trainer = start(plan=FAST, model=model, clip=clip)
    before = trainer.held_out()
    assert before == trainer.held_out()
    report = trainer.run(tmp_path / "out", silent)
    for name in ("single", "reconstruction", "multi"):
        assert math.isfinite(report.measured[name])
        assert report.measured[f"held out: {name}"] < before[f"held out: {name}"]
    assert json.loads((tmp_path / "out" / "training.json").read_text())["measured"] == report.measured


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("edges", [Edges.NONE, Edges.TRAINED])
def test_it_trains_on_a_gpu_and_goes_on_there(start: Start, tmp_path: Path, edges: Edges) -> None:
    plan = replace(PLAN, edges=edges)
    start("gpu", plan, device="cuda").run(tmp_path / "out", silent, until=3)
    report = start("gpu", plan, device="cuda", workers=1).run(tmp_path / "out", silent)
    assert report.steps == 6 and report.device.startswith("cuda")
    assert all(math.isfinite(value) for value in report.measured.values())


def test_only_the_decoders_cross_attention_is_changed(start: Start) -> None:
    named = {name for name in start().objective.taught() if name.startswith("unet.")}
    assert named and all("up_blocks." in name and ".attn2." in name and ".lora_" in name for name in named)
    assert {re.search(r"attn2\.(to_\w+)\.", name)[1] for name in named} == {"to_q", "to_k", "to_v", "to_out"}


def test_each_kind_of_edge_branch_teaches_its_own(start: Start, tmp_path: Path) -> None:
    def parts(trainer: Trainer) -> set[str]:
        return {name.split(".")[0] for name in trainer.objective.taught()}

    along = start("along", replace(PLAN, edges=Edges.TRAINED))
    assert parts(start("none")) == {"unet", "projection"}
    assert parts(along) == {"unet", "projection", "branch"}
    along.run(tmp_path / "along out", silent, until=2)
    loaded = start("loaded", replace(PLAN, edges=Edges.LOADED), branch=tmp_path / "along out" / "edges")
    assert parts(loaded) == {"unet", "projection"}
    alone = start("alone", replace(PLAN, edges=Edges.ALONE))
    assert parts(alone) == {"branch"}
    alone.run(tmp_path / "alone out", silent, until=1)
    assert {path.name for path in (tmp_path / "alone out").iterdir()} == {"edges", "reference.json", "training.json"}


def test_the_edge_branch_begins_without_a_say(start: Start) -> None:
    with_branch, without = start("a", replace(PLAN, edges=Edges.TRAINED)), start("b")
    for trainer in (with_branch, without):
        trainer.objective.eval()
    drawn = with_branch._drawn(range(1))
    losses = [
        trainer.objective(trainer.batch(0, next(iter(drawn))), 1.0).detach() for trainer in (with_branch, without)
    ]
    torch.testing.assert_close(losses[0][2], losses[1][2])  # of the reconstruction, which leads through both


def test_the_second_round_never_begins_at_the_noise_of_the_first_nor_near_none(start: Start) -> None:
    trainer = start(plan=replace(PLAN, batch=8))
    batches = [trainer.batch(k, drawn) for k, drawn in enumerate(trainer._drawn(range(40)))]
    t_1, t_2 = torch.cat([b.t_1 for b in batches]), torch.cat([b.t_2 for b in batches])
    assert (t_1 != t_2).all()
    assert 100 <= int(t_2.min()) < 130 and int(t_2.max()) > 960 and int(t_1.min()) < 30
    assert not torch.equal(batches[0].eps_1, batches[0].eps_2)


def test_a_network_made_for_instructions_is_shown_what_each_round_begins_with(start: Start) -> None:
    trainer, shown = start(model="tiny-instruct", clip=None), []
    objective, scale = trainer.objective, trainer.bundle.latent_scale

    def listening(unet: UNet2DConditionModel, z_t: torch.Tensor, *told: Any) -> torch.Tensor:
        shown.append(z_t[:, z_t.shape[1] // 2 :] * scale)
        return eager(unet, z_t, *told)

    objective._bundle = replace(trainer.bundle, network=listening)
    batch = trainer.batch(0, next(iter(trainer._drawn(range(1)))))
    objective(batch, 1.0)
    for seen in shown[:3]:  # at once, no text, the first part
        torch.testing.assert_close(seen, batch.z_r)
    z_hat = first_round(
        trainer.bundle.schedule, objective.network(None, batch.z_r), batch.z_r, batch.t_1, batch.eps_1, batch.first
    )
    torch.testing.assert_close(shown[3], z_hat)
    assert trainer.eyes is None and torch.equal(batch.nothing.tokens, trainer.bundle.embed_texts(["", ""]).tokens)


def test_both_orders_are_taught_where_order_is_free(start: Start) -> None:
    plan, source, orders = replace(PLAN, batch=8), Halves(), set()
    trainer = start(plan=plan)
    for step, drawn in enumerate(trainer._drawn(range(20))):
        rng = np.random.default_rng(derived_seed(plan.seed, f"train step {step} of process 0"))
        for number, whole, first, second in zip(rng.integers(10_000, size=8), *drawn.texts, strict=True):
            said = source.triple("train", int(number))[1]
            orders.add((said.independent, first == said.first))
            expected = (said.first, said.second) if first == said.first else (said.second, said.first)
            assert (first, second) == expected
            assert whole == (said.whole if first == said.first else said.swapped)
    assert orders == {(True, True), (True, False), (False, True)}


# ------------------------------------------------------------------------------------------------- what goes wrong


def test_the_checkpoint_of_another_training_is_refused(start: Start, tmp_path: Path) -> None:
    start().run(tmp_path / "out", silent, until=2)
    with pytest.raises(ModelError, match=r"of another one \(plan: form noise instead of picture\)"):
        start(plan=replace(PLAN, form=Form.PICTURE))
    with pytest.raises(ModelError, match=r"of another one \(model: tiny instead of tiny-v\)"):
        start(model="tiny-v")
    (tmp_path / "scratch" / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is no checkpoint, or damaged"):
        start()


def test_a_loss_that_is_not_finite_ends_it_and_writes_nothing(start: Start, tmp_path: Path) -> None:
    trainer = start()
    trainer.run(tmp_path / "out", silent, until=2)
    before = (tmp_path / "scratch" / CHECKPOINT).read_bytes()
    with torch.no_grad():
        trainer.objective.projection.linear.bias.fill_(math.nan)
    with pytest.raises(NumericalError, match="left the finite numbers at step 6"):
        trainer.run(tmp_path / "out", silent)
    assert (tmp_path / "scratch" / CHECKPOINT).read_bytes() == before


def test_options_that_do_not_go_together_are_refused(tmp_path: Path, folders: tuple[Path, ...]) -> None:
    def asked(minutes: float | None = 1, model: str = "tiny", **options: object) -> None:
        train_rounds(tmp_path / "o", tmp_path / "s", minutes, silent, model=model, folders=folders, **options)

    with pytest.raises(BadParameter, match="needs either minutes or steps"):
        asked(steps=3)
    with pytest.raises(BadParameter, match=r"--edges loaded and --branch need each other; got --edges none and a bra"):
        asked(branch=tmp_path)
    with pytest.raises(ModelError, match=r"there is no clip model called 'lost'"):
        asked(clip="lost")
    with pytest.raises(ModelError, match="takes a model of the kind plain or instruct; 'tiny-inpainting' is of the"):
        asked(model="tiny-inpainting")
    with pytest.raises(ModelError, match="must be a ControlNet's folder"):
        asked(minutes=None, steps=1, edges="loaded", branch=tmp_path, device="cpu")


# --------------------------------------------------------------------------------------------------- what it leaves


def test_it_is_an_ordinary_lora(
    start: Start, tmp_path: Path, folders: tuple[Path, ...], load: Callable[[str], ModelBundle]
) -> None:
    """Listed like any, and to diffusers and to an edit the same change as that of the training."""
    trainer = start(plan=FAST)
    out = tmp_path / "loras" / "rounds"
    trainer.run(out, silent)
    assert find_loras((tmp_path,)) == {"rounds": out}
    random = torch.Generator().manual_seed(0)
    z, e = torch.randn(1, 4, 16, 16, generator=random), torch.randn(1, 12, 16, generator=random)
    t = torch.tensor([500])

    def said(unet: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return unet(z, t, e).sample

    learnt, bundle = said(trainer.bundle.unet), load("tiny")
    bare = said(bundle.unet)
    assert (learnt - bare).abs().max() > 1e-3
    pipe = StableDiffusionPipeline.from_pretrained(folders[0] / "tiny", safety_checker=None)
    pipe.load_lora_weights(out)
    torch.testing.assert_close(said(pipe.unet), learnt, rtol=1e-4, atol=1e-5)
    with attached(bundle, [(out, 1.0)]):
        torch.testing.assert_close(said(bundle.unet), learnt, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said(bundle.unet), bare, rtol=0, atol=0)


@pytest.mark.slow
def test_two_processes_train_one_lora(tmp_path: Path, folders: tuple[Path, ...]) -> None:
    """As on two GPUs: started by accelerate from the command line, with finite losses that fall."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", str(ROOT / "launch.py")]
    command += ["train", "rounds", "--model", str(folders[0] / "tiny"), "--clip", str(folders[1] / "tiny-clip")]
    command += ["--steps", "30", "--batch", "4", "--rate", "0.05", "--rank", "4", "--device", "cpu", "--json"]
    command += ["--out", str(tmp_path / "out"), "--scratch", str(tmp_path / "scratch")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1", "25", "30"], "one of the two talks"
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert all(math.isfinite(value) for value in report["measured"].values())
    first = {name: float(lines[0].split(f"{name} ")[1].split()[0]) for name in ("single", "reconstruction", "multi")}
    assert report["measured"]["single"] < first["single"]
    assert report["measured"]["reconstruction"] < first["reconstruction"]
    lora = safetensors.torch.load_file(tmp_path / "out" / "pytorch_lora_weights.safetensors")
    assert any("lora_B" in name and tensor.abs().max() > 0 for name, tensor in lora.items())


def test_rates_rise_and_fall_along_a_cosine() -> None:
    plan = Plan(100, rate=1.0, warmup=10)
    assert plan.rate_at(0) == pytest.approx(0.1)
    assert plan.rate_at(50) == pytest.approx(0.5)
    assert plan.rate_at(99) == pytest.approx(0.5 * (1 + math.cos(0.99 * math.pi)))
    assert plan.weight_at(0) == 1 and plan.weight_at(99) == 0
