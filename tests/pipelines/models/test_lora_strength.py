"""How strong a LoRA is: every form that is read, as the libraries themselves write it, changes what they change."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline
from diffusers.loaders.lora_base import _pack_dict_with_prefix
from peft import LoHaConfig, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

from pipelines.errors import ModelError
from pipelines.models.adapters import attached
from pipelines.models.bundle import ModelBundle
from pipelines.models.lora_files import CONFIG, NOTE, SAVED, find_lora, lora_card, lora_use
from tests.pipelines.models.loras import as_kohya, attention, parts_of, update_for, write

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
READER = ["q_proj", "v_proj", "out_proj"]
PATTERNS: dict[str, Any] = {
    "r": 3,
    "lora_alpha": 5,
    "rank_pattern": {"attn2.to_q": 2, r"down_blocks.*attn1\.to_v": 4, "^mid_block.attentions.0.proj_in": 1},
    "alpha_pattern": {"to_k": 7, "attn2.to_q": 1, "mid_block.attentions.0.transformer_blocks.0.attn1.to_v": 9},
}
Look = tuple[Tensor, Tensor]


def looked_at(bundle: ModelBundle, unet: nn.Module | None = None, reader: nn.Module | None = None) -> Look:
    """What the text encoder and the U-Net give, with either of them in place of the bundle's."""
    ids = bundle.tokenizer(["a blue dog"], padding="max_length", max_length=12, return_tensors="pt").input_ids
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        tokens = (reader or bundle.text_encoder)(ids).last_hidden_state
        return tokens, (unet or bundle.unet)(z, torch.tensor([500]), tokens).sample


def drawn(part: nn.Module, seed: int = 0) -> None:
    """The adapter that was put on `part`, as if it had been trained."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in part.named_parameters():
            if "lora_magnitude" in name:
                p.mul_(1 + 0.5 * torch.rand(p.shape, generator=random))
            elif "lora_" in name or "hada_" in name:
                p.copy_(torch.randn(p.shape, generator=random) * 0.3)


# ------------------------------------------------------------------------------------------- as the libraries save it


def by_peft(folder: Path, part: nn.Module, config: Any) -> None:
    model = get_peft_model(copy.deepcopy(part), config)
    drawn(model)
    model.save_pretrained(folder)


def by_diffusers(folder: Path, bundle: ModelBundle, config: Any, reader: Any = None) -> None:
    layers, notes = {}, {}
    for name, part, asked in (("unet", bundle.unet, config), ("text_encoder", bundle.text_encoder, reader)):
        if asked is not None:
            part = copy.deepcopy(part)
            part.add_adapter(asked)
            drawn(part)
            layers[name] = get_peft_model_state_dict(part, adapter_name="default")
            notes[name] = part.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=layers.get("unet"),
        text_encoder_lora_layers=layers.get("text_encoder"),
        unet_lora_adapter_metadata=notes.get("unet"),
        text_encoder_lora_adapter_metadata=notes.get("text_encoder"),
    )


def renamed(folder: Path, change: Callable[[str], str]) -> None:
    """The saved weights under other names, without what was noted of them."""
    file = folder / SAVED[1]
    write(file, {change(name): t for name, t in safetensors.torch.load_file(file).items()})


def older(name: str) -> str:
    """As diffusers wrote them before it took PEFT's names."""
    name = re.sub(r"\.(to_[qkv]|to_out)(\.0)?\.lora_([AB])\.", r".processor.\1_lora.\3.", name)
    return name.replace("_lora.A.", "_lora.down.").replace("_lora.B.", "_lora.up.")


