"""What an edit costs and how fast this machine pays it: ``python -m pipelines.evaluation.speed --model random-sd15``.

Counted, on any machine and without weights: the operations, operators and memory of every stage. Measured, without
``--dry-run``: the seconds of whole edits by the layered method, the first apart from the later ones; what share of the
device's own rate of matrix products that is; and, in the same run, the pace of the loop in `peer`.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import diffusers
import numpy as np
import torch
from torch.profiler import ProfilerActivity

from pipelines.catalog import settings
from pipelines.contract import EditRequest, EditResult, Extent, Quality, Scope
from pipelines.errors import ModelError, PipelineError
from pipelines.evaluation.clock import matrix_rate, seconds
from pipelines.evaluation.peer import peer_pace
from pipelines.layered import method
from pipelines.layered.memory import memory_of
from pipelines.layered.steps import single_steps
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import VIT_B, VIT_H, VIT_L, SamSegmenter, build_sam
from pipelines.models.bundle import ModelBundle
from pipelines.models.counting import META, Counted, counted, on_meta
from pipelines.models.folders import card_of
from pipelines.models.loader import device_named, load_bundle
from pipelines.models.network import compiled
from pipelines.models.random_models import SIZES, random_bundle
from pipelines.models.room import Room
from pipelines.params import LayeredParams, Tuned

SEGMENTERS = {"vit_b": VIT_B, "vit_l": VIT_L, "vit_h": VIT_H}
CLICKS = 5
"""That are timed; the middle one counts."""


@dataclass(frozen=True)
class Asked:
    """The command line."""

    model: str
    size: int
    """Pixels a side of the square picture."""
    preset: Quality
    device: str
    steps_scale: float
    """Share of the preset's steps that a measured edit takes; what is printed per step does not depend on it."""
    repeats: int
    """Edits after the first one."""
    peer_steps: int
    """Of each stage of the peer; 0 leaves it out."""
    segmenter: str
    dry_run: bool
    compiled: bool
    """The network as one graph, where a GPU can."""


def settings_of(asked: Asked) -> LayeredParams:
    """The preset, with the share of its steps that was asked for; at least one step of a stage that it has."""
    params = settings("layered", asked.preset)
    assert isinstance(params, LayeredParams)

    def scaled(steps: int) -> int:
        return max(1, round(steps * asked.steps_scale)) if steps else 0

    return replace(
        params,
        compiled=asked.compiled,
        embed_steps=scaled(params.embed_steps),
        tune_steps=scaled(params.tune_steps),
        steps=max(2, scaled(params.steps)),
    )


def model_of(name: str, device: torch.device) -> ModelBundle:
    """A random model by name, or the model in a folder. Raises `ModelError`."""
    if name in SIZES:
        return random_bundle(name, device)
    card = card_of(Path(name)) if Path(name).is_dir() else None
    if card is None:
        raise ModelError(f"{name!r} is neither a model folder nor one of {', '.join(SIZES)}")
    return load_bundle(card, device)


def steps_by_stage(params: LayeredParams) -> dict[str, int]:
    """How often each stage's step runs in one edit from pure noise whose background is made from its text."""
    trained = {"embeddings": params.embed_steps} if params.embed_steps else {}
    if params.tuned is not Tuned.NONE and params.tune_steps:
        trained["fine-tune"] = params.tune_steps
    return {"encode": 1, "reference": params.steps, **trained, "guidance": params.steps, "decode": 1}


def count(bundle: ModelBundle, extent: Extent, params: LayeredParams) -> dict[str, Counted]:
    """The cost of one step of every stage."""
    costs = {stage: counted(work) for stage, work in single_steps(on_meta(bundle), extent, params).items()}
    return {**costs, "reference": costs["guidance"]}


def counted_rows(costs: Mapping[str, Counted], params: LayeredParams) -> list[dict[str, Any]]:
    """One row a stage."""
    return [
        {
            "stage": stage,
            "steps": steps,
            "tflop_per_step": round(costs[stage].tflop, 6),
            "operators_per_step": costs[stage].operators,
            "tflop": round(steps * costs[stage].tflop, 6),
        }
        for stage, steps in steps_by_stage(params).items()
    ]


