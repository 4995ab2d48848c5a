"""Finding, checking and loading model folders."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from pipelines.errors import ModelError
from pipelines.images import from_network, to_network
from pipelines.models.adapters import lora, lora_state, with_delta, with_lora
from pipelines.models.bundle import ModelBundle, trainable
from pipelines.models.folders import check_parts, fault_of, find_model, find_models
from pipelines.models.loader import device_named, load_bundle
from pipelines.models.prompt_embeds import PromptEmbeds

CPU = torch.device("cpu")


@pytest.fixture
def copied(model_folders: tuple[Path, ...], tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    shutil.copytree(model_folders[0] / "tiny", tmp_path / "spoilt")
    return tmp_path / "spoilt"


def reason(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_bundle(find_model(folder.name, (folder.parent,)), CPU)
    return str(caught.value)


def test_every_kind_of_folder_is_found(model_folders: tuple[Path, ...], tmp_path: Path) -> None:
    for name, config in (
        ("points", {"_class_name": "Sam", "image_size": 256}),
        ("words", {"model_type": "clip"}),
        ("reader", {"kind": "judge"}),
        ("something", {"model_type": "else"}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    found = find_models((*model_folders, tmp_path, tmp_path / "nowhere"))
    assert {name: card.kind for name, card in found.items()} == {
        "tiny": "text-to-image",
        "tiny-kl": "text-to-image",
        "tiny-v": "text-to-image",
        "tiny-xl": "text-to-image",
        "tiny-inpainting": "text-to-image",
        "tiny-exemplar": "text-to-image",
        "tiny-instruct": "text-to-image",
        "tiny-xl-inpainting": "text-to-image",
        "tiny-xl-instruct": "text-to-image",
        "points": "segmenter",
        "sam_vit_b_01ec64": "segmenter",
        "words": "clip",
        "reader": "judge",
    }
    assert found["tiny"].resolution == 32 and found["points"].resolution == 256
    assert found["tiny-kl"].title == "Tiny kl"


def test_a_card_beside_the_weights_names_the_model(copied: Path) -> None:
    (copied / "card.json").write_text(json.dumps({"title": "Spoilt", "notes": "knows nothing"}))
    card = find_model("spoilt", (copied.parent,))
    assert (card.title, card.notes) == ("Spoilt", "knows nothing")


def test_an_unknown_model_names_those_there_are(model_folders: tuple[Path, ...]) -> None:
    with pytest.raises(
        ModelError,
        match=r"no text-to-image model called 'huge'.*found: tiny, tiny-exemplar, tiny-inpainting, tiny-instruct",
    ):
        find_model("huge", model_folders)
    with pytest.raises(ModelError, match="found: none"):
        find_model("tiny", model_folders, "segmenter")
    with pytest.raises(ModelError, match=r"'\.\./models/tiny'"):
        find_model("../models/tiny", model_folders)


def test_a_folder_that_is_no_model_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "needs model_index.json" in reason(tmp_path / "empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        find_model("broken", (tmp_path,))


def test_all_missing_parts_are_named_at_once(copied: Path) -> None:
    shutil.rmtree(copied / "vae")
    (copied / "unet" / "config.json").unlink()
    (copied / "scheduler" / "scheduler_config.json").unlink()
    for path in (copied / "text_encoder").glob("*.safetensors"):
        path.unlink()
    (copied / "tokenizer" / "vocab.json").unlink()
    (copied / "tokenizer" / "tokenizer.json").unlink()
    said = reason(copied)
    for fault in (
        "folder vae is missing",
        "unet/config.json is missing",
        "text_encoder/model.safetensors is missing",
        "tokenizer/vocab.json is missing",
        "scheduler/scheduler_config.json is missing",
    ):
        assert fault in said


def test_weights_that_exist_only_as_a_pickle_are_never_opened(copied: Path) -> None:
    for path in (copied / "unet").glob("*.safetensors"):
        path.unlink()
    (copied / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    said = reason(copied)
    assert "unet/diffusion_pytorch_model.safetensors is missing; found only diffusion_pytorch_model.bin" in said
    assert "convert it with diffusers.AutoModel: from_pretrained of the folder unet, use_safetensors=False" in said


def test_a_model_of_another_family_is_refused(copied: Path) -> None:
    index = json.loads((copied / "model_index.json").read_text())
    index["unet"] = ["diffusers", "FluxTransformer2DModel"]
    (copied / "model_index.json").write_text(json.dumps(index))
    assert "unet must be UNet2DConditionModel, but model_index.json names FluxTransformer2DModel" in reason(copied)
    index |= {"_class_name": "FluxPipeline", "transformer": index.pop("unet")}
    (copied / "model_index.json").write_text(json.dumps(index))
    assert "it is a FluxPipeline, whose network is a transformer" in reason(copied)


def test_the_refiner_of_xl_is_told_apart(model_folders: tuple[Path, ...], tmp_path: Path) -> None:
    shutil.copytree(model_folders[0] / "tiny-xl", tmp_path / "spoilt")
    index = json.loads((tmp_path / "spoilt" / "model_index.json").read_text())
    index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
    (tmp_path / "spoilt" / "model_index.json").write_text(json.dumps(index))
    assert "it is the refiner of Stable Diffusion XL" in reason(tmp_path / "spoilt")
    index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    (tmp_path / "spoilt" / "model_index.json").write_text(json.dumps(index))
    shutil.rmtree(tmp_path / "spoilt" / "text_encoder_2")
    assert "the folder text_encoder_2 is missing" in reason(tmp_path / "spoilt")


def test_weights_that_are_missing_or_damaged_are_not_made_up(copied: Path) -> None:
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    whole = safetensors.torch.load_file(path)
    safetensors.torch.save_file({key: t for key, t in whole.items() if key != "conv_in.weight"}, path)
    assert "unet lacks 1 of its weights, first conv_in.weight" in reason(copied)
    whole["conv_in.weight"] = torch.zeros(8, 4, 5, 5)
    safetensors.torch.save_file(whole, path)
    assert "cannot be loaded: unet: " in (said := reason(copied)) and "conv_in.weight" in said


def unet_file(folder: Path) -> Path:
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


def test_a_file_that_was_cut_off_is_named_with_what_is_missing(copied: Path) -> None:
    path = unet_file(copied)
    whole = path.read_bytes()
    for share in (0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        said = reason(copied)
        assert "unet/diffusion_pytorch_model.safetensors is cut off" in said
        assert f"promises {len(whole):,} bytes" in said
    for stub in (b"", whole[:5], whole[:200]):
        path.write_bytes(stub)
        assert "unet/diffusion_pytorch_model.safetensors is not safetensors, or damaged" in reason(copied)
    path.write_bytes(whole + b"more")
    assert "is longer than it says" in reason(copied)


def test_a_flipped_bit_in_the_header_is_never_loaded_as_something_else(copied: Path) -> None:
    """A bit of the numbers themselves shows only in a checksum, or as a number that is none."""
    path = unet_file(copied)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    length = 8 + int.from_bytes(whole[:8], "little")
    for at in rng.integers(0, length, 12):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0x10
        path.write_bytes(spoilt)
        assert "unet" in reason(copied), f"byte {at} was flipped"


def test_a_pickle_in_disguise_is_never_opened(copied: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path(marker).touch, ()

    unet_file(copied).write_bytes(pickle.dumps(Touch()))
    assert "is not safetensors" in reason(copied)
    (copied / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (copied / "vae" / "diffusion_pytorch_model.ckpt").write_bytes(pickle.dumps(Touch()))
    assert "found only diffusion_pytorch_model.ckpt" in reason(copied)
    assert not marker.exists()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_not_numbers_are_refused(copied: Path, part: str) -> None:
    path = next((copied / part).glob("*.safetensors"))
    weights = safetensors.torch.load_file(path)
    name = sorted(weights)[0]
    weights[name].view(-1)[0] = float("nan")
    safetensors.torch.save_file(weights, path, metadata={"format": "pt"})
    assert f"its {part} holds numbers that are not finite" in reason(copied)


def test_weights_in_several_files_are_one_part(copied: Path) -> None:
    path = unet_file(copied)
    weights = safetensors.torch.load_file(path)
    names = [f"diffusion_pytorch_model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    halves = [dict(list(weights.items())[k::2]) for k in (0, 1)]
    for name, half in zip(names, halves, strict=True):
        safetensors.torch.save_file(half, path.parent / name, metadata={"format": "pt"})
    index = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (path.parent / f"{path.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    whole = load_bundle(find_model("spoilt", (copied.parent,)), CPU).checksum()
    path.unlink()
    assert load_bundle(find_model("spoilt", (copied.parent,)), CPU).checksum() == whole
    (path.parent / names[1]).unlink()
    assert f"unet/{names[1]} that diffusion_pytorch_model.safetensors.index.json names is missing" in reason(copied)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet", {"in_channels": 7}, "takes 7 channels and gives 4: 4 would be a plain model, 9 one for inpainting"),
        ("unet", {"addition_embed_type": "text_time"}, "its U-Net wants text_time beside the words of one encoder"),
        ("unet", {"num_class_embeds": 1000}, "its U-Net wants 1000 beside"),
        ("scheduler", {"beta_schedule": None}, "says nothing of beta_schedule; what is sampled here is the noise"),
        (
            "scheduler",
            {"prediction_type": "flow"},
            'prediction_type must be one of epsilon, v_prediction, sample; got "flow"',
        ),
        ("vae", {"latent_channels": 8}, "vae: "),
        ("text_encoder", {"hidden_size": 32}, "text_encoder: "),
    ],
)
def test_a_configuration_of_no_family_we_know_is_refused(copied: Path, part: str, changes: dict, message: str) -> None:
    path = copied / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    assert message in reason(copied)


SIGMAS = {"sigma_data": 0.5, "sigma_max": 80.0, "sigma_min": 0.002, "prediction_type": "epsilon"}
EULER = {"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085}


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({"_class_name": "EDMEulerScheduler"}, "its scheduler is EDMEulerScheduler, of EDM's continuous noise levels"),
        ({"_class_name": "EDMDPMSolverMultistepScheduler"} | SIGMAS, "is EDMDPMSolverMultistepScheduler, of EDM's"),
        ({"_class_name": "SomeScheduler"} | SIGMAS, "its scheduler is SomeScheduler, of EDM's continuous"),
        (
            EULER | {"timestep_type": "continuous", "prediction_type": "v_prediction", "sigma_max": 120.0},
            "it predicts v over EDM's continuous noise levels, as CosXL does",
        ),
        (EULER | {"timestep_type": "continuous", "prediction_type": "epsilon"}, None),
        (EULER | {"timestep_type": "discrete", "sigma_data": None, "sigma_max": None}, None),
    ],
)
def test_a_folder_with_edms_noise_is_told_before_it_is_loaded(
    copied: Path, scheduler: dict, message: str | None
) -> None:
    (copied / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    card = find_model("spoilt", (copied.parent,))
    fault = fault_of(card)
    if message is None:
        assert fault is None
        return
    assert fault is not None and message in fault and "choose a model trained with that" in fault
    with pytest.raises(ModelError, match="cannot be used"):
        check_parts(card)
    shutil.rmtree(copied / "unet")  # whatever else is wrong, the reason is among what is told
    assert message in reason(copied)


def test_a_folder_with_latents_of_its_own_mean_is_told_before_it_is_loaded(copied: Path) -> None:
    config = json.loads((copied / "vae" / "config.json").read_text())
    (copied / "vae" / "config.json").write_text(
        json.dumps(config | {"latents_mean": [0.1] * 4, "latents_std": [1.0] * 4})
    )
    assert "EDM's noise on latents of its own mean and deviation, as Playground 2.5 was" in str(
        fault_of(find_model("spoilt", (copied.parent,)))
    )


def test_another_autoencoder_takes_the_place_of_the_models_own(copied: Path, model_folders: tuple[Path, ...]) -> None:
    card = copied / "card.json"
    shutil.copytree(model_folders[0] / "tiny-kl" / "vae", copied.parent / "other-vae")
    card.write_text(json.dumps({"vae": "other-vae"}))
    bundle = load_bundle(find_model("spoilt", (copied.parent,)), CPU)
    kl = load_bundle(find_model("tiny-kl", model_folders), CPU)
    assert type(bundle.vae) is type(kl.vae) and bundle.latent_scale == kl.latent_scale
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(bundle.encode(x), kl.encode(x))
    next((copied.parent / "other-vae").glob("*.safetensors")).unlink()
    assert "its other autoencoder other-vae: diffusion_pytorch_model.safetensors is missing" in reason(copied)
    card.write_text(json.dumps({"vae": "spoilt"}))
    assert "must be a folder with config.json and weights" in reason(copied)


def test_parts_of_different_models_do_not_pass(copied: Path, model_folders: tuple[Path, ...]) -> None:
    config = json.loads((copied / "vae" / "config.json").read_text())
    config["latent_channels"] = 8
    (copied / "vae" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load_bundle(find_model("spoilt", (copied.parent,)), CPU)
    check_parts(find_model("tiny", model_folders))


def test_half_precision_files_load_as_float32(copied: Path) -> None:
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    halves = {key: t.half() for key, t in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(halves, copied / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    path.unlink()
    bundle = load_bundle(find_model("spoilt", (copied.parent,)), CPU)
    assert {p.dtype for p in bundle.unet.parameters()} == {torch.float32}


def test_a_device_that_is_not_there_is_named() -> None:
    assert device_named("cpu") == CPU
    with pytest.raises(ModelError, match="no device called 'abacus'"):
        device_named("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="choose auto or cpu"):
            device_named("cuda")


@pytest.mark.parametrize("name", ["tiny", "tiny-kl"])
def test_encoding_and_decoding_are_those_of_diffusers(load: Callable[[str], ModelBundle], name: str) -> None:
    bundle = load(name)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    z = bundle.encode(to_network(picture))
    assert z.shape == (1, 4, 16, 16) and z.dtype is torch.float32
    assert torch.equal(z, bundle.encode(to_network(picture))), "the posterior's mean, not a draw"
    pipe = StableDiffusionPipeline.from_pretrained(bundle.card.path, safety_checker=None, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    x = pipe.image_processor.preprocess(Image.fromarray(picture))
    with torch.no_grad():
        encoded = pipe.vae.encode(x)
        latents = encoded.latents if name == "tiny" else encoded.latent_dist.mean
        decoded = pipe.vae.decode(latents).sample
    assert torch.allclose(z, latents * pipe.vae.config.scaling_factor, atol=0.05)
    assert torch.allclose(bundle.decode(latents * bundle.latent_scale), decoded, atol=0.05)


@pytest.mark.parametrize("name", ["tiny", "tiny-kl", "tiny-v"])
def test_texts_and_predictions_are_those_of_diffusers(load: Callable[[str], ModelBundle], name: str) -> None:
    bundle = load(name)
    pipe = StableDiffusionPipeline.from_pretrained(bundle.card.path, safety_checker=None, local_files_only=True)
    e, null = pipe.encode_prompt("a blue dog", "cpu", 1, True)
    assert torch.allclose(bundle.embed_texts(["", "a blue dog"]).tokens, torch.cat([null, e]), atol=1e-5)
    z, t = torch.randn(1, 4, 16, 16), torch.tensor([400])
    with torch.no_grad():
        said = pipe.unet(z, t, e).sample
        eps = bundle.predict(z, t, PromptEmbeds(e))
    assert torch.allclose(eps, bundle.schedule.noise_from(said, z, t), atol=0.05)


def test_pictures_survive_the_way_to_the_network_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    x = to_network(every)
    assert x.min() == -1 and x.max() == 1
    assert np.array_equal(from_network(x), every)


def test_the_checksum_sees_one_changed_weight_buffer_or_adapter(load: Callable[[str], ModelBundle]) -> None:
    bundle = load("tiny")
    whole = bundle.checksum()
    assert whole == load("tiny").checksum()
    weight = bundle.vae.decoder.layers[0].weight
    with torch.no_grad():
        kept = weight.clone()
        weight[0, 0, 0, 0] += 1e-6
        assert bundle.checksum() != whole
        weight.copy_(kept)
    with lora(bundle.unet, 2, seed=0):
        assert bundle.checksum() != whole
    bundle.text_encoder.register_buffer("left_behind", torch.zeros(1))
    assert bundle.checksum() != whole
    del bundle.text_encoder.left_behind
    assert bundle.checksum() == whole


def test_lora_starts_as_the_network_itself_and_comes_back_when_stored(bundle: ModelBundle) -> None:
    z, t, e = torch.randn(1, 4, 8, 8), torch.tensor([10]), bundle.embed_texts(["a"])
    names = [name for name, _ in bundle.unet.named_modules()]
    with torch.no_grad():
        plain = bundle.predict(z, t, e)
        with lora(bundle.unet, 2, seed=3) as parameters:
            assert torch.allclose(bundle.predict(z, t, e), plain, atol=1e-5)
            assert all(p.dtype is torch.float32 for p in parameters)
            for p in parameters:
                p.add_(0.1)
            changed, state = bundle.predict(z, t, e), lora_state(bundle.unet)
        assert torch.equal(bundle.predict(z, t, e), plain)
        with with_lora(bundle.unet, state):
            assert torch.equal(bundle.predict(z, t, e), changed)
    assert [name for name, _ in bundle.unet.named_modules()] == names


def test_whatever_is_done_to_open_weights_they_come_back(bundle: ModelBundle) -> None:
    before = bundle.checksum()
    parameters = list(bundle.unet.parameters())
    with pytest.raises(ZeroDivisionError), trainable(parameters), torch.no_grad():
        _ = parameters[0].fill_(float("nan")) / (1 // 0)
    with pytest.raises(ZeroDivisionError), with_delta(bundle.unet, {"conv_in.bias": torch.ones(8)}):
        _ = 1 // int(bundle.checksum() == before)
    assert bundle.checksum() == before and not any(p.requires_grad for p in parameters)