def as_lycoris(tensors: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """PEFT's LoHa by the names that LyCORIS gives it."""
    told = {}
    for name, t in tensors.items():
        layer, role = name.removeprefix("base_model.model.").rsplit(".", 1)
        stem = "lora_unet_" + layer.replace(".", "_")
        told[f"{stem}.{role}"], told[f"{stem}.alpha"] = t, torch.tensor(float(alpha))
    return told


# ----------------------------------------------------------------------------------------------------- the libraries


def diffusers_gives(folder: Path, bundle: ModelBundle) -> Look:
    pipe = StableDiffusionPipeline(
        vae=bundle.vae,
        text_encoder=copy.deepcopy(bundle.text_encoder),
        tokenizer=bundle.tokenizer,
        unet=copy.deepcopy(bundle.unet),
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.load_lora_weights(folder, weight_name=SAVED[1])
    return looked_at(bundle, pipe.unet, pipe.text_encoder)


def peft_gives(folder: Path, bundle: ModelBundle) -> Look:
    keys = safetensors.torch.load_file(folder / SAVED[0])
    reads = any("q_proj" in key for key in keys)
    part = PeftModel.from_pretrained(copy.deepcopy(bundle.text_encoder if reads else bundle.unet), str(folder))
    return looked_at(bundle, None if reads else part, part if reads else None)


@dataclass(frozen=True)
class Form:
    make: Callable[[Path, ModelBundle], None]
    library: Callable[[Path, ModelBundle], Look]


def kohya(folder: Path, bundle: ModelBundle) -> None:
    chosen = update_for(parts_of(bundle), lambda name: attention(name) or name.endswith("out_proj"), size=0.3)
    write(folder / SAVED[1], as_kohya(chosen, 1))


def loha(effective: bool) -> Callable[[Path, ModelBundle], None]:
    def make(folder: Path, bundle: ModelBundle) -> None:
        targets = ["to_q", "conv1", "conv_shortcut"]
        by_peft(folder, bundle.unet, LoHaConfig(r=2, alpha=3, target_modules=targets, use_effective_conv2d=effective))

    return make


FORMS = {
    "diffusers, alpha_pattern and rank_pattern": Form(
        lambda f, b: by_diffusers(f, b, LoraConfig(target_modules=[*ATTENTION, "proj_in"], **PATTERNS)),
        diffusers_gives,
    ),
    "diffusers, both parts noted apart": Form(
        lambda f, b: by_diffusers(
            f,
            b,
            LoraConfig(r=2, lora_alpha=8, target_modules=ATTENTION),
            LoraConfig(r=4, lora_alpha=2, target_modules=READER, alpha_pattern={"q_proj": 12}),
        ),
        diffusers_gives,
    ),
    "diffusers, rslora": Form(
        lambda f, b: by_diffusers(f, b, LoraConfig(r=4, lora_alpha=3, target_modules=ATTENTION, use_rslora=True)),
        diffusers_gives,
    ),
    "diffusers, DoRA": Form(
        lambda f, b: by_diffusers(f, b, LoraConfig(r=2, lora_alpha=4, target_modules=ATTENTION, use_dora=True)),
        diffusers_gives,
    ),
    "diffusers, nothing noted": Form(
        lambda f, b: (by_diffusers(f, b, LoraConfig(r=2, target_modules=ATTENTION)), renamed(f, str))[0],
        diffusers_gives,
    ),
    "diffusers, names of before PEFT": Form(
        lambda f, b: (by_diffusers(f, b, LoraConfig(r=2, target_modules=ATTENTION)), renamed(f, older))[0],
        diffusers_gives,
    ),
    "diffusers, lora_A.default_0": Form(
        lambda f, b: (
            by_diffusers(f, b, LoraConfig(r=2, target_modules=ATTENTION)),
            renamed(f, lambda name: re.sub(r"lora_([AB])\.", r"lora_\1.default_0.", name)),
        )[0],
        diffusers_gives,
    ),
    "kohya, alpha of each layer, both parts": Form(kohya, diffusers_gives),
    "PEFT, lora_alpha 8 and r 2": Form(
        lambda f, b: by_peft(f, b.unet, LoraConfig(r=2, lora_alpha=8, target_modules=ATTENTION)), peft_gives
    ),
    "PEFT, patterns and rslora": Form(
        lambda f, b: by_peft(
            f, b.unet, LoraConfig(target_modules=[*ATTENTION, "proj_in", "conv1"], use_rslora=True, **PATTERNS)
        ),
        peft_gives,
    ),
    "PEFT, DoRA with convolutions": Form(
        lambda f, b: by_peft(
            f, b.unet, LoraConfig(r=2, lora_alpha=3, target_modules=["to_q", "conv1", "conv_in"], use_dora=True)
        ),
        peft_gives,
    ),
    "PEFT, the text encoder": Form(
        lambda f, b: by_peft(f, b.text_encoder, LoraConfig(r=3, lora_alpha=1, target_modules=READER)), peft_gives
    ),
    "PEFT, the text encoder, DoRA": Form(
        lambda f, b: by_peft(f, b.text_encoder, LoraConfig(r=3, target_modules=READER, use_dora=True)), peft_gives
    ),
    "PEFT, LoHa": Form(loha(effective=False), peft_gives),
    "PEFT, LoHa with Tucker kernels": Form(loha(effective=True), peft_gives),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bundle: ModelBundle) -> dict[str, Path]:
    """A folder of each form."""
    root, found = tmp_path_factory.mktemp("forms"), {}
    for number, (name, form) in enumerate(FORMS.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            form.make(root / str(number), bundle)
        found[name] = root / str(number)
    return found


def test_every_form_has_the_effect_that_its_library_gives(
    bundle: ModelBundle, made: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, checksum, rows, worst = looked_at(bundle), bundle.checksum(), [], {}
    for name, form in FORMS.items():
        theirs = form.library(made[name], bundle)
        with attached(bundle, [(made[name], 1.0)]):
            ours = looked_at(bundle)
        wanted, found = (
            torch.cat([(x - p).flatten() for x, p in zip(look, plain, strict=True)]) for look in (theirs, ours)
        )
        ratio = float(found @ wanted / (wanted @ wanted))
        library = "diffusers" if form.library is diffusers_gives else "PEFT"
        rows.append(f"{name:<44}{library:<11}{float(wanted.abs().max()):>8.3f}{ratio:>9.3f}")
        assert float(wanted.abs().max()) > 1e-2, f"{name}: {library} gives nothing to compare with"
        worst[name] = float((found - wanted).abs().max())
    with capsys.disabled():
        print(f"\n{'form':<44}{'library':<11}{'effect':>8}{'ratio':>9}", *rows, sep="\n")
    assert max(worst.values()) < 1e-4, worst
    assert bundle.checksum() == checksum


def test_lycoris_files_are_run_as_peft_runs_the_same_numbers(
    bundle: ModelBundle, made: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = made["PEFT, LoHa"]
    path = write(tmp_path / "x.safetensors", as_lycoris(safetensors.torch.load_file(folder / SAVED[0]), 3))
    with attached(bundle, [(path, 0.5)]):
        ours = looked_at(bundle)
    with attached(bundle, [(folder, 0.5)]):
        assert torch.allclose(ours[1], looked_at(bundle)[1], atol=1e-5)


def test_magnitudes_by_kohyas_name_are_run_as_peft_runs_the_same_numbers(
    bundle: ModelBundle, made: Mapping[str, Path], tmp_path: Path
) -> None:
    folder, tensors = made["diffusers, DoRA"], {}
    for name, t in safetensors.torch.load_file(folder / SAVED[1]).items():
        stem = "lora_unet_" + re.sub(r"\.lora_.*", "", name.removeprefix("unet.")).replace(".", "_")
        role = {"A": "lora_down.weight", "B": "lora_up.weight", "m": "dora_scale"}[name.split(".lora_")[1][0]]
        tensors[f"{stem}.{role}"] = t.reshape(-1, 1) if role == "dora_scale" else t
        tensors[f"{stem}.alpha"] = torch.tensor(4.0)
    path = write(tmp_path / "x.safetensors", tensors)
    with attached(bundle, [(path, 1.0)]):
        ours = looked_at(bundle)
    with attached(bundle, [(folder, 1.0)]):
        assert torch.allclose(ours[1], looked_at(bundle)[1], atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, -1.0, 2.0])
def test_the_scale_is_the_libraries(bundle: ModelBundle, made: Mapping[str, Path], scale: float) -> None:
    """A DoRA is not linear in it."""
    folder = made["PEFT, DoRA with convolutions"]
    part = PeftModel.from_pretrained(copy.deepcopy(bundle.unet), str(folder))
    for module in part.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", scale)
    theirs = looked_at(bundle, part)
    with attached(bundle, [(folder, scale)]):
        assert float((looked_at(bundle)[1] - theirs[1]).abs().max()) < 1e-4


def test_a_weights_file_is_read_with_what_lies_beside_it(bundle: ModelBundle, made: Mapping[str, Path]) -> None:
    folder = made["PEFT, lora_alpha 8 and r 2"]
    with attached(bundle, [(folder, 1.0)]):
        whole = looked_at(bundle)
    with attached(bundle, [(folder / SAVED[0], 1.0)]):
        assert torch.equal(whole[1], looked_at(bundle)[1])


def test_what_is_noted_is_part_of_what_a_request_speaks_of(made: Mapping[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "loras" / "mine"
    folder.mkdir(parents=True)
    for file in made["PEFT, lora_alpha 8 and r 2"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert find_lora("mine", (tmp_path,)) == folder
    first = lora_use("mine", 1.0, (tmp_path,))
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(told | {"lora_alpha": 4}))
    assert lora_use("mine", 1.0, (tmp_path,)).sha256 != first.sha256


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        ({"r": 4}, "must say the rank of the matrices"),
        ({"r": 0}, "adapter_config.json: r must be a whole number from 1 to 2,048; got 0"),
        ({"lora_alpha": "8"}, 'lora_alpha must be a number from -1e+06 to 1e+06; got "8"'),
        ({"alpha_pattern": {"to_q": None}}, "alpha_pattern must be an object of at most 5,000 names, each with"),
        ({"alpha_pattern": {"(a+)+$": 1}}, "an expression with one repetition"),
        ({"alpha_pattern": {"(": 1}}, "a pattern must be a layer's name or an expression"),
        ({"peft_type": "OFT"}, 'calls it "OFT"; what is read are LORA and LOHA'),
        ({"peft_type": "LOHA"}, "calls it a LoHa; .* is of a LoRA"),
        ({"use_dora": True}, "calls it a DoRA; .* is of a LoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "the model's own weights were changed too"),
        ({"layer_replication": [[0, 4]]}, "asks for layer_replication"),
        ({"fan_in_fan_out": True}, "asks for fan_in_fan_out"),
        ({"bias": "lora_only"}, 'bias must be none; got "lora_only"'),
    ],
)
def test_what_cannot_be_run_as_it_is_noted_is_refused_by_its_name(
    made: Mapping[str, Path], tmp_path: Path, noted: dict[str, Any], told: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in made["PEFT, lora_alpha 8 and r 2"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | noted))
    with pytest.raises(ModelError, match=told.replace("+06", r"\+06")):
        lora_card(folder)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"unet.x.lora_A.a.weight": (1, 2), "unet.x.lora_A.b.weight": (1, 2)}, "must hold one adapter"),
        ({"lora_unet_x.lokr_w1": (2, 2)}, "is a LoKr file.*merge it into its model"),
        ({"unet.x.oft_R.weight": (2, 2)}, "is an OFT file"),
        (
            {"unet.x.lora_A.weight": (1, 2), "unet.x.lora_B.weight": (2, 1), "unet.x.lora_B.bias": (2,)},
            "LoRA with biases",
        ),
        ({"unet.x.lora_A.weight": (0, 2), "unet.x.lora_B.weight": (2, 0)}, "rank from 1 to 2,048; it has 0"),
        ({f"lora_unet_x.hada_w{n}": (2, 2) for n in ("1_a", "1_b", "2_a")}, "lacks a half of the layer"),
        (
            {f"lora_unet_x.hada_w{n}": (2, 3 if n == "2_a" else 2) for n in ("1_a", "1_b", "2_a", "2_b")},
            "must have matrices of one rank; theirs are 2, 3",
        ),
    ],
)
def test_what_is_in_no_form_that_is_run(tmp_path: Path, tensors: dict[str, tuple[int, ...]], told: str) -> None:
    path = write(tmp_path / "x.safetensors", {name: torch.zeros(shape) for name, shape in tensors.items()})
    with pytest.raises(ModelError, match=told):
        lora_card(path)


def test_magnitudes_along_the_inputs_are_refused(bundle: ModelBundle, tmp_path: Path) -> None:
    tensors = as_kohya(update_for(parts_of(bundle, "unet"), lambda name: name.endswith("attn2.to_k")))
    stems = {name.split(".")[0] for name in tensors}
    tensors |= {f"{stem}.dora_scale": torch.ones(1, 16) for stem in stems}
    path = write(tmp_path / "x.safetensors", tensors)
    with pytest.raises(ModelError, match="one magnitude for each of its 16 outputs"), attached(bundle, [(path, 1.0)]):
        pass


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "loras" / "mine"
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text("{}")
    (folder / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"adapter_model.safetensors .* found only adapter_model.bin, a pickle"):
        find_lora("mine", (tmp_path,))


def test_the_defaults_are_pefts(tmp_path: Path) -> None:
    from pipelines.models.lora_files import Recorded

    assert Recorded("x").alpha == LoraConfig().lora_alpha == LoHaConfig().alpha
    assert NOTE == "lora_adapter_metadata" and _pack_dict_with_prefix({"a": 1}, "unet") == {"unet.a": 1}
