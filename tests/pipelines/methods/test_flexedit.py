"""FlexEdit: the mask adapts to where the new object is looked at, and the latent is led to the old one's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.contract import EditRequest, Scope
from pipelines.diffusion.attention import steered
from pipelines.diffusion.encode import Canvas
from pipelines.methods import flexedit
from pipelines.methods.flexedit import Watched, led, place_and_size
from pipelines.models.bundle import ModelBundle
from pipelines.params import FlexEditParams
from tests.pipelines.methods.ran import ran

Ask = Callable[..., EditRequest]
PLAIN = FlexEditParams(steps=5, lead=0.0)


def test_a_place_is_its_centre_and_its_share_of_the_picture() -> None:
    looked = torch.zeros(1, 1, 4, 8)
    looked[..., 1:3, 4:8] = 1.0
    centre, size = place_and_size(looked, 0.5)
    assert torch.allclose(centre, torch.tensor([0.75, 0.5])) and abs(float(size) - 0.25) < 1e-3


@pytest.mark.parametrize("family", ["tiny", "tiny-v", "tiny-xl"])
def test_outside_the_mask_the_latent_is_the_picture_s_and_the_mask_adapts(
    load: Callable[[str], ModelBundle], request_for: Ask, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    bundle, asked = load(family), request_for(source="a cat", subject="a dog", background="", scope=Scope.SUBJECT)
    canvas = Canvas.of(bundle, asked)
    masks: list[torch.Tensor] = []
    adapted = flexedit.adapted
    monkeypatch.setattr(flexedit, "adapted", lambda *args: masks.append(adapted(*args)) or masks[-1])
    z, result = ran(monkeypatch, flexedit, bundle, asked, PLAIN)
    m = masks[-1]
    assert (m >= canvas.edited).all() and 0 < (m - canvas.edited).mean() < 1, "it reaches beyond the old object"
    outside = (m == 0).expand_as(z)
    assert torch.equal(z[outside], canvas.z_ref[outside]) and not torch.allclose(z, canvas.z_ref, atol=1e-2)
    assert (
        result.found is not None and (result.found | ~canvas.region).all() and result.found.sum() > canvas.region.sum()
    )
    narrow, result = ran(monkeypatch, flexedit, bundle, asked, replace(PLAIN, threshold=1.0))
    outside = (canvas.edited == 0).expand_as(z)
    assert torch.equal(narrow[outside], canvas.z_ref[outside]), "looked at nowhere, it is the old object's place"
    assert result.found is not None and (result.found == canvas.region).all()


def test_where_the_subject_has_no_text_or_all_may_change_the_mask_is_that_of_the_turn(
    bundle: ModelBundle, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = request_for(source="a cat", subject="", background="in a forest", scope=Scope.BACKGROUND)
    canvas = Canvas.of(bundle, behind)
    z, result = ran(monkeypatch, flexedit, bundle, behind, replace(PLAIN, lead=0.5))
    kept = (canvas.edited == 0).expand_as(z)
    assert kept.any() and torch.equal(z[kept], canvas.z_ref[kept]) and (result.found == canvas.region).all()
    both = request_for(source="a cat", subject="a dog")
    assert torch.equal(*(ran(monkeypatch, flexedit, bundle, both, replace(PLAIN, threshold=t))[0] for t in (0.1, 0.9)))


def test_a_step_leads_the_object_towards_the_selected_place(bundle: ModelBundle, request_for: Ask) -> None:
    asked = request_for(subject="a dog", background="", scope=Scope.SUBJECT)
    canvas, params = Canvas.of(bundle, asked), replace(PLAIN, lead=0.05)
    watched = Watched(bundle, tuple(canvas.z_ref.shape[-2:]), (1, 2, 3, 4))
    e, t = canvas.prompts["a dog"], 500
    share = torch.nn.functional.adaptive_avg_pool2d(canvas.cells(asked.mask), watched.size)
    wanted = place_and_size(share, params.threshold)

    def away(z: torch.Tensor) -> float:
        bundle.predict(z, torch.full((1,), t), e)
        centre, size = place_and_size(watched.looked, params.threshold)
        return float((centre - wanted[0]).square().sum() + (size - wanted[1]).square())

    z = torch.randn(canvas.z_ref.shape, generator=torch.Generator().manual_seed(3))
    with steered(bundle.unet, watched.attention):
        with torch.no_grad():
            before = away(z)
        for _ in range(5):
            z = led(canvas, watched, z, t, e, params)
        with torch.no_grad():
            assert away(z) < before
    assert not any(p.grad is not None for p in bundle.unet.parameters())
