"""Every family is conditioned as diffusers' own pipeline for it does: same latents, same text, same clean latent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from torch import Tensor

from pipelines.catalog import CATALOG, check_serves, serving, settings
from pipelines.contract import Backbone, EditRequest, Quality, Scope
from pipelines.diffusion.candidates import Sampling
from pipelines.diffusion.denoise import always, denoise, guided
from pipelines.diffusion.encode import Canvas, instructions
from pipelines.diffusion.samplers import DDIM
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError
from pipelines.layered import method as layered
from pipelines.methods import inpaint, instruct_pix2pix, sdedit
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_model, find_models
from pipelines.models.loader import load_bundle
from pipelines.params import InpaintParams, InstructParams, LayeredParams, SDEditParams, Tuned
from pipelines.pasting import edited_region

CPU = torch.device("cpu")
STEPS, GUIDANCE, TEXT = 5, 6.0, "a blue dog"


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def exact(load: Callable[[str], ModelBundle]) -> Callable[[str], ModelBundle]:
    """A bundle that computes in float32 throughout, as the pipelines do here."""
    return lambda name: replace(load(name), autocast=None)


def theirs(bundle: ModelBundle, kind: type[DiffusionPipeline], noise: Tensor, **asked: object) -> Tensor:
    """The clean, scaled latent that diffusers' own pipeline makes from `noise`, or from what it draws itself."""
    pipe = kind.from_pretrained(bundle.card.path, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    common = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "latent", **asked}
    begun = {} if "generator" in asked else {"latents": noise}
    return pipe(prompt=TEXT, **begun, **common).images


@pytest.mark.parametrize(("name", "kind"), [("tiny", StableDiffusionPipeline), ("tiny-v", StableDiffusionPipeline)])
def test_sd_1_and_2_sample_as_their_pipeline(
    exact: Callable[[str], ModelBundle], noise: Tensor, name: str, kind: type[DiffusionPipeline]
) -> None:
    bundle = exact(name)
    texts = bundle.embed_texts(["", TEXT])
    z = denoise(
        bundle,
        noise,
        DDIM(noise),
        bundle.schedule.timesteps(STEPS),
        guided(bundle, always(texts[1:]), texts[:1], GUIDANCE),
        lambda z_0: None,
    )
    assert torch.allclose(z, theirs(bundle, kind, noise, height=32, width=32), atol=1e-4)


