"""What the libraries load of a model and so do we: copies of any name, keys of every age, open tokenizers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline

from pipelines.models.bundle import ModelBundle
from pipelines.models.folders import fault_of, find_model
from pipelines.models.loader import load_bundle
from pipelines.models.original import READERS, Form
from pipelines.models.weights import weight_files
from tests.pipelines.models import test_original
from tests.pipelines.models.loras import write

CPU = torch.device("cpu")


def loaded(root: Path, name: str) -> ModelBundle:
    card = find_model(name, (root,))
    assert fault_of(card) is None
    return load_bundle(card, CPU)


def copied(model_folders: tuple[Path, ...], root: Path, name: str = "tiny") -> Path:
    return Path(shutil.copytree(model_folders[0] / name, root / name))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


@pytest.mark.parametrize("variant", ["bf16", "fp16", "fp32", "non_ema", "ema", "mine"])
def test_a_folder_with_one_copy_of_any_name(model_folders: tuple[Path, ...], tmp_path: Path, variant: str) -> None:
    folder = copied(model_folders, tmp_path)
    for file in parts(folder):
        tensors = safetensors.torch.load_file(file)
        if variant.endswith("16"):
            tensors = {k: t.to(torch.bfloat16 if variant == "bf16" else torch.float16) for k, t in tensors.items()}
        write(file.with_name(f"{file.stem}.{variant}.safetensors"), tensors)
        file.unlink()
    ours = loaded(tmp_path, "tiny")
    theirs = StableDiffusionPipeline.from_pretrained(folder, variant=variant, safety_checker=None)
    for part in ("unet", "vae", "text_encoder"):
        wanted = getattr(theirs, part).state_dict()
        found = ours.modules[part].state_dict()
        assert all(torch.equal(found[name].float(), t.float()) for name, t in wanted.items())


def test_the_full_copy_is_taken_before_any_other_and_full_before_half(
    model_folders: tuple[Path, ...], tmp_path: Path
) -> None:
    folder = copied(model_folders, tmp_path) / "unet"
    whole = folder / "diffusion_pytorch_model.safetensors"
    for variant in ("fp16", "bf16", "aaa"):
        shutil.copy(whole, folder / f"diffusion_pytorch_model.{variant}.safetensors")
    assert weight_files(folder, "unet").variant is None
    whole.unlink()
    assert weight_files(folder, "unet").variant == "bf16"


def test_shards_of_a_copy_with_a_name(model_folders: tuple[Path, ...], tmp_path: Path) -> None:
    folder = copied(model_folders, tmp_path) / "unet"
    whole = folder / "diffusion_pytorch_model.safetensors"
    tensors, places = safetensors.torch.load_file(whole), {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        shard = f"diffusion_pytorch_model.bf16-0000{number}-of-00002.safetensors"
        write(folder / shard, {name: tensors[name] for name in names})
        places |= dict.fromkeys(names, shard)
    whole.unlink()
    index = {"metadata": {}, "weight_map": places}
    (folder / "diffusion_pytorch_model.safetensors.index.bf16.json").write_text(json.dumps(index))
    assert weight_files(folder, "unet").variant == "bf16"
    found = loaded(tmp_path, "tiny").unet.state_dict()
    assert all(torch.equal(found[name], t) for name, t in tensors.items())


@pytest.mark.parametrize("said", [None, 10**30, 200, 6])
def test_a_tokenizer_need_not_say_how_much_its_encoder_reads(
    model_folders: tuple[Path, ...], tmp_path: Path, said: int | None
) -> None:
    """Where it says less than there are places, it is believed."""
    folder = copied(model_folders, tmp_path)
    path = folder / "tokenizer" / "tokenizer_config.json"
    told = json.loads(path.read_text())
    del told["model_max_length"]
    path.write_text(json.dumps(told if said is None else told | {"model_max_length": said}))
    bundle = loaded(tmp_path, "tiny")
    places = bundle.text_encoder.config.max_position_embeddings
    assert bundle.embed_texts(["a long text " * 20]).tokens.shape[1] == min(places, said or places)


@pytest.mark.parametrize("form", [Form.SD1, Form.XL])
def test_texts_encoders_without_their_outer_name(tmp_path: Path, form: Form) -> None:
    """As the leaked model of NovelAI has them, and what was merged with it."""
    test_original.write(tmp_path / "whole.safetensors", form)
    prefix = READERS[form][0].prefix
    tensors = safetensors.torch.load_file(tmp_path / "whole.safetensors")
    bare = {name.replace(f"{prefix}text_model.", prefix): t for name, t in tensors.items()}
    assert bare.keys() != tensors.keys()
    write(tmp_path / "bare.safetensors", bare)
    whole, found = loaded(tmp_path, "whole"), loaded(tmp_path, "bare")
    assert whole.checksum() == found.checksum()
