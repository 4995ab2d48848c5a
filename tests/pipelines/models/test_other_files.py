"""What lies beside models and is none: told by its true name, and what to do, wherever it is given for a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipelines.errors import ModelError
from pipelines.models.folders import SEGMENTER, find_model
from pipelines.models.installed import add
from pipelines.models.lora_files import find_lora
from pipelines.models.other_files import TENSORS, true_name
from tests.pipelines.models.loras import write

TENSOR = {
    "vae": "decoder.conv_in.weight",
    "vae-of-sd": "first_stage_model.decoder.conv_in.weight",
    "control": "controlnet_cond_embedding.conv_in.weight",
    "adapter": "image_proj.proj.weight",
    "embedding": "emb_params",
    "flux": "double_blocks.0.img_attn.qkv.weight",
    "unet": "down_blocks.0.resnets.0.time_emb_proj.weight",
    "reader": "text_model.embeddings.token_embedding.weight",
    "style": "lora_unet_x.lora_down.weight",
    "motion": "down_blocks.0.motion_modules.0.proj_in.weight",
}
TOLD = {
    "vae": "vae.safetensors is an autoencoder (VAE) alone, not a text-to-image model; put its diffusers folder beside",
    "vae-of-sd": "is an autoencoder (VAE) alone",
    "control": "is a ControlNet, not a text-to-image model",
    "adapter": "is an IP-Adapter",
    "embedding": "is an embedding (textual inversion)",
    "flux": "is a diffusion transformer, like Flux or Stable Diffusion 3",
    "unet": "is a U-Net alone",
    "reader": "is a text encoder alone",
    "style": "is a LoRA, not a text-to-image model; put it into the folder loras",
    "motion": "is a motion module",
    "old.ckpt": "old.ckpt is a pickle, which could run any code and is never opened, not a text-to-image model; look",
    "small.gguf": "is a GGUF file",
    "packed.zip": "is an archive, not a text-to-image model; unpack it",
    "net.onnx": "is an ONNX file",
    "autoencoder": "autoencoder is an autoencoder (VAE) alone",
    "control-folder": "is a ControlNet",
    "llama": "is a model of the type llama",
    "peft": "is a LoRA",
    "download": "is a folder with a pickle, which could run any code and is never opened in it, model.ckpt",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, tensor in TENSOR.items():
        write(root / f"{name}.safetensors", {tensor: torch.zeros(2, 2)})
    for name in ("old.ckpt", "small.gguf", "packed.zip", "net.onnx"):
        (root / name).write_bytes(b"x")
    for name, config in {
        "autoencoder": {"_class_name": "AutoencoderKL"},
        "control-folder": {"_class_name": "ControlNetModel"},
        "llama": {"model_type": "llama"},
    }.items():
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
    (root / "peft").mkdir()
    (root / "peft" / "adapter_config.json").write_text("{}")
    (root / "download").mkdir()
    (root / "download" / "model.ckpt").write_bytes(b"x")
    (root / "empty").mkdir()
    return root


@pytest.mark.parametrize("name", TOLD)
def test_it_is_refused_as_a_model_by_its_true_name(folder: Path, name: str) -> None:
    for given in {name, name.split(".")[0]}:
        with pytest.raises(ModelError) as caught:
            find_model(given, (folder,))
        assert TOLD[name] in str(caught.value) and str(folder) not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(TOLD) - {"packed.zip", "peft", "style"}))
def test_it_is_refused_as_a_lora_too(folder: Path, name: str) -> None:
    """Neither is it said that there is none of that name."""
    if (folder / name).is_dir():
        return
    with pytest.raises(ModelError) as caught:
        find_lora(name.split(".")[0], (folder,))
    assert TOLD[name].split(", not a")[0].partition("is ")[2] in str(caught.value)


@pytest.mark.parametrize("name", ["vae.safetensors", "old.ckpt", "peft", "style.safetensors", "llama"])
def test_nor_is_it_added(folder: Path, tmp_path: Path, name: str) -> None:
    told = true_name(folder / name)
    assert told is not None
    with pytest.raises(ModelError) as caught:
        add(folder / name, tmp_path, ())
    assert f"{name} is {told[0]}, not a model; {told[1]}" == str(caught.value)


def test_a_model_of_another_kind_is_told_as_that(model_folders: tuple[Path, ...]) -> None:
    with pytest.raises(
        ModelError, match="'tiny' is a text-to-image model, not a segmenter model; choose one, found: none"
    ):
        find_model("tiny", model_folders, SEGMENTER)


def test_what_nothing_tells_is_not_guessed(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder; a text-to-image model needs model_index\.json"):
        find_model("empty", (folder,))
    with pytest.raises(ModelError, match="there is no text-to-image model called 'ghost'"):
        find_model("ghost", (folder,))
    assert true_name(write(folder / "odd.safetensors", {"a": torch.zeros(1)})) is None


def test_what_is_damaged_is_called_damaged(folder: Path) -> None:
    (folder / "cut.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ModelError, match=r"cut\.safetensors is not safetensors, or damaged"):
        find_model("cut", (folder,))


def test_every_name_has_something_to_do() -> None:
    assert all(noun and todo for _, (noun, todo) in TENSORS)
