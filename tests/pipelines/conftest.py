"""Tiny model folders of every family with random weights, written offline in a second, and a picture to edit."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from pipelines.catalog import CATALOG
from pipelines.contract import Backbone, EditRequest, Mask, Picture, Scope
from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import find_model
from pipelines.models.loader import class_of, load_bundle

WIDTH = 16
TOKENS = 12
LATENT_CHANNELS = 4


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte-pair encoding without merges: every letter is a token."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    letters = string.ascii_lowercase + string.digits
    tokens = [*letters, *(letter + "</w>" for letter in letters), start, end]
    vocab = {token: number for number, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=TOKENS)
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    return CLIPTokenizer.from_pretrained(folder)


SUMMARY = 24
"""Width of the tiny XL's text summary."""
FAMILIES: dict[str, type[DiffusionPipeline]] = {
    "sd": StableDiffusionPipeline,
    "sd2": StableDiffusionPipeline,
    "xl": StableDiffusionXLPipeline,
    "inpainting": StableDiffusionInpaintPipeline,
    "instruct": StableDiffusionInstructPix2PixPipeline,
    "xl-inpainting": StableDiffusionXLInpaintPipeline,
    "xl-instruct": StableDiffusionXLInstructPix2PixPipeline,
}
CHANNELS = {"inpainting": 2 * LATENT_CHANNELS + 1, "instruct": 2 * LATENT_CHANNELS}
"""By the end of the family's name."""


def write_tiny_model(folder: Path, vae: str = "tiny", prediction: str = "epsilon", family: str = "sd") -> None:
    """A whole diffusers folder: 32-pixel pictures, cells of 2 pixels, some 50 k parameters."""
    is_xl = family.startswith("xl")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = write_tokenizer(folder / "tokenizer")
        words = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2 if is_xl else 1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=SUMMARY,
        )
        text_encoder, second = CLIPTextModel(words), {}
        if is_xl:
            second = {
                "tokenizer_2": write_tokenizer(folder / "tokenizer_2"),
                "text_encoder_2": CLIPTextModelWithProjection(words),
            }
        beyond = {}
        if is_xl:
            beyond = {
                "cross_attention_dim": 2 * WIDTH,
                "transformer_layers_per_block": (1, 2),
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": SUMMARY + 6 * 8,
            }
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=CHANNELS.get(family.removeprefix("xl-"), LATENT_CHANNELS),
            out_channels=LATENT_CHANNELS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            attention_head_dim=8,
            norm_num_groups=4,
            use_linear_projection=is_xl or family == "sd2",
            **{"cross_attention_dim": WIDTH, **beyond},
        )
        autoencoder = (
            AutoencoderTiny(
                encoder_block_out_channels=(8, 8),
                decoder_block_out_channels=(8, 8),
                num_encoder_blocks=(1, 1),
                num_decoder_blocks=(1, 1),
                latent_channels=LATENT_CHANNELS,
                scaling_factor=0.8,
            )
            if vae == "tiny"
            else AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 8),
                norm_num_groups=4,
                latent_channels=LATENT_CHANNELS,
                sample_size=32,
            )
        )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    unchecked = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    FAMILIES[family](
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        **(second if is_xl else unchecked),
    ).save_pretrained(folder, safe_serialization=True)


def write_tiny_exemplar(folder: Path) -> None:
    """A whole folder in the form of Paint by Example's: a reader of pictures in the place of one of texts."""
    write_tiny_model(folder, family="inpainting")
    for part in ("tokenizer", "text_encoder"):
        shutil.rmtree(folder / part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        sees = CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
            projection_dim=WIDTH,
        )
        class_of("PaintByExampleImageEncoder")(sees).save_pretrained(folder / "image_encoder")
    side = {"shortest_edge": 16}
    CLIPImageProcessor(size=side, crop_size={"height": 16, "width": 16}).save_pretrained(folder / "feature_extractor")
    index = {
        "_class_name": "PaintByExamplePipeline",
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
        "image_encoder": ["paint_by_example", "PaintByExampleImageEncoder"],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """One folder of models: ``tiny`` (AutoencoderTiny), ``tiny-kl`` (AutoencoderKL), ``tiny-v`` (SD 2.x, v-prediction),
    and one each of the other families."""
    root = tmp_path_factory.mktemp("models")
    write_tiny_model(root / "tiny")
    write_tiny_model(root / "tiny-kl", vae="kl")
    write_tiny_model(root / "tiny-v", prediction="v_prediction", family="sd2")
    for family in ("xl", "inpainting", "instruct", "xl-inpainting", "xl-instruct"):
        write_tiny_model(root / f"tiny-{family}", family=family)
    write_tiny_exemplar(root / "tiny-exemplar")
    return (root,)


def model_for(method: str) -> str:
    """One of those that the method runs on."""
    names = {Backbone.PLAIN: "tiny", Backbone.INSTRUCT: "tiny-instruct", Backbone.EXEMPLAR: "tiny-exemplar"}
    return next((name for kind, name in names.items() if kind in CATALOG[method].serves), "tiny-instruct")


@pytest.fixture(scope="session")
def load(model_folders: tuple[Path, ...]) -> Callable[[str], ModelBundle]:
    """Loads one by name. In float32, so that values mean the same on processors that multiply bfloat16 as on others."""
    return lambda name: replace(load_bundle(find_model(name, model_folders), torch.device("cpu")), autocast=None)


@pytest.fixture(scope="session")
def bundle(load: Callable[[str], ModelBundle]) -> ModelBundle:
    """Shared by all tests: each must leave it as it found it."""
    return load("tiny")


@pytest.fixture
def picture() -> Picture:
    """40 x 32 pixels (W x H): neither square nor the model's own size."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)


@pytest.fixture
def mask() -> Mask:
    subject = np.zeros((32, 40), bool)
    subject[8:20, 14:26] = True
    return subject


@pytest.fixture
def request_for(picture: Picture, mask: Mask) -> Callable[..., EditRequest]:
    """Builds a request; keywords replace its fields."""

    def build(**changes: object) -> EditRequest:
        fields = {
            "picture": picture,
            "mask": mask,
            "subject": "a blue dog",
            "background": "in a forest",
            "scope": Scope.BOTH,
            "seed": 7,
        }
        return EditRequest(**{**fields, **changes})  # type: ignore[arg-type]

    return build
