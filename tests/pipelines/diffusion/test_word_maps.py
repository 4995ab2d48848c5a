"""Maps of words on tiny networks of every family: what they are, that nothing stays on, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pipelines.contract import Extent, Picture
from pipelines.diffusion import attention
from pipelines.diffusion.attention import Kind, Part, Recorder, layers, steered
from pipelines.diffusion.tokens import places_of
from pipelines.diffusion.word_maps import DRAWS, LEVEL, SEED, reader, word_maps
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError, NotEnoughMemory
from pipelines.images import Frame, resized, to_network
from pipelines.models.bundle import ModelBundle
from pipelines.seeds import generator, normal_like
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject

EVERY = ["tiny", "tiny-v", "tiny-xl", "tiny-inpainting", "tiny-xl-instruct"]


@pytest.mark.parametrize("family", EVERY)
def test_every_family_is_read_and_left_as_it_was(
    load: Callable[[str], ModelBundle], family: str, picture: Picture
) -> None:
    bundle, told = load(family), []
    before = dict(bundle.unet.attn_processors)
    (maps,) = word_maps(bundle, picture, ["a cat, a hat"], progress=lambda *said: told.append(said[:3]))
    assert [one.word for one in maps] == ["a", "cat", "hat"]
    assert {one.cells.shape for one in maps} == {(7, 9)} and all(one.cells.max() == 255 for one in maps)
    assert 0 < sum(one.most for one in maps) < len(maps)
    assert told == [("look", step, DRAWS) for step in range(1, DRAWS + 1)]
    assert bundle.unet.attn_processors == before
    (again,) = word_maps(bundle, picture, ["a cat, a hat"])
    assert all((one.cells == other.cells).all() for one, other in zip(maps, again, strict=True))


def test_a_map_is_the_mean_of_what_the_layer_looks_at(bundle: ModelBundle, picture: Picture) -> None:
    layer = reader(bundle)
    assert layer == layers(bundle.unet, Kind.CROSS, [Part.UP])[-1]
    ((found,),) = word_maps(bundle, picture, ["a cat"], ["Cat"])
    frame = Frame.fitting(Extent.of(picture), bundle.card.resolution, bundle.cell, bundle.halvings)
    z, t = bundle.encode(to_network(resized(picture, frame.network))), round(LEVEL * (bundle.schedule.length - 1))
    wanted = torch.zeros(())
    for draw in range(DRAWS):
        recorder = Recorder(frame.latent)
        noisy = bundle.schedule.noised(z, normal_like(z, generator(SEED, f"look {draw}")), t)
        with torch.no_grad(), steered(bundle.unet, {layer: recorder}):
            bundle.predict(noisy, torch.full((1,), t), bundle.embed_texts(["a cat"]))
        wanted = wanted + recorder.of(places_of(bundle, "a cat", "cat"))[0, 0] / DRAWS
    assert found.most == pytest.approx(float(wanted.max()), rel=1e-5)
    assert np.abs(found.cells / 255 - (wanted / wanted.max()).numpy()).max() < 0.51 / 255


def test_what_cannot_be_looked_for_is_said(
    bundle: ModelBundle, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadRequest, match="has no 'dog'"):
        word_maps(bundle, picture, ["a cat"], ["dog"])
    with pytest.raises(BadRequest, match="got none"):
        word_maps(bundle, picture, ["!"])
    monkeypatch.setattr(attention, "free_host_bytes", lambda: 100)
    with pytest.raises(NotEnoughMemory, match="smaller picture"):
        word_maps(bundle, picture, ["a cat"])


def test_the_embedded_model_looks_at_the_cat_for_the_cat() -> None:
    engine = Engine(threads=1, device="cpu")
    drawn = render(Scene("snow", Subject("cat", x=0.3)))
    ((cat,),) = engine.attention("toybox", drawn.picture, ["a cat in the snow"], ["cat"])
    y, x = np.unravel_index(int(cat.cells.argmax()), cat.cells.shape)
    cell = drawn.picture.shape[0] // cat.cells.shape[0]
    assert drawn.mask[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell].mean() > 0.5
    with pytest.raises(ModelError, match="no attention to words"):
        engine.attention("composer", drawn.picture, ["a cat"])
