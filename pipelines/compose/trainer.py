"""Trains a composer in three stages, with checkpoints from which a stopped training goes on to the same weights.

Every step draws its batch and noise from the seed and its own number, so nothing but weights and moments has to be
kept. The paper stops by the validation loss; here the steps of each stage are set before the first one, from how many
minutes there are, and the rate falls at the end of each stage.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pipelines.compose.data import PublishedTurns, Source, World, build_tokenizer, to_tensor, to_words
from pipelines.compose.folder import Kind, Loaded, load_composer, save_composer
from pipelines.compose.model import SIZES, Composer, Sizes, parameters
from pipelines.compose.objective import Batch, Objective, Stage, Weights
from pipelines.errors import BadParameter, ModelError, NumericalError
from pipelines.seeds import derived_seed, generator, sent
from pipelines.training.checkpoint import CHECKPOINT_SECONDS, begun, read_checkpoint, write_checkpoint
from pipelines.training.common import Ema, Report, Say, fast_arithmetic, silent

TELL_EVERY = 25
"""Steps between two lines on the terminal; the loss is also looked at then."""
SHARES = {Stage.MATCH: 0.08, Stage.DRAW: 0.84, Stage.GUIDE: 0.08}
"""Of the time."""
VALIDATED = 8
"""Batches of the validation split that are looked at in the end."""
TIMED = 3
"""Steps of each stage by which a plan is made; the first is not counted."""


@dataclass(frozen=True)
class Plan:
    """All that decides what comes of a training, but for the data and the network's sizes."""

    steps: dict[Stage, int]
    batch: int = 32
    """Turns a step, on each GPU."""
    rate: float = 3e-4
    """The paper's 1e-4 is for CLIP that was trained before and for 256 turns a step."""
    weight_decay: float = 0.01
    warmup: int = 100
    """Steps of each stage in which the rate rises."""
    cooldown: float = 0.25
    """Share of each stage, at its end, in which it falls to nothing."""
    ema: float = 0.999
    seed: int = 0
    weights: Weights = field(default_factory=Weights)

    @property
    def total(self) -> int:
        return sum(self.steps.values())

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, counted from 0 over all stages, and its number there."""
        for stage in Stage:
            if step < self.steps[stage]:
                return stage, step
            step -= self.steps[stage]
        raise ValueError("the plan has no such step")

    def rate_at(self, stage: Stage, step: int) -> float:
        """Rises, stays, and falls (warm-up, stable, decay: Hu et al. 2024)."""
        left = (self.steps[stage] - step) / max(1.0, self.cooldown * self.steps[stage])
        return self.rate * min(1.0, (step + 1) / self.warmup, left)


class Trainer:
    """One training on one source, from its last checkpoint on."""

    def __init__(self, source: Source, kind: Kind, sizes: Sizes, plan: Plan, scratch: Path, device: str) -> None:
        """Raises `ModelError` where `scratch` holds the checkpoint of another training."""
        self.source, self.kind, self.plan, self.scratch = source, kind, plan, scratch
        # What a stage does not teach is closed below; still, no loss reaches every parameter in every step.
        spread = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=device == "cpu", kwargs_handlers=[spread])
        self.tokenizer: PreTrainedTokenizerFast = build_tokenizer(source.texts(), sizes.words)
        torch.manual_seed(derived_seed(plan.seed, "composer"))
        composer = Composer(sizes, len(self.tokenizer), self.tokenizer.eos_token_id)
        self.objective = Objective(composer.to(self.accelerator.device), plan.weights)
        self.step, self.seconds = 0, 0.0
        self.loss = float("nan")
        self.resumed = read_checkpoint(scratch, self.identity)
        if self.resumed is not None:
            self.step, self.seconds = self.resumed["step"], self.resumed["seconds"]
            composer.load_state_dict(self.resumed["model"])

    @property
    def composer(self) -> Composer:
        return self.objective.composer

    def begin_at(self, folder: Path) -> None:
        """Take the weights of the composer in `folder` for a beginning; a training that goes on from its checkpoint has
        better ones. Whether its U-Net says noise or velocity it may learn anew. Raises `ModelError` for a composer of
        other sizes or of another world."""
        found = load_composer(folder, self.accelerator.device)
        sizes = replace(found.composer.sizes, velocity=self.composer.sizes.velocity)
        if (found.kind, sizes, len(found.tokenizer)) != (
            self.kind,
            self.composer.sizes,
            len(self.tokenizer),
        ):
            raise ModelError(
                f"a training begins at a composer of its own sizes and its own world; {folder} holds another one"
            )
        if self.step == 0:
            self.composer.load_state_dict(found.composer.state_dict())

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have in common with the training that goes on from it."""
        told = {"world": self.kind, "words": len(self.tokenizer), "sizes": asdict(self.composer.sizes)}
        plan: dict[str, Any] = json.loads(json.dumps(told | {"plan": asdict(self.plan)}))
        return plan

    def run(self, out: Path, say: Say, until: int | None = None) -> Report:
        """Train to the plan's end, or to step `until`, writing the model to `out` with each checkpoint.

        Raises `NumericalError` for a loss that is not finite, and `ModelError` where there is no room for a
        checkpoint: the last one stays as it was.
        """
        end = self.plan.total if until is None else min(until, self.plan.total)
        while self.step < end:
            stage, _ = self.plan.stage_at(self.step)
            self._run_stage(stage, end, out, say)
        told = self._report()
        told.measured["validation L_joint"] = round(self.validation_loss(), 4)
        if self.accelerator.is_main_process:
            told.write(out)
        return told

    @torch.no_grad()
    def validation_loss(self) -> float:
        """`L_joint`, Eq. 13, on turns that are not taught, the same ones whenever it is asked for."""
        self.objective.eval()
        with fast_arithmetic(self.accelerator.device):
            losses = [self.objective(Stage.DRAW, self._batch(k, "validation")) for k in range(VALIDATED)]
        return float(torch.stack(losses).mean())

    def _run_stage(self, stage: Stage, end: int, out: Path, say: Say) -> None:
        _, begun = self.plan.stage_at(self.step)
        composer, self.loss = self.composer, float("nan")
        if begun == 0 and stage is Stage.GUIDE:  # it begins where both of the paper's do, at the same weights
            composer.noisy_image.load_state_dict(composer.image.state_dict())
            composer.noisy_log_tau.data.copy_(composer.log_tau.data)
        self.objective.requires_grad_(False)
        taught = [p.requires_grad_() for p in self.objective.updated(stage)]
        optimiser = torch.optim.AdamW(
            taught, self.plan.rate, (0.9, 0.99), weight_decay=self.plan.weight_decay, fused=True
        )
        ema = Ema(taught, self.plan.ema)
        if self.resumed is not None:
            if begun:
                optimiser.load_state_dict(self.resumed["optimiser"])
                ema.mean = [mean.to(p.device) for mean, p in zip(self.resumed["ema"], taught, strict=True)]
            self.resumed = None
        objective, optimiser = self.accelerator.prepare(self.objective.train(), optimiser)
        last = self.step - begun + self.plan.steps[stage]
        saved = time.monotonic()
        started = saved - self.seconds
        while self.step < min(end, last):
            here = self.step - (last - self.plan.steps[stage])
            for group in optimiser.param_groups:
                group["lr"] = self.plan.rate_at(stage, here)
            with fast_arithmetic(self.accelerator.device):
                loss = objective(stage, self._batch(self.step))
            optimiser.zero_grad(set_to_none=True)
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(taught, 1.0)
            optimiser.step()
            ema.update(here)
            self.step += 1
            self.seconds = time.monotonic() - started
            if self.step % TELL_EVERY == 0 or self.step in (end, last):
                self._tell(stage, loss, say)
            done = self.step == last
            if done:
                ema.swap()  # the stage's result, and the next one's beginning, are the mean weights
            if done or self.step == end or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save(optimiser, ema, out, swapped=done)
                saved = time.monotonic()
        self.accelerator.free_memory()

    def _tell(self, stage: Stage, loss: Tensor, say: Say) -> None:
        value = loss.item()
        if not math.isfinite(value):
            raise NumericalError(
                f"the loss left the finite numbers at step {self.step}; the last checkpoint is as it was. Use another "
                "--seed or a lower rate"
            )
        self.loss = value if math.isnan(self.loss) else 0.9 * self.loss + 0.1 * value
        say(f"{stage}: step {self.step} of {self.plan.total}  {self.seconds:.0f} s  loss {value:.4f}")

    def _batch(self, step: int, split: str = "train") -> Batch:
        """Of that step: the same turns and noise whenever, and after however many stops, it is asked for."""
        purpose = f"{split} step {step} of process {self.accelerator.process_index}"
        drawn = np.random.default_rng(derived_seed(self.plan.seed, purpose))
        turns = self.source.turns(split, drawn.integers(self.source.count(split), size=self.plan.batch).tolist())
        device, source = self.accelerator.device, generator(self.plan.seed, f"noise of {purpose}")
        targets = to_tensor(turns.targets, device)
        count, steps = self.plan.batch, self.composer.sizes.steps
        # The larger of two draws: where a thing goes is settled where there is most noise.
        t = torch.randint(steps, (2, count), generator=source).amax(0)
        others = None
        if turns.rivals is not None:
            texts = [text for told in turns.rivals for text in told]
            others = to_words(self.tokenizer, texts, device).reshape(count, -1, self.composer.sizes.words)
        return Batch(
            references=to_tensor(turns.references, device),
            words=to_words(self.tokenizer, turns.instructions, device),
            targets=targets,
            rivals=others,
            t=sent(t, device),
            eps=sent(torch.randn(targets.shape, generator=source), device),
            chance=sent(torch.rand(count, generator=source), device),
        )

    # ---------------------------------------------------------------------------------------------- checkpoints

    def _save(self, optimiser: Any, ema: Ema, out: Path, swapped: bool) -> None:
        """The checkpoint first, then the model with the mean weights; both are whole or as they were."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.composer.state_dict(),
            "optimiser": optimiser.state_dict(),
            "ema": ema.mean,
        }

        def publish() -> None:
            if not swapped:
                ema.swap()
            save_composer(out, Loaded(self.composer, self.tokenizer, self.kind))
            self._report().write(out)
            if not swapped:
                ema.swap()

        write_checkpoint(self.scratch, state, out, publish)

    def _report(self) -> Report:
        return Report(
            model="composer",
            steps=self.step,
            seconds=round(self.seconds, 1),
            device=str(self.accelerator.device),
            seed=self.plan.seed,
            loss=self.loss,
            parameters=parameters([self.composer]),
            measured={f"steps of {stage}": float(count) for stage, count in self.plan.steps.items()},
        )


# ------------------------------------------------------------------------------------------------------------ plans


def seconds_a_step(trainer: Trainer) -> dict[Stage, float]:
    """How long a step of each stage takes here; what was learnt on the way is thrown away with `trainer`."""
    found: dict[Stage, float] = {}
    for stage in Stage:
        for k in range(TIMED):
            began = time.perf_counter()
            trainer.objective.requires_grad_(False)
            taught = [p.requires_grad_() for p in trainer.objective.updated(stage)]
            with fast_arithmetic(trainer.accelerator.device):
                loss = trainer.objective(stage, trainer._batch(k))
            torch.autograd.backward(loss)
            torch.optim.AdamW(taught, fused=True).step()
            loss.item()
            if k:
                found[stage] = min(found.get(stage, math.inf), time.perf_counter() - began)
    return found


def planned(minutes: float, seconds: dict[Stage, float], matching: bool) -> dict[Stage, int]:
    """So many steps of each stage as fit into `minutes`, by `SHARES`; without matching all the time is for drawing."""
    shares = SHARES if matching else {Stage.MATCH: 0.0, Stage.DRAW: 1.0, Stage.GUIDE: 0.0}
    return {stage: round(60 * minutes * shares[stage] / seconds[stage]) for stage in Stage}


def of_steps(steps: int, matching: bool) -> dict[Stage, int]:
    """So many steps of drawing, and half as many of the others, which are cheap."""
    rest = steps // 2 if matching else 0
    return {Stage.MATCH: rest, Stage.DRAW: steps, Stage.GUIDE: rest}


def train_composer(
    out: Path,
    scratch: Path,
    minutes: float | None,
    say: Say,
    size: str = "small",
    data: Path | None = None,
    batch: int = 32,
    seed: int = 0,
    matching: bool = True,
    device: str = "auto",
    threads: int | None = None,
    steps: int | None = None,
    begin: Path | None = None,
) -> dict[str, Any]:
    """What ``launch.py train compose`` does; returns the report. A training that was begun goes on by its own plan.

    With `begin`, the folder of a composer, it begins at that one's weights; another `seed` than that one had shows it
    other pictures.

    How long is said in `minutes`, or in `steps` of drawing where a machine has other work beside this.

    Without `matching` neither the first nor the third stage is run and delta is 0, as in the paper's ablation.
    """
    if size not in SIZES:
        raise BadParameter(f"there is no size {size!r}; choose from {', '.join(SIZES)}")
    if (minutes is None) == (steps is None):
        raise BadParameter("a training needs either minutes or steps; give --minutes 60, say", "minutes")
    if threads:
        torch.set_num_threads(threads)
    sizes = SIZES[size]
    source: Source = World(sizes.side) if data is None else PublishedTurns(data, sizes.side)
    kind = Kind.SOLIDS if data is None else Kind.PUBLISHED
    weights = Weights() if matching else Weights(delta=0.0)
    plan = _begun(scratch, batch, seed, weights)
    if plan is None and steps is not None:
        plan = Plan(of_steps(steps, matching), batch, seed=seed, weights=weights)
    elif plan is None:
        assert minutes is not None
        trial = Plan(dict.fromkeys(Stage, TIMED), batch, seed=seed, weights=weights)
        timed = seconds_a_step(Trainer(source, kind, sizes, trial, scratch, device))
        [seconds] = broadcast_object_list([timed])  # of several processes all go by the first one's plan
        plan = Plan(planned(minutes, seconds, matching), batch, seed=seed, weights=weights)
        say("a step takes " + ", ".join(f"{seconds[stage]:.2f} s ({stage})" for stage in Stage))
    trainer = Trainer(source, kind, sizes, plan, scratch, device)
    if begin is not None:
        trainer.begin_at(begin)
    if not trainer.accelerator.is_main_process:
        say = silent
    stages = ", ".join(f"{count} ({stage})" for stage, count in plan.steps.items())
    say(f"from step {trainer.step} of {plan.total}: {stages}")
    return asdict(trainer.run(out, say))


def _begun(scratch: Path, batch: int, seed: int, weights: Weights) -> Plan | None:
    """The plan of the checkpoint in `scratch`, with this run's options, which `Trainer` compares with its own."""
    told = begun(scratch)
    if told is None:
        return None
    steps = told.get("steps", {})
    return Plan({stage: int(steps.get(stage, 0)) for stage in Stage}, batch, seed=seed, weights=weights)
