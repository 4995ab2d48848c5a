"""The judge: what it answers, how it is stored, and that the committed one reads the world."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.errors import ModelError
from pipelines.evaluation.benchmark import JUDGE
from pipelines.toybox.data import HELD_OUT_SEED, draw_scenes
from pipelines.toybox.judge import HEADS, Judge, attributes_of
from pipelines.toybox.scene import Scene, Subject
from pipelines.toybox.train_judge import IGNORED, labels_of, shares_right
from pipelines.toybox.words import Attributes


def test_labels_are_the_truth_of_a_scene() -> None:
    scene = Scene("forest", Subject("dog", "blue", "big", "jumping"))
    values = [HEADS[name][label] for name, label in zip(HEADS, labels_of(scene), strict=True)]
    assert values == ["dog", "blue", "big", "jumping", "forest"]
    assert attributes_of(scene) == Attributes("dog", "blue", "big", "jumping", "forest")


def test_an_empty_scene_has_no_colour_size_or_action() -> None:
    scene = Scene("snow", None)
    assert labels_of(scene)[:4] == [0, IGNORED, IGNORED, IGNORED]
    assert attributes_of(scene) == Attributes(background="snow")


@pytest.mark.parametrize("side", [128, 256, 300])
def test_a_picture_of_any_size_is_read(side: int) -> None:
    [reading] = Judge().read([np.zeros((side, side, 3), np.uint8)])
    assert reading.confidence.keys() == HEADS.keys()
    assert all(0 < share <= 1 for share in reading.confidence.values())


def test_saving_and_loading_keeps_the_answers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    judge = Judge((8, 8, 16, 16)).eval()
    judge.save(tmp_path)
    again = Judge.load(tmp_path)
    x = torch.rand(2, 3, 256, 256) * 2 - 1
    for name, logits in judge(x).items():
        torch.testing.assert_close(logits, again(x)[name], atol=2e-3, rtol=2e-3)


def test_a_folder_that_is_not_a_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks config.json and model.safetensors"):
        Judge.load(tmp_path)
    Judge((8, 8, 8, 8)).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "heads": {"subject": ["cow"]}}))
    with pytest.raises(ModelError, match="other attributes"):
        Judge.load(tmp_path)


def test_the_committed_judge_reads_held_out_scenes() -> None:
    scenes = draw_scenes(64, HELD_OUT_SEED + 200_000, workers=1)
    shares = shares_right(Judge.load(JUDGE), scenes.pictures, scenes.scenes)
    assert min(shares.values()) >= 0.95, shares
