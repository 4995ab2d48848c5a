"""FashionIQ and Fashion200k, in folders that are laid out as they are published."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadPicture, BadRequest
from pipelines.pictures import encode_png
from pipelines.training.sources import source_of
from pipelines.training.triples import HELD_OUT, TRAINING, edges, masked, rotated, triples


def grey(level: int, height: int = 30, width: int = 20) -> bytes:
    return encode_png(np.full((height, width, 3), level, np.uint8))


@pytest.fixture
def fashion_iq(tmp_path: Path) -> Path:
    for name in ("captions", "images"):
        (tmp_path / name).mkdir()
    for level, name in enumerate(("B001", "B002", "B003")):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(grey(50 * level))
    train = [
        {"target": "B002", "candidate": "B001", "captions": ["is longer.", "has a red belt"]},
        {"target": "B404", "candidate": "B001", "captions": ["is gone", "is gone too"]},
    ]
    val = [{"target": "B003", "candidate": "B002", "captions": ["is darker", "has no sleeves "]}]
    (tmp_path / "captions" / "cap.dress.train.json").write_text(json.dumps(train))
    (tmp_path / "captions" / "cap.shirt.val.json").write_text(json.dumps(val))
    (tmp_path / "captions" / "cap.dress.test.json").write_text(json.dumps([{"candidate": "B001", "captions": []}]))
    return tmp_path


def test_fashion_iq_is_split_by_those_who_wrote_it(fashion_iq: Path) -> None:
    source = source_of(fashion_iq)
    assert (source.name, source.count(TRAINING), source.count(HELD_OUT)) == ("FashionIQ", 1, 1)
    found = triples(source, TRAINING, [0], 16)
    (said,) = found.instructions
    assert (said.first, said.second) == ("is longer", "has a red belt")
    assert (said.whole, said.swapped) == ("is longer and has a red belt", "has a red belt and is longer")
    assert said.independent
    assert found.references.shape == found.targets.shape == (1, 16, 16, 3)
    assert (int(found.references.max()), int(found.targets.min())) == (0, 50)
    assert source.between(TRAINING, 0) is None
    assert triples(source, HELD_OUT, [0], 16).instructions[0].second == "has no sleeves"


def test_fashion_iq_without_its_pictures_says_so(fashion_iq: Path) -> None:
    (fashion_iq / "images" / "B002.jpg").unlink()
    with pytest.raises(BadRequest, match=r"none has both pictures in images, where 2 are. Fetch the pictures"):
        source_of(fashion_iq)
    (fashion_iq / "captions" / "cap.dress.train.json").write_text('[{"target": "B002"}]')
    with pytest.raises(BadRequest, match=r"cap.dress.train.json must be a list of a candidate, a target and two"):
        source_of(fashion_iq)


def test_a_damaged_picture_is_named(fashion_iq: Path) -> None:
    (fashion_iq / "images" / "B001.jpg").write_bytes(b"nothing")
    with pytest.raises(BadPicture, match=r"^B001.jpg: "):
        source_of(fashion_iq).triple(TRAINING, 0)


@pytest.fixture
def fashion_200k(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    lines = {
        "train": [
            ("red long knit dress", 10),
            ("blue short knit dress", 20),
            ("blue long knit dress", 30),
            ("green silk scarf", 40),
        ],
        "test": [("white wool coat", 50), ("black silk coat", 60)],
    }
    for split, captions in lines.items():
        rows = []
        for number, (caption, level) in enumerate(captions):
            path = Path("women", "dresses", caption.replace(" ", "_"), str(number), f"{number}_0.jpeg")
            (tmp_path / path).parent.mkdir(parents=True)
            (tmp_path / path).write_bytes(grey(level))
            rows.append(f"{path}\t0.9\t{caption}\n")
        rows.append("women/dresses/lost/9/9_0.jpeg\t0.9\tblue short silk dress\n")
        (tmp_path / "labels" / f"dress_{split}_detect_all.txt").write_text("".join(rows))
    return tmp_path


def test_fashion_200k_is_paired_by_two_words(fashion_200k: Path) -> None:
    source = source_of(fashion_200k)
    assert source.name == "Fashion200k"
    found = triples(source, TRAINING, range(source.count(TRAINING)), 16)
    levels = {
        (said.whole, int(before.max()), int(after.max()))
        for said, before, after in zip(found.instructions, found.references, found.targets, strict=True)
    }
    assert levels == {
        ("replace red with blue and replace long with short", 10, 20),
        ("replace blue with red and replace short with long", 20, 10),
    }
    assert found.instructions[0].first.startswith("replace")
    held = source.triple(HELD_OUT, 0)[1]
    assert {held.first, held.second} in (
        {"replace white with black", "replace wool with silk"},
        {"replace black with white", "replace silk with wool"},
    )


def test_a_line_of_another_form_is_named(fashion_200k: Path) -> None:
    path = fashion_200k / "labels" / "dress_train_detect_all.txt"
    path.write_text(path.read_text() + "one two\n")
    with pytest.raises(BadRequest, match=r"dress_train_detect_all.txt must have a picture, .*; line 6 has 1"):
        source_of(fashion_200k)


def test_a_path_that_leads_out_of_the_folder_is_not_read(fashion_200k: Path) -> None:
    (fashion_200k.parent / "outside.jpeg").write_bytes(grey(90))
    path = fashion_200k / "labels" / "dress_train_detect_all.txt"
    path.write_text(path.read_text() + "../outside.jpeg\t0.9\tred short silk dress\n")
    captions = source_of(fashion_200k)._pieces[TRAINING].captions
    assert ("red", "short", "silk", "dress") not in captions


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(BadRequest, match=r"must hold FashionIQ .* or Fashion200k .*; found notes.txt. Name the folder"):
        source_of(tmp_path)
    with pytest.raises(BadRequest, match="found nothing"):
        source_of(tmp_path / "lost")


# --------------------------------------------------------------------------------------------------- texts and edges


def test_words_are_rotated_and_masked() -> None:
    rng, text = random.Random(0), "make it red and put it in the snow"
    turned = rotated(text, rng)
    assert turned != text and sorted(turned.split()) == sorted(text.split())
    assert rotated("red red", rng) == "red red"
    assert rotated("", rng) == ""
    kept = masked(text, 2, rng).split()
    assert len(kept) == 7 and [word for word in text.split() if word in kept]
    assert len(masked(text, 30, rng).split()) == 1


def test_edges_are_where_the_picture_changes() -> None:
    picture = np.full((32, 32, 3), 20, np.uint8)
    picture[:, 16:] = 220
    found = edges(picture)
    assert found.shape == (32, 32, 3) and set(np.unique(found)) == {0, 255}
    assert set(np.flatnonzero(found[16, :, 0])) <= {15, 16} and found[16].any()
