"""What strangers may have written into a model's files: each is listed with its reason, and stops nothing else."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CLIPTextConfig, CLIPVisionConfig, SamVisionConfig

from pipelines.errors import ModelError
from pipelines.models.configs import DEEPEST, LARGEST_JSON, read_card, read_config, read_index, read_json
from pipelines.models.folders import find_model, find_models
from pipelines.models.installed import LORAS
from pipelines.models.listing import Item, listing
from pipelines.models.loader import load_bundle
from pipelines.models.lora_files import MOST_RANK, lora_cards
from pipelines.models.original import Form
from pipelines.models.weights import LONGEST_HEADER, read_header
from tests.pipelines.models import test_original
from tests.pipelines.models.loras import write

CPU = torch.device("cpu")


# ---------------------------------------------------------------------------------------------------- one value


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("in_channels", [4], "in_channels must be a whole number from 1 to 1,024; got [4]"),
        ("in_channels", True, "in_channels must be a whole number from 1 to 1,024; got true"),
        ("in_channels", 4.0, "in_channels must be a whole number from 1 to 1,024; got 4.0"),
        ("block_out_channels", 320, "block_out_channels must be a list of 1 to 16, each a whole number from 1 to"),
        ("block_out_channels", [], "block_out_channels must be a list of 1 to 16"),
        ("block_out_channels", [8] * 17, "block_out_channels must be a list of 1 to 16"),
        ("sample_size", "64x64", 'sample_size must be a whole number from 1 to 4,096, or a list of such; got "64x64"'),
        ("layers_per_block", [2, [10**6]], "layers_per_block must be a whole number from 0 to 256; got 1000000"),
        ("num_hidden_layers", 10**9, "num_hidden_layers must be a whole number from 0 to 256; got 1000000000"),
        ("num_train_timesteps", 1e9, "num_train_timesteps must be a whole number from 2 to 10,000; got 1000000000.0"),
        ("max_position_embeddings", 10**9, "max_position_embeddings must be a whole number from 1 to 4,096"),
        ("beta_end", 1.5, "beta_end must be a number from 1e-09 to 0.999; got 1.5"),
        ("prediction_type", ["v"], 'prediction_type must be one of epsilon, v_prediction, sample; got ["v"]'),
        ("addition_embed_type", {}, None),
        ("addition_embed_type", ["text_time"], "addition_embed_type must be a text of at most 200 characters"),
        ("vision_config", {"image_size": 10**6}, "vision_config: image_size must be a whole number from 0 to 4,096"),
        ("size", {"longest_edge": 10**7}, "size: longest_edge must be a whole number from 0 to 4,096; got 10000000"),
        ("crop_size", {"height": 224, "width": 10**6}, "crop_size: width must be a whole number from 0 to 4,096"),
        ("backbone_config", {"depths": [2, 2, 10**5]}, "depths must be a whole number from 0 to 256; got 100000"),
        ("model_max_length", 10**30, None),
        ("hidden_dropout_prob", 0.1, None),
        ("layer_norm_eps", 1e-5, None),
        ("padding_side", "right", None),
        ("seed", 2**40, None),
        ("_note", ["anything", 1, None], None),
    ],
)
def test_a_value_is_allowed_or_the_field_is_named_with_what_is_expected(
    tmp_path: Path, field: str, value: Any, told: str | None
) -> None:
    path = tmp_path / "unet" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({field: value}))
    if told is None:
        assert read_config(path) == {field: value}
        return
    with pytest.raises(ModelError, match=re.escape(told)) as caught:
        read_config(path)
    assert str(caught.value).startswith("unet/config.json: ") and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read as JSON"),
        ("[", "cannot be read as JSON"),
        ("[" * 100_000, f"at most {DEEPEST} levels"),
        ('{"a":' * 100_000, f"at most {DEEPEST} levels"),
        ("[]", "must hold a JSON object; got []"),
        ("5", "must hold a JSON object; got 5"),
        ('{"a": NaN}', "finite numbers only; got nan"),
        ('{"a": 1e999}', "finite numbers only; got inf"),
        ('{"a": ' + "9" * 5_000 + "}", "cannot be read as JSON"),
        ('{"a": ' + "[" * 30 + "]" * 30 + "}", f"at most {DEEPEST} levels"),
        ('{"a": [' + "0," * 100_000 + "0]}", "at most 100,000 values in one list; it has 100,001"),
        ('{"a": "' + "x" * 10_001 + '"}', "texts of at most 10,000 characters; one has 10,001"),
        ('{"a": "' + "x" * LARGEST_JSON + '"}', "must have at most 4 MB"),
        ("\ud800", "cannot be read as JSON"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError, match=re.escape(told)):
        read_json(path)


def test_what_is_no_file_is_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "card.json")
    (tmp_path / "config.json").mkdir()
    for name in ("card.json", "config.json", "nothing.json"):
        with pytest.raises(ModelError, match=f"{name} is missing"):
            read_json(tmp_path / name)


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"resolution": "512x512"}, 'resolution must be a whole number from 16 to 8,192; got "512x512"'),
        ({"resolution": 10**9}, "resolution must be a whole number from 16 to 8,192; got 1000000000"),
        ({"title": ["a"]}, 'title must be a text of at most 200 characters; got ["a"]'),
        ({"title": "x" * 201}, "title must be a text of at most 200 characters"),
        ({"vae": "../../elsewhere"}, "vae must be the name of a folder beside the model, without a path"),
        ({"vae": 5}, "vae must be the name of a folder beside the model"),
        ({"prediction_type": "v"}, "prediction_type must be one of epsilon, v_prediction, sample"),
    ],
)
def test_a_card_says_what_it_may(tmp_path: Path, card: dict[str, Any], told: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match=re.escape(told)):
        read_card(path)
    path.write_text(json.dumps(dict.fromkeys(card, None) | {"title": "", "more": [1]}))
    assert read_card(path) == {"more": [1]}, "nothing said is nothing"


@pytest.mark.parametrize("value", [5, "CLIPTextModel", [], ["transformers"], ["a", "b", "c"], [1, 2], {"a": 1}, True])
def test_an_index_names_each_part_by_library_and_class(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "model_index.json"
    path.write_text(json.dumps({"_class_name": "X", "text_encoder_2": value, "other": 5}))
    with pytest.raises(ModelError, match=r"model_index.json: text_encoder_2 must be a list of"):
        read_index(path)
    for nothing in (None, [None, None]):
        path.write_text(json.dumps({"unet": ["a", "b"], "text_encoder_2": nothing}))
        assert read_index(path) == {"unet": ["a", "b"]}


NO_SIZE = {"id2label", "label2id", "seed", "num_return_sequences", "num_beams"}


@pytest.mark.parametrize(
    "kind",
    [
        UNet2DConditionModel,
        AutoencoderKL,
        AutoencoderTiny,
        DDIMScheduler,
        CLIPTextConfig,
        CLIPVisionConfig,
        SamVisionConfig,
    ],
)
def test_no_number_that_a_library_builds_with_may_be_of_any_size(tmp_path: Path, kind: type) -> None:
    """Whatever such a class takes as a whole number, a billion of it is refused."""
    path = tmp_path / "config.json"
    fields = {name: p.default for name, p in inspect.signature(kind.__init__).parameters.items()}
    whole = [name for name, default in fields.items() if type(default) is int and name not in NO_SIZE]
    assert whole
    for name in whole:
        path.write_text(json.dumps({name: 10**9}))
        with pytest.raises(ModelError, match=f"{name} must be a"):
            read_config(path)


# --------------------------------------------------------------------------------------------- headers of weights


def header(entries: dict[str, Any], data: int = 0, raw: bytes | None = None) -> bytes:
    text = json.dumps(entries).encode() if raw is None else raw
    return len(text).to_bytes(8, "little") + text + bytes(data)


def entry(shape: Any, end: Any, begin: Any = 0, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (header({}, raw=b"[" * 5_000), "at most 20 levels"),
        (header({}, raw=b'{"a":' + b"[" * 5_000), "at most 20 levels"),
        (header({}, raw=b"[]"), "must hold a JSON object; got []"),
        (header({"a": 5}), "a must be an object with dtype, shape and data_offsets; got 5"),
        (header({"a": {}}), "a: dtype must be one of"),
        (header({"a": entry([2], 8, dtype="F7")}, 8), "a: dtype must be one of BOOL"),
        (header({"a": entry([2], 8, dtype=["F32"])}, 8), 'got ["F32"]'),
        (header({"a": entry(2, 8)}, 8), "a: shape must be a list of 1 to 8, each a whole number from 0"),
        (header({"a": entry([-1], 8)}, 8), "a: shape must be a list"),
        (header({"a": entry([1.5], 8)}, 8), "a: shape must be a list"),
        (header({"a": entry([1] * 9, 4)}, 4), "a: shape must be a list of 1 to 8"),
        (header({"a": entry([2], None)}, 8), "a: data_offsets must be a list"),
        (header({"a": entry([10**9], 8)}, 8), "a: [1000000000] of F32 must fill 4,000,000,000 bytes; it fills 8"),
        (header({"a": entry([2], 4, 8)}, 8), "must fill 8 bytes; it fills -4"),
        (
            header({"a": entry([2], 8), "b": entry([2], 8)}, 8),
            "b must begin where the tensor before it ends, at 8; got 0",
        ),
        (header({"a": entry([2], 16, 8)}, 16), "must begin where the tensor before it ends, at 0; got 8"),
        (header({"a": entry([2], 8)}, 7), "is cut off"),
        (header({"a": entry([2], 8)}, 9), "is longer than it says"),
        (header({"__metadata__": ["a"]}), "__metadata__ must be an object of texts"),
        ((2**40).to_bytes(8, "little") + b"{}", "give no length that fits the file"),
    ],
)
def test_a_header_says_what_fills_the_file(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=re.escape(told)):
        read_header(path)


def test_a_header_of_any_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    length = LONGEST_HEADER + 2**20
    with path.open("wb") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(8 + length)
    with pytest.raises(ModelError, match="must have at most 16 MB; it has 17 MB"):
        read_header(path)


def test_the_headers_of_the_library_are_read(tmp_path: Path) -> None:
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.float8_e4m3fn)
    tensors = {str(kind): torch.ones(2, 3).to(kind) for kind in kinds} | {"one": torch.tensor(1.0)}
    tensors["none"] = torch.zeros(0, 3)
    found = read_header(write(tmp_path / "x.safetensors", tensors, {"note": "n" * 50_000}))
    assert found.shapes == {name: tuple(t.shape) for name, t in tensors.items()}
    assert found.notes == {"note": "n" * 50_000}


DOWN, UP = "lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight"


@pytest.mark.parametrize(
    ("entries", "data", "told"),
    [
        (
            {DOWN: entry([], 4), UP: entry([4, 1], 20, 4)},
            20,
            "must have two matrices of 2 to 4 sides; they have 0 and 2",
        ),
        ({DOWN: entry([0, 4], 0), UP: entry([4, 0], 0)}, 0, f"must have a rank from 1 to {MOST_RANK:,}; it has 0"),
        ({DOWN: entry([1, 4], 16), UP: entry([4, 2], 48, 16)}, 48, "matrices of one rank; theirs are 1 and 2"),
        (
            {DOWN: entry([1, 4], 16), UP: entry([4, 1], 32, 16), "lora_unet_x.alpha": entry([2], 40, 32)},
            40,
            "must have an alpha of one number; it has 2",
        ),
        ({}, 0, "holds no tensors"),
    ],
)
def test_a_lora_that_cannot_be_one_is_listed_with_its_reason(
    tmp_path: Path, entries: dict[str, Any], data: int, told: str
) -> None:
    path = tmp_path / LORAS / "odd.safetensors"
    path.parent.mkdir()
    path.write_bytes(header(entries, data))
    ((card, fault),) = lora_cards((tmp_path,))
    assert card.id == "odd" and told in str(fault)


def test_a_sparse_lora_of_a_rank_of_millions_is_not_opened(tmp_path: Path) -> None:
    """It takes no room on the disk, and gigabytes in memory."""
    rank, path = 1_500_000, tmp_path / LORAS / "sparse.safetensors"
    end = rank * 320 * 4
    text = header({DOWN: entry([rank, 320], end), UP: entry([320, rank], 2 * end, end)})
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(text)
        file.truncate(len(text) + 2 * end)
    ((_, fault),) = lora_cards((tmp_path,))
    assert "must have a rank from 1 to 2,048; it has 1,500,000" in str(fault)


# -------------------------------------------------------------------------------------- checkpoints in one file


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cond_stage_model.transformer.text_model.encoder.layers.999999999.x": (1,)}, "at most 200 layers; it names"),
        ({"model.diffusion_model.input_blocks.100000.0.op.weight": (1,)}, "at most 200 layers; it names one of number"),
        ({f"model.diffusion_model.input_blocks.{'9' * 5_000}.x": (1,)}, "at most 200 layers"),
        ({"model.diffusion_model.input_blocks.1.0.in_layers.2.weight": None}, "it lacks"),
        ({"model.diffusion_model.input_blocks.1.0.in_layers.2.weight": ()}, "must have 4 sides of 1 or more; it is a"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 0, 3, 3)}, "must have 4 sides of 1 or more; it is 8x0x"),
        (
            {"cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (10**9, 0)},
            "must have 2 sides of 1 or more; it is 1000000000x0",
        ),
        ({"model.diffusion_model.out.2.weight": None}, "it lacks model.diffusion_model.out.2.weight"),
        ({"first_stage_model.decoder.conv_in.weight": (5,)}, "must have 4 sides"),
    ],
)
def test_a_checkpoint_whose_shapes_are_of_no_network_says_which(
    tmp_path: Path, changes: dict[str, tuple[int, ...] | None], told: str
) -> None:
    test_original.write(tmp_path / "whole.safetensors", Form.SD1)
    shapes = dict(read_header(tmp_path / "whole.safetensors").shapes) | changes
    write(
        tmp_path / "odd.safetensors", {name: torch.zeros(shape) for name, shape in shapes.items() if shape is not None}
    )
    (odd,) = (item for item in listing((tmp_path,), tmp_path) if item.card.id == "odd")
    assert told in str(odd.fault)
    with pytest.raises(ModelError, match=re.escape(told)):
        load_bundle(find_model("odd", (tmp_path,)), CPU)


# --------------------------------------------------------------------------------------------------- the listing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folders: tuple[Path, ...]) -> Path:
    """A folder with two sound models, a sound LoRA, and one of each beside them that a test may spoil."""
    root = tmp_path_factory.mktemp("folder")
    lora = {DOWN: torch.zeros(1, 2), UP: torch.zeros(2, 1)}
    for name in ("sound", "odd"):
        shutil.copytree(model_folders[0] / "tiny", root / name)
        test_original.write(root / f"{name}-file.safetensors", Form.SD1)
        write(root / LORAS / f"{name}.safetensors", lora)
    return root


def items(root: Path) -> dict[tuple[str, bool], Item]:
    return {(item.card.id, item.is_lora): item for item in listing((root,), root)}


def assert_the_sound_ones_stand(root: Path) -> None:
    found = items(root)
    assert [found[key].fault for key in (("sound", False), ("sound-file", False), ("sound", True))] == [None] * 3
    assert {"sound", "sound-file"} <= set(find_models((root,)))
    assert ("odd", False) in found and ("odd-file", False) in found, "what is spoilt is listed all the same"


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.sampled_from([0, 1, 2, 4, 8, 16, 10**9, 10**400])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["../..", "a/b", "\0", "512x512", "CLIPTextModel", "epsilon", "\u202e"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
JSONS = (
    "odd/model_index.json",
    "odd/unet/config.json",
    "odd/vae/config.json",
    "odd/text_encoder/config.json",
    "odd/scheduler/scheduler_config.json",
    "odd/tokenizer/tokenizer_config.json",
    "odd/card.json",
    "odd-file.json",
)
CARD = {"title": "Odd", "notes": "", "vae": "", "resolution": 64, "prediction_type": "epsilon"}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_configuration_stops_the_listing_or_ends_in_a_traceback(data: st.DataObject, folder: Path) -> None:
    name = data.draw(st.sampled_from(JSONS))
    path = folder / name
    whole = path.read_bytes() if path.is_file() else None
    try:
        told: dict[str, Any] = dict(CARD) if whole is None else json.loads(whole)
        for field in data.draw(st.lists(st.sampled_from(sorted(told)), min_size=1, max_size=2)):
            told[field] = data.draw(values)
        text = json.dumps(data.draw(st.sampled_from([told, told, told, [told], told.get("title")])))
        path.write_bytes(text.encode("utf-8", "surrogatepass")[: data.draw(st.sampled_from([None, None, None, 20]))])
        assert_the_sound_ones_stand(folder)
        id = name.split("/")[0].removesuffix(".json")
        fault = items(folder)[id, False].fault
        with suppress(ModelError):
            load_bundle(find_model(id, (folder,)), CPU)
            assert fault is None, f"it is said not to work, and works: {fault}"
    finally:
        path.unlink() if whole is None else path.write_bytes(whole)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_header_stops_the_listing_or_ends_in_a_traceback(data: st.DataObject, folder: Path) -> None:
    name = data.draw(
        st.sampled_from(
            ["odd-file.safetensors", "loras/odd.safetensors", "odd/vae/diffusion_pytorch_model.safetensors"]
        )
    )
    path = folder / name
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    told, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    try:
        for tensor in data.draw(st.lists(st.sampled_from(sorted(told)), min_size=1, max_size=3)):
            how = data.draw(st.sampled_from(["gone", "value", "dtype", "shape", "data_offsets", "name"]))
            if how == "name":
                told[data.draw(st.text(max_size=30))] = told.get(tensor)
            elif how == "value":
                told[tensor] = data.draw(values)
            elif how == "gone" or not isinstance(told.get(tensor), dict):
                told.pop(tensor, None)
            else:
                told[tensor] = told[tensor] | {how: data.draw(values)}
        raw = data.draw(st.sampled_from([None, None, None, b"[" * 3_000, b"{}", b'{"a":' * 3_000]))
        path.write_bytes(header(told, raw=raw) + body)
        assert_the_sound_ones_stand(folder)
        assert ("odd", True) in items(folder)
        with suppress(ModelError):
            load_bundle(find_model("odd-file" if name.startswith("odd-file") else "odd", (folder,)), CPU)
    finally:
        path.write_bytes(whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to the one who may do everything")
def test_what_may_not_be_read_is_listed(folder: Path) -> None:
    (folder / "odd").chmod(0)
    try:
        assert_the_sound_ones_stand(folder)
        assert "cannot be read" in str(items(folder)["odd", False].fault)
    finally:
        (folder / "odd").chmod(0o755)
