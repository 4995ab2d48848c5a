"""Trains a LoRA for many rounds, with checkpoints from which a stopped training goes on to the same weights.

Every step draws its triples, order and noise from the seed and its own number, so nothing but weights and moments has
to be kept. How long is said in steps, or worked out from minutes before the first one; the rate rises, then falls along
a cosine.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from diffusers import ControlNetModel, StableDiffusionPipeline
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset

from pipelines.contract import Backbone
from pipelines.errors import BadParameter, ModelError, NumericalError
from pipelines.evaluation.clip import clip_that_knows
from pipelines.images import to_network
from pipelines.models.folders import CLIP, TEXT_TO_IMAGE, ModelCard, find_model, find_models
from pipelines.models.loader import load_bundle, load_control_net
from pipelines.models.lora_files import SAVED
from pipelines.seeds import derived_seed, generator, sent
from pipelines.training.checkpoint import CHECKPOINT_SECONDS, begun, read_checkpoint, write_checkpoint
from pipelines.training.choices import Decay, Edges, Form
from pipelines.training.common import Ema, Report, Say, fast_arithmetic, silent
from pipelines.training.losses import weight_at
from pipelines.training.objective import Batch, Objective
from pipelines.training.reference import Eyes, edge_maps, save_reference, silence
from pipelines.training.sources import source_of
from pipelines.training.triples import HELD_OUT, TRAINING, Source, triples

TELL_EVERY = 25
"""Steps between two lines on the terminal; the loss is also looked at then."""
VALIDATED = 4
"""Batches of triples that are not taught, looked at in the end."""
TIMED = 4
"""Steps by which a plan is made; the first is not counted."""
MODELS = Path("assets") / "models"
PARTS = ("total", "single", "reconstruction", "multi")


@dataclass(frozen=True)
class Plan:
    """All that decides what comes of a training, but for the data and the models."""

    steps: int
    batch: int = 8
    """Triples a step, on each GPU."""
    rate: float = 3e-4
    """The paper's did not survive in the text that we have."""
    weight_decay: float = 0.01
    warmup: int = 100
    """Steps in which the rate rises: what the second round begins with is of no use before."""
    ema: float = 0.999
    rank: int = 16
    """Of the LoRA; the paper's did not survive either."""
    decay: Decay = Decay.LINEAR
    form: Form = Form.NOISE
    edges: Edges = Edges.NONE
    least_t2: float = 0.1
    """Share of the noise schedule from which t_2 is drawn: near 0 the noise form of Eq. 4 has no bounds."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Rises, then falls along half a cosine."""
        return self.rate * min(1.0, (step + 1) / self.warmup) * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def weight_at(self, step: int) -> float:
        return weight_at(self.decay, step, self.steps)


@dataclass(frozen=True)
class Drawn:
    """The triples of a step as the processor prepares them, all ``float32`` and of B."""

    references: Tensor
    """``(B, 3, side, side)`` in [-1, 1]."""
    targets: Tensor
    shown: Tensor | None
    """The references as the CLIP is shown them."""
    edges_r: Tensor | None
    edges_g: Tensor | None
    texts: tuple[tuple[str, ...], ...]
    """The whole texts, the first parts, the second parts."""


class Steps(Dataset[Drawn]):
    """The triples of every step by its number: the same ones whenever it is asked for, and after however many stops."""

    def __init__(self, source: Source, split: str, plan: Plan, side: int, process: int, eyes: Eyes | None) -> None:
        self.source, self.split, self.plan, self.side = source, split, plan, side
        self.process, self._prepared = process, None if eyes is None else eyes.prepared

    def __getitem__(self, step: int) -> Drawn:
        rng = np.random.default_rng(derived_seed(self.plan.seed, f"{self.split} step {step} of process {self.process}"))
        numbers = rng.integers(self.source.count(self.split), size=self.plan.batch).tolist()
        found = triples(self.source, self.split, numbers, self.side)
        # Where order is free either part is the first one.
        turned = (rng.random(self.plan.batch) < 0.5) & np.array([said.independent for said in found.instructions])
        texts = [
            (said.swapped, said.second, said.first) if turn else (said.whole, said.first, said.second)
            for said, turn in zip(found.instructions, turned, strict=True)
        ]
        led = self.plan.edges is not Edges.NONE
        return Drawn(
            references=as_network(found.references),
            targets=as_network(found.targets),
            shown=None if self._prepared is None else self._prepared(list(found.references)),
            edges_r=edge_maps(list(found.references)) if led else None,
            edges_g=edge_maps(list(found.targets)) if led else None,
            texts=tuple(zip(*texts, strict=True)),
        )


