"""Scenes turn by turn, from a folder, and the figures of what was drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from pipelines.compose.detector import Detector, seen_in
from pipelines.compose.folder import Kind, Loaded, save_composer
from pipelines.compose.measure import as_lines, drawn_turns, measure, rows_of
from pipelines.compose.metric import Score, Seen, score
from pipelines.compose.model import Composer
from pipelines.compose.render import render
from pipelines.compose.sampler import Sampling
from pipelines.compose.scenes import compose_script, next_pictures, strip
from pipelines.compose.world import TURNS, story
from pipelines.errors import BadParameter, BadRequest, ModelError
from pipelines.seeds import generator

SCRIPT = "add a red cube\nadd a blue ball behind it and left of it\n"
STORIES = [story("test", number) for number in range(3)]


@pytest.fixture
def loaded(composer: Composer, tokenizer: PreTrainedTokenizerFast) -> Loaded:
    return Loaded(composer, tokenizer, Kind.SOLIDS)


@pytest.fixture
def folder(loaded: Loaded, tmp_path: Path) -> Path:
    save_composer(tmp_path / "composer", loaded)
    return tmp_path / "composer"


def test_a_script_becomes_a_picture_a_turn(folder: Path) -> None:
    told = []
    composed = compose_script(folder, SCRIPT, steps=3, progress=lambda *now, preview=None: told.append(now[:3]))
    assert composed.instructions[1] == "add a blue sphere behind the red cube and left of it"
    assert [picture.shape for picture in composed.pictures] == [(16, 16, 3)] * 2
    assert told == [("drawing", k, 6) for k in range(1, 7)]
    again, other = compose_script(folder, SCRIPT, steps=3), compose_script(folder, SCRIPT, seed=1, steps=3)
    assert all(map(np.array_equal, composed.pictures, again.pictures))
    assert not np.array_equal(composed.pictures[1], other.pictures[1])
    assert strip(composed.pictures, 32).shape == (32, 64, 3)


def test_the_next_turn_begins_with_what_was_drawn(loaded: Loaded) -> None:
    told = [STORIES[0].instructions[1]]
    pictures = [
        next_pictures(loaded, render(scene, 16)[None], told, Sampling(3), generator(0, "test"))
        for scene in (STORIES[0].scene[:1], STORIES[1].scene)
    ]
    assert not np.array_equal(*pictures)


def test_what_cannot_be_is_refused_before_the_weights_are_read(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadRequest, match="line 2: there is no green cube"):
        compose_script(folder, "add a red cube\nadd a blue cube behind the green cube")
    with pytest.raises(ModelError, match="is damaged"):
        compose_script(folder, SCRIPT)


def test_too_many_steps_and_other_worlds_are_refused(folder: Path) -> None:
    with pytest.raises(BadParameter, match="steps must be 1 to 40, as many as there are noise levels; got 41"):
        compose_script(folder, SCRIPT, steps=41)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"world": Kind.PUBLISHED}))
    with pytest.raises(BadRequest, match="was trained on published pictures"):
        compose_script(folder, SCRIPT)


# --------------------------------------------------------------------------------------------------------- figures


class Knowing(Detector):
    """Knows the true pictures of `STORIES` by their bytes, and sees nothing in any other."""

    def read(self, pictures: NDArray[np.uint8]) -> list[Seen]:
        scenes = [one.after(turn) for one in STORIES for turn in range(TURNS)]
        known = {render(scene, pictures.shape[1]).tobytes(): seen_in(scene) for scene in scenes}
        return [known.get(picture.tobytes(), {}) for picture in pictures]


def true_pictures() -> NDArray[np.uint8]:
    return np.stack([np.stack([render(one.after(turn), 32) for turn in range(TURNS)]) for one in STORIES])


def test_the_truth_scores_one_after_every_turn() -> None:
    rows = rows_of("true", true_pictures(), STORIES, Knowing())
    assert [row.turn for row in rows] == [1, 2, 3, 4, 5]
    assert all(row.by_detector == row.by_renderer == Score(1, 1, 1, 1) for row in rows)


def test_a_row_is_the_mean_over_scenes() -> None:
    """A turn that was left out: the last picture is the one before, in one scene of three."""
    pictures = true_pictures()
    pictures[0, 4] = pictures[0, 3]
    last = rows_of("one missing", pictures, STORIES, Knowing())[-1].by_detector
    one = score(seen_in(STORIES[0].after(3)), seen_in(STORIES[0].scene))
    assert one.recall == 0.8 and one.rsim == pytest.approx(0.8)
    assert last.recall == pytest.approx((2 + 0.8) / 3) and last.rsim == pytest.approx((2 + one.rsim) / 3)
    assert last.f1 == pytest.approx((2 + 2 * 0.8 / 1.8) / 3)


def test_scenes_are_composed_turn_by_turn_or_from_the_truth(loaded: Loaded) -> None:
    free, forced = (drawn_turns(loaded, STORIES, Sampling(2), forced, batch=2) for forced in (False, True))
    assert free.shape == forced.shape == (3, TURNS, 16, 16, 3)
    np.testing.assert_array_equal(free[:, 0], forced[:, 0])  # both begin at the empty floor
    assert (free[:, 1] != forced[:, 1]).any()


def test_all_rows_are_measured(loaded: Loaded) -> None:
    torch.manual_seed(0)
    rows = measure(loaded, Detector(16).eval(), 1, Sampling(1), without=loaded)
    names = list(dict.fromkeys(row.name for row in rows))
    drawn = ["whole", "no match", "no free guidance", "teacher-forced", "no matching"]
    assert names == [*drawn, "the true picture", "as told", "anywhere"]
    assert len(rows) == len(names) * TURNS and len(as_lines(rows)) == 2 + len(rows)