@pytest.mark.parametrize("empty_is_zero", [True, False])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_xl_samples_as_its_pipeline(
    model_folders: tuple[Path, ...], tmp_path: Path, empty_is_zero: bool, height: int, width: int
) -> None:
    """Both text encoders, the summary, the time ids of a picture that need not be square, and the empty text."""
    shutil.copytree(model_folders[0] / "tiny-xl", tmp_path / "xl")
    index = json.loads((tmp_path / "xl" / "model_index.json").read_text())
    index["force_zeros_for_empty_prompt"] = empty_is_zero
    (tmp_path / "xl" / "model_index.json").write_text(json.dumps(index))
    bundle = replace(load_bundle(find_model("xl", (tmp_path,)), CPU), autocast=None)
    z = torch.randn(1, 4, height // 2, width // 2, generator=torch.Generator().manual_seed(4))
    texts = bundle.embed_texts(["", TEXT])
    predict = guided(bundle, always(texts[1:]), texts[:1], GUIDANCE)
    ours = denoise(bundle, z, DDIM(z), bundle.schedule.timesteps(STEPS), predict, lambda z_0: None)
    assert texts.widths == bundle.text_widths == (32, 24)
    expected = theirs(bundle, StableDiffusionXLPipeline, z, height=height, width=width)
    assert torch.allclose(ours, expected, atol=1e-4)
    squarish = bundle.predict(z, torch.tensor([500]), texts[1:])
    assert not torch.allclose(squarish, replace(bundle, empty_is_zero=False).predict(z, torch.tensor([500]), texts[:1]))


@pytest.fixture
def square(request_for: Callable[..., EditRequest]) -> EditRequest:
    """A picture of the model's own size, whose kept region (the mask less its fringe) lies on whole latent cells."""
    mask = np.zeros((32, 32), bool)
    mask[7:21, 9:25] = True
    picture = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return request_for(picture=picture, mask=mask, scope=Scope.BACKGROUND, background=TEXT, subject="")


def sampled(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, run: Callable[[], object]
) -> tuple[Sampling, Canvas]:
    """What a method of `module` hands to the sampler that it knows as `name`, taken on its way there."""
    seen: list[tuple[Sampling, Canvas]] = []
    sample = getattr(module, name)

    def watched(canvas: Canvas, stages: object, how: Sampling) -> object:
        seen.append((how, canvas))
        return sample(canvas, stages, how)

    monkeypatch.setattr(module, name, watched)
    run()
    return seen[0]


def clean(how: Sampling, canvas: Canvas, noise: Tensor) -> Tensor:
    return denoise(
        canvas.bundle,
        noise,
        DDIM(noise),
        how.timesteps,
        guided(canvas.bundle, how.condition, how.e_null, how.guidance, how.concat),
        lambda z_0: None,
        hold=how.hold,
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tiny-inpainting", StableDiffusionInpaintPipeline), ("tiny-xl-inpainting", StableDiffusionXLInpaintPipeline)],
)
def test_an_inpainting_model_is_shown_what_its_pipeline_shows(
    exact: Callable[[str], ModelBundle],
    square: EditRequest,
    noise: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: type[DiffusionPipeline],
) -> None:
    bundle, params = exact(name), InpaintParams(steps=STEPS, guidance=GUIDANCE)
    how, canvas = sampled(monkeypatch, inpaint, "sample_latents", lambda: inpaint.run(bundle, square, params))
    expected = theirs(
        bundle,
        kind,
        noise,
        image=Image.fromarray(square.picture),
        mask_image=Image.fromarray(edited_region(square.mask, square.scope, square.feather)),
        height=32,
        width=32,
        strength=1.0,
    )
    assert torch.allclose(clean(how, canvas, noise), expected, atol=1e-4)
    assert not torch.allclose(
        clean(replace(how, concat=replace(how.concat, channels=-how.concat.channels)), canvas, noise),
        expected,
        atol=1e-2,
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("tiny", StableDiffusionImg2ImgPipeline), ("tiny-xl", StableDiffusionXLImg2ImgPipeline)]
)
def test_sdedit_begins_where_its_pipeline_does(
    exact: Callable[[str], ModelBundle],
    square: EditRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: type[DiffusionPipeline],
) -> None:
    """At three fifths of the schedule, with the picture noised to there."""
    bundle, params = exact(name), SDEditParams(steps=STEPS, guidance=GUIDANCE, strength=0.6)
    how, canvas = sampled(monkeypatch, sdedit, "sample_candidates", lambda: sdedit.run(bundle, square, params))
    drawn = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    begun = bundle.schedule.noised(how.start, drawn, how.timesteps[0])
    picture, draws = Image.fromarray(square.picture), torch.Generator().manual_seed(5)
    expected = theirs(bundle, kind, drawn, image=picture, strength=0.6, generator=draws)
    assert len(how.timesteps) == 3 and torch.allclose(clean(how, canvas, begun), expected, atol=1e-4)
    assert not torch.allclose(clean(how, canvas, drawn), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny-instruct", StableDiffusionInstructPix2PixPipeline),
        ("tiny-xl-instruct", StableDiffusionXLInstructPix2PixPipeline),
    ],
)
def test_instructions_are_followed_as_in_their_pipeline(
    exact: Callable[[str], ModelBundle],
    square: EditRequest,
    noise: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: type[DiffusionPipeline],
) -> None:
    """Eq. 3, with the picture's own latents."""
    bundle = exact(name)
    params = InstructParams(steps=STEPS, guidance=GUIDANCE, picture_guidance=1.7)
    how, canvas = sampled(
        monkeypatch, instruct_pix2pix, "sample_candidates", lambda: instruct_pix2pix.run(bundle, square, params)
    )
    shown = {"image": Image.fromarray(square.picture), "image_guidance_scale": 1.7}
    expected = theirs(bundle, kind, noise, **shown)
    assert torch.allclose(clean(how, canvas, noise), expected, atol=1e-4)
    scaled = replace(how.concat, channels=canvas.z_ref)
    assert not torch.allclose(clean(replace(how, concat=scaled), canvas, noise), expected, atol=1e-2)


