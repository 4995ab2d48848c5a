"""Folders of the SAM family of transformers: the same protocol and answers, and coordinates as their processors."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3ImageProcessor,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3TrackerProcessor,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamHQProcessor,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from pipelines.contract import Box, Mask, Picture
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError
from pipelines.masks.load import load_segmenter
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import SamConfig as OurConfig
from pipelines.masks.sam import build_sam, load_sam, save_sam
from pipelines.masks.transformers_sam import TransformersSegmenter
from pipelines.models.folders import SEGMENTER, card_of, find_models

CPU = torch.device("cpu")
SIDE = 64
TINY = OurConfig(
    encoder_width=16,
    encoder_depth=2,
    encoder_heads=2,
    global_attention=(1,),
    image_size=SIDE,
    window_size=4,
    width=16,
    decoder_heads=2,
    decoder_mlp=16,
    score_depth=3,
    score_width=8,
)
NAMES = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.neck\.(\d)\.", lambda m: f".neck.{('conv1', 'layer_norm1', 'conv2', 'layer_norm2')[int(m[1])]}."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.output_upscaling\.(\d)\.", lambda m: f".upscale_{ {0: 'conv1', 1: 'layer_norm', 3: 'conv2'}[int(m[1])] }."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
    (r"(hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (
        r"\.mask_downscaling\.(\d)\.",
        lambda m: (
            f".mask_embed.{ {0: 'conv1', 1: 'layer_norm1', 3: 'conv2', 4: 'layer_norm2', 6: 'conv3'}[int(m[1])] }."
        ),
    ),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
)
"""From the names of the package to those of transformers, for three layers in every head."""


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the package under the names of transformers."""
    found = {}
    for name, value in state.items():
        for pattern, other in NAMES:
            name = re.sub(pattern, other, name)
        found[name] = value.contiguous()
    shared = found["prompt_encoder.shared_embedding.positional_embedding"]
    return {**found, "shared_image_embedding.positional_embedding": shared.clone()}


def sam_parts() -> dict[str, Any]:
    vision = {
        "hidden_size": 16,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
    }
    prompts = {"hidden_size": 16, "image_size": SIDE, "image_embedding_size": SIDE // 16}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 8}
    return {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}


def sam2_parts() -> dict[str, Any]:
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 2, 2, 2],
        global_attention_blocks=[3],
    )
    vision = {
        "backbone_config": backbone.to_dict(),
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 16,
    }
    return {
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": 16, "image_size": SIDE},
        "mask_decoder_config": {
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    }


def lively(model: torch.nn.Module) -> Any:
    """Weights so large that every input tells: fresh ones leave all scores at one half, and some are zero."""
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3 if value.dim() > 1 else 0.1)
    return model


def save_tiny_sam(folder: Path) -> None:
    save_first(SamModel(SamConfig(**sam_parts())), folder)


def save_tiny_sam_hq(folder: Path) -> None:
    parts = sam_parts()
    parts["mask_decoder_config"]["vit_dim"] = parts["vision_config"]["hidden_size"]
    save_first(SamHQModel(SamHQConfig(**parts)), folder)


def save_first(model: Any, folder: Path) -> None:
    """One that pads."""
    scores = lively(model).mask_decoder.iou_prediction_head.proj_out
    torch.nn.init.normal_(scores.weight, std=0.05)
    torch.nn.init.constant_(scores.bias, 0.5)  # within 0 and 1, where none of them is clipped
    model.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    SamImageProcessor(size={"longest_edge": SIDE}, pad_size=size).save_pretrained(folder)


