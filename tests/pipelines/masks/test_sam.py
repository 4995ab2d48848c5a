"""SAM behind the protocol: which files are opened, which prompts are taken, and that nothing is shared by pictures."""

import hashlib
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from segment_anything import sam_model_registry

from pipelines.contract import Box, Extent, Picture
from pipelines.errors import BadRequest, ModelError
from pipelines.masks import sam as module
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import VIT_B, VIT_H, VIT_L, SamConfig, SamSegmenter, build_sam, load_sam, save_sam
from pipelines.masks.segmenter import Embedding
from pipelines.models.folders import find_models

TINY = SamConfig(
    encoder_width=16,
    encoder_depth=2,
    encoder_heads=2,
    global_attention=(1,),
    image_size=64,
    window_size=4,
    width=16,
    decoder_heads=2,
    decoder_mlp=16,
    score_depth=2,
    score_width=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_sam(build_sam(TINY), TINY, path)
    return path


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> SamSegmenter:
    return load_sam(folder)


def picture(seed: int, width: int = 90, height: int = 60) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# --------------------------------------------------------------------------------------------------------- prompts


def test_a_lone_click_gets_three_alternatives_from_small_to_large(segmenter: SamSegmenter) -> None:
    answer = segmenter.segment(segmenter.embed(picture(0)), MaskPrompts(clicks=(Click(40, 30),)))
    assert answer.masks.shape == (3, 60, 90) and answer.masks.dtype == np.bool_
    assert answer.labels == ("small", "medium", "large")
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    assert list(answer.masks.sum((1, 2))) == sorted(answer.masks.sum((1, 2)))
    assert answer.best(None) == answer.scores.argmax() and answer.best(1) == 1 and answer.best(7) == answer.best(None)


@pytest.mark.parametrize(
    "prompts",
    [
        MaskPrompts(clicks=(Click(40, 30), Click(5, 5, include=False))),
        MaskPrompts(clicks=(Click(5, 5, include=False), Click(90, 60))),
        MaskPrompts(box=Box(10, 10, 50, 50)),
        MaskPrompts(box=Box(10, 10, 50, 50), clicks=(Click(5, 5, include=False),)),
    ],
)
def test_more_than_a_click_gets_one_mask(segmenter: SamSegmenter, prompts: MaskPrompts) -> None:
    answer = segmenter.segment(segmenter.embed(picture(0)), prompts)
    assert answer.masks.shape == (1, 60, 90) and answer.labels == ("subject",)


def test_the_chosen_alternative_is_what_further_clicks_refine(segmenter: SamSegmenter) -> None:
    embedding = segmenter.embed(picture(0))
    clicks = (Click(40, 30), Click(5, 5, include=False))
    masks = [segmenter.segment(embedding, MaskPrompts(clicks=clicks, choice=k)).scores for k in (0, 1, 2)]
    assert len({float(score[0]) for score in masks}) == 3


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (MaskPrompts(clicks=(Click(90.5, 10),)), r"90 x 60 pixels; got \(90.5, 10\)"),
        (MaskPrompts(clicks=(Click(-1, 10),)), "inside the picture"),
        (MaskPrompts(clicks=(Click(float("nan"), 10),)), "inside the picture"),
        (MaskPrompts(box=Box(10, 10, 50, 61)), "inside the picture"),
        (MaskPrompts(box=Box(50, 10, 50, 20)), "right edge"),
        (MaskPrompts(clicks=(Click(5, 5, include=False),)), "before excluding"),
        (MaskPrompts(), "click the subject"),
    ],
)
def test_prompts_that_mean_nothing_are_refused(segmenter: SamSegmenter, prompts: MaskPrompts, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        segmenter.segment(segmenter.embed(picture(0)), prompts)


def test_a_picture_too_narrow_to_be_encoded_is_refused(segmenter: SamSegmenter) -> None:
    with pytest.raises(BadRequest, match="at most 64 times"):
        segmenter.embed(picture(0, width=200, height=3))
    narrow = segmenter.embed(picture(0, width=192, height=3))
    assert segmenter.segment(narrow, MaskPrompts(clicks=(Click(190, 2),))).masks.shape == (3, 3, 192)


# -------------------------------------------------------------------------------------------------- nothing shared


def test_many_threads_and_pictures_get_each_their_own_mask(segmenter: SamSegmenter) -> None:
    pictures = [picture(k, width=60 + 7 * k, height=90 - 5 * k) for k in range(6)]
    asked = MaskPrompts(clicks=(Click(20, 30), Click(50, 50)))
    alone = [segmenter.segment(segmenter.embed(p), asked).masks for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: segmenter.segment(segmenter.embed(p), asked).masks, pictures * 4))
    assert all(np.array_equal(mask, alone[k % 6]) for k, mask in enumerate(together))


