"""The loop that all Toybox trainers share: a time budget, a warm-up and a cool-down, EMA, checkpoints, a report.

A trainer hands over its modules and a function that gives the loss of one batch; everything else is here. Training
resumes from the last checkpoint in the scratch folder, so it can be stopped at any time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.training.common import Ema

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


def drawn_in_chunks(cache: Path, count: int, chunk: int, draw: Callable[[int], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `draw` makes of the numbers from 0, `chunk` at a time, until there are `count`, side by side; kept in the
    folder `cache`, so that a drawing that was stopped goes on."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, count, chunk):
        path = cache / f"{start:06d}.pt"
        if not path.exists():
            torch.save(draw(start), path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
        parts.append(torch.load(path, weights_only=True))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def train(
    modules: Sequence[nn.Module],
    loss_of_batch: Callable[[int, float], Tensor],
    schedule: Schedule,
    checkpoint: Path,
    on_checkpoint: Callable[[int], None] = lambda _step: None,
) -> tuple[int, float, float]:
    """Run AdamW until the time is over; returns (steps, seconds, smoothed loss) with the mean weights in place.

    `loss_of_batch` is told the number of the step, from 0, and the share of the time that is over, 0 to 1.
    `on_checkpoint` is called every few minutes with the EMA weights swapped in: save and sample there.
    """
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=schedule.rate, weight_decay=schedule.weight_decay, betas=(0.9, 0.99), fused=True
    )
    ema = Ema(parameters, schedule.ema)
    step, before, smoothed = 0, 0.0, float("nan")
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        for module, state in zip(modules, saved["modules"], strict=True):
            module.load_state_dict(state)
        ema.mean = [mean.to(p.device) for mean, p in zip(saved["ema"], parameters, strict=True)]
        # The moments are the checkpoint's, the settings this run's.
        optimiser.load_state_dict({**optimiser.state_dict(), "state": saved["optimiser"]["state"]})
        step, before = saved["step"], saved["seconds"]
    started = last_saved = time.monotonic()

    def save(seconds: float) -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "modules": [m.state_dict() for m in modules],
            "ema": ema.mean,
            "optimiser": optimiser.state_dict(),
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
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
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