def as_network(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """``(B, H, W, 3) uint8`` to ``(B, 3, H, W) float32`` in [-1, 1]."""
    return torch.cat([to_network(picture) for picture in pictures])


class Trainer:
    """One training of one model on one source, from its last checkpoint on."""

    def __init__(
        self,
        card: ModelCard,
        clip: str | None,
        folders: tuple[Path, ...],
        source: Source,
        plan: Plan,
        scratch: Path,
        device: str = "auto",
        branch: Path | None = None,
        workers: int = 0,
    ) -> None:
        """`clip` is found in `folders` and is told of no picture where it is ``None``; `branch` is the folder of a
        ControlNet, for `Edges.LOADED`. Raises `ModelError` where `scratch` holds the checkpoint of another training."""
        # What a step teaches is all that is open, but no loss of a step without many rounds reaches all of it.
        spread = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=device == "cpu", kwargs_handlers=[spread])
        self.card, self.clip, self.source, self.plan, self.scratch = card, clip, source, plan, scratch
        self.workers = workers
        where = self.accelerator.device
        self.bundle = load_bundle(card, where)
        if where.type == "cpu":  # where group norm's backward pass is slow in the other layout
            self.bundle.unet.to(memory_format=torch.contiguous_format)
        alone = plan.edges is Edges.ALONE
        self.eyes = None if clip is None or alone else Eyes(clip, folders, where)
        loaded: ControlNetModel | None = None if branch is None else load_control_net(branch, self.bundle)
        seen = None if self.eyes is None else self.eyes.width
        self.objective = Objective(self.bundle, seen, plan.rank, plan.edges, loaded, plan.form, plan.seed)
        self.step, self.seconds = 0, 0.0
        self.losses = [math.nan] * len(PARTS)
        self.resumed = read_checkpoint(scratch, self.identity)
        if self.resumed is not None:
            self.step, self.seconds = self.resumed["step"], self.resumed["seconds"]
            fill(self.objective.taught(), self.resumed["taught"])

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have in common with the training that goes on from it."""
        said = {"model": self.card.id, "clip": self.clip, "data": self.source.name, "plan": asdict(self.plan)}
        plain: dict[str, Any] = json.loads(json.dumps(said))
        return plain

    def run(self, out: Path, say: Say, until: int | None = None) -> Report:
        """Train to the plan's end, or to step `until`, writing the folder `out` with each checkpoint.

        Raises `NumericalError` for a loss that is not finite, and `ModelError` where there is no room for a
        checkpoint: the last one stays as it was.
        """
        end = self.plan.steps if until is None else min(until, self.plan.steps)
        taught = self.objective.taught()
        optimiser = torch.optim.AdamW(
            taught.values(), self.plan.rate, (0.9, 0.99), weight_decay=self.plan.weight_decay, fused=True
        )
        ema = Ema(list(taught.values()), self.plan.ema)
        if self.resumed is not None:
            optimiser.load_state_dict(self.resumed["optimiser"])
            ema.mean = [mean.to(p.device) for mean, p in zip(self.resumed["ema"], taught.values(), strict=True)]
            self.resumed = None
        objective, optimiser = self.accelerator.prepare(self.objective, optimiser)
        saved = time.monotonic()
        started = saved - self.seconds
        for drawn in self._drawn(range(self.step, end)):
            for group in optimiser.param_groups:
                group["lr"] = self.plan.rate_at(self.step)
            with fast_arithmetic(self.accelerator.device), kernels(self.accelerator.device):
                losses = objective(self.batch(self.step, drawn), self.plan.weight_at(self.step))
                optimiser.zero_grad(set_to_none=True)
                self.accelerator.backward(losses[0])
            self.accelerator.clip_grad_norm_(taught.values(), 1.0)
            optimiser.step()
            ema.update(self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            if self.step % TELL_EVERY == 0 or self.step in (1, end):
                self._tell(losses, say)
            if self.step == end or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save(optimiser, ema, out)
                saved = time.monotonic()
        self.accelerator.free_memory()
        if self.step < self.plan.steps:
            return self._report({})
        fill(taught, dict(zip(taught, ema.mean, strict=True)))  # the result is the mean weights
        report = self._report(self.held_out())
        if self.accelerator.is_main_process:
            report.write(out)
        return report

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The three losses on triples that are not taught, the same ones whenever it is asked for."""
        told = Steps(self.source, HELD_OUT, self.plan, self.card.resolution, 0, self.eyes)
        weight = 0.0 if self.plan.decay is Decay.NONE else 1.0
        with fast_arithmetic(self.accelerator.device):
            losses = [self.objective(self.batch(k, told[k], HELD_OUT), weight) for k in range(VALIDATED)]
        means = torch.stack(losses).mean(0).tolist()
        return {f"held out: {name}": round(mean, 5) for name, mean in zip(PARTS[1:], means[1:], strict=True)}

    @torch.no_grad()
    def batch(self, step: int, drawn: Drawn, split: str = TRAINING) -> Batch:
        """`drawn` on the device, encoded, with what is drawn at random for that step."""
        device, bundle, count = self.accelerator.device, self.bundle, len(drawn.references)
        process = self.accelerator.process_index
        source = generator(self.plan.seed, f"noise of {split} step {step} of process {process}")
        z_r, z_g = bundle.encode(torch.cat([drawn.references, drawn.targets])).chunk(2)
        texts = bundle.embed_texts([text for part in drawn.texts for text in part])
        nothing = bundle.embed_texts([""] * count)
        length = bundle.schedule.length
        least = round(self.plan.least_t2 * length)
        t, t_0, t_1, offset = (torch.randint(length, (count,), generator=source) for _ in range(4))
        t_2 = least + offset % (length - least)
        t_2 = torch.where(t_2 == t_1, least + (t_2 + 1 - least) % (length - least), t_2)  # another one than t_1
        noise = [sent(torch.randn(z_g.shape, generator=source), device) for _ in range(4)]
        at = [sent(one, device) for one in (t, t_0, t_1, t_2)]
        return Batch(
            z_r=z_r,
            z_g=z_g,
            seen=None if self.eyes is None or drawn.shown is None else self.eyes(drawn.shown),
            whole=texts[:count],
            first=texts[count : 2 * count],
            second=texts[2 * count :],
            nothing=nothing if self.eyes is None else silence(nothing),
            edges_r=None if drawn.edges_r is None else drawn.edges_r.to(device),
            edges_g=None if drawn.edges_g is None else drawn.edges_g.to(device),
            t=at[0],
            t_0=at[1],
            t_1=at[2],
            t_2=at[3],
            eps=noise[0],
            eps_0=noise[1],
            eps_1=noise[2],
            eps_2=noise[3],
        )

    def _drawn(self, steps: range) -> DataLoader[Drawn]:
        told = Steps(self.source, TRAINING, self.plan, self.card.resolution, self.accelerator.process_index, self.eyes)
        return DataLoader(told, batch_size=None, sampler=steps, num_workers=self.workers)

    def _tell(self, losses: Tensor, say: Say) -> None:
        values = losses.detach().tolist()
        if not all(map(math.isfinite, values)):
            raise NumericalError(
                f"the loss left the finite numbers at step {self.step}; the last checkpoint is as it was. Use another "
                "--seed or a lower --rate"
            )
        self.losses = [
            new if math.isnan(old) else 0.9 * old + 0.1 * new for old, new in zip(self.losses, values, strict=True)
        ]
        parts = "  ".join(f"{name} {value:.4f}" for name, value in zip(PARTS, self.losses, strict=True))
        weight = self.plan.weight_at(self.step - 1)
        say(f"step {self.step} of {self.plan.steps}  {self.seconds:.0f} s  {parts}  weight {weight:.2f}")

    # ---------------------------------------------------------------------------------------------- checkpoints

    def _save(self, optimiser: Any, ema: Ema, out: Path) -> None:
        """The checkpoint first, then the folder with the mean weights; both are whole or as they were."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "taught": {name: p.detach() for name, p in self.objective.taught().items()},
            "optimiser": optimiser.state_dict(),
            "ema": ema.mean,
        }

        def publish() -> None:
            ema.swap()
            try:
                save_folder(out, self.objective, self.card, self.clip)
                self._report({}).write(out)
            finally:
                ema.swap()

        write_checkpoint(self.scratch, state, out, publish)

    def _report(self, measured: Mapping[str, float]) -> Report:
        last = {name: round(loss, 5) for name, loss in zip(PARTS[1:], self.losses[1:], strict=True) if loss == loss}
        return Report(
            model=f"rounds, {self.plan.edges} edges, {self.plan.decay} weight",
            steps=self.step,
            seconds=round(self.seconds, 1),
            device=str(self.accelerator.device),
            seed=self.plan.seed,
            loss=self.losses[0],
            parameters=sum(p.numel() for p in self.objective.taught().values()),
            measured={**last, **measured},
        )


@torch.no_grad()
def fill(taught: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """The weights `taught` become `values`."""
    for name, p in taught.items():
        p.copy_(values[name])


def kernels(device: torch.device) -> AbstractContextManager[object]:
    """On a CPU the fused attention's backward pass is 20 times its forward pass; plain matrix products are not."""
    return sdpa_kernel([SDPBackend.MATH]) if device.type == "cpu" else nullcontext()


