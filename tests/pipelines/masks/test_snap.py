"""Snapped edges: laws for any mask, and what they are worth on pictures like photographs and on Toybox scenes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Mask, Picture
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.refine import grown
from pipelines.masks.sam import SamSegmenter, load_sam
from pipelines.masks.snap import BAND, snapped
from pipelines.toybox.data import HELD_OUT_SEED, Scenes, draw_scenes
from pipelines.toybox.train_segmenter import inner_point

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "models" / "toybox-segmenter"
Random = np.random.Generator
laws = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def segmenter() -> SamSegmenter:
    return load_sam(FOLDER)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return draw_scenes(8, HELD_OUT_SEED, empty=0, workers=1)


def grain(rng: Random, height: int, width: int, power: float) -> np.ndarray:
    """Noise whose spectrum falls like that of photographs, ``(H, W) float64`` of mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency**power, (height, width))
    return np.asarray((noise - noise.mean()) / noise.std())


def material(rng: Random, base: np.ndarray, height: int, width: int) -> np.ndarray:
    """A textured surface under uneven light: ``(H, W, 3)`` in levels around `base`."""
    texture = np.stack([grain(rng, height, width, rng.uniform(0.8, 1.5)) * rng.uniform(4, 12) for _ in range(3)], -1)
    light = grain(rng, height, width, 1.2) * rng.uniform(10, 30) + np.linspace(-25, 25, width)
    return np.asarray(base + texture + light[..., None])


def photograph(rng: Random, shape: Mask, width: int, height: int) -> tuple[Picture, Mask]:
    """A thing of that shape before a blurred ground, through a lens, with a sensor's noise and a JPEG's losses."""
    side, left = min(width, height), int(rng.integers(0, width - min(width, height) + 1))
    top = (height - side) // 2
    cover = np.zeros((height, width), np.float32)
    whole = cv2.resize(shape.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    cover[top : top + side, left : left + side] = cv2.GaussianBlur(whole, (0, 0), side / 200)
    colour = rng.uniform(60, 195, 3)
    other = (colour + rng.choice([-1, 1], 3) * rng.uniform(25, 60, 3)).clip(30, 225)
    front, back = material(rng, colour, height, width), material(rng, other, height, width)
    share = cv2.GaussianBlur((cover > 0.5).astype(np.float32), (0, 0), 1.0)[..., None]
    seen = share * front + (1 - share) * cv2.GaussianBlur(back, (0, 0), 2.0)
    noisy = (cv2.GaussianBlur(seen, (0, 0), 0.7) + rng.normal(0, 4, seen.shape)).clip(0, 255).astype(np.uint8)
    stored = cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 88])[1], cv2.IMREAD_COLOR)
    return np.asarray(stored), cover > 0.5


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def before_and_after(segmenter: SamSegmenter, pictures: list[tuple[Picture, Mask]]) -> tuple[np.ndarray, np.ndarray]:
    """IoU of the best mask for one click, as the segmenter gives it and snapped."""
    rng = np.random.default_rng(0)
    plain, snap = [], []
    for picture, mask in pictures:
        answer = segmenter.segment(segmenter.embed(picture), MaskPrompts(clicks=(Click(*inner_point(mask, rng)),)))
        found = answer.masks[answer.best(None)]
        plain.append(overlap(found, mask))
        snap.append(overlap(snapped(found, picture), mask))
    return np.array(plain), np.array(snap)


def test_a_mask_on_a_photograph_is_usable_after_one_click(segmenter: SamSegmenter, scenes: Scenes) -> None:
    rng = np.random.default_rng(1)
    sizes = [(640, 480), (480, 640), (800, 600), (512, 512)]
    shapes = [scenes.masks[k] for k in range(8)]
    plain, snap = before_and_after(segmenter, [photograph(rng, s, *sizes[k % 4]) for k, s in enumerate(shapes)])
    assert snap.mean() > plain.mean() + 0.04
    assert np.median(snap) > 0.92


def test_on_toybox_scenes_every_mask_gets_better_or_stays(segmenter: SamSegmenter, scenes: Scenes) -> None:
    plain, snap = before_and_after(segmenter, list(zip(scenes.pictures, scenes.masks, strict=True)))
    assert snap.mean() > plain.mean() + 0.04
    assert (snap > plain - 0.02).all()


@given(st.integers(0, 2**32 - 1), st.integers(8, 90), st.integers(8, 90), st.floats(0.5, 30))
@laws
def test_an_edge_moves_within_its_band_only(seed: int, width: int, height: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    ys, xs = np.mgrid[:height, :width]
    mask: Mask = np.hypot(xs - rng.uniform(0, width), ys - rng.uniform(0, height)) <= radius
    before = mask.copy()
    found = snapped(mask, picture)
    assert found.shape == mask.shape and found.dtype == np.bool_
    assert np.array_equal(mask, before), "the mask that was given is left alone"
    if mask.any() and not mask.all():
        reach = int(max(2.0, BAND * max(mask.shape))) + 1
        assert (found <= grown(mask, reach)).all() and (found >= grown(mask, -reach)).all()
    else:
        assert np.array_equal(found, mask)


def test_it_does_not_depend_on_what_was_drawn_before(scenes: Scenes) -> None:
    masks = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        masks.append(snapped(grown(scenes.masks[0], 5), scenes.pictures[0]))
    assert np.array_equal(*masks)


def test_a_mask_that_agrees_with_no_edge_stays() -> None:
    """One colour everywhere: nothing says where the subject ends, so the person's word stands."""
    picture = np.full((64, 64, 3), 128, np.uint8)
    mask = np.zeros((64, 64), np.bool_)
    mask[20:44, 20:44] = True
    assert overlap(snapped(mask, picture), mask) > 0.5
