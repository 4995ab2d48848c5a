"""OIR: depths that are tried, scores that decide, parts that are put together, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.contract import EditRequest, Picture, Scope
from pipelines.diffusion.encode import Canvas
from pipelines.errors import ModelError
from pipelines.methods import oir
from pipelines.methods.oir import Scorer, best, depths, pieces_of, scaled
from pipelines.models.bundle import ModelBundle
from pipelines.params import OIRParams
from tests.pipelines.methods.ran import ran
from tests.pipelines.methods.test_prompt_to_prompt import OFF, alone
from tests.pipelines.training.conftest import write_tiny_clip

Ask = Callable[..., EditRequest]
FEW = OIRParams(steps=6, every=2, together=1 / 3, paste_back=False)


class Fits(Scorer):
    """Says what it is told to of every try."""

    def __init__(self, *cosines: float) -> None:
        self.cosines = cosines

    def fits(self, pictures: Sequence[Picture], place: Any, text: str) -> Any:
        return np.asarray(self.cosines[: len(pictures)], np.float32)


def test_every_so_many_depths_are_tried_and_the_last_none_below_the_level() -> None:
    assert depths(20, 5, 4) == [5, 10, 15, 20] and depths(20, 5, 6) == [6, 10, 15, 20]
    assert depths(4, 5, 0) == [4] and depths(3, 1, 0) == [1, 2, 3]


def test_the_best_try_does_what_is_asked_and_keeps_the_rest(bundle: ModelBundle, request_for: Ask) -> None:
    assert (scaled(np.full(3, 0.2, np.float32)) == 0).all(), "alike scores decide nothing"
    [piece] = pieces_of(Canvas.of(bundle, request_for(subject="a dog", background="")))
    grey = np.full((*piece.place.shape, 3), 100, np.uint8)
    tries = [grey, grey + 10, grey + 60]
    assert best(Fits(0.1, 0.2, 0.2), tries, grey, piece, 1.0) == 1, (
        "the third goes as well with the text and keeps less"
    )
    assert best(Fits(0.2, 0.2, 0.2), tries, grey, piece, 1.0) == 0
    everywhere = replace(piece, place=np.ones_like(piece.place))
    assert best(Fits(0.1, 0.2, 0.3), tries, grey, everywhere, 1.0) == 2
    assert best(Fits(0.1, 0.2, 0.21), tries, grey, piece, 0.0) == 2, "the text alone"


def test_no_two_pieces_share_a_cell_and_each_changes_its_part_alone(bundle: ModelBundle, request_for: Ask) -> None:
    subject, background = pieces_of(Canvas.of(bundle, request_for(source="a cat in the snow")))
    assert (subject.target, background.target) == ("a blue dog in the snow", "a cat in a forest")
    assert not (subject.cells * background.cells).any() and (subject.cells + background.cells == 1).all()
    within = pieces_of(Canvas.of(bundle, request_for(scope=Scope.SUBJECT, background="")))
    assert [piece.text for piece in within] == ["a blue dog"]


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_a_piece_is_taken_from_the_depth_that_is_best_and_the_rest_is_the_picture_s(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle = load(family)
    asked = request_for(source="a cat", subject="a dog", background="", scope=Scope.SUBJECT)
    canvas, ends = Canvas.of(bundle, asked), []
    for number in range(3):
        monkeypatch.setattr(oir, "best", lambda *_, number=number: number)
        monkeypatch.setattr(oir, "Scorer", lambda _: Fits())
        z, result = ran(monkeypatch, oir, bundle, asked, FEW)
        outside = (canvas.edited == 0).expand_as(z)
        assert torch.equal(z[outside], canvas.z_ref[outside])
        assert [(stage.name, stage.steps) for stage in result.stages] == [("invert", 6), ("search", 12), ("denoise", 4)]
        ends.append(z)
    assert not any(torch.allclose(a, b, atol=1e-4) for a, b in pairwise(ends))


def test_a_text_that_changes_nothing_gives_the_picture_within_the_error_of_its_inversion(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_for(source="a cat", subject="a cat", background="")
    monkeypatch.setattr(oir, "Scorer", lambda _: Fits(1, 1, 1))
    z, _ = ran(monkeypatch, oir, bundle, asked, FEW)
    back = alone(bundle, asked, "a cat", replace(OFF, steps=FEW.steps))
    z_ref = Canvas.of(bundle, asked).z_ref
    assert (z - z_ref).square().mean() <= 1.1 * (back - z_ref).square().mean()


def test_without_a_clip_it_says_what_it_needs_and_a_clip_s_scores_are_by_the_part(
    bundle: ModelBundle, request_for: Ask, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="compares its tries by a CLIP, and none here knows the pictures of 'tiny'"):
        oir.run(bundle, request_for(), FEW)
    write_tiny_clip(tmp_path / "tiny-clip")
    scorer = Scorer(replace(bundle, folders=(tmp_path,)))
    place = np.zeros((32, 32), bool)
    place[4:20, 4:20] = True
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    same, other = scorer.fits([picture, np.where(place[..., None], picture, 255 - picture)], place, "a dog")
    assert same == pytest.approx(other, abs=1e-5), "what lies elsewhere has no say"
