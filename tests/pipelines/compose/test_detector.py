"""The detector: what it answers, how it learns and is stored, and that other folders are refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.compose.data import to_tensor
from pipelines.compose.detector import Detector, detector_loss, labelled, seen_in, train_detector
from pipelines.compose.render import render, seen_at
from pipelines.compose.world import THINGS, Placed, story
from pipelines.errors import ModelError


def test_labels_are_the_renderers_own_knowledge() -> None:
    scene = story("test", 1).scene
    pictures, there, at = labelled([scene, ()])
    assert pictures.shape == (2, 3, 64, 64) and there.sum(1).tolist() == [5, 0]
    for thing, place in seen_in(scene).items():
        assert at[0, THINGS.index(thing)].tolist() == pytest.approx(place)


def test_a_map_with_one_peak_is_read_as_its_place() -> None:
    """The last layer alone, on a picture whose features are the map itself."""
    detector = Detector()
    peaks = torch.full((1, len(THINGS), 16, 16), -8.0)
    peaks[0, 5, 4, 12] = 9
    detector.body = nn.Sequential(_Given(peaks))
    [seen] = detector.read(np.zeros((1, 64, 64, 3), np.uint8))
    assert seen == {THINGS[5]: pytest.approx((12.5 / 16, 4.5 / 16), abs=1e-3)}


class _Given(nn.Module):
    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, _x: torch.Tensor) -> torch.Tensor:
        return self.answer


def test_the_loss_by_hand() -> None:
    logits, there = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    places, at = torch.tensor([[[0.5, 0.5], [0.9, 0.9]]]), torch.tensor([[[0.25, 0.5], [0.0, 0.0]]])
    assert detector_loss(logits, places, there, at).item() == pytest.approx(math.log(2) + 4 * 0.25)


def test_it_learns_and_the_same_seed_is_the_same_detector() -> None:
    losses: list[float] = []
    first = train_detector(30, batch=8, say=lambda _step, loss: losses.append(loss))
    again = train_detector(30, batch=8)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_saving_and_loading_keeps_the_answers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    detector = Detector(16).eval()
    detector.save(tmp_path)
    picture = render([Placed(THINGS[0], 0, 0)], 64)[None]
    x = to_tensor(picture, torch.device("cpu"))
    torch.testing.assert_close(Detector.load(tmp_path)(x), detector(x), rtol=0.02, atol=0.02)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds config.json and model.safetensors; .* does not. Train one with"):
        Detector.load(tmp_path)
    Detector(16).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"width": 8}))
    with pytest.raises(ModelError, match="is damaged"):
        Detector.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"things": ["red torus"]}))
    with pytest.raises(ModelError, match="is no detector of this world"):
        Detector.load(tmp_path)


def test_where_a_solid_stands_is_where_it_is_seen() -> None:
    assert seen_at(Placed(THINGS[0], 0, 0)) == (0.5, 0.5)
