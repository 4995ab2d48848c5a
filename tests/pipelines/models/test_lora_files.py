"""LoRA files at work on a tiny model: every form gives what diffusers gives, and nothing stays behind."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn

from pipelines.contract import EditRequest, LoraUse
from pipelines.engine import Engine
from pipelines.errors import BadRequest, ModelError, NotEnoughMemory
from pipelines.models.adapters import attached, lora, with_delta
from pipelines.models.bundle import ModelBundle
from pipelines.models.lora_files import family_of, find_lora, find_loras, lora_path, lora_use
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.models.weights import read_header
from pipelines.params import LayeredParams, SDEditParams, Tuned
from pipelines.progress import Cancelled
from tests.pipelines.models.loras import as_kohya, as_peft, parts_of, update_for, write


def looked_at(bundle: ModelBundle) -> tuple[Tensor, Tensor]:
    """What the text encoder and the U-Net give."""
    texts = bundle.embed_texts(["a blue dog"])
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return texts.tokens, bundle.predict(z, torch.tensor([500]), texts)


@contextmanager
def untouched(bundle: ModelBundle) -> Iterator[None]:
    """However it ends: the same modules, no hooks, the same weights, the same answers."""
    before, checksum = looked_at(bundle), bundle.checksum()
    modules = [(part, name, id(m)) for part, root in bundle.modules.items() for name, m in root.named_modules()]
    yield
    assert bundle.checksum() == checksum
    assert modules == [(part, n, id(m)) for part, root in bundle.modules.items() for n, m in root.named_modules()]
    assert not any(m._forward_hooks for root in bundle.modules.values() for m in root.modules())
    assert all(torch.equal(a, b) for a, b in zip(before, looked_at(bundle), strict=True))
    assert not any(p.requires_grad for root in bundle.modules.values() for p in root.parameters())


def same(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], tolerance: float = 1e-5) -> bool:
    return all(torch.allclose(x, y, atol=tolerance, rtol=1e-4) for x, y in zip(a, b, strict=True))


def differs(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> bool:
    return all(float((x - y).abs().max()) > 1e-3 for x, y in zip(a, b, strict=True))


def everything(name: str) -> bool:
    """Convolutions and feed-forward layers as well."""
    return not name.startswith(("conv_in", "conv_out", "time_embedding"))


# ------------------------------------------------------------------------------------------------ what it does


@pytest.mark.parametrize("alpha", [2, 1])
def test_kohya_and_peft_give_the_same(bundle: ModelBundle, tmp_path: Path, alpha: float) -> None:
    update = update_for(parts_of(bundle))
    peft = write(tmp_path / "peft.safetensors", as_peft(update, alpha))
    kohya = write(tmp_path / "kohya.safetensors", as_kohya(update, alpha))
    with untouched(bundle):
        plain = looked_at(bundle)
        with attached(bundle, [(peft, 0.7)]):
            by_peft = looked_at(bundle)
        with attached(bundle, [(kohya, 0.7)]):
            by_kohya = looked_at(bundle)
    assert differs(plain, by_peft)
    assert same(by_peft, by_kohya)


@pytest.mark.parametrize("form", ["peft", "kohya", "original"])
def test_diffusers_gives_the_same(load: Callable[[str], ModelBundle], tmp_path: Path, form: str) -> None:
    bundle, own = load("tiny"), load("tiny")
    update = update_for(parts_of(bundle), attention_only if form == "original" else everything_in_clip_too)
    tensors = {
        "peft": lambda: as_peft(update),
        "kohya": lambda: as_kohya(update, 1),
        "original": lambda: as_kohya(update, 1, bundle.unet),
    }[form]()
    path = write(tmp_path / "x.safetensors", tensors)
    with attached(own, [(path, 1.0)]):
        ours = looked_at(own)
    mixin = StableDiffusionXLPipeline if form == "original" else StableDiffusionPipeline
    state, alphas = mixin.lora_state_dict(dict(tensors), unet_config=bundle.unet.config)
    mixin.load_lora_into_unet(state, network_alphas=alphas, unet=bundle.unet, adapter_name="x")
    mixin.load_lora_into_text_encoder(
        state, network_alphas=alphas, text_encoder=bundle.text_encoder, prefix="text_encoder", adapter_name="x"
    )
    assert same(ours, looked_at(bundle))


def attention_only(name: str) -> bool:
    return ("attentions" in name and name.endswith(("to_q", "to_k", "to_v", "to_out.0"))) or name.endswith(
        ("q_proj", "out_proj")
    )


def everything_in_clip_too(name: str) -> bool:
    return everything(name) and not name.endswith("conv_shortcut")


def test_original_names_are_those_of_the_published_conversion() -> None:
    """A few from Stable Diffusion 1.x, as its original code has them."""
    from pipelines.models.adapters import original_name

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    known = {
        "conv_in": "input_blocks.0.0",
        "down_blocks.0.resnets.0.conv1": "input_blocks.1.0.in_layers.2",
        "down_blocks.0.attentions.1.proj_in": "input_blocks.2.1.proj_in",
        "down_blocks.0.downsamplers.0.conv": "input_blocks.3.0.op",
        "down_blocks.3.resnets.1.conv2": "input_blocks.11.0.out_layers.3",
        "mid_block.resnets.1.time_emb_proj": "middle_block.2.emb_layers.1",
        "up_blocks.0.upsamplers.0.conv": "output_blocks.2.1.conv",
        "up_blocks.1.upsamplers.0.conv": "output_blocks.5.2.conv",
        "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_k": (
            "output_blocks.11.1.transformer_blocks.0.attn2.to_k"
        ),
        "time_embedding.linear_2": "time_embed.2",
    }
    assert {name: original_name(name, unet) for name in known} == known


def test_two_files_add_up_and_the_scale_scales(bundle: ModelBundle, tmp_path: Path) -> None:
    update = update_for(parts_of(bundle, "unet"), lambda name: name.endswith("attn2.to_v"))
    a = write(tmp_path / "a.safetensors", as_peft(update))
    b = write(tmp_path / "b.safetensors", as_kohya(update))
    plain = looked_at(bundle)
    with attached(bundle, [(a, 1.0), (b, 0.5)]):
        both = looked_at(bundle)
    with attached(bundle, [(a, 1.5)]):
        assert same(both, looked_at(bundle))
    with attached(bundle, [(a, 1.0), (b, -1.0)]):
        assert same(plain, looked_at(bundle))
    with attached(bundle, [(a, 0.0)]):
        assert all(torch.equal(x, y) for x, y in zip(plain, looked_at(bundle), strict=True))


def test_alpha_in_diffusers_own_note_counts(bundle: ModelBundle, tmp_path: Path) -> None:
    update = update_for(parts_of(bundle, "unet"))
    note = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 1, "unet.r": 2})}
    noted = write(tmp_path / "noted.safetensors", as_peft(update), note)
    plain = write(tmp_path / "plain.safetensors", as_peft(update))
    with attached(bundle, [(noted, 1.0)]):
        halved = looked_at(bundle)
    with attached(bundle, [(plain, 0.5)]):
        assert same(halved, looked_at(bundle))


# ------------------------------------------------------------------------------------ together with the method's


@pytest.fixture
def style(bundle: ModelBundle, tmp_path: Path) -> Path:
    return write(tmp_path / "loras" / "style.safetensors", as_kohya(update_for(parts_of(bundle), size=0.3)))


def test_only_the_fitted_one_trains(bundle: ModelBundle, style: Path) -> None:
    with untouched(bundle), attached(bundle, [(style, 1.0)]):
        before = looked_at(bundle)
        with lora(bundle.unet, rank=2, seed=0) as parameters:
            names = {name for name, p in bundle.unet.named_parameters() if p.requires_grad}
            assert names and all(".layer." in name for name in names)
            assert same(before, looked_at(bundle))  # the fresh one changes nothing yet, the file's goes on
            z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
            bundle.predict(z, torch.tensor([500]), bundle.embed_texts(["a"])).square().sum().backward()
            assert all(p.grad is not None for p in parameters)
        assert same(before, looked_at(bundle))


def test_in_either_order(bundle: ModelBundle, style: Path) -> None:
    with attached(bundle, [(style, 1.0)]):
        alone = looked_at(bundle)
    delta = {"conv_in.weight": torch.full_like(bundle.unet.conv_in.weight, 0.1)}
    with untouched(bundle):
        with with_delta(bundle.unet, delta), attached(bundle, [(style, 1.0)]):
            outer = looked_at(bundle)
        with attached(bundle, [(style, 1.0)]), with_delta(bundle.unet, delta):
            inner = looked_at(bundle)
    assert same(outer, inner) and float((inner[1] - alone[1]).abs().max()) > 1e-3


STEPS = {"embed_steps": 2, "tune_steps": 2, "steps": 3}


@pytest.mark.parametrize("tuned", list(Tuned))
def test_the_layered_method_runs_with_a_lora(
    model_folders: tuple[Path, ...], style: Path, request_for: Callable[..., EditRequest], tuned: Tuned
) -> None:
    folders = (*model_folders, style.parents[1])
    engine, params = Engine(folders, device="cpu"), replace(LayeredParams(), tuned=tuned, **STEPS)
    pristine = engine.weights("tiny")
    with_it = request_for(loras=(lora_use("style", 1.0, folders),))
    first = engine.edit("tiny", "layered", with_it, params)
    plain = engine.edit("tiny", "layered", request_for(), params)
    again = engine.edit("tiny", "layered", with_it, params)
    assert first.weights_before == first.weights_after == again.weights_after == pristine
    assert np.array_equal(first.candidates[0].picture, again.candidates[0].picture)
    assert not np.array_equal(first.candidates[0].picture, plain.candidates[0].picture)
    more = engine.edit("tiny", "layered", replace(with_it, fitted=first.fitted), params)
    assert np.array_equal(first.candidates[0].picture, more.candidates[0].picture)


@pytest.mark.parametrize("problem", [Cancelled(), RuntimeError("broken"), MemoryError()])
def test_stopped_or_failed_it_leaves_nothing(
    model_folders: tuple[Path, ...], style: Path, request_for: Callable[..., EditRequest], problem: Exception
) -> None:
    folders = (*model_folders, style.parents[1])
    engine, params = Engine(folders, device="cpu"), replace(SDEditParams(), steps=4)
    pristine = engine.edit("tiny", "sdedit", request_for(), params)
    calls = 0

    def stop(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise problem

    with pytest.raises((type(problem), NotEnoughMemory)):
        engine.edit("tiny", "sdedit", request_for(loras=(lora_use("style", 1.0, folders),)), params, stop)
    assert engine.weights("tiny") == pristine.weights_before
    after = engine.edit("tiny", "sdedit", request_for(), params)
    assert np.array_equal(pristine.candidates[0].picture, after.candidates[0].picture)


# ------------------------------------------------------------------------------------------------ what is refused


def spoilt(bundle: ModelBundle, how: str) -> dict[str, Tensor]:
    tensors = as_kohya(update_for(parts_of(bundle, "unet")))
    key = next(name for name in tensors if name.endswith("attn2_to_k.lora_down.weight"))
    if how == "width":
        for name in [name for name in tensors if name.endswith("attn2_to_k.lora_down.weight")]:
            tensors[name] = torch.zeros(2, 2048)
    elif how == "half":
        del tensors[key]
    elif how == "nan":
        tensors[key][0, 0] = float("nan")
    elif how == "layer":
        tensors |= {name.replace("down_blocks_1", "down_blocks_7"): t.clone() for name, t in tensors.items()}
    elif how == "lokr":
        tensors = {"lora_unet_x.lokr_w1": torch.zeros(2, 2)}
    elif how == "checkpoint":
        tensors = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2, 2)}
    return tensors


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (
            "width",
            r"does not fit the model 'tiny': it was made for Stable Diffusion XL; 4 of its 32 layers .* takes 2x2048",
        ),
        ("half", "lacks a half of the layer"),
        ("nan", "not finite"),
        ("layer", r"made for a model whose texts are 16 numbers wide; .* unet has no layer down_blocks_7_"),
        ("lokr", "is a LoKr file"),
        ("checkpoint", "is a whole checkpoint, which is not one of the forms"),
    ],
)
def test_a_file_that_does_not_fit_is_named(bundle: ModelBundle, tmp_path: Path, how: str, told: str) -> None:
    path = write(tmp_path / "odd.safetensors", spoilt(bundle, how))
    with untouched(bundle), pytest.raises(ModelError, match=told), attached(bundle, [(path, 1.0)]):
        pass


def test_one_bad_file_of_two_attaches_neither(bundle: ModelBundle, style: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.safetensors", spoilt(bundle, "nan"))
    with untouched(bundle), pytest.raises(ModelError), attached(bundle, [(style, 1.0), (bad, 1.0)]):
        pass


def test_cut_and_pickled_files(style: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    (folder / "cut.safetensors").write_bytes(style.read_bytes()[:-7])
    (folder / "old.pt").write_bytes(pickle.dumps({"a": 1}))
    (folder / "renamed.safetensors").write_bytes(pickle.dumps({"a": 1}))
    assert set(find_loras((tmp_path,))) == {"style"}
    for name, told in (
        ("cut", "is cut off: its header promises"),
        ("old", "old.pt is a pickle, which could run any code"),
        ("renamed", "is not safetensors"),
        ("ghost", "no LoRA called 'ghost' in .*; found: style"),
        ("../loras/style", "no LoRA called"),
    ):
        with pytest.raises(ModelError, match=told):
            find_lora(name, (tmp_path,))


def test_a_changed_file_is_not_the_one_that_was_asked_for(bundle: ModelBundle, style: Path, tmp_path: Path) -> None:
    use = lora_use("style", 0.5, (tmp_path,))
    assert use.scale == 0.5 and lora_path(use, (tmp_path,)) == style
    write(style, as_peft(update_for(parts_of(bundle), seed=9)))
    with pytest.raises(ModelError, match="'style' is not the file that this turn was made with"):
        lora_path(use, (tmp_path,))


@pytest.mark.parametrize(
    "loras",
    [
        (LoraUse("a", "0" * 64, float("nan")),),
        (LoraUse("a", "0" * 64, 4.5),),
        (LoraUse("a", "0" * 64),) * 2,
        tuple(LoraUse(str(k), "0" * 64) for k in range(9)),
    ],
)
def test_what_a_request_may_not_ask(
    model_folders: tuple[Path, ...], request_for: Callable[..., EditRequest], loras: tuple[LoraUse, ...]
) -> None:
    with pytest.raises(BadRequest, match="LoRA"):
        Engine(model_folders, device="cpu").edit("tiny", "sdedit", request_for(loras=loras), SDEditParams())


def test_families_are_told_from_shapes(bundle: ModelBundle, tmp_path: Path) -> None:
    def told(**tensors: Tensor) -> str:
        return family_of(
            read_header(write(tmp_path / "f.safetensors", {k.replace("__", "."): t for k, t in tensors.items()})).shapes
        )

    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k__lora_down__weight"
    assert told(**{name: torch.zeros(4, 768)}) == "Stable Diffusion 1.x"
    assert told(**{name: torch.zeros(4, 1024)}) == "Stable Diffusion 2.x"
    assert told(**{name: torch.zeros(4, 2048)}) == "Stable Diffusion XL"
    assert told(lora_te2_x__lora_down__weight=torch.zeros(4, 4)) == "Stable Diffusion XL"
    flux = "lora_unet_double_blocks_0_img_attn_proj__lora_down__weight"
    assert told(**{flux: torch.zeros(4, 3072)}).startswith("a diffusion transformer")
    assert told(lora_unet_mid__lora_down__weight=torch.zeros(4, 4)) == "a model that its layers do not tell"


def test_hooks_are_on_plain_layers_only(bundle: ModelBundle, style: Path) -> None:
    with attached(bundle, [(style, 1.0)]):
        hooked = [m for root in bundle.modules.values() for m in root.modules() if m._forward_hooks]
        assert hooked and all(isinstance(m, nn.Linear | nn.Conv2d) for m in hooked)
    assert isinstance(bundle.embed_texts(["a"]), PromptEmbeds)
