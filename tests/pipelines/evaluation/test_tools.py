"""What is at hand for the measures, what is missing, and that no picture is looked at twice."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Picture
from pipelines.evaluation.tools import EmbedOnce, tools_for
from pipelines.toybox.measure import MODELS


class Counting:
    name = "counting"

    def __init__(self) -> None:
        self.looked = 0

    def __call__(self, pictures: Sequence[Picture]) -> np.ndarray:
        self.looked += len(pictures)
        return np.array([[p.mean(), p.shape[0]] for p in pictures], np.float32)


def test_a_picture_is_looked_at_once_and_its_row_stays_its_own() -> None:
    inner = Counting()
    embed = EmbedOnce(inner)
    a, b = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 9, np.uint8)
    assert embed([a, b, a]).tolist() == [[0, 4], [9, 4], [0, 4]]
    assert embed([b, a.reshape(8, 2, 3)]).tolist() == [[9, 4], [0, 8]], "the same bytes in another shape are another"
    assert inner.looked == 3 and embed.name == "counting"


def test_the_embedded_model_has_its_clip_and_is_told_what_lpips_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    tools, remarks = tools_for("toybox", (MODELS,), "cpu")
    assert tools.pictures is not None and tools.pictures.name == "toybox-clip" and tools.texts is not None
    assert tools.perceptual is None
    assert len(remarks) == 1 and remarks[0].startswith("LPIPS needs the weights of a network; put torchvision's")


def test_where_no_clip_knows_the_pictures_that_is_said(tmp_path: Path) -> None:
    tools, remarks = tools_for("toybox", (tmp_path,), "cpu")
    assert tools.pictures is None and tools.texts is None
    assert "no CLIP here knows this model's pictures; put the folder of one among the models" in remarks
