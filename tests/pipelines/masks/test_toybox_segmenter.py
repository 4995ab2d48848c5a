"""The embedded segmenter: its figures on held-out scenes, its place in the package's own tools, and its trainer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from pipelines.contract import Mask, Picture
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import SamSegmenter, build_sam, load_sam
from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, Scenes, draw_scenes
from pipelines.toybox.train_segmenter import (
    CONFIG,
    collage,
    correction,
    cropped,
    draw_example,
    inner_point,
    jittered_box,
    loss_of_example,
    measure,
    part_under,
    scene_example,
    to_network,
)

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "models" / "toybox-segmenter"


@pytest.fixture(scope="module")
def segmenter() -> SamSegmenter:
    return load_sam(FOLDER)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return draw_scenes(12, TRAINING_SEED, empty=0, workers=1)


def test_it_still_measures_what_its_folder_says() -> None:
    reported = json.loads((FOLDER / "training.json").read_text())["measured"]
    measured = measure(FOLDER, count=24)
    for name in ("one_click_miou", "three_clicks_miou", "box_miou"):
        assert measured[name] > reported[name] - 0.06, name


def test_the_package_s_own_predictor_gives_the_same_mask(segmenter: SamSegmenter) -> None:
    scene = draw_scenes(1, HELD_OUT_SEED, empty=0, workers=1)
    picture, (x, y) = scene.pictures[0], inner_point(scene.masks[0], np.random.default_rng(0))
    predictor = SamPredictor(segmenter.sam)
    predictor.set_image(picture)
    masks, scores, _ = predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=True)
    answer = segmenter.segment(segmenter.embed(picture), MaskPrompts(clicks=(Click(x, y),)))
    assert np.array_equal(answer.masks[answer.best(None)], masks[scores.argmax()])


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("zoom", [1, 3])
def test_a_click_in_a_corner_of_a_long_picture_finds_what_is_there(
    segmenter: SamSegmenter, upright: bool, zoom: int
) -> None:
    """In a picture 3 : 1 of any resolution the mask's middle lies within 2 % of the side of the thing clicked."""
    mask: Mask = np.zeros((140 * zoom, 420 * zoom), np.bool_)
    mask[84 * zoom : 126 * zoom, 350 * zoom : 400 * zoom] = True
    if upright:
        mask = np.ascontiguousarray(mask.T)
    picture: Picture = np.where(mask[..., None], (220, 40, 40), (120, 180, 230)).astype(np.uint8)
    ys, xs = np.nonzero(mask)
    answer = segmenter.segment(segmenter.embed(picture), MaskPrompts(clicks=(Click(xs.mean(), ys.mean()),)))
    found = answer.masks[answer.best(None)]
    assert found.shape == mask.shape
    fy, fx = np.nonzero(found)
    assert np.hypot(fx.mean() - xs.mean(), fy.mean() - ys.mean()) < 0.02 * max(mask.shape)


# ------------------------------------------------------------------------------------------------------ its trainer


def test_the_same_seed_draws_the_same_example(scenes: Scenes) -> None:
    one, other = (draw_example(scenes, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.picture, other.picture) and one.extent == other.extent


def test_things_of_a_collage_do_not_overlap(scenes: Scenes) -> None:
    for seed in range(10):
        example = collage(scenes, np.random.default_rng(seed))
        assert np.sum([whole for whole, _ in example.things], 0).max() == 1


def test_a_part_is_of_the_thing_and_holds_the_click_and_its_shadow_adds_to_it(scenes: Scenes) -> None:
    rng = np.random.default_rng(0)
    for index in range(len(scenes.scenes)):
        example = scene_example(scenes, index)
        whole, shadowed = example.things[0]
        x, y = inner_point(whole, rng)
        part = part_under(example.picture, whole, (x, y))
        assert part[y, x] and (part <= whole).all() and (whole <= shadowed).all()


def test_a_crop_is_padded_to_the_right_and_below(scenes: Scenes) -> None:
    example = cropped(scene_example(scenes, 0), np.random.default_rng(1))
    height, width = example.extent
    assert max(height, width) == 256
    assert not example.picture[height:].any() and not example.picture[:, width:].any()


def test_a_correction_is_in_the_middle_of_the_largest_mistake() -> None:
    found, wanted = np.zeros((50, 50), np.bool_), np.zeros((50, 50), np.bool_)
    wanted[10:21, 10:21] = True
    found[40:43, 40:43] = True
    assert correction(found, wanted) == Click(15, 15, include=True)
    assert correction(found | wanted, wanted) == Click(41, 41, include=False)
    assert correction(wanted, wanted) is None


def test_a_box_is_tight_or_nearly(scenes: Scenes) -> None:
    mask = np.zeros((256, 256), np.bool_)
    mask[10:20, 30:60] = True
    box = jittered_box(mask, None)
    assert (box.left, box.top, box.right, box.bottom) == (30, 10, 60, 20)
    loose = jittered_box(mask, np.random.default_rng(0))
    assert abs(loose.left - 30) <= 3 and abs(loose.bottom - 20) <= 1


def test_one_step_of_training_reaches_every_weight_it_should(scenes: Scenes) -> None:
    torch.manual_seed(0)
    sam = build_sam(CONFIG).train()
    loss = torch.zeros(())
    for seed in range(4):  # clicks and boxes both
        rng = np.random.default_rng(seed)
        example = draw_example(scenes, rng)
        features = sam.image_encoder(to_network(sam, [example], torch.device("cpu")))
        loss = loss + loss_of_example(sam, features, example, rng, prompts=1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    untouched = [name for name, p in sam.named_parameters() if p.grad is None]
    assert all("not_a_point" in name for name in untouched), untouched
