"""From a phrase to a mask: tiny random folders of the three families, and what clicks make of what was found."""

import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import (
    BertTokenizer,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
    ViTImageProcessor,
)

from pipelines.contract import Box, Mask, Picture
from pipelines.engine import ASSETS, Engine
from pipelines.errors import ModelError
from pipelines.masks import finders
from pipelines.masks.finders import load_finder
from pipelines.masks.phrases import Match, answer_phrase, box_of
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import SegmenterAnswer
from pipelines.models.folders import PHRASE_FINDER, card_of, phrase_finder

CPU = torch.device("cpu")
START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(length: int) -> CLIPTokenizer:
    """Every letter is a token."""
    letters = string.ascii_lowercase
    names = [*letters, *(letter + "</w>" for letter in letters), START, END]
    return CLIPTokenizer(vocab={name: k for k, name in enumerate(names)}, merges=[], model_max_length=length)


def lively(model: torch.nn.Module) -> Any:
    """Weights so large that every word and pixel tells."""
    for value in model.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=0.2)
    return model


def save_clipseg(folder: Path) -> None:
    text = {
        "vocab_size": 54,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
        "bos_token_id": 52,
        "eos_token_id": 53,
        "pad_token_id": 53,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    config = CLIPSegConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=16,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    lively(CLIPSegForImageSegmentation(config)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPSegProcessor(ViTImageProcessor(size=size), clip_tokenizer(16)).save_pretrained(folder)


def save_grounding_dino(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "the", "dog", "cat", "tree"]
    tokenizer = BertTokenizer(vocab={word: k for k, word in enumerate(words)})
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 32,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 1, 1],
            "window_size": 2,
            "out_features": ["stage2", "stage3", "stage4"],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": len(words),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
        num_queries=8,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        d_model=32,
        max_text_len=32,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    image = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(image, tokenizer).save_pretrained(folder)


def save_sam3(folder: Path) -> None:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **small,
                "num_hidden_layers": 1,
                "image_size": 56,
                "patch_size": 14,
                "window_size": 2,
                "global_attn_indexes": [0],
                "pretrain_image_size": 56,
            },
            "fpn_hidden_size": 16,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "model_type": "clip_text_model",
            **small,
            "vocab_size": 54,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "max_position_embeddings": 32,
            "bos_token_id": 52,
            "eos_token_id": 53,
            "pad_token_id": 53,
        },
        geometry_encoder_config={**small, "num_layers": 1},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 1, "num_queries": 6},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )
    Sam3Model(config).save_pretrained(folder)
    image = Sam3ImageProcessor(size={"height": 56, "width": 56})
    Sam3Processor(image, clip_tokenizer(32)).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "clipseg": save_clipseg,
    "grounding-dino": save_grounding_dino,
    "sam3": save_sam3,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readers")
    for name, save in MAKERS.items():
        torch.manual_seed(0)
        save(path / name)
    return path


def picture(width: int = 90, height: int = 60) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def found(models: Path, name: str, phrase: str = "the dog") -> tuple[Match, ...]:
    card = card_of(models / name)
    assert card is not None and card.kind == PHRASE_FINDER
    return load_finder(card, CPU).find(picture(), phrase)


# --------------------------------------------------------------------------------------------------- the families