def save_folder(out: Path, objective: Objective, card: ModelCard, clip: str | None) -> None:
    """The LoRA as diffusers saves one, under another name until it is whole, and what stands beside it."""
    out.mkdir(parents=True, exist_ok=True)
    layers = objective.lora_state()
    if layers:
        part = "part.safetensors"
        # Without PEFT's notes, of which the file would hold more than one, in whatever order: alpha is the rank.
        StableDiffusionPipeline.save_lora_weights(out, unet_lora_layers=layers, weight_name=part)
        (out / part).replace(out / SAVED[1])
    projection = objective.projection
    seen = None if projection is None else projection.linear.in_features
    said = {
        "model": card.id,
        "clip": None if projection is None else clip,
        "seen": seen,
        "width": objective.bundle.text_widths[0],
    }
    save_reference(out, said, projection, objective.branch)


# ------------------------------------------------------------------------------------------------------------ plans


def seconds_a_step(trainer: Trainer) -> float:
    """How long a step takes here; what was learnt on the way is thrown away with `trainer`."""
    taught = list(trainer.objective.taught().values())
    optimiser = torch.optim.AdamW(taught, fused=True)
    drawn = iter(trainer._drawn(range(TIMED)))
    found: list[float] = []
    for k in range(TIMED):
        began = time.perf_counter()
        with fast_arithmetic(trainer.accelerator.device), kernels(trainer.accelerator.device):
            losses = trainer.objective(trainer.batch(k, next(drawn)), trainer.plan.weight_at(0))
            torch.autograd.backward(losses[0])
        optimiser.step()
        losses[0].item()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def named_model(name: str, kind: str = TEXT_TO_IMAGE, folders: tuple[Path, ...] = (MODELS,)) -> ModelCard:
    """The model in the folder `name`, or the one called so in `folders`. Raises `ModelError`."""
    path = Path(name)
    if path.is_dir() and any((path / file).is_file() for file in ("model_index.json", "config.json")):
        return find_model(path.resolve().name, (path.resolve().parent,), kind)
    return find_model(name, folders, kind)