def save_tiny_sam2(folder: Path) -> None:
    lively(Sam2Model(Sam2Config(**sam2_parts()))).save_pretrained(folder)
    Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def save_tiny_sam2_video(folder: Path) -> None:
    """As the published SAM 2 folders are: the video model, which holds the one for pictures."""
    config = Sam2VideoConfig(
        **sam2_parts(),
        image_size=SIDE,
        memory_attention_hidden_size=16,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=16,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=16,
        memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=16,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=16,
        memory_fuser_intermediate_dim=16,
    )
    lively(Sam2VideoModel(config)).save_pretrained(folder)
    Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def save_tiny_edgetam(folder: Path) -> None:
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "test_convnext",
        "num_classes": 2,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [64, 48, 32, 24],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 16,
    }
    lively(EdgeTamModel(EdgeTamConfig(**sam2_parts() | {"vision_config": vision}))).save_pretrained(folder)
    Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def save_tiny_sam3_tracker(folder: Path) -> None:
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "image_size": 56,
        "patch_size": 14,
        "window_size": 2,
        "global_attn_indexes": [0],
        "pretrain_image_size": 56,
    }
    sizes = [[16, 16], [8, 8], [4, 4]]
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": sizes,
    }
    parts = sam2_parts() | {"vision_config": vision}
    parts["prompt_encoder_config"] = {"hidden_size": 16, "image_size": 56, "patch_size": 14}
    lively(Sam3TrackerModel(Sam3TrackerConfig(**parts))).save_pretrained(folder)
    Sam3ImageProcessor(size={"height": 56, "width": 56}).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "sam": save_tiny_sam,
    "sam_hq": save_tiny_sam_hq,
    "sam2": save_tiny_sam2,
    "sam2_video": save_tiny_sam2_video,
    "edgetam": save_tiny_edgetam,
    "sam3_tracker": save_tiny_sam3_tracker,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tiny random model of each kind."""
    path = tmp_path_factory.mktemp("models")
    for name, save in MAKERS.items():
        torch.manual_seed(0)
        save(path / name)
    return path


@pytest.fixture(scope="module", params=list(MAKERS))
def segmenter(request: pytest.FixtureRequest, models: Path) -> TransformersSegmenter:
    card = card_of(models / request.param)
    assert card is not None and card.kind == SEGMENTER
    loaded = load_segmenter(card, CPU)
    assert isinstance(loaded, TransformersSegmenter)
    return loaded


def picture(seed: int, width: int = 90, height: int = 60) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# --------------------------------------------------------------------------------------------------- the protocol


def test_a_lone_click_gets_three_alternatives_and_more_prompts_one_mask(segmenter: TransformersSegmenter) -> None:
    embedding = segmenter.embed(picture(0))
    answer = segmenter.segment(embedding, MaskPrompts(clicks=(Click(40, 30),)))
    assert answer.masks.shape == (3, 60, 90) and answer.masks.dtype == np.bool_
    assert answer.labels == ("small", "medium", "large")
    assert list(answer.masks.sum((1, 2))) == sorted(answer.masks.sum((1, 2)))
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    for prompts in (
        MaskPrompts(clicks=(Click(40, 30), Click(5, 5, include=False))),
        MaskPrompts(box=Box(10, 10, 50, 50)),
        MaskPrompts(box=Box(10, 10, 50, 50), clicks=(Click(5, 5, include=False),)),
    ):
        answer = segmenter.segment(embedding, prompts)
        assert answer.masks.shape == (1, 60, 90) and answer.labels == ("subject",)


def test_the_chosen_alternative_is_what_further_clicks_refine(segmenter: TransformersSegmenter) -> None:
    embedding = segmenter.embed(picture(0))
    clicks = (Click(40, 30), Click(5, 5, include=False))
    scores = [float(segmenter.segment(embedding, MaskPrompts(clicks=clicks, choice=k)).scores[0]) for k in (0, 1, 2)]
    assert len(set(scores)) == 3


def test_a_picture_is_embedded_once_and_asked_from_many_threads(segmenter: TransformersSegmenter) -> None:
    embeddings = [segmenter.embed(picture(k, width=60 + 7 * k, height=90 - 5 * k)) for k in range(4)]
    asked = MaskPrompts(clicks=(Click(20, 30), Click(50, 50)))
    alone = [segmenter.segment(e, asked).masks for e in embeddings]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda e: segmenter.segment(e, asked).masks, embeddings * 4))
    assert all(np.array_equal(mask, alone[k % 4]) for k, mask in enumerate(together))


def test_prompts_outside_and_embeddings_of_others_are_refused(segmenter: TransformersSegmenter) -> None:
    embedding = segmenter.embed(picture(0))
    with pytest.raises(BadRequest, match=r"90 x 60 pixels; got \(91, 10\)"):
        segmenter.segment(embedding, MaskPrompts(clicks=(Click(91, 10),)))
    with pytest.raises(ValueError, match="made by"):
        TransformersSegmenter(None, None, "other").segment(embedding, MaskPrompts(clicks=(Click(1, 1),)))


# ----------------------------------------------------------------------------------------------------- coordinates


@pytest.mark.parametrize(("width", "height"), [(90, 60), (60, 90), (64, 64), (200, 31), (31, 200), (641, 479)])
@pytest.mark.parametrize("kind", ["sam", "sam_hq", "sam2", "edgetam", "sam3_tracker"])
def test_clicks_and_boxes_lie_where_the_model_s_own_processor_puts_them(
    models: Path, kind: str, width: int, height: int
) -> None:
    """The same masks, pixel for pixel, as transformers gives for a picture of any shape."""
    shown = picture(3, width, height)
    clicks = (Click(width - 1.5, 2.25), Click(0.3 * width, 0.8 * height, include=False))
    box = Box(0.1 * width, 0.2 * height, 0.9 * width, 0.85 * height)
    image, whole, model = {
        "sam": (SamImageProcessor, SamProcessor, SamModel),
        "sam_hq": (SamImageProcessor, SamHQProcessor, SamHQModel),
        "sam2": (Sam2ImageProcessor, Sam2Processor, Sam2Model),
        "edgetam": (Sam2ImageProcessor, Sam2Processor, EdgeTamModel),
        "sam3_tracker": (Sam3ImageProcessor, Sam3TrackerProcessor, Sam3TrackerModel),
    }[kind]
    processor = whole(image.from_pretrained(models / kind))
    network = model.from_pretrained(models / kind).eval()
    card = card_of(models / kind)
    assert card is not None
    ours = load_segmenter(card, CPU)

    def theirs(first: Mask | None, **prompts: Any) -> tuple[Tensor, Any]:
        inputs = processor(images=shown, return_tensors="pt", **prompts)
        tensors = {
            k: v.float() if v.is_floating_point() else v
            for k, v in inputs.items()
            if k in ("pixel_values", "input_points", "input_labels", "input_boxes")
        }
        with torch.no_grad():
            found = network(**tensors, input_masks=first, multimask_output="input_boxes" not in inputs)
        sizes = [v for k, v in inputs.items() if k in ("original_sizes", "reshaped_input_sizes")]
        masks = processor.post_process_masks(found.pred_masks, *sizes)[0][0].numpy()
        return masks, found

    masks, _ = theirs(None, input_points=[[[[clicks[0].x, clicks[0].y]]]], input_labels=[[[1]]])
    embedding = ours.embed(shown)
    answer = ours.segment(embedding, MaskPrompts(clicks=clicks[:1]))
    assert np.array_equal(answer.masks, masks[masks.sum((1, 2)).argsort(kind="stable")])

    corners = [[[box.left, box.top, box.right, box.bottom]]]
    masks, found = theirs(None, input_boxes=corners)
    assert np.array_equal(ours.segment(embedding, MaskPrompts(box=box)).masks, masks)
    points = {"input_points": [[[[c.x, c.y] for c in clicks]]], "input_labels": [[[int(c.include) for c in clicks]]]}
    masks, _ = theirs(found.pred_masks[:, 0], input_boxes=corners, **points)
    assert np.array_equal(ours.segment(embedding, MaskPrompts(box=box, clicks=clicks)).masks, masks)


def test_the_same_weights_give_the_same_logits_in_either_format(tmp_path: Path) -> None:
    """The package's SAM and transformers' answer alike: embedding, clicks, box, scores and refinement."""
    torch.manual_seed(1)
    sam = lively(build_sam(TINY))
    save_sam(sam, TINY, tmp_path / "package")
    ours = load_sam(tmp_path / "package")
    save_tiny_sam(tmp_path / "converted")
    save_file(renamed(ours.sam.state_dict()), tmp_path / "converted" / "model.safetensors", {"format": "pt"})
    card = card_of(tmp_path / "converted")
    assert card is not None
    theirs = load_segmenter(card, CPU)

    shown = picture(5, SIDE, SIDE)  # of the network's own size: nothing is resized, so nothing may differ
    one, other = ours.embed(shown), theirs.embed(shown)
    assert torch.allclose(one.features, other.features.maps["image_embeddings"], atol=2e-5)
    for prompts in (
        MaskPrompts(clicks=(Click(40, 30),)),
        MaskPrompts(clicks=(Click(40, 30), Click(5, 5, include=False))),
        MaskPrompts(box=Box(10, 12, 50, 40)),
        MaskPrompts(box=Box(10, 12, 50, 40), clicks=(Click(20, 20),)),
    ):
        a, b = ours.segment(one, prompts), theirs.segment(other, prompts)
        assert np.allclose(a.scores, b.scores, atol=2e-5)
        assert (a.masks != b.masks).mean() < 1e-3, "only pixels whose logit is zero may fall on either side"


# ----------------------------------------------------------------------------------------------------------- files


def test_the_engine_finds_the_folders_and_answers_from_them(models: Path) -> None:
    assert {card.kind for card in find_models([models]).values()} == {SEGMENTER}
    engine = Engine(model_folders=(models,), device="cpu")
    for name in MAKERS:
        answer = engine.segment(picture(0), MaskPrompts(clicks=(Click(40, 30),)), name)
        assert answer.mask.shape == (60, 90) and [label for label, _ in answer.choices] == ["small", "medium", "large"]


def damaged(models: Path, tmp_path: Path, change: Callable[[Path], None]) -> str:
    """What is said of a copy of the SAM folder after `change`."""
    folder = tmp_path / "damaged"
    save_tiny_sam(folder)
    change(folder)
    card = card_of(folder)
    assert card is not None
    with pytest.raises(ModelError) as raised:
        load_segmenter(card, CPU)
    return str(raised.value)


def test_missing_and_damaged_files_each_get_their_message(models: Path, tmp_path: Path) -> None:
    def weights(folder: Path) -> Path:
        return folder / "model.safetensors"

    def without_a_weight(folder: Path) -> None:
        state = load_file(weights(folder))
        del state["mask_decoder.iou_token.weight"]
        save_file(state, weights(folder), {"format": "pt"})

    def only_a_pickle(folder: Path) -> None:
        torch.save(load_file(weights(folder)), folder / "pytorch_model.bin")
        weights(folder).unlink()

    def truncated(folder: Path) -> None:
        weights(folder).write_bytes(weights(folder).read_bytes()[:1000])

    def another_size(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["vision_config"]["hidden_size"] = 32
        (folder / "config.json").write_text(json.dumps(config))

    def without_the_processor(folder: Path) -> None:
        (folder / "preprocessor_config.json").unlink()

    assert "the segmenter lacks 1 of its weights, first mask_decoder.iou_token" in damaged(
        models, tmp_path, without_a_weight
    )
    for change, told in (
        (only_a_pickle, "only pytorch_model.bin, a pickle, which could run any code and is never opened"),
        (truncated, "model.safetensors is not safetensors, or damaged"),
        (another_size, "cannot be loaded"),
        (without_the_processor, "cannot be loaded"),
    ):
        assert told in damaged(models, tmp_path, change), change.__name__


def test_a_network_of_timm_is_refused_where_that_is_not_here(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.masks.transformers_sam.is_timm_available", lambda: False)
    card = card_of(models / "edgetam")
    assert card is not None
    with pytest.raises(ModelError, match="'edgetam' has a network of timm, which is not here; install it: pip install"):
        load_segmenter(card, CPU)
