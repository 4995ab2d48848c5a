"""What the studio's tests share: a data folder, a model folder that is complete by its names, and a stand-in engine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from pipelines.catalog import method as find_method
from pipelines.contract import (
    Candidate,
    EditRequest,
    EditResult,
    Extent,
    LoraUse,
    Mask,
    OutsideChange,
    Picture,
    StageReport,
    WordMap,
)
from pipelines.evaluation.consistency import Comparison, Edited, Parts, compare, difference_map
from pipelines.evaluation.drift import Drift, drift
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.refine import compose
from pipelines.masks.segmenter import MaskAnswer
from pipelines.models.folders import find_model
from pipelines.params import Params
from pipelines.pictures import encode_png
from pipelines.progress import Progress, silent
from studio.app import Studio, build_studio
from studio.settings import Settings

STEPS = 4
"""Steps of every stage."""

MODELS = Path(__file__).resolve().parents[2] / "assets" / "models"
LIMITS = find_model("toybox", (MODELS,)).domain.measured_by.limits


@dataclass
class StandInEngine:
    """The engine's interface with arithmetic for a model: the edit inverts colours and adds the seed.

    `hold` makes it wait before the step in `hold_at`; `raises` is raised at the step in `raise_at`.
    """

    hold: threading.Event = field(default_factory=threading.Event)
    hold_at: tuple[str, int] | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    raises: BaseException | None = None
    raise_at: tuple[str, int] = ("guidance", 2)
    requests: list[EditRequest] = field(default_factory=list)
    drifts: list[Picture] = field(default_factory=list)
    """What the pictures were measured against."""
    segmented: int = 0
    in_float32: bool = False
    segment_seconds: float = 0.0

    def edit(
        self, model: str, method: str, request: EditRequest, params: Params, progress: Progress = silent
    ) -> EditResult:
        self.requests.append(request)
        for stage in find_method(method).stages:
            for step in range(1, STEPS + 1):
                if self.hold_at == (stage, step):
                    self.reached.set()
                    while not self.hold.wait(0.005):
                        progress(stage, step, STEPS)
                if self.raises is not None and self.raise_at == (stage, step):
                    raise self.raises
                progress(stage, step, STEPS, request.picture)
        candidates = tuple(
            Candidate(request.seed + k, ~request.picture + np.uint8((request.seed + k) % 256), OutsideChange(2, 10, 5))
            for k in range(request.candidates)
        )
        stages = tuple(StageReport(name, 0.5, STEPS) for name in find_method(method).stages)
        fitted = request.fitted or f"layers {request.seed}".encode()
        reference = request.picture[::-1] + np.uint8(request.seed % 256)
        return EditResult(candidates, stages, "weights", "weights", reference, fitted, in_float32=self.in_float32)

    def segment(
        self, picture: Picture, prompts: MaskPrompts, segmenter: str = "", uploaded: Mask | None = None
    ) -> MaskAnswer:
        self.segmented += 1
        time.sleep(self.segment_seconds)
        extent = Extent.of(picture)
        if not prompts.asks_segmenter:
            return MaskAnswer(compose(uploaded, prompts, extent))
        base = np.zeros(picture.shape[:2], bool)
        for click in prompts.clicks:
            x, y = int(click.x), int(click.y)
            base[max(y - 4, 0) : y + 4, max(x - 4, 0) : x + 4] = click.include
        return MaskAnswer(compose(base, prompts, extent), (("whole", 0.9), ("part", 0.4)), 0)

    def follow(self, picture: Picture, mask: Mask, segmenter: str = "") -> Mask:
        return np.roll(mask, 1, axis=0)

    def attention(
        self,
        model: str,
        picture: Picture,
        texts: Sequence[str],
        words: Sequence[str] = (),
        loras: Sequence[LoraUse] = (),
        progress: Progress = silent,
    ) -> tuple[tuple[WordMap, ...], ...]:
        """Each word is looked at in a cell of its own."""
        for step in range(1, STEPS + 1):
            if self.hold_at == ("look", step):
                self.reached.set()
                while not self.hold.wait(0.005):
                    progress("look", step, STEPS)
            progress("look", step, STEPS)
        return tuple(
            tuple(
                WordMap(word, np.where(np.arange(16).reshape(4, 4) == k, 255, 0).astype(np.uint8), 0.5)
                for k, word in enumerate(words or text.split())
            )
            for text in texts
        )

    def warm_up(self, model: str) -> None:
        pass

    def weights(self, model: str) -> str:
        return "weights"

    def compare(
        self, ab: Picture, ba: Picture, before: Picture, a: Sequence[Edited], b: Sequence[Edited], model: str
    ) -> Comparison:
        """The real mathematics, without a CLIP and by the embedded model's limits."""
        masks = [edit.mask for edit in (*a, *b) if edit.mask is not None]
        parts = Parts.of(np.logical_or.reduce(masks), *(np.ones(ab.shape[:2], bool) for _ in "ab"))
        return Comparison(compare(ab, ba, before, parts, None, LIMITS), difference_map(ab, ba, parts))

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        self.drifts.append(original)
        changed = [np.ones(original.shape[:2], bool) for _ in edits]
        return tuple(drift(original, picture, edits, changed, None, LIMITS) for picture in pictures)

    def describe(self) -> str:
        return "Stand-in on CPU"


@pytest.fixture
def engine() -> StandInEngine:
    return StandInEngine()


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A text-to-image folder whose files are all there and hold nothing."""
    parts = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
    parts["tokenizer"] = "CLIPTokenizer"
    folder = tmp_path / "models" / "toybox"
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text("{}")
        (folder / part / "vocab.json").write_text("{}")
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        (folder / part / f"{name}.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"beta_schedule": "scaled_linear"}))
    (folder / "model_index.json").write_text(json.dumps({name: ["diffusers", cls] for name, cls in parts.items()}))
    (folder / "card.json").write_text(json.dumps({"title": "Toybox", "notes": "Draws toys only."}))
    segmenter = tmp_path / "models" / "toybox-segmenter"
    segmenter.mkdir()
    (segmenter / "config.json").write_text(json.dumps({"_class_name": "Sam"}))
    (segmenter / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder.parent


@pytest.fixture
def settings(tmp_path: Path, model_folder: Path) -> Settings:
    return Settings(data=tmp_path / "data", model_folders=(model_folder,), warm_up=False)


@pytest.fixture
def studio(settings: Settings, engine: StandInEngine) -> Iterator[Studio]:
    studio = build_studio(settings, engine)
    yield studio
    engine.hold.set()
    studio.close()


@pytest.fixture
def upload() -> bytes:
    """A PNG of 48 x 32 pixels."""
    return encode_png(np.arange(32 * 48 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 48, 3))


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    return until