def test_an_embedding_keeps_answering_after_other_pictures_were_embedded(segmenter: SamSegmenter) -> None:
    asked = MaskPrompts(clicks=(Click(20, 30),))
    embedding = segmenter.embed(picture(0))
    before = segmenter.segment(embedding, asked)
    segmenter.embed(picture(1, width=30, height=200))
    after = segmenter.segment(embedding, asked)
    assert np.array_equal(before.masks, after.masks) and np.array_equal(before.scores, after.scores)


def test_an_embedding_of_another_segmenter_is_a_bug(segmenter: SamSegmenter) -> None:
    with pytest.raises(ValueError, match="made by 'other'"):
        segmenter.segment(Embedding(Extent(4, 4), "other", None, 0), MaskPrompts(clicks=(Click(1, 1),)))


# ----------------------------------------------------------------------------------------------------------- files


def test_a_folder_comes_back_as_it_was_saved(folder: Path, segmenter: SamSegmenter) -> None:
    torch.manual_seed(0)
    original = build_sam(TINY)
    assert json.loads((folder / "config.json").read_text())["encoder_width"] == 16
    for name, value in segmenter.sam.state_dict().items():
        assert torch.equal(value, original.state_dict()[name].half().float()), name
    assert torch.equal(segmenter.sam.pixel_mean, original.pixel_mean)
    assert torch.equal(segmenter.sam.pixel_std, original.pixel_std)
    assert segmenter.name == "tiny" and not segmenter.sam.training
    assert not any(p.requires_grad or p.is_meta for p in [*segmenter.sam.parameters(), *segmenter.sam.buffers()])


@pytest.mark.parametrize(("kind", "config"), [("vit_b", VIT_B), ("vit_l", VIT_L), ("vit_h", VIT_H)])
def test_our_networks_are_those_of_the_package(kind: str, config: SamConfig) -> None:
    with torch.device("meta"):
        ours, theirs = build_sam(config).state_dict(), sam_model_registry[kind]().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.fixture(scope="module")
def vit_b(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of vit_b's format with random weights, 187 MB while the test runs."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build_sam(VIT_B).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "sam_vit_b.safetensors"
    save_file({k: torch.randn(s, generator=generator).mul(0.02).half() for k, s in shapes.items()}, path)
    yield path
    path.unlink()


def test_a_file_of_published_format_loads_and_answers_clicks(vit_b: Path) -> None:
    segmenter = load_sam(vit_b)
    assert sum(p.numel() for p in segmenter.sam.parameters()) == 93_735_472
    made_up = Embedding(Extent(300, 200), segmenter.name, torch.randn(1, 256, 64, 64), 2**22)
    answer = segmenter.segment(made_up, MaskPrompts(clicks=(Click(120, 150),)))
    assert answer.masks.shape == (3, 200, 300) and answer.labels == ("small", "medium", "large")


class Bomb:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["sam_vit_b_01ec64.pth", "model.pt", "model.ckpt", "model.safetensors", "model"])
def test_a_pickle_is_never_opened_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ModelError):
        load_sam(tmp_path / name)
    assert not marker.exists()


