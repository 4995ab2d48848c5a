"""FID and KID of features whose distances are known, LPIPS with weights that are there or not, and a CLIP's texts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import squeezenet1_1

from pipelines.errors import ModelError
from pipelines.evaluation.clip import ClipEmbed, ClipTexts
from pipelines.evaluation.perceptual import NETWORKS, Lpips, frechet_distance, kernel_distance
from pipelines.models.folders import find_model
from pipelines.toybox.measure import MODELS
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_the_frechet_distance_of_two_bells_is_that_of_their_means_and_widths() -> None:
    # Means 1 and 4, variances 2 and 8: (4 - 1)^2 + 2 + 8 - 2 sqrt(16).
    assert frechet_distance(column(0, 2), column(2, 6)) == pytest.approx(9 + 2 + 8 - 8, rel=1e-5)
    assert frechet_distance(column(0, 2), column(0, 2)) == pytest.approx(0, abs=1e-5)
    wide = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert frechet_distance(wide, wide) == pytest.approx(0, abs=1e-4), "fewer pictures than features"


def test_the_kernel_distance_is_the_unbiased_estimate() -> None:
    # k(x, y) = (x y + 1)^3 within the pairs (0, 1) and (1, 2): 1 and 27; between them 1, 1, 8, 27.
    assert kernel_distance(column(0, 1), column(1, 2)) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert kernel_distance(column(0, 1), column(0, 1)) == pytest.approx(1 + 1 - 2 * (1 + 1 + 1 + 8) / 4)


def test_without_weights_it_is_said_what_goes_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"put torchvision's alexnet-owt-7be5be79.pth into .*checkpoints"):
        Lpips(torch.device("cpu"))


def test_with_weights_equal_pictures_are_nothing_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / NETWORKS["squeeze"]
    file.parent.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(squeezenet1_1().state_dict(), file)
    lpips = Lpips(torch.device("cpu"))
    assert lpips.name == "LPIPS (squeeze)"
    rng = np.random.default_rng(1)
    a = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    near, far = (np.clip(a + rng.normal(0, s, a.shape), 0, 255).astype(np.uint8) for s in (4, 60))
    assert lpips(a, a) == 0
    assert 0 < lpips(a, near) < lpips(a, far)
    assert lpips(a, far) == pytest.approx(lpips(far, a), rel=1e-5)


def test_the_embedded_clip_finds_the_text_of_a_picture() -> None:
    card, cpu = find_model("toybox-clip", (MODELS,), "clip"), torch.device("cpu")
    scenes = [Scene("beach", Subject("dog", "red")), Scene("night", Subject("rocket")), Scene("snow", Subject("duck"))]
    pictures = ClipEmbed(card, cpu)([render(scene).picture for scene in scenes])
    texts = ClipTexts(card, cpu)([scene.caption() for scene in scenes])
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert list((pictures @ texts.T).argmax(1)) == [0, 1, 2]
