"""The loop that all Toybox trainers share: a time budget, a warm-up and a cool-down, EMA, checkpoints, a report.

A trainer hands over its modules and a function that gives the loss of one batch; everything else is here. Training
resumes from the last checkpoint in the scratch folder, so it can be stopped at any time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.models.loader import fast_dtype

CHECKPOINT_SECONDS = 180


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    minutes: float
    rate: float
    warmup_steps: int = 200
    cooldown: float = 0.25
    """Share of the time, at its end, in which the rate falls to nothing; before, it is constant, so that a training
    which is given more time goes on as if it had been planned so (Hu et al. 2024, warmup-stable-decay)."""
    weight_decay: float = 1e-2
    ema: float = 0.999
    muon: bool = False
    """Whether matrices are trained by `Muon`."""


@dataclass(frozen=True)
class Report:
    """What a training reached; written beside the weights as ``training.json``."""

    model: str
    steps: int
    seconds: float
    device: str
    seed: int
    loss: float
    parameters: int
    measured: dict[str, float]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.json").write_text(json.dumps(asdict(self), indent=2) + "\n")


def best_device(wanted: str = "auto") -> torch.device:
    """The device of that name; `auto` takes a CUDA card where there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def fast_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the device multiplies it in hardware. Elsewhere it is emulated, and a step of the
    text-to-image model that takes seconds in float32 takes minutes."""
    dtype = fast_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


class Ema:
    """A running mean of the weights, which is what gets saved."""

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.decay = decay
        self.live = list(parameters)
        self.mean = [p.detach().clone().float() for p in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.mean, [p.detach().float() for p in self.live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live weights and their mean; calling it twice changes nothing."""
        for live, mean in zip(self.live, self.mean, strict=True):
            kept = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal matrix by matrix (Jordan et al. 2024): every direction of a layer learns as fast.

    Convolutions are taken as matrices of their output channels; the size of a step is AdamW's (Liu et al. 2025, "Muon
    is scalable for LLM training", Eq. 4), so that one rate serves both. ``torch.optim.Muon`` takes no convolutions and
    multiplies in bfloat16, which many processors only emulate.
    """

    COEFFICIENTS = (3.4445, -4.7750, 2.0315)
    """Of the quintic Newton-Schulz iteration, which brings singular values near 1 in five rounds."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002
        """Take one step along the gradients that are there."""
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"])  # Nesterov's
                turned = self._orthogonal(ahead.flatten(1))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(turned.view_as(p), alpha=-0.2 * math.sqrt(max(turned.shape)) * group["lr"])

    @classmethod
    def _orthogonal(cls, matrix: Tensor) -> Tensor:
        tall = len(matrix) > matrix.shape[1]
        x = matrix.T if tall else matrix
        x = x / (x.norm() + 1e-7)
        a, b, c = cls.COEFFICIENTS
        for _ in range(5):
            square = x @ x.T
            x = a * x + (b * square + c * square @ square) @ x
        return x.T if tall else x


def optimisers(modules: Sequence[nn.Module], schedule: Schedule) -> list[torch.optim.Optimizer]:
    """AdamW; with `Schedule.muon`, Muon for the matrices that are no embeddings and AdamW for the rest."""
    embedded = {
        id(p) for m in modules for part in m.modules() if isinstance(part, nn.Embedding) for p in part.parameters()
    }
    matrices, rest = [], []
    for p in (p for m in modules for p in m.parameters() if p.requires_grad):
        (matrices if schedule.muon and p.ndim > 1 and id(p) not in embedded else rest).append(p)
    adam = torch.optim.AdamW(rest, lr=schedule.rate, weight_decay=schedule.weight_decay, betas=(0.9, 0.99), fused=True)
    return [adam, Muon(matrices, schedule.rate, weight_decay=schedule.weight_decay)] if matrices else [adam]


def train(
    modules: Sequence[nn.Module],
    loss_of_batch: Callable[[int, float], Tensor],
    schedule: Schedule,
    checkpoint: Path,
    on_checkpoint: Callable[[int], None] = lambda _step: None,
) -> tuple[int, float, float]:
    """Run the optimisers until the time is over; returns (steps, seconds, smoothed loss), mean weights in place.

    `loss_of_batch` is told the number of the step, from 0, and the share of the time that is over, 0 to 1.
    `on_checkpoint` is called every few minutes with the EMA weights swapped in: save and sample there.
    """
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    optimising = optimisers(modules, schedule)
    ema = Ema(parameters, schedule.ema)
    step, before, smoothed = 0, 0.0, float("nan")
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        for module, state in zip(modules, saved["modules"], strict=True):
            module.load_state_dict(state)
        ema.mean = [mean.to(p.device) for mean, p in zip(saved["ema"], parameters, strict=True)]
        # The moments are the checkpoint's, the settings this run's.
        for optimiser, state in zip(optimising, saved["optimisers"], strict=True):
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state["state"]})
        step, before = saved["step"], saved["seconds"]
    started = last_saved = time.monotonic()

    def save(seconds: float) -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "modules": [m.state_dict() for m in modules],
            "ema": ema.mean,
            "optimisers": [optimiser.state_dict() for optimiser in optimising],
            "step": step,
            "seconds": seconds,
        }
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)
        ema.swap()
        on_checkpoint(step)
        ema.swap()

    while (elapsed := before + time.monotonic() - started) < schedule.minutes * 60:
        done = elapsed / (schedule.minutes * 60)
        warm = min(1.0, (step + 1) / schedule.warmup_steps)
        rate = schedule.rate * warm * (0.02 + 0.98 * min(1.0, (1 - done) / schedule.cooldown))
        loss = loss_of_batch(step, done)
        for optimiser in optimising:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser in optimising:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        ema.update(step)
        step += 1
        if step % 25 == 0:
            value = loss.item()
            smoothed = value if math.isnan(smoothed) else 0.9 * smoothed + 0.1 * value
            print(f"step {step}  {elapsed:.0f} s  loss {smoothed:.4f}  rate {rate:.2e}", flush=True)
        if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            save(elapsed)
            last_saved = time.monotonic()
    save(elapsed)
    ema.swap()
    return step, elapsed, smoothed