def test_an_instruction_joins_what_is_said(request_for: Callable[..., EditRequest]) -> None:
    said = request_for(subject=" make it blue ", background="let it snow")
    assert instructions(said) == ("make it blue", "let it snow")
    assert instructions(replace(said, background=" ")) == ("make it blue",)


# ---------------------------------------------------------------------------------------- which model serves which


def test_what_a_model_is_for_is_read_from_its_configuration(model_folders: tuple[Path, ...]) -> None:
    found = find_models(model_folders)
    assert {name: str(card.backbone) for name, card in found.items()} == {
        "tiny": "plain",
        "tiny-kl": "plain",
        "tiny-v": "plain",
        "tiny-xl": "plain",
        "tiny-inpainting": "inpainting",
        "tiny-exemplar": "exemplar",
        "tiny-instruct": "instruct",
        "tiny-xl-inpainting": "inpainting",
        "tiny-xl-instruct": "instruct",
    }
    assert [m.name for m in serving(Backbone.INSTRUCT)] == ["instruct", "grounded", "focus", "zone", "visii", "refine"]
    assert [m.name for m in serving(None)] == list(CATALOG)


@pytest.mark.parametrize(("method", "model"), [("layered", "tiny-inpainting"), ("instruct", "tiny")])
def test_a_method_that_does_not_serve_the_model_names_what_would(
    model_folders: tuple[Path, ...], request_for: Callable[..., EditRequest], method: str, model: str
) -> None:
    engine = Engine(model_folders, device="cpu")
    with pytest.raises(ModelError) as caught:
        engine.edit(model, method, request_for(), settings(method, Quality.DRAFT))
    methods, models = {
        "layered": ("choose inpaint,", "kind plain: tiny, tiny-kl, tiny-v, tiny-xl"),
        "instruct": ("choose layered, sdedit, inpaint,", "kind instruct: tiny-instruct, tiny-xl-instruct"),
    }[method]
    assert methods in str(caught.value) and models in str(caught.value)
    alone = find_model(model, model_folders)
    with pytest.raises(ModelError, match="none here"):
        check_serves(CATALOG[method], alone, [alone])


def test_xl_stores_its_summaries_with_the_fitted_layer(
    load: Callable[[str], ModelBundle], request_for: Callable[..., EditRequest]
) -> None:
    """A state of another family is refused; phase 1 fits the tokens and leaves the summary as it was read."""
    bundle, params = load("tiny-xl"), LayeredParams(steps=2, embed_steps=2, tuned=Tuned.NONE)
    first = layered.run(bundle, request_for(candidates=2), params)
    again = layered.run(bundle, request_for(seed=8, fitted=first.fitted), params)
    assert np.array_equal(again.candidates[0].picture, first.candidates[1].picture)
    stored = safetensors.torch.load(first.fitted)
    read = bundle.embed_texts([request_for().subject])
    assert torch.equal(stored["e_a.pooled"], read.pooled) and not torch.equal(stored["e_a"], read.tokens)
    with pytest.raises(BadRequest, match="another model or mask"):
        layered.run(load("tiny"), request_for(fitted=first.fitted), params)
    plain = layered.run(load("tiny"), request_for(), params).fitted
    assert set(safetensors.torch.load(plain)) == {"e_a", "e_b", "mask", "reference", "origin"}, "no summaries"
    with pytest.raises(BadRequest, match="another model or mask"):
        layered.run(bundle, request_for(fitted=plain), params)
