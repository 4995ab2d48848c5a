"""ZONE: the verb, the rough region, the segment that is meant, and all else to the pixel."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.contract import EditRequest, Scope
from pipelines.engine import ASSETS
from pipelines.masks.refine import grown
from pipelines.methods import instruct_pix2pix, zone
from pipelines.methods.zone import Verb, meant, overlap, patches, rough, segmented, the_segmenter, verb_of
from pipelines.models.bundle import ModelBundle
from pipelines.params import InstructParams, ZoneParams
from pipelines.progress import Cancelled
from pipelines.toybox.render import render
from pipelines.toybox.scene import sample_scene

PARAMS = ZoneParams(steps=3)


@pytest.fixture
def bundle(load: Callable[[str], ModelBundle]) -> ModelBundle:
    return load("tiny-instruct")


@pytest.mark.parametrize(
    ("said", "verb"),
    [
        ("remove the dog", Verb.REMOVE),
        ("please erase it", Verb.REMOVE),
        ("add a hat", Verb.ADD),
        ("make the dog blue and remove nothing", Verb.CHANGE),
        ("let it snow", Verb.CHANGE),
    ],
)
def test_the_verb_says_what_is_asked(said: str, verb: Verb) -> None:
    assert verb_of(said) is verb


def test_the_rough_region_is_where_the_start_of_the_text_is_not_looked_at() -> None:
    start, end = torch.full((1, 1, 4, 4), 0.9), torch.full((1, 1, 4, 4), 0.05)
    start[..., :2, :2], end[..., :2, :2] = 0.3, 0.2
    found = rough(start, end, 0.21)[0, 0]
    assert found[:2, :2].all() and found.sum() == 4


def test_the_segment_that_overlaps_most_is_meant_and_the_region_itself_where_none_does() -> None:
    region = np.zeros((40, 40), bool)
    region[10:20, 10:20] = True
    small, near, far = (np.zeros_like(region) for _ in range(3))
    small[10:15, 10:15], near[9:21, 9:21], far[30:, 30:] = True, True, True
    assert overlap(region, region) == 1 and overlap(~region & region, ~region & region) == 0
    assert meant([small, far, near], region) is near
    assert meant([small, far], region) is region and meant([], region) is region


def test_without_a_segmenter_the_patches_that_differ_are_the_segments() -> None:
    before = np.full((64, 64, 3), 90, np.uint8)
    after = before.copy()
    after[8:24, 8:24], after[40:56, 40:56] = 200, 200
    first, second = patches(after, before)
    assert first[10:22, 10:22].all() and second[42:54, 42:54].all() and not (first & second).any()
    assert patches(before, before) == []


def test_on_drawings_the_chosen_segment_is_the_subject(bundle: ModelBundle) -> None:
    segmenter = the_segmenter(replace(bundle, folders=(ASSETS / "models",)))
    assert segmenter is not None and the_segmenter(bundle) is None
    overlaps = []
    for seed in range(3):
        drawn = render(sample_scene(random.Random(seed), empty=0))
        cells = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(drawn.mask).float()[None, None], 16)
        region = torch.nn.functional.interpolate((cells > 0.3).float(), size=drawn.mask.shape)[0, 0].numpy() > 0.5
        overlaps.append(overlap(meant(list(segmented(segmenter, drawn.picture, 5, lambda: None)), region), drawn.mask))
    assert min(overlaps) >= 0.7, overlaps


def test_outside_the_region_the_picture_is_the_same_and_inside_that_of_the_plain_method(
    bundle: ModelBundle, request_for: Callable[..., EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(scope=Scope.BOTH, subject="make it blue", background="", feather=0.0)
    region = np.zeros(asked.mask.shape, bool)
    region[4:30, 5:30] = True
    monkeypatch.setattr(zone, "meant", lambda *_: zone.mask_at(region, zone.Canvas.of(bundle, asked).frame.network))
    result = zone.run(bundle, asked, PARAMS)
    made = result.candidates[0].picture
    assert result.found is not None and overlap(result.found, region) > 0.9
    assert np.array_equal(made[~result.found], asked.picture[~result.found])
    plain = instruct_pix2pix.run(bundle, asked, InstructParams(steps=3, paste_back=False)).candidates[0].picture
    assert np.abs(made.astype(int) - plain)[result.found].max() <= 1
    gone = zone.run(bundle, replace(asked, subject="remove it"), PARAMS).found
    assert gone is not None and gone.sum() > result.found.sum(), "a hole takes its fringe along"
    within = zone.run(bundle, replace(asked, scope=Scope.SUBJECT), PARAMS)
    assert within.candidates[0].outside.changed == 0 and within.found is not None
    assert not within.found[~grown(asked.mask, 4)].any(), "what may not change is not in it"


def test_the_search_for_segments_can_be_cancelled(bundle: ModelBundle, request_for: Callable[..., EditRequest]) -> None:
    """A large segmenter takes its time at every place."""
    heard: list[tuple[str, int, int]] = []

    def stop(stage: str, step: int, total: int, preview: object = None) -> None:
        heard.append((stage, step, total))
        if (stage, step) == ("mask", 3):
            raise Cancelled

    known = replace(bundle, folders=(ASSETS / "models",))
    with pytest.raises(Cancelled):
        zone.run(known, request_for(subject="make it blue", background=""), replace(PARAMS, clicks=2), stop)
    assert heard[-1] == ("mask", 3, 1 + 4)
