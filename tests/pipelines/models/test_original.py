"""One-file checkpoints in the original form: known by their keys, with the same numbers as in a diffusers folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines.contract import Backbone, EditRequest
from pipelines.engine import Engine
from pipelines.errors import ModelError
from pipelines.models.folders import check_parts, fault_of, find_model, find_models
from pipelines.models.loader import load_bundle
from pipelines.models.original import TOKENIZER, Form, form_of, resolution_of, unet_config
from pipelines.models.weights import Header
from pipelines.params import InpaintParams, InstructParams, LayeredParams, SDEditParams, Tuned

CPU = torch.device("cpu")
WORDS, WIDTH, SUMMARY = 49408, 64, 24


# ----------------------------------------------------------------------- diffusers' names turned back into the original


def unet_names(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The inverse of what `convert` does, worked out here from the original code's layout."""
    n, out = layers + 1, {}
    attended = {int(m.group(1)) for name in weights if (m := re.match(r"up_blocks\.(\d+)\.attentions", name))}

    def up_end(i: int) -> str:
        return f"output_blocks.{n * i + layers}.{2 if i in attended else 1}.conv"

    rules: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r"down_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"input_blocks.{n * int(m[1]) + int(m[2]) + 1}.0"),
        (r"down_blocks\.(\d+)\.attentions\.(\d+)", lambda m: f"input_blocks.{n * int(m[1]) + int(m[2]) + 1}.1"),
        (r"down_blocks\.(\d+)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{n * (int(m[1]) + 1)}.0.op"),
        (r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"output_blocks.{n * int(m[1]) + int(m[2])}.0"),
        (r"up_blocks\.(\d+)\.attentions\.(\d+)", lambda m: f"output_blocks.{n * int(m[1]) + int(m[2])}.1"),
        (r"up_blocks\.(\d+)\.upsamplers\.0\.conv", lambda m: up_end(int(m[1]))),
        (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
        (r"mid_block\.attentions\.0", lambda m: "middle_block.1"),
        (r"time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
        (r"add_embedding\.linear_(\d)", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
        (r"^conv_in", lambda m: "input_blocks.0.0"),
        (r"^conv_norm_out", lambda m: "out.0"),
        (r"^conv_out", lambda m: "out.2"),
    ]
    inner = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
    inner |= {"time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
    for name, tensor in weights.items():
        told = name
        for pattern, makes in rules:
            told = re.sub(pattern, makes, told)
        if ".resnets." in name:
            for ours, theirs in inner.items():
                told = told.replace(f".{ours}.", f".{theirs}.")
        out[f"model.diffusion_model.{told}"] = tensor
    return out


def vae_names(weights: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    out = {}
    for name, tensor in weights.items():
        told = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        told = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", told)
        told = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", told)
        told = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{levels - 1 - int(m[1])}.block.", told)
        told = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", told)
        told = told.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        if "attentions.0" in told:
            told = told.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            told = re.sub(r"to_(q|k|v)\.", r"\1.", told).replace("to_out.0", "proj_out")
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor  # they were convolutions
        out[f"first_stage_model.{told}"] = tensor
    return out


def reader_names(weights: Mapping[str, Tensor], prefix: str, open_clip: bool) -> dict[str, Tensor]:
    plain = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    if not open_clip:
        return {f"{prefix}text_model.{name}": tensor for name, tensor in plain.items()}
    out, joined = {}, {}
    for name, tensor in plain.items():
        if match := re.match(r"encoder\.layers\.(\d+)\.self_attn\.(q|k|v)_proj\.(weight|bias)", name):
            joined.setdefault((match[1], match[3]), {})[match[2]] = tensor
            continue
        told = name.replace("encoder.layers.", "transformer.resblocks.").replace("layer_norm", "ln_")
        told = told.replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj").replace("self_attn", "attn")
        told = told.replace("embeddings.token_embedding", "token_embedding").replace("final_ln_", "ln_final")
        told = told.replace("embeddings.position_embedding.weight", "positional_embedding")
        if told == "text_projection.weight":
            told, tensor = "text_projection", tensor.T
        out[prefix + told] = tensor
    for (layer, kind), parts in joined.items():
        whole = torch.cat([parts["q"], parts["k"], parts["v"]])
        out[f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{kind}"] = whole
    return out


@dataclass(frozen=True)
class Written:
    """A checkpoint in one file, and the modules whose numbers are in it."""

    path: Path
    modules: dict[str, torch.nn.Module]


def write(path: Path, form: Form, channels: int = 4, notes: dict[str, str] | None = None, **beyond: Tensor) -> Written:
    """A tiny random checkpoint: two levels of one layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        words = {
            "vocab_size": WORDS,
            "hidden_size": WIDTH,
            "intermediate_size": 32,
            "num_attention_heads": 1,
            "projection_dim": SUMMARY,
            "num_hidden_layers": 2,
        }
        encoder = CLIPTextModel(CLIPTextConfig(**words, hidden_act="gelu" if form is Form.SD2 else "quick_gelu"))
        modules: dict[str, torch.nn.Module] = {"text_encoder": encoder}
        extra: dict[str, Any] = {"attention_head_dim": 8} if form is Form.SD1 else {"attention_head_dim": [1, 2]}
        if form is not Form.SD1:
            extra["use_linear_projection"] = True
        if form is Form.XL:
            modules["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**words, hidden_act="gelu"))
            extra |= {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": SUMMARY + 6 * 8,
                "transformer_layers_per_block": [1, 2],
            }
        modules["unet"] = UNet2DConditionModel(
            in_channels=channels,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(64, 128),
            layers_per_block=1,
            cross_attention_dim=WIDTH * (1 + (form is Form.XL)),
            **extra,
        )
        modules["vae"] = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(32, 32),
            latent_channels=4,
        )
    tensors = unet_names(modules["unet"].state_dict(), 1) | vae_names(modules["vae"].state_dict(), 2)
    if form is Form.SD1:
        tensors |= reader_names(encoder.state_dict(), "cond_stage_model.transformer.", open_clip=False)
    elif form is Form.SD2:
        named = reader_names(encoder.state_dict(), "cond_stage_model.model.", open_clip=True)
        unread = {k.replace("resblocks.1.", "resblocks.2."): t for k, t in named.items() if "resblocks.1." in k}
        tensors |= named | unread
    else:
        tensors |= reader_names(encoder.state_dict(), "conditioner.embedders.0.transformer.", open_clip=False)
        second = modules["text_encoder_2"].state_dict()
        tensors |= reader_names(second, "conditioner.embedders.1.model.", open_clip=True)
    whole = {name: tensor.clone().contiguous() for name, tensor in (tensors | beyond).items()}
    safetensors.torch.save_file(whole, path, metadata=notes or {})
    return Written(path, {name: module.eval() for name, module in modules.items()})


@pytest.mark.parametrize("form", list(Form))
def test_a_file_gives_the_very_numbers_and_structure(tmp_path: Path, form: Form) -> None:
    written = write(tmp_path / "one-file.safetensors", form)
    card = find_model("one-file", (tmp_path,))
    assert (card.family, card.backbone) == (form, Backbone.PLAIN)
    assert card.resolution == {Form.SD1: 512, Form.SD2: 768, Form.XL: 1024}[form]
    check_parts(card)
    bundle = load_bundle(card, CPU)
    for part, module in written.modules.items():
        expected, got = module.state_dict(), bundle.modules[part].state_dict()
        assert expected.keys() == got.keys(), part
        assert all(torch.equal(expected[name], got[name]) for name in expected), part
    assert bundle.schedule.prediction == ("v_prediction" if form is Form.SD2 else "epsilon")
    assert bundle.latent_scale == (0.13025 if form is Form.XL else 0.18215)
    texts = bundle.embed_texts(["a photo of a cat"])
    ids = torch.tensor([[49406, 320, 1125, 539, 320, 2368, 49407] + [49407 if form is Form.SD1 else 0] * 70])
    with torch.no_grad():
        if form is Form.XL:
            second = written.modules["text_encoder_2"](ids, output_hidden_states=True)
            assert torch.allclose(texts.tokens[..., WIDTH:], second.hidden_states[-2], atol=1e-5)
            assert torch.allclose(texts.pooled, second.text_embeds, atol=1e-5)
            added = {"text_embeds": texts.pooled, "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]])}
        else:
            assert torch.allclose(texts.tokens, written.modules["text_encoder"](ids).last_hidden_state, atol=1e-5)
            added = None
        z, t = torch.randn(1, 4, 8, 8), torch.tensor([300])
        said = written.modules["unet"](z, t, texts.tokens, added_cond_kwargs=added).sample
        assert torch.allclose(bundle.predict(z, t, texts), bundle.schedule.noise_from(said, z, t), atol=0.05)


@pytest.mark.parametrize(
    ("channels", "method", "params"),
    [
        (4, "layered", LayeredParams(embed_steps=2, tuned=Tuned.LORA, tune_steps=2, steps=2)),
        (4, "sdedit", SDEditParams(steps=2)),
        (9, "inpaint", InpaintParams(steps=2)),
        (8, "instruct", InstructParams(steps=2)),
    ],
)
def test_a_file_is_edited_with(
    tmp_path: Path, request_for: Callable[..., EditRequest], channels: int, method: str, params: Any
) -> None:
    write(tmp_path / "one-file.safetensors", Form.SD1, channels)
    (tmp_path / "one-file.json").write_text(json.dumps({"title": "Mine", "resolution": 32}))
    assert find_models((tmp_path,))["one-file"].title == "Mine"
    result = Engine((tmp_path,), device="cpu").edit("one-file", method, request_for(), params)
    assert result.weights_before == result.weights_after
    assert np.ptp(result.candidates[0].picture) > 0


@pytest.mark.parametrize(
    ("notes", "said", "beyond", "prediction", "resolution"),
    [
        ({}, {}, {}, "v_prediction", 768),
        ({"modelspec.resolution": "512x512"}, {}, {}, "epsilon", 512),
        ({"modelspec.prediction_type": "epsilon"}, {}, {}, "epsilon", 768),
        ({"modelspec.prediction_type": "v"}, {"prediction_type": "epsilon", "resolution": 640}, {}, "epsilon", 640),
        ({"modelspec.resolution": "512x512"}, {}, {"v_pred": torch.zeros(1)}, "v_prediction", 512),
    ],
)
def test_what_shapes_cannot_tell_is_said_by_the_card_the_file_or_the_family(
    tmp_path: Path, notes: dict, said: dict, beyond: dict, prediction: str, resolution: int
) -> None:
    write(tmp_path / "two.safetensors", Form.SD2, notes=notes, **beyond)
    (tmp_path / "two.json").write_text(json.dumps(said))
    bundle = load_bundle(find_model("two", (tmp_path,)), CPU)
    assert (bundle.schedule.prediction, bundle.card.resolution) == (prediction, resolution)


def reason(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_bundle(find_model(path.stem, (path.parent,)), CPU)
    return str(caught.value)


def test_files_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    path = write(tmp_path / "one-file.safetensors", Form.SD1).path
    whole = safetensors.torch.load_file(path)

    def saved(keep: Callable[[str], bool], **more: Tensor) -> str:
        safetensors.torch.save_file({name: t for name, t in whole.items() if keep(name)} | more, path)
        return reason(path)

    assert "holds a U-Net but no text encoder" in saved(lambda name: "cond_stage" not in name)
    assert "holds no autoencoder" in saved(lambda name: "first_stage" not in name)
    refiner = {"conditioner.embedders.0.model.ln_final.bias": torch.zeros(1)}
    assert "the refiner of Stable Diffusion XL" in saved(lambda name: "cond_stage" not in name, **refiner)
    assert "its unet lacks 1 weights, first conv_in.bias" in saved(lambda name: not name.endswith("blocks.0.0.bias"))
    wide = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(64, 7, 3, 3)}
    assert "takes 7 channels" in saved(lambda name: True, **wide)
    words = {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": torch.zeros(100, WIDTH)}
    assert "knows 100 tokens, but CLIP's vocabulary" in saved(lambda name: True, **words)
    nan = {"model.diffusion_model.out.2.bias": torch.full((4,), float("nan"))}
    assert "its unet holds numbers that are not finite" in saved(lambda name: True, **nan)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "is cut off" in reason(path)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("edm_vpred.sigma_min", "edm_vpred.sigma_max"), "predicts v over EDM's continuous noise levels, as CosXL"),
        (("edm_mean", "edm_std"), "EDM's noise on latents of its own mean and deviation, as Playground 2.5"),
    ],
)
def test_noise_of_another_kind_is_not_taken_for_plain_xl(tmp_path: Path, keys: tuple[str, ...], told: str) -> None:
    path = write(tmp_path / "edm.safetensors", Form.XL, **{key: torch.ones(()) for key in keys}).path
    assert told in reason(path)
    card = find_models((tmp_path,))["edm"]
    assert card.backbone is None and told in str(fault_of(card))


def test_a_file_of_something_else_is_no_model(tmp_path: Path) -> None:
    safetensors.torch.save_file({"lora_unet_x.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "style.safetensors")
    assert find_models((tmp_path,)) == {}


def test_the_vocabulary_is_clips() -> None:
    """Known numbers of the published tokenizer."""
    vocabulary = json.loads((TOKENIZER / "vocab.json").read_text(encoding="utf-8"))
    assert len(vocabulary) == WORDS
    assert [vocabulary[word] for word in ("a</w>", "photo</w>", "cat</w>", "!")] == [320, 1125, 2368, 0]


PUBLISHED = {
    Form.SD1: {"block_out_channels": [320, 640, 1280, 1280], "attention_head_dim": 8, "cross_attention_dim": 768},
    Form.XL: {
        "block_out_channels": [320, 640, 1280],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048,
        "transformer_layers_per_block": [1, 2, 10],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


@pytest.mark.parametrize(("form", "millions"), [(Form.SD1, 859.52), (Form.XL, 2567.46)])
def test_the_published_networks_are_told_by_their_shapes(form: Form, millions: float) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLISHED[form])
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    shapes = {name: tuple(t.shape) for name, t in unet_names(unet.state_dict(), 2).items()}
    shapes["conditioner.embedders.1.model.text_projection"] = (1280, 1280)
    told = unet_config(shapes, form)
    assert {name: told[name] for name in PUBLISHED[form]} == PUBLISHED[form]
    assert told["layers_per_block"] == 2 and told["in_channels"] == 4
    beside = {f"{prefix}x": (1,) for prefix in ("cond_stage_model.transformer.", "first_stage_model.decoder.")}
    if form is Form.SD1:
        assert form_of(shapes | beside) is form and resolution_of(Header(shapes, {}), form, {}) == 512