def test_clipseg_paints_the_pixels_that_it_finds_likely(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CLIPSegForImageSegmentation.from_pretrained(models / "clipseg").eval()
    processor = CLIPSegProcessor.from_pretrained(models / "clipseg")
    with torch.no_grad():
        logits = model(**processor(text=["the dog"], images=[picture()], return_tensors="pt")).logits.view(1, 1, 32, 32)
    chance = F.interpolate(logits, (60, 90), mode="bilinear").sigmoid()[0, 0].numpy()
    middle = float(np.median(chance))
    monkeypatch.setattr(finders, "CLIPSEG_THRESHOLD", middle)
    (match,) = found(models, "clipseg")
    assert match.mask is not None and np.array_equal(match.mask, chance > middle)
    assert match.score == pytest.approx(chance[chance > middle].mean(), abs=1e-5)
    assert match.box == box_of(match.mask)
    monkeypatch.setattr(finders, "CLIPSEG_THRESHOLD", 1.0)
    assert found(models, "clipseg") == ()


def test_grounding_dino_draws_the_boxes_of_its_own_processor(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "DINO_THRESHOLD", 0.0)
    matches = found(models, "grounding-dino", "The dog")
    model = GroundingDinoForObjectDetection.from_pretrained(models / "grounding-dino").eval()
    processor = GroundingDinoProcessor.from_pretrained(models / "grounding-dino")
    inputs = processor(images=picture(), text="the dog.", return_tensors="pt")
    with torch.no_grad():
        (theirs,) = processor.post_process_grounded_object_detection(
            model(**inputs), inputs["input_ids"], threshold=0.0, target_sizes=[(60, 90)]
        )
    best = theirs["scores"].argsort(descending=True)[:3]
    assert np.allclose([m.score for m in matches], theirs["scores"][best])
    for match, edges in zip(matches, theirs["boxes"][best].numpy(), strict=True):
        box = match.box
        assert match.mask is None and not box.is_empty
        expected = edges.clip(0, [90, 60, 90, 60])
        assert np.allclose([box.left, box.top, box.right, box.bottom], expected, atol=1e-3)
    monkeypatch.setattr(finders, "DINO_THRESHOLD", 1.0)
    assert found(models, "grounding-dino") == ()


def test_sam3_finds_instances_with_their_masks(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "SAM3_THRESHOLD", 0.0)
    matches = found(models, "sam3")
    model = Sam3Model.from_pretrained(models / "sam3").eval()
    processor = Sam3Processor.from_pretrained(models / "sam3")
    inputs = processor(images=picture(), text="the dog", return_tensors="pt")
    with torch.no_grad():
        outputs = model(**{k: inputs[k] for k in ("pixel_values", "input_ids", "attention_mask")})
    (theirs,) = processor.post_process_instance_segmentation(outputs, threshold=0.0, target_sizes=[(60, 90)])
    masks = theirs["masks"].bool().numpy()
    scores = sorted((float(s) for s, m in zip(theirs["scores"], masks, strict=True) if m.any()), reverse=True)
    assert matches and np.allclose([m.score for m in matches], scores[:3])
    for match in matches:
        assert match.mask is not None and any(np.array_equal(match.mask, mask) for mask in masks)
    assert len(found(models, "sam3", "a" * 100)) <= 3, "a phrase longer than its text encoder is cut"


# ------------------------------------------------------------------------------------------------- the convention


def box_mask(box: Box) -> Mask:
    mask = np.zeros((60, 90), np.bool_)
    mask[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = True
    return mask


def test_a_match_is_segmented_where_it_is_only_a_box_and_clicks_refine_the_chosen_one() -> None:
    asked: list[MaskPrompts] = []

    def segment(prompts: MaskPrompts) -> SegmenterAnswer:
        asked.append(prompts)
        assert prompts.box is not None
        return SegmenterAnswer(box_mask(prompts.box)[None], np.array([0.9], np.float32), ("subject",))

    boxes = Box(0, 0, 10, 10), Box(20, 20, 40, 50)
    painted = box_mask(Box(50, 5, 60, 9))
    matches = (Match(0.8, boxes[0]), Match(0.6, box_of(painted), painted), Match(0.5, boxes[1]))
    answer = answer_phrase(matches, MaskPrompts(phrase="the dog"), segment)
    assert answer.labels == ("match 1", "match 2", "match 3") and answer.best(None) == 0
    assert [int(mask.sum()) for mask in answer.masks] == [100, 40, 600] and len(asked) == 2

    click = Click(5, 5, include=False)
    answer_phrase(matches, MaskPrompts(phrase="the dog", clicks=(click,), choice=2), segment)
    assert asked[-1].box == boxes[1] and asked[-1].clicks == (click,)
    drawn = Box(1, 1, 5, 5)
    answer_phrase(matches, MaskPrompts(phrase="the dog", box=drawn), segment)
    assert asked[-1].box == drawn, "a box that a person draws replaces the one that was found"


def test_the_engine_asks_the_ablest_reader_and_refines_with_the_segmenter(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = phrase_finder((ASSETS / "models", models))
    assert card is not None and card.id == "sam3"
    monkeypatch.setattr(finders, "SAM3_THRESHOLD", 0.0)
    engine = Engine((ASSETS / "models", models), device="cpu")
    prompts = MaskPrompts(phrase="the dog")
    answer = engine.segment(picture(), prompts)
    (first, *_) = found(models, "sam3")
    assert first.mask is not None and np.array_equal(answer.mask, first.mask)
    assert answer.choices[0][0] == "match 1"
    refined = engine.segment(picture(), replace(prompts, clicks=(Click(40, 30),)))
    assert refined.choices[0][0] == "subject"


def test_what_is_not_found_is_an_empty_mask_and_no_reader_is_said(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finders, "SAM3_THRESHOLD", 1.0)
    engine = Engine((ASSETS / "models", models), device="cpu")
    answer = engine.segment(picture(), MaskPrompts(phrase="the dog"))
    assert not answer.mask.any() and answer.choices == ()
    clicked = engine.segment(picture(), MaskPrompts(phrase="the dog", clicks=(Click(40, 30),)))
    alone = engine.segment(picture(), MaskPrompts(clicks=(Click(40, 30),)))
    assert np.array_equal(clicked.mask, alone.mask)
    with pytest.raises(ModelError, match="no model here reads phrases; put the folder of a CLIPSeg"):
        Engine((ASSETS / "models",), device="cpu").segment(picture(), MaskPrompts(phrase="the dog"))