def request_of(extent: Extent) -> EditRequest:
    """A picture of noise whose middle becomes something else before another background."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (extent.height, extent.width, 3), dtype=np.uint8)
    mask = np.zeros(picture.shape[:2], bool)
    mask[extent.height // 4 : -extent.height // 4, extent.width // 4 : -extent.width // 4] = True
    return EditRequest(picture=picture, mask=mask, subject="a dog", background="a beach", scope=Scope.BOTH, seed=7)


def measured_edits(
    bundle: ModelBundle, extent: Extent, params: LayeredParams, repeats: int, costs: Mapping[str, Counted]
) -> dict[str, Any]:
    """Whole edits: the first one, then the median of the others by stage."""
    request, results = request_of(extent), list[EditResult]()
    fast = method.compiles(bundle, request, params)
    if bundle.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bundle.device)
    took = [
        seconds(lambda: results.append(method.run(bundle, request, params)), bundle.device) for _ in range(1 + repeats)
    ]
    rates = {str(dtype).removeprefix("torch."): matrix_rate(bundle.device, dtype) for dtype in RATED}
    rows = []
    for number, stage in enumerate(results[0].stages):
        lasted = median(result.stages[number].seconds for result in results[1:])
        pace = stage.steps * costs[stage.name].tflop / lasted
        rows.append(
            {
                "stage": stage.name,
                "steps": stage.steps,
                "seconds": round(lasted, 4),
                "seconds_per_step": round(lasted / stage.steps, 6),
                "tflops": round(pace, 4),
                "share_of_bfloat16_rate": round(pace / rates["bfloat16"], 4),
            }
        )
    return {
        "first_edit_seconds": round(took[0], 3),
        "edit_seconds": round(median(took[1:]), 3),
        "matrix_tflops": {name: round(rate, 4) for name, rate in rates.items()},
        "stages": rows,
        "peak_memory_mb": peak_memory_mb(bundle.device),
        "network": "compiled" if fast else "eager",
        "launches_per_step": launches(replace(bundle, network=compiled()) if fast else bundle, extent, params),
    }


RATED = (torch.bfloat16, torch.float32)


def peak_memory_mb(device: torch.device) -> int:
    """The most that was held at once, in MB (2^20 bytes): on the device, or by the process where that is the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def launches(bundle: ModelBundle, extent: Extent, params: LayeredParams) -> dict[str, int] | None:
    """Kernels and graphs that the host launches for one step of each stage; ``None`` where it launches nothing."""
    if bundle.device.type != "cuda":
        return None
    found = {}
    for stage, work in single_steps(bundle, extent, params).items():
        work()
        with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profile:
            work()
        found[stage] = sum("Launch" in event.name for event in profile.events())
    return found


def measured_peer(bundle: ModelBundle, extent: Extent, steps: int, ours: Mapping[str, float]) -> dict[str, Any]:
    """The peer's pace in either arithmetic, and how many times longer it takes for the paper's schedule than we do.

    `ours` is the seconds of one of our steps by stage. Ours see two samples, one a layer, where the peer's see one.
    """
    paper = LayeredParams()
    schedule = (paper.embed_steps, paper.tune_steps, paper.steps)
    paces = [peer_pace(bundle, extent, dtype, steps) for dtype in (torch.float32, torch.bfloat16)]
    own = sum(
        n * ours.get(stage, 0) for n, stage in zip(schedule, ("embeddings", "fine-tune", "guidance"), strict=True)
    )
    return {
        "steps_timed": steps,
        "paces": [
            {
                "arithmetic": pace.arithmetic,
                "seconds_per_step": {stage: round(took, 6) for stage, took in pace.step.items()},
                "paper_schedule_seconds": round(pace.schedule(*schedule), 3),
                "times_ours_by_stage": {
                    stage: round(took / ours[stage], 3) for stage, took in pace.step.items() if stage in ours
                },
                "times_ours": round(pace.schedule(*schedule) / own, 3) if len(ours) == len(pace.step) else None,
            }
            for pace in paces
        ],
    }


def measured_segmenter(name: str, device: torch.device) -> dict[str, Any]:
    """Seconds to embed a picture and to answer a click, with random weights."""
    config = SEGMENTERS[name]
    model = SamSegmenter(build_sam(config).to(device).requires_grad_(False), name, config.labels)
    picture = request_of(Extent(config.image_size, config.image_size)).picture
    took = [seconds(lambda: model.embed(picture), device) for _ in range(3)]
    embedding, middle = model.embed(picture), config.image_size / 2
    click = MaskPrompts(clicks=(Click(middle, middle),))
    clicks = [seconds(lambda: model.segment(embedding, click), device) for _ in range(1 + CLICKS)][1:]
    return {
        "name": name,
        "first_embed_seconds": round(took[0], 4),
        "embed_seconds": round(min(took[1:]), 4),
        "click_seconds": round(median(clicks), 4),
    }


