"""Structure and cuts on pictures whose right answer is known by hand, and the embedded CLIP itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ModelError
from pipelines.evaluation.clip import BATCH, ClipEmbed
from pipelines.evaluation.similarity import (
    GREY,
    SSIM_C1,
    SSIM_C2,
    SSIM_SIGMA,
    SSIM_WINDOW,
    isolated,
    largest_difference,
    similarities,
    ssim_map,
)
from pipelines.models.folders import ModelCard, find_model
from pipelines.toybox.measure import MODELS
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject


def noise(seed: int, height: int = 24, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_structural_similarity_is_symmetric_bounded_and_one_only_for_equals(seed: int) -> None:
    a, b = noise(seed), noise(seed + 1)
    assert ssim_map(a, a) == pytest.approx(1)
    assert np.array_equal(ssim_map(a, b), ssim_map(b, a))
    assert np.abs(ssim_map(a, b)).max() <= 1
    assert ssim_map(a, b).mean() < 0.3


@given(a=st.integers(0, 255), b=st.integers(0, 255))
@settings(deadline=None)
def test_structural_similarity_of_flat_pictures_is_that_of_their_lightness(a: int, b: int) -> None:
    flat = [np.full((16, 16, 3), level, np.uint8) for level in (a, b)]
    assert ssim_map(*flat) == pytest.approx((2 * a * b + SSIM_C1) / (a * a + b * b + SSIM_C1), abs=1e-9)


def test_structural_similarity_is_the_papers_formula_written_out() -> None:
    a, b = noise(1), noise(2)
    radius = SSIM_WINDOW // 2
    ramp = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * SSIM_SIGMA**2))
    window = np.outer(ramp, ramp) / np.outer(ramp, ramp).sum()
    y, x = 12, 15
    values = []
    for channel in range(3):
        here = slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1), channel
        p, q = a[here].astype(float), b[here].astype(float)
        mp, mq = (window * p).sum(), (window * q).sum()
        vp, vq, cov = (
            (window * u * v).sum() - m * n for u, v, m, n in ((p, p, mp, mp), (q, q, mq, mq), (p, q, mp, mq))
        )
        values.append((2 * mp * mq + SSIM_C1) * (2 * cov + SSIM_C2) / ((mp**2 + mq**2 + SSIM_C1) * (vp + vq + SSIM_C2)))
    assert ssim_map(a, b)[y, x] == pytest.approx(np.mean(values), abs=1e-9)


def test_colours_of_one_lightness_are_told_apart() -> None:
    red, blue = (np.broadcast_to(np.array(colour, np.uint8), (16, 16, 3)) for colour in ((130, 60, 60), (60, 60, 244)))
    assert ssim_map(red, blue).mean() < 0.9


def test_a_part_is_cut_out_on_grey() -> None:
    picture, region = noise(3), np.zeros((24, 30), bool)
    region[4, 6], region[7, 9] = True, True
    cut = isolated(picture, region)
    assert cut.shape == (4, 4, 3)
    assert np.array_equal(cut[0, 0], picture[4, 6]) and np.array_equal(cut[3, 3], picture[7, 9])
    assert (np.delete(cut.reshape(16, 3), (0, 15), 0) == GREY).all()
    assert np.array_equal(isolated(picture, ~np.zeros_like(region)), picture)


def test_the_largest_difference_is_over_channels_in_levels() -> None:
    a = np.zeros((1, 2, 3), np.uint8)
    b = np.array([[[3, 250, 0], [0, 0, 1]]], np.uint8)
    assert largest_difference(a, b).tolist() == largest_difference(b, a).tolist() == [[250, 1]]


# ------------------------------------------------------------------------------------------------ the embedded CLIP


@pytest.fixture(scope="module")
def clip() -> ClipEmbed:
    return ClipEmbed(find_model("toybox-clip", (MODELS,), "clip"), torch.device("cpu"))


def test_pictures_become_unit_rows_whatever_their_size(clip: ClipEmbed) -> None:
    sizes = [(16, 40), (256, 256), (300, 17), *[(32, 32)] * BATCH]
    rows = clip([noise(k, *size) for k, size in enumerate(sizes)])
    assert rows.shape[0] == len(sizes) > BATCH and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert similarities(clip, [], []) == []


def test_what_lies_at_the_edge_of_a_wide_picture_is_seen(clip: ClipEmbed) -> None:
    wide = np.full((40, 160, 3), 200, np.uint8)
    marked = wide.copy()
    marked[:, :30] = (220, 20, 20)
    same, other = similarities(clip, [wide, wide], [wide, marked])
    assert same == pytest.approx(1, abs=1e-5)
    assert other < 0.95


def test_it_knows_what_a_picture_shows(clip: ClipEmbed) -> None:
    scene = Scene("beach", Subject("dog"), 3)
    moved, painted, place = scene.with_subject(x=0.53), scene.with_subject(colour="blue"), Scene("night", scene.subject)
    pictures = [render(s).picture for s in (scene, moved, painted, place)]
    nearly, colour, background = similarities(clip, [pictures[0]] * 3, pictures[1:])
    assert nearly > 0.95 > 0.882 > max(colour, background)


def test_a_clip_without_weights_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for name in ("config.json", "processor_config.json"):
        (folder / name).write_bytes((MODELS / "toybox-clip" / name).read_bytes())
    with pytest.raises(ModelError, match=r"'clip' .* has no weights"):
        ClipEmbed(ModelCard("clip", "CLIP", folder, "clip"), torch.device("cpu"))
