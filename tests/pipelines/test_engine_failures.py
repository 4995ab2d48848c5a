"""What fails in an edit fails alone: memory, numbers and faults of the device, injected where the real ones arise."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from pipelines.contract import EditRequest, EditResult, Picture, Scope
from pipelines.engine import Engine
from pipelines.errors import DeviceFault, ModelError, NotEnoughMemory, NumericalError, PipelineError
from pipelines.faults import meaning
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import SamConfig, SamSegmenter, build_sam, save_sam
from pipelines.models.bundle import ModelBundle
from pipelines.params import LayeredParams, Params, SDEditParams, Tuned
from pipelines.progress import Cancelled

FEW = SDEditParams(steps=4)
LAYERED = LayeredParams(steps=3, embed_steps=2, tune_steps=2, tuned=Tuned.UNET)
LORA = replace(LAYERED, tuned=Tuned.LORA)
CUDA_OOM = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.68 GiB of which 1.2 GiB is"
ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some "
    "other API call, so the stacktrace below might be incorrect."
)


@pytest.fixture
def engine(model_folders: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Computes in float32 on any processor; `bfloat16` is for the tests of the other."""
    monkeypatch.setattr("pipelines.models.loader.fast_dtype", lambda device: None)
    config = SamConfig(
        16, 1, 2, (0,), image_size=64, window_size=4, width=16, decoder_heads=2, decoder_mlp=32, score_width=16
    )
    save_sam(build_sam(config), config, tmp_path / "points")
    return Engine((*model_folders, tmp_path), device="cpu")


def edit(engine: Engine, request: EditRequest, params: Params = FEW, progress: Any = lambda *_: None) -> EditResult:
    return engine.edit("tiny", "layered" if isinstance(params, LayeredParams) else "sdedit", request, params, progress)


@contextmanager
def failing(method: str, raised: Callable[[], BaseException], at: int = 1) -> Iterator[None]:
    """The `at`-th call of that part of a bundle raises; the real ones answer before and after."""
    real, calls = getattr(ModelBundle, method), 0

    def counted(self: ModelBundle, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise raised()
        return real(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelBundle, method, counted)
        yield
    assert calls >= at, "it was never reached"


@contextmanager
def overflowing(fast_only: bool = True) -> Iterator[None]:
    """What the network predicts becomes NaN in fast arithmetic, or in any."""
    real = ModelBundle.predict

    def overflown(self: ModelBundle, *args: Any) -> Any:
        out = real(self, *args)
        return out * float("nan") if self.autocast is not None or not fast_only else out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelBundle, "predict", overflown)
        yield