def test_an_unknown_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(load_file(folder / "model.safetensors"), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=f"(?s)sam_vit_b_01ec64.pth.*{digest}.*convert it once.*mine.safetensors"):
        load_sam(path)


def test_a_published_pickle_is_opened_by_its_hash(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "renamed.pth"
    torch.save(load_file(folder / "model.safetensors"), path)
    monkeypatch.setitem(module.PUBLISHED_SHA256, hashlib.sha256(path.read_bytes()).hexdigest(), "tiny.pth")
    monkeypatch.setattr(module, "VIT_B", TINY)
    loaded = load_sam(path)
    assert loaded.name == "renamed"
    converted = path.with_suffix(".safetensors")
    again = load_sam(converted)
    assert again.name == "renamed" and not list(tmp_path.glob("*.part"))
    state = loaded.sam.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.sam.state_dict().items())


def test_a_converted_pickle_stands_aside_and_one_beside_which_nothing_can_be_written_works(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(load_file(folder / "model.safetensors"), path)
    monkeypatch.setitem(module.PUBLISHED_SHA256, hashlib.sha256(path.read_bytes()).hexdigest(), "tiny.pth")
    monkeypatch.setattr(module, "VIT_B", TINY)
    assert [card.path for card in find_models([tmp_path]).values()] == [path]
    path.with_suffix(".part").mkdir()  # stands in the way of writing
    assert load_sam(path).name == "sam_vit_b_01ec64"
    assert not path.with_suffix(".safetensors").exists()
    path.with_suffix(".part").rmdir()
    load_sam(path)
    assert [card.path for card in find_models([tmp_path]).values()] == [path.with_suffix(".safetensors")]


def test_every_published_hash_is_a_whole_one() -> None:
    assert len(module.PUBLISHED_SHA256) == 3
    assert all(len(digest) == 64 and int(digest, 16) for digest in module.PUBLISHED_SHA256)


def _folder_with(tmp_path: Path, folder: Path, config: str | None = None, weights: bytes | None = None) -> Path:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text() if config is None else config)
    (tmp_path / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes() if weights is None else weights
    )
    return tmp_path


@pytest.mark.parametrize(
    "config",
    [
        "{}",
        '{"_class_name": "UNet2DConditionModel"}',
        '{"_class_name": "Sam", "encoder_width": 16}',
        '{"_class_name": "Sam", "wide": 16}',
    ],
)
def test_a_folder_of_another_kind_is_refused(tmp_path: Path, folder: Path, config: str) -> None:
    with pytest.raises(ModelError, match="must describe a segmenter"):
        load_sam(_folder_with(tmp_path, folder, config=config))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_size": 10**6}, "image_size must be a whole number"),
        ({"encoder_depth": 10**6}, "encoder_depth must be a whole number"),
        ({"encoder_heads": 0}, "encoder_heads must be a whole number from 1"),
        ({"encoder_heads": 7}, "do not fit their configuration"),
        ({"patch_size": 0}, "do not fit their configuration"),
        ({"labels": 5}, "labels must be a list"),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, folder: Path, change: dict[str, Any], told: str) -> None:
    config = json.loads((folder / "config.json").read_text()) | change
    with pytest.raises(ModelError, match=told):
        load_sam(_folder_with(tmp_path, folder, config=json.dumps(config)))


def test_a_folder_with_missing_damaged_or_other_weights_is_refused(tmp_path: Path, folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ModelError, match="readable safetensors"):
        load_sam(_folder_with(tmp_path, folder, weights=whole[: len(whole) // 2]))
    wider = (folder / "config.json").read_text().replace('"encoder_width": 16', '"encoder_width": 32')
    with pytest.raises(ModelError, match="do not fit"):
        load_sam(_folder_with(tmp_path, folder, config=wider))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="readable safetensors"):
        load_sam(tmp_path)
    with pytest.raises(ModelError):
        load_sam(tmp_path / "absent.pth")


def test_weights_of_no_published_size_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="vit_b, vit_l or vit_h; its encoder is 16 wide"):
        load_sam(folder / "model.safetensors")
