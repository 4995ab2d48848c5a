"""Paint by Example: the latents of diffusers' pipeline, what is shown of a reference, which folders it takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PaintByExamplePipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.catalog import CATALOG, check_serves, offered, settings
from pipelines.contract import Backbone, EditRequest, Mask, Picture, Quality, Scope
from pipelines.diffusion.candidates import Sampling
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas
from pipelines.diffusion.guidance import ConcatConditioning
from pipelines.diffusion.samplers import DDIM
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError
from pipelines.methods import paint_by_example
from pipelines.methods.paint_by_example import example
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import fault_of, find_model, find_models
from pipelines.models.loader import load_bundle
from pipelines.params import PaintByExampleParams
from pipelines.pasting import edited_region
from tests.pipelines.conftest import write_tiny_model

STEPS, GUIDANCE = 4, 5.0


@pytest.fixture
def asked(request_for: Callable[..., EditRequest]) -> EditRequest:
    """A picture of the model's own size, a place on whole latent cells with its fringe, and a taller reference."""
    draws = np.random.default_rng(3)
    mask = np.zeros((32, 32), bool)
    mask[:, 12:22] = True
    picture, reference = (draws.integers(0, 256, (side, 32, 3), dtype=np.uint8) for side in (32, 44))
    said = {"subject": "", "background": "", "scope": Scope.SUBJECT, "feather": 0.0}
    return request_for(picture=picture, mask=mask, subject_reference=reference, **said)


def latents(bundle: ModelBundle, noise: Tensor, concat: ConcatConditioning, reference: Picture) -> Tensor:
    e, e_null = bundle.embed_example(reference)
    predict = guided(bundle, always(e), e_null, GUIDANCE, concat)
    return denoise(bundle, noise, DDIM(noise), bundle.schedule.timesteps(STEPS), predict, lambda _: None)


def test_it_samples_as_its_pipeline_and_sees_the_picture_in_that_order(
    load: Callable[[str], ModelBundle], asked: EditRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, seen = load("tiny-exemplar"), []
    sample = paint_by_example.sample_candidates

    def watched(canvas: Canvas, stages: object, how: Sampling) -> object:
        seen.append((canvas, how))
        return sample(canvas, stages, how)

    monkeypatch.setattr(paint_by_example, "sample_candidates", watched)
    paint_by_example.run(bundle, asked, PaintByExampleParams(steps=STEPS, guidance=GUIDANCE))
    ((canvas, how),) = seen
    assert how.guidance == GUIDANCE and how.start is None and how.hold is None
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(4))
    pipe = PaintByExamplePipeline(
        vae=bundle.vae,
        image_encoder=bundle.image_encoder,
        unet=bundle.unet,
        scheduler=DDIMScheduler.from_pretrained(bundle.card.path / "scheduler"),
        safety_checker=None,
        feature_extractor=bundle.feature_extractor,
    )
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        example_image=Image.fromarray(asked.subject_reference),
        image=Image.fromarray(asked.picture),
        mask_image=Image.fromarray(edited_region(asked.mask, asked.scope, asked.feather)),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        latents=noise,
        output_type="latent",
    ).images
    assert torch.allclose(latents(bundle, noise, how.concat, asked.subject_reference), expected, atol=1e-4)
    inpainting = ConcatConditioning(torch.cat([canvas.edited, canvas.kept_latent], dim=1))
    assert not torch.allclose(latents(bundle, noise, inpainting, asked.subject_reference), expected, atol=1e-2)
    assert not torch.allclose(latents(bundle, noise, how.concat, asked.picture), expected, atol=1e-2)


def test_what_stands_in_the_middle_of_the_reference_is_shown() -> None:
    picture = np.arange(60 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)
    mask: Mask = np.zeros((40, 60), bool)
    mask[10:20, 20:50] = True
    assert example(picture, None, 0.5) is picture
    assert np.array_equal(example(picture, mask, 0.0), picture[0:30, 20:50])
    assert np.array_equal(example(picture, mask, 0.1), picture[0:33, 17:53])


def test_a_turn_without_a_reference_and_on_another_model_is_refused(
    model_folders: tuple[Path, ...], asked: EditRequest
) -> None:
    engine, params = Engine(model_folders, device="cpu"), settings("paint-by-example", Quality.DRAFT, {"steps": 2})
    told = "Paint by Example reads no text; give a picture of what the subject becomes"
    for scope in Scope:
        without = replace(asked, subject="a dog", subject_reference=None, scope=scope)
        with pytest.raises(BadRequest, match=told):
            engine.edit("tiny-exemplar", "paint-by-example", without, params)
    with pytest.raises(ModelError, match="one of the kind exemplar: tiny-exemplar"):
        engine.edit("tiny", "paint-by-example", asked, params)
    card = find_model("tiny-exemplar", model_folders)
    with pytest.raises(ModelError, match="with this model choose paint-by-example,"):
        check_serves(CATALOG["inpaint"], card, find_models(model_folders).values())
    assert [m.name for m in offered(Backbone.EXEMPLAR) if m.needs_model] == ["paint-by-example"]
    with pytest.raises(ModelError, match="no attention to words"):
        engine.attention("tiny-exemplar", asked.picture, ["a cat"])
    whole = engine.edit("tiny-exemplar", "paint-by-example", replace(asked, scope=Scope.BOTH), params).candidates[0]
    assert whole.outside.kept > 500 and whole.outside.changed == 0, "only the subject changes"


def test_a_folder_that_lacks_something_says_what(model_folders: tuple[Path, ...], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model_folders[0] / "tiny-exemplar", folder)

    def fault() -> str | None:
        return fault_of(find_model("mine", (tmp_path,)))

    assert fault() is None
    (folder / "feature_extractor" / "preprocessor_config.json").rename(tmp_path / "kept.json")
    assert "feature_extractor/preprocessor_config.json is missing" in (fault() or "")
    (tmp_path / "kept.json").rename(folder / "feature_extractor" / "preprocessor_config.json")
    weights = folder / "image_encoder" / "model.safetensors"
    whole = load_file(weights)
    weights.rename(weights.with_name("pytorch_model.bin"))
    assert "image_encoder/model.safetensors is missing; found only pytorch_model.bin, a pickle" in (fault() or "")
    save_file({name: value for name, value in whole.items() if name != "uncond_vector"}, weights)
    with pytest.raises(ModelError, match="image_encoder lacks 1 of its weights, first uncond_vector"):
        load_bundle(find_model("mine", (tmp_path,)), torch.device("cpu"))
    write_tiny_model(tmp_path / "plain")
    shutil.rmtree(folder / "unet")
    shutil.copytree(tmp_path / "plain" / "unet", folder / "unet")
    assert "its U-Net must take 9 channels, as one does that paints after an example; it takes 4" in (fault() or "")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(
        json.dumps({**index, "image_encoder": ["transformers", "CLIPVisionModel"]})
    )
    assert "text_encoder must be CLIPTextModel" in (fault() or "")