@contextmanager
def bfloat16(engine: Engine) -> Iterator[None]:
    """As on a device whose fast arithmetic is bfloat16."""
    fast = replace(engine._bundle("tiny"), autocast=torch.bfloat16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_loaded", lambda model: fast)
        yield


# --------------------------------------------------------------------------------------------------------- memory


OUT = torch.OutOfMemoryError(CUDA_OOM)


@pytest.mark.parametrize(
    ("phase", "at", "raised"),
    [
        ("embed_texts", 1, OUT),
        ("encode", 1, OUT),
        ("predict", 1, OUT),
        ("predict", 5, OUT),
        ("decode", 1, OUT),
        ("predict", 1, MemoryError()),
        ("predict", 1, RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")),
        ("predict", 1, RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
        ("predict", 1, RuntimeError("CUDA error: out of memory")),
    ],
)
def test_e01_memory_that_ran_out_is_told_with_advice_and_the_next_edit_works(
    engine: Engine,
    request_for: Callable[..., EditRequest],
    phase: str,
    at: int,
    raised: Exception,
) -> None:
    expected = edit(engine, request_for(), LAYERED)
    with failing(phase, lambda: raised, at), pytest.raises(NotEnoughMemory, match="lower quality or fewer candidates"):
        edit(engine, request_for(), LAYERED)
    after = edit(engine, request_for(), LAYERED)
    assert after.weights_before == after.weights_after == expected.weights_before
    assert np.array_equal(after.candidates[0].picture, expected.candidates[0].picture)


def test_e01_what_the_failed_edit_held_and_other_models_are_let_go(
    engine: Engine, request_for: Callable[..., EditRequest], picture: Picture
) -> None:
    engine.warm_up("tiny-kl")
    engine.segment(picture, MaskPrompts(clicks=(Click(20, 14),)), "points")
    engine.warm_up("tiny")
    other = weakref.ref(engine._bundle("tiny-kl").unet)
    kept = engine._bundle("tiny")
    held: list[weakref.ref[torch.Tensor]] = []

    def ran_out() -> BaseException:
        activation = torch.zeros(1000)
        held.append(weakref.ref(activation))
        problem = torch.OutOfMemoryError(CUDA_OOM)
        problem.activation = activation  # type: ignore[attr-defined]
        return problem

    with failing("predict", ran_out, 2), pytest.raises(NotEnoughMemory) as told:
        edit(engine, request_for())
    assert other() is None and len(engine._segmenters) == len(engine._embeddings) == 0
    assert engine._bundle("tiny") is kept
    del told
    gc.collect()
    assert held[0]() is None


def test_c07_a_mask_that_memory_ran_out_for_leaves_the_brush_and_the_next_click(
    engine: Engine, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    click = MaskPrompts(clicks=(Click(20, 14),))
    with monkeypatch.context() as patch:
        patch.setattr(SamSegmenter, "embed", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError(CUDA_OOM)))
        with pytest.raises(NotEnoughMemory, match="paint the mask with the brush"):
            engine.segment(picture, click, "points")
    assert engine.segment(picture, click, "points").choices


# --------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("params", [FEW, LAYERED, LORA], ids=["sdedit", "layered", "lora"])
def test_d01_numbers_that_left_the_finite_ones_are_tried_once_more_in_float32(
    engine: Engine, request_for: Callable[..., EditRequest], params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    expected = edit(engine, request_for(), params)
    assert not expected.in_float32
    told: list[tuple[str, int, int]] = []

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        told.append((stage, step, total))

    with bfloat16(engine), overflowing(), caplog.at_level(logging.WARNING):
        result = edit(engine, request_for(), params, progress)
    assert result.in_float32 and "once more in float32" in caplog.text
    assert np.array_equal(result.candidates[0].picture, expected.candidates[0].picture), "as if it had begun in float32"
    assert result.weights_before == result.weights_after == expected.weights_before
    assert told == sorted(told, key=lambda step: step[0].endswith(", in float32"), reverse=False)
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    for stage in stages:
        steps = [step for name, step, _ in told if name == stage]
        assert steps == sorted(set(steps)), f"{stage} went back"
    assert told[-1][1] == told[-1][2]


def test_a_picture_that_came_out_all_black_says_so(
    engine: Engine, request_for: Callable[..., EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert edit(engine, request_for(), FEW).candidates[0].flat == ""
    decode = ModelBundle.decode
    monkeypatch.setattr(ModelBundle, "decode", lambda self, z: torch.full_like(decode(self, z), -1))
    for scope in Scope:
        assert edit(engine, request_for(scope=scope), FEW).candidates[0].flat == "#000000", scope


def test_d01_layers_fitted_in_fast_arithmetic_are_fitted_anew_in_float32(
    engine: Engine, request_for: Callable[..., EditRequest]
) -> None:
    expected = edit(engine, request_for(), LAYERED)
    with bfloat16(engine):
        fast = edit(engine, request_for(), LAYERED).fitted
        assert fast != expected.fitted
        with overflowing():
            result = edit(engine, request_for(fitted=fast), LAYERED)
    assert result.in_float32 and result.fitted == expected.fitted
    assert np.array_equal(result.candidates[0].picture, expected.candidates[0].picture)


def test_d01_what_fails_in_float32_too_is_refused_without_a_picture(
    engine: Engine, request_for: Callable[..., EditRequest]
) -> None:
    expected = edit(engine, request_for(), LAYERED)
    with overflowing(fast_only=False):
        with bfloat16(engine), pytest.raises(NumericalError, match=r"nothing of it kept.*float32 was tried as well"):
            edit(engine, request_for(), LAYERED)
        with pytest.raises(NumericalError) as once:
            edit(engine, request_for(), LAYERED)
    assert "float32" not in str(once.value), "where the arithmetic was float32 there is no second try"
    after = edit(engine, request_for(), LAYERED)
    assert np.array_equal(after.candidates[0].picture, expected.candidates[0].picture)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_d01_a_model_whose_files_hold_no_finite_numbers_is_named(
    engine: Engine, request_for: Callable[..., EditRequest], value: float
) -> None:
    with torch.no_grad():
        engine._bundle("tiny").unet.conv_in.bias[0] = value
    with pytest.raises(ModelError, match=r"'tiny' is damaged: its unet .* first in conv_in.bias"):
        edit(engine, request_for())


@pytest.mark.parametrize("params", [FEW, LAYERED], ids=["sdedit", "layered"])
def test_d01_a_decoded_picture_that_is_not_finite_is_never_a_black_one(
    engine: Engine, request_for: Callable[..., EditRequest], params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = engine._bundle("tiny")
    real = bundle.vae.decode

    def black(z: torch.Tensor) -> Any:
        out = real(z)
        out.sample[..., 0] = float("nan")
        return out

    monkeypatch.setattr(bundle.vae, "decode", black)
    with pytest.raises(NumericalError, match="the decoded picture"):
        edit(engine, request_for(), params)


# ---------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "words",
    [
        ILLEGAL,
        "CUDA error: device-side assert triggered",
        "CUDA error: unspecified launch failure",
        "CUDA error: misaligned address",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_e03_a_fault_of_the_device_is_known_by_its_words(
    engine: Engine, request_for: Callable[..., EditRequest], words: str
) -> None:
    with failing("predict", lambda: RuntimeError(words), 3), pytest.raises(DeviceFault) as told:
        edit(engine, request_for(), LAYERED)
    assert words.split("\n")[0][:60] in str(told.value) and "asynchronously" not in str(told.value)


def test_a_bug_stays_a_bug(engine: Engine, request_for: Callable[..., EditRequest]) -> None:
    words = "The size of tensor a (64) must match the size of tensor b (32) at non-singleton dimension 3"
    with failing("predict", lambda: RuntimeError(words)), pytest.raises(RuntimeError, match="must match") as caught:
        edit(engine, request_for())
    assert not isinstance(caught.value, PipelineError)
    assert meaning(RuntimeError(words), "") is None


# ----------------------------------------------------------------------------------------------------- over and over


@pytest.mark.slow
def test_e06_fifty_edits_cancels_and_failures_leave_weights_and_memory_as_they_were(
    engine: Engine, request_for: Callable[..., EditRequest]
) -> None:
    """Every edit after whatever went before is the first one again, and the process grows by less than 25 MB."""

    def cancelled(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if step == 2:
            raise Cancelled

    def once() -> None:
        for params in (LAYERED, LORA, FEW):
            result = edit(engine, request_for(), params)
            assert result.weights_before == result.weights_after == pristine
            assert np.array_equal(result.candidates[0].picture, first[type(params), str(params)])
            with pytest.raises(Cancelled):
                edit(engine, request_for(), params, cancelled)
            for raised, kind in (
                (lambda: torch.OutOfMemoryError(CUDA_OOM), NotEnoughMemory),
                (lambda: RuntimeError(ILLEGAL), DeviceFault),
                (lambda: NumericalError("the loss"), NumericalError),
                (lambda: ValueError("a bug"), ValueError),
            ):
                with failing("predict", raised, 2), pytest.raises(kind):
                    edit(engine, request_for(), params)
        assert engine.weights("tiny") == pristine

    pristine = engine.weights("tiny")
    first = {
        (type(params), str(params)): edit(engine, request_for(), params).candidates[0].picture
        for params in (LAYERED, LORA, FEW)
    }
    process = psutil.Process()
    for _ in range(4):
        once()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(9):  # 54 edits and cancels, 108 failures
        once()
    gc.collect()
    assert (process.memory_info().rss - before) / 2**20 < 25
