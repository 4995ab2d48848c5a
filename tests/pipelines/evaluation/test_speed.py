"""The speed command from end to end on a toy model, and its counted figures."""

from __future__ import annotations

import json

import pytest

from pipelines.catalog import settings
from pipelines.contract import Extent
from pipelines.evaluation import speed
from pipelines.layered.steps import single_steps
from pipelines.masks.sam import SamConfig
from pipelines.models.counting import META, counted
from pipelines.models.random_models import SIZES, random_bundle
from pipelines.params import LayeredParams, Tuned

PUBLISHED = {
    "random-sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "random-sdxl": {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    },
}
"""Parameters of the parts of the published folders."""


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    speed.main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_counts_what_an_edit_costs(capsys: pytest.CaptureFixture[str]) -> None:
    about = told(capsys, "--model", "random-tiny", "--dry-run")
    stages = {row["stage"]: row for row in about["counted"]["stages"]}
    steps = {stage: row["steps"] for stage, row in stages.items()}
    assert steps == {"encode": 1, "reference": 50, "embeddings": 500, "fine-tune": 250, "guidance": 50, "decode": 1}
    assert about["counted"]["tflop"] == pytest.approx(sum(row["tflop"] for row in stages.values()), rel=1e-3)
    assert stages["fine-tune"]["tflop_per_step"] > stages["embeddings"]["tflop_per_step"]
    memory = about["counted"]["memory_with_bfloat16_gb"]
    assert memory["total"] > memory["total_in_least_room"] > 0
    assert "measured" not in about and "device" not in about


def test_a_real_run_measures_every_stage_and_the_peer(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "random-tiny", "--device", "cpu", "--steps-scale", "0.01", "--repeats", "1")
    about = told(capsys, *options, "--peer-steps", "1")
    measured, stages = about["measured"], ["reference", "embeddings", "fine-tune", "guidance"]
    assert [row["stage"] for row in measured["stages"]] == stages
    assert all(row["seconds"] > 0 and row["tflops"] > 0 for row in measured["stages"])
    assert measured["edit_seconds"] >= sum(row["seconds"] for row in measured["stages"]) * 0.99
    assert measured["peak_memory_mb"] > 0 and measured["launches_per_step"] is None
    assert measured["network"] == "eager", "a processor compiles nothing"
    assert [pace["arithmetic"] for pace in about["peer"]["paces"]] == ["float32", "bfloat16"]
    assert all(pace["times_ours"] > 0 for pace in about["peer"]["paces"])
    assert "random-tiny" in speed.lines(about)[0] and len(speed.lines(about)) > len(stages)


def test_a_segmenter_is_timed_beside_the_edit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SamConfig(32, 2, 2, (1,), image_size=128, window_size=4, width=32, decoder_heads=2, decoder_mlp=32)
    monkeypatch.setattr(speed, "SEGMENTERS", {**speed.SEGMENTERS, "small": small})
    options = ("--model", "random-tiny", "--device", "cpu", "--preset", "draft", "--steps-scale", "0.1")
    about = told(capsys, *options, "--repeats", "1", "--peer-steps", "0", "--segmenter", "small")
    found = about["segmenter"]
    assert found["name"] == "small"
    assert all(found[part] > 0 for part in ("first_embed_seconds", "embed_seconds", "click_seconds"))
    assert speed.lines(about)[-1] == f"  small: {found['embed_seconds']} s to embed, {found['click_seconds']} s a click"


@pytest.mark.parametrize("name", PUBLISHED)
def test_random_models_are_of_the_published_sizes(name: str) -> None:
    modules = random_bundle(name, META).modules
    sizes = {part: sum(p.numel() for p in module.parameters()) for part, module in modules.items()}
    assert sizes == PUBLISHED[name]


def test_a_step_of_xl_is_counted_without_its_weights() -> None:
    """Its cost is that of the network at 128 x 128 cells for both halves of the guidance, two layers in a fit."""
    bundle = random_bundle("random-sdxl", META)
    side = SIZES["random-sdxl"].resolution
    steps = single_steps(bundle, Extent(side, side), LayeredParams())
    guidance = counted(steps["guidance"])
    assert guidance.tflop == pytest.approx(2 * 6.76, abs=0.01) and guidance.operators > 1000
    # forwards and backwards to the inputs; the keys' and values' weights of the text need no second product
    assert counted(steps["embeddings"]).tflop == pytest.approx(2 * guidance.tflop, rel=0.1)


def test_a_preset_is_run_in_the_share_that_was_asked_for() -> None:
    asked, _ = speed.parsed(["--preset", "draft", "--steps-scale", "0.5"])
    params = speed.settings_of(asked)
    assert (params.embed_steps, params.tune_steps, params.steps, params.tuned) == (25, 0, 10, Tuned.NONE)
    assert "fine-tune" not in speed.steps_by_stage(params)
    whole, _ = speed.parsed([])
    assert speed.settings_of(whole) == settings("layered", whole.preset), "all of it is the preset itself"
    assert speed.settings_of(speed.parsed(["--compiled"])[0]).compiled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "500"], "a multiple of 64"),
        (["--steps-scale", "0"], "above 0"),
        (["--segmenter", "vit_b"], "leave out one of them"),
        (["--model", "huge"], "neither a model folder nor one of random-sd15"),
    ],
)
def test_what_cannot_be_measured_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        speed.main([*arguments, "--dry-run"])
    assert message in capsys.readouterr().err + str(stopped.value)