def eyes_for(card: ModelCard, clip: str | None, folders: tuple[Path, ...]) -> ModelCard:
    """The CLIP called so, or the one that knows the model's pictures. Raises `ModelError` where there is none."""
    if clip is not None:
        return named_model(clip, CLIP, folders)
    found = clip_that_knows(card.domain.measured_by, find_models(folders).values())
    if found is None:
        raise ModelError(
            f"the reference picture is told by a CLIP, and there is none here for {card.id!r}; pull one, or name its "
            "folder with --clip"
        )
    return found


def train_rounds(
    out: Path,
    scratch: Path,
    minutes: float | None,
    say: Say,
    model: str = "toybox",
    clip: str | None = None,
    data: Path | None = None,
    steps: int | None = None,
    batch: int = 8,
    rate: float = 3e-4,
    rank: int = 16,
    decay: str = Decay.LINEAR,
    form: str = Form.NOISE,
    edges: str = Edges.NONE,
    branch: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    workers: int = 0,
    folders: tuple[Path, ...] = (MODELS,),
) -> dict[str, Any]:
    """What ``launch.py train rounds`` does; returns the report. A training that was begun goes on by its own plan.

    Of several processes (``accelerate launch launch.py train rounds``) each draws triples of its own.
    """
    if (minutes is None) == (steps is None):
        raise BadParameter("a training needs either minutes or steps; give --minutes 60, say", "minutes")
    if (branch is not None) != (edges == Edges.LOADED):
        raise BadParameter(
            f"--edges loaded and --branch need each other; got --edges {edges}"
            f"{'' if branch is None else ' and a branch'}. Name the folder of a ControlNet with --branch",
            "edges",
        )
    if threads:
        torch.set_num_threads(threads)
    card = named_model(model, TEXT_TO_IMAGE, folders)
    if card.backbone not in (Backbone.PLAIN, Backbone.INSTRUCT):
        raise ModelError(
            f"a training for many rounds takes a model of the kind {Backbone.PLAIN} or {Backbone.INSTRUCT}; "
            f"{card.id!r} is of the kind {card.backbone or 'unknown'}. Choose another with --model"
        )
    # One that was made for instructions sees the picture itself.
    eyes = None if clip is None and card.backbone is Backbone.INSTRUCT else eyes_for(card, clip, folders)
    source = source_of(data)

    def plan_of(count: int) -> Plan:
        return Plan(
            count,
            batch,
            rate,
            rank=rank,
            decay=Decay(decay),
            form=Form(form),
            edges=Edges(edges),
            seed=seed,
            warmup=max(1, min(100, count // 10)),
        )

    def trainer_of(plan: Plan, where: Path) -> Trainer:
        beside = () if eyes is None else (eyes.path.parent,)
        name = None if eyes is None else eyes.id
        return Trainer(card, name, (*beside, *folders), source, plan, where, device, branch, workers)

    if (planned := begun(scratch)) is not None:
        steps = int(planned.get("steps", 1))
    elif steps is None:
        assert minutes is not None
        each = seconds_a_step(trainer_of(plan_of(TIMED), scratch))
        [each] = broadcast_object_list([each])  # of several processes all go by the first one's plan
        steps = max(1, round(60 * minutes / each))
        say(f"a step takes {each:.2f} s")
    trainer = trainer_of(plan_of(steps), scratch)
    if not trainer.accelerator.is_main_process:
        say = silent
    told = "shown the picture" if eyes is None else eyes.id
    say(f"from step {trainer.step} of {steps}: {card.id}, {source.name}, {told}")
    return asdict(trainer.run(out, say))