def report(asked: Asked) -> dict[str, Any]:
    """Everything that was asked for, ready for JSON."""
    params, extent = settings_of(asked), Extent(asked.size, asked.size)
    device = META if asked.dry_run and asked.model in SIZES else device_named(asked.device)
    bundle = model_of(asked.model, device)
    bundle = replace(bundle, card=replace(bundle.card, resolution=asked.size))
    costs = count(bundle, extent, params)
    rows = counted_rows(costs, params)
    fast = replace(bundle, autocast=torch.bfloat16)
    memory = memory_of(fast, extent, params)
    least = Room.PARTS if params.tuned is Tuned.UNET else Room.HALF
    about: dict[str, Any] = {
        "model": asked.model,
        "size": asked.size,
        "preset": str(asked.preset),
        "steps_scale": asked.steps_scale,
        "date": date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        },
        "counted": {
            "stages": rows,
            "tflop": round(sum(row["tflop"] for row in rows), 4),
            "memory_with_bfloat16_gb": {part: round(size / 1e9, 3) for part, size in asdict(memory).items()}
            | {
                "total": round(memory.total / 1e9, 3),
                "total_in_least_room": round(memory_of(fast, extent, params, least).total / 1e9, 3),
            },
        },
    }
    if asked.dry_run:
        return about
    about["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() + " CPU"
    about["arithmetic"] = "float32" if bundle.autocast is None else str(bundle.autocast).removeprefix("torch.")
    about["threads"] = torch.get_num_threads()
    about["measured"] = measured_edits(bundle, extent, params, asked.repeats, costs)
    if asked.peer_steps:
        ours = {row["stage"]: row["seconds_per_step"] for row in about["measured"]["stages"]}
        about["peer"] = measured_peer(
            bundle, extent, asked.peer_steps, {k: v for k, v in ours.items() if k != "reference"}
        )
    if asked.segmenter != "none":
        about["segmenter"] = measured_segmenter(asked.segmenter, device)
    return about


def lines(about: Mapping[str, Any]) -> list[str]:
    """The report for a person."""
    counted_part = about["counted"]
    out = [
        f"{about['model']}, {about['size']} pixels, {about['preset']}: {counted_part['tflop']:g} TFLOP, "
        f"{counted_part['memory_with_bfloat16_gb']['total']} GB needed, or "
        f"{counted_part['memory_with_bfloat16_gb']['total_in_least_room']} GB where memory is short (counted)",
        *(
            f"  {row['stage']:<11} {row['steps']:>4} steps of {row['tflop_per_step']:g} TFLOP, "
            f"{row['operators_per_step']} operators"
            for row in counted_part["stages"]
        ),
    ]
    if "measured" in about:
        measured = about["measured"]
        out += [
            f"on {about['device']}, {about['arithmetic']}, {about['threads']} threads: {measured['edit_seconds']} s an "
            f"edit, the first {measured['first_edit_seconds']} s; peak {measured['peak_memory_mb']} MB (measured)",
            *(
                f"  {row['stage']:<11} {row['seconds']} s, {row['tflops']} TFLOP/s, "
                f"{row['share_of_bfloat16_rate']:.1%} of the bfloat16 rate"
                for row in measured["stages"]
            ),
        ]
    for pace in about.get("peer", {}).get("paces", ()):
        out.append(f"  the peer in {pace['arithmetic']}: {pace['times_ours_by_stage']} times ours by stage")
    if "segmenter" in about:
        found = about["segmenter"]
        out.append(f"  {found['name']}: {found['embed_seconds']} s to embed, {found['click_seconds']} s a click")
    return out


def parsed(arguments: Sequence[str] | None) -> tuple[Asked, bool]:
    """The command line, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluation.speed", description=__doc__)
    parser.add_argument("--model", default="random-sd15", help=f"{', '.join(SIZES)}, or a model folder")
    parser.add_argument("--size", type=int, help="pixels a side; by default what the model was made for")
    parser.add_argument("--preset", type=Quality, choices=list(Quality), default=Quality.EXACT)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="share of the preset's steps to run")
    parser.add_argument("--repeats", type=int, default=3, help="edits after the first one")
    parser.add_argument("--peer-steps", type=int, default=10, help="steps of the peer's stages; 0 leaves it out")
    parser.add_argument("--segmenter", choices=["none", *SEGMENTERS], default="none", help="time a SAM as well")
    parser.add_argument("--dry-run", action="store_true", help="only count; needs neither weights nor a GPU")
    parser.add_argument("--compiled", action="store_true", help="compile the network, on a GPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = vars(parser.parse_args(arguments))
    as_json = asked.pop("json")
    if asked["size"] is None:
        asked["size"] = SIZES[asked["model"]].resolution if asked["model"] in SIZES else 512
    if asked["size"] < 64 or asked["size"] % 64:
        parser.error(f"--size must be a multiple of 64, at least 64; got {asked['size']}")
    if not 0 < asked["steps_scale"] <= 1 or asked["repeats"] < 1 or asked["peer_steps"] < 0:
        parser.error("--steps-scale must be above 0 and at most 1, --repeats at least 1, --peer-steps at least 0")
    if asked["dry_run"] and asked["segmenter"] != "none":
        parser.error("--segmenter is timed, and --dry-run times nothing: leave out one of them")
    return Asked(**asked), as_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, print the figures."""
    asked, as_json = parsed(arguments)
    try:
        about = report(asked)
    except PipelineError as error:
        sys.exit(f"{error}")
    print(json.dumps(about, indent=2) if as_json else "\n".join(lines(about)))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
