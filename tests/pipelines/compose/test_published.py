"""Files in GeNeVA's layout, made here, are read as they were written; other layouts are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.compose.metric import score
from pipelines.compose.published import Published, find_published
from pipelines.compose.render import render, seen_at
from pipelines.compose.world import THINGS, story
from pipelines.errors import BadRequest

h5py: Any = pytest.importorskip("h5py")


def write_iclevr(path: Path, count: int = 3) -> None:
    """Sequences of our own world as ``clevr_test.h5`` holds them."""
    with h5py.File(path, "w") as file:
        file["background"] = render([], 128)[..., ::-1]
        file["entities"] = json.dumps([f"{thing.shape} {thing.colour}" for thing in THINGS])
        for number in range(count):
            told = story("test", number)
            group = file.create_group(f"{number:06d}")
            objects, coords = np.zeros((5, 24)), np.zeros((5, 24, 3))
            for turn, placed in enumerate(told.scene):
                x, y = seen_at(placed)
                objects[turn:, THINGS.index(placed.thing)] = 1
                coords[turn:, THINGS.index(placed.thing)] = (128 * x, 128 * y, 10)
            group["scene_id"] = f"{number:06d}"
            group["images"] = np.array([render(told.after(turn), 128)[..., ::-1] for turn in range(5)])
            group["text"] = json.dumps([str(instruction) for instruction in told.instructions])
            group["objects"], group["coords"] = objects, coords


def test_iclevr_is_read(tmp_path: Path) -> None:
    write_iclevr(tmp_path / "clevr_test.h5")
    data = Published(find_published(tmp_path, "test"))
    assert len(data) == 3 and not data.has_depth
    assert data.entities is not None and data.entities[0] == "cube red" and len(data.entities) == 24
    np.testing.assert_array_equal(data.background, render([], 128))
    told = story("test", 1)
    assert data[1].instructions == tuple(map(str, told.instructions))
    np.testing.assert_array_equal(data[1].pictures[4], render(told.scene, 128))
    truth = data[1].truth(2, data.has_depth)
    own = {THINGS.index(placed.thing): seen_at(placed) for placed in told.after(2)}
    assert truth.keys() == own.keys()
    assert all(truth[k] == pytest.approx(own[k]) for k in own)
    assert score(truth, own).rsim == 1
    data.close()


def test_codraw_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "codraw_train.h5", "w") as file:
        file["background"] = np.zeros((128, 128, 3), np.uint8)
        group = file.create_group("0")
        group["images"] = np.arange(2 * 128 * 128 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 128, 128, 3)
        texts = ["<teller> a tree <drawer> ok", "<teller> a boy in front"]
        group.create_dataset("utterences", data=texts, dtype=h5py.string_dtype())
        group["objects"] = np.eye(58)[[3, 5]].astype(int)
        group["coords"] = np.full((2, 58, 3), (64, 32, 1))
        group["scene_id"] = 17
    data = Published(find_published(tmp_path, "train"))
    [only] = list(data)
    assert data.has_depth and data.entities is None
    assert only.instructions[1] == "<teller> a boy in front"
    assert only.truth(0, data.has_depth) == {3: (0.5, 0.25, 0.5)}
    data.close()


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"must hold one of clevr_test.h5 and codraw_test.h5; found nothing"):
        find_published(tmp_path, "test")
    (tmp_path / "clevr_test.h5").write_bytes(b"no HDF5")
    with pytest.raises(BadRequest, match=r"clevr_test.h5 is no HDF5 file, or is cut off"):
        Published(tmp_path / "clevr_test.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pictures"] = np.zeros(3)
    with pytest.raises(BadRequest, match=r"must hold a background and one group a sequence.* it has pictures"):
        Published(tmp_path / "other.h5")


def test_a_sequence_that_lacks_something_is_refused(tmp_path: Path) -> None:
    write_iclevr(tmp_path / "clevr_test.h5")
    with h5py.File(tmp_path / "clevr_test.h5", "a") as file:
        del file["000000"]["text"], file["000001"]["objects"]
        file["000001"]["objects"] = np.zeros((4, 24))
    data = Published(tmp_path / "clevr_test.h5")
    with pytest.raises(BadRequest, match=r"000000 of clevr_test.h5 needs text or utterences; it has coords, images"):
        data[0]
    with pytest.raises(BadRequest, match=r"000001 .* must have as many pictures.*it has 5, 5, 4 and 5"):
        data[1]
    data.close()
