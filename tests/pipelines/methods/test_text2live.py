"""Text2LIVE: the layer over the picture, what its losses ask for, where it may be, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.catalog import settings
from pipelines.contract import EditRequest, Quality, Scope
from pipelines.diffusion.encode import Canvas
from pipelines.engine import ASSETS, Engine
from pipelines.errors import ModelError
from pipelines.methods import text2live
from pipelines.methods.text2live import Painter, Reader, Task, cropped, laid, where
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_model
from pipelines.params import Text2LiveParams
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject
from tests.pipelines.training.conftest import write_tiny_clip

Ask = Callable[..., EditRequest]
FEW = Text2LiveParams(steps=6, rate=0.02)


class Colours(Reader):
    """Sees the mean colour of a picture, and reads the same of a text."""

    side = 32

    def __init__(self) -> None:
        pass

    def said(self, text: str) -> Tensor:
        return F.normalize(torch.tensor([[0.1, 0.1, 0.9] if "blue" in text else [0.9, 0.1, 0.1]]), dim=-1)

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        places = F.normalize(F.adaptive_avg_pool2d(x, 4).flatten(2).transpose(1, 2), dim=-1)
        return F.normalize(x.mean((2, 3)), dim=-1), places @ places.transpose(1, 2)


def task(bundle: ModelBundle, request: EditRequest, params: Text2LiveParams = FEW) -> Task:
    return Task.of(Canvas.of(bundle, request), Colours(), where(request), params)


@pytest.fixture
def asked(request_for: Ask) -> EditRequest:
    grey = np.full((32, 40, 3), 128, np.uint8)
    return request_for(picture=grey, subject="a blue dog", background="", source="a red dog", scope=Scope.SUBJECT)


@pytest.fixture
def led(bundle: ModelBundle, tmp_path: Path) -> ModelBundle:
    """The tiny model beside a tiny CLIP."""
    write_tiny_clip(tmp_path / "tiny-clip")
    return replace(bundle, folders=(tmp_path,))


def test_a_clear_layer_is_the_picture_and_an_opaque_one_its_colour() -> None:
    colour, under = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    assert torch.equal(laid(colour, torch.zeros(1, 1, 4, 4), under), under)
    assert torch.equal(laid(colour, torch.ones(1, 1, 4, 4), under), colour)


def test_the_layer_is_where_the_turn_may_change_the_picture(asked: EditRequest) -> None:
    subject, background = where(asked), where(replace(asked, scope=Scope.BACKGROUND))
    assert subject[asked.mask].mean() > 0.8 > 0.05 > subject[~asked.mask].mean() and subject[0, 0] == 0
    assert np.allclose(subject + background, 1) and (where(replace(asked, scope=Scope.BOTH)) == 1).all()


def test_it_begins_at_the_colour_that_goes_with_the_text(bundle: ModelBundle, asked: EditRequest) -> None:
    blue = task(bundle, asked).best_colour().tolist()
    assert blue[2] > 0.9 and max(blue[:2]) <= 0.5
    painter = Painter()
    painter.begin(torch.tensor(blue), 0.65)
    painted = painter(torch.rand(1, 3, 12, 16))
    assert torch.allclose(painted, torch.tensor([*blue, 0.65]).reshape(1, 4, 1, 1).expand_as(painted), atol=1e-5)


def test_each_loss_is_what_it_says(bundle: ModelBundle, asked: EditRequest) -> None:
    def of(layer: Tensor, **weights: float) -> float:
        none = {"screen": 0.0, "structure": 0.0, "sparsity": 0.0, **weights}
        this = task(bundle, asked, Text2LiveParams(**none))
        size = this.x.shape[-2:]
        return float(this.loss(layer.expand(1, 4, *size), torch.Generator().manual_seed(0)))

    blue, red, clear = (torch.tensor(c).reshape(1, 4, 1, 1) for c in ((0, 0, 1, 1.0), (1, 0, 0, 1.0), (0, 0, 1, 0.0)))
    assert of(blue) < of(clear) < of(red)
    assert of(clear, sparsity=1.0) == pytest.approx(of(clear)) and of(blue, sparsity=1.0) > of(blue) + 0.1
    assert of(blue, screen=1.0) - of(blue) < of(red, screen=1.0) - of(red)
    assert of(clear, structure=1.0) == pytest.approx(of(clear), abs=1e-6) and of(blue, structure=1.0) > of(blue) + 1e-4
    assert of(blue, evenness=9.0) == pytest.approx(of(blue), abs=1e-5)
    steep = blue * torch.linspace(0, 1, task(bundle, asked).x.shape[-1])
    assert of(steep, evenness=9.0) > of(steep) + 0.1


def test_a_crop_holds_all_of_the_place() -> None:
    x, place = torch.zeros(1, 3, 20, 30), torch.zeros(1, 1, 20, 30)
    x[..., 8:12, 10:20] = place[..., 8:12, 10:20] = 1.0
    draws = torch.Generator().manual_seed(0)
    views = torch.cat([cropped(x, place, draws, 32) for _ in range(16)])
    assert views.amax((1, 2, 3)).min() == 1 and views.mean((1, 2, 3)).std() > 0.01
    assert views.mean((1, 2, 3)).min() > 0.9 * 40 / 600


def test_the_loss_falls_and_the_rest_stays_to_the_bit(
    led: ModelBundle, asked: EditRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    loss = Task.loss
    monkeypatch.setattr(Task, "loss", lambda *args: losses.append(value := loss(*args)) or value)  # type: ignore[func-returns-value]
    (candidate,) = text2live.run(led, asked, replace(FEW, steps=30, paste_back=True)).candidates
    assert len(losses) == 30 and sum(losses[-5:]) < 0.98 * sum(losses[:5])
    outside = where(asked) == 0
    assert outside.any() and np.array_equal(candidate.picture[outside], asked.picture[outside])
    assert not np.array_equal(candidate.picture, asked.picture) and candidate.outside.changed == 0


def test_without_a_clip_it_says_what_it_needs(bundle: ModelBundle, asked: EditRequest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none here knows the pictures of 'tiny'; put the folder of one"):
        text2live.run(replace(bundle, folders=(tmp_path,)), asked, FEW)


def test_the_embedded_clip_leads_a_purple_cat_to_yellow() -> None:
    """It begins there, which one step shows."""
    card = find_model("toybox", (ASSETS / "models",))
    drawn = render(Scene("night", Subject("cat", "purple")))
    told = {"subject": "a yellow cat", "background": "", "source": "a purple cat at night", "scope": Scope.SUBJECT}
    request = EditRequest(picture=drawn.picture, mask=drawn.mask, seed=7, **told)  # type: ignore[arg-type]
    params = settings("text2live", Quality.DRAFT, {"steps": 1}, card)
    made = Engine(threads=1, device="cpu").edit("toybox", "text2live", request, params).candidates[0].picture
    red, green, blue = made[drawn.mask].mean(0)
    assert min(red, green) > blue + 20
