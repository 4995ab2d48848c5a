"""What stands beside a LoRA: the projection of picture tokens, the edge branch, and folders that are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.errors import ModelError
from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds
from pipelines.training.choices import Edges
from pipelines.training.reference import CONFIG, WEIGHTS, edge_branch, load_reference, silence, told, with_edges
from pipelines.training.trainer import Trainer, save_folder
from tests.pipelines.training.conftest import PLAN

PICTURE = np.full((32, 32, 3), 90, np.uint8)


@pytest.fixture
def trained(start: Callable[..., Trainer], tmp_path: Path) -> Callable[..., Path]:
    def folder(model: str = "tiny", edges: Edges = Edges.NONE) -> Path:
        trainer = start(plan=replace(PLAN, edges=edges), model=model)
        save_folder(tmp_path / "rounds", trainer.objective, trainer.card, "tiny-clip")
        return tmp_path / "rounds"

    return folder


def test_a_picture_is_told_behind_the_text() -> None:
    e, seen = PromptEmbeds(torch.ones(2, 3, 4), torch.ones(2, 5)), torch.full((2, 6, 4), 2.0)
    both = told(e, seen)
    assert both.tokens.shape == (2, 9, 4)
    assert torch.equal(both.tokens[:, :3], e.tokens) and torch.equal(both.tokens[:, 3:], seen)
    assert both.pooled is e.pooled and told(e, None) is e
    nothing = silence(e)
    assert not nothing.tokens.any() and not nothing.pooled.any() and nothing.widths == e.widths


def test_a_folder_is_read_as_it_was_written(
    trained: Callable[..., Path], load: Callable[[str], ModelBundle], folders: tuple[Path, ...]
) -> None:
    reference = load_reference(trained(edges=Edges.TRAINED), load("tiny"), folders)
    tokens = reference.tokens([PICTURE, PICTURE])
    assert tokens.shape == (2, 5, 16)  # the class and four patches, as wide as the texts
    assert not tokens.requires_grad
    bundle = load("tiny")
    led = reference.network(bundle, [PICTURE])
    z, t, e = torch.randn(2, 4, 16, 16), torch.tensor([500, 500]), PromptEmbeds(torch.randn(2, 12, 16))
    torch.testing.assert_close(led.predict(z, t, e), bundle.predict(z, t, e))  # its last layers begin at zero
    assert reference.network(bundle, [PICTURE], 0) is bundle


def test_edges_change_what_the_network_says_as_much_as_they_are_let(load: Callable[[str], ModelBundle]) -> None:
    bundle = load("tiny")
    branch = edge_branch(bundle).eval()
    with torch.no_grad():
        for p in branch.controlnet_mid_block.parameters():
            p.fill_(0.1)
    z, t, e = torch.randn(2, 4, 16, 16), torch.tensor([500, 500]), PromptEmbeds(torch.randn(2, 12, 16))
    shown = torch.ones(1, 3, 32, 32)

    def said(scale: float) -> torch.Tensor:
        with torch.no_grad():
            return replace(bundle, network=with_edges(branch, shown, scale)).predict(z, t, e)

    bare = bundle.predict(z, t, e).detach()
    torch.testing.assert_close(said(0), bare)
    assert (said(1) - bare).abs().max() > (said(0.5) - bare).abs().max() > 1e-4


@pytest.mark.parametrize("model", ["tiny", "tiny-v", "tiny-xl"])
def test_the_branch_takes_edges_to_the_size_of_latents(load: Callable[[str], ModelBundle], model: str) -> None:
    bundle = load(model)
    shown = torch.ones(1, 3, 32, 32)
    led = replace(bundle, network=with_edges(edge_branch(bundle).eval(), shown))
    z, t = torch.randn(1, 4, 16, 16), torch.tensor([500])
    torch.testing.assert_close(
        led.predict(z, t, bundle.embed_texts(["a"])), bundle.predict(z, t, bundle.embed_texts(["a"]))
    )


def test_the_branch_of_a_network_that_hears_the_text_as_a_whole_too(load: Callable[[str], ModelBundle]) -> None:
    """As the embedded one does; and its folder is read again."""
    tiny = load("tiny")
    heard = {**tiny.unet.config, "addition_embed_type": "text", "addition_embed_type_num_heads": 4}
    bundle = replace(tiny, unet=UNet2DConditionModel.from_config(heard).eval().requires_grad_(False))
    branch = edge_branch(bundle).eval()
    z, t, e = torch.randn(1, 4, 16, 16), torch.tensor([500]), bundle.embed_texts(["a"])
    mine, theirs = (part.add_embedding(e.tokens) for part in (branch, bundle.unet))
    torch.testing.assert_close(mine, theirs)
    led = replace(bundle, network=with_edges(branch, torch.ones(1, 3, 32, 32)))
    torch.testing.assert_close(led.predict(z, t, e), bundle.predict(z, t, e))
    assert branch.config.addition_embed_type_num_heads == 4


def test_other_folders_are_refused(
    trained: Callable[..., Path], load: Callable[[str], ModelBundle], folders: tuple[Path, ...]
) -> None:
    folder = trained(edges=Edges.TRAINED)
    with pytest.raises(ModelError, match=r"for texts of width 16 \(tiny\); the model 'tiny-xl' has 32. Choose that"):
        load_reference(folder, load("tiny-xl"), folders)
    with pytest.raises(ModelError, match="there is no clip model called 'tiny-clip'"):
        load_reference(folder, load("tiny"), folders[:1])
    said = json.loads((folder / CONFIG).read_text())
    branch = json.loads((folder / "edges" / "config.json").read_text())
    (folder / "edges" / "config.json").write_text(json.dumps({**branch, "block_out_channels": [8, 32]}))
    with pytest.raises(ModelError, match=r"of the network of 'tiny', block_out_channels \[8, 16\]; it has \[8, 32"):
        load_reference(folder, load("tiny"), folders)
    (folder / CONFIG).write_text(json.dumps({**said, "seen": 24}))
    with pytest.raises(ModelError, match="is damaged"):
        load_reference(folder, load("tiny"), folders)
    (folder / CONFIG).write_text(json.dumps({**said, "seen": "wide"}))
    with pytest.raises(ModelError, match=r"rounds/reference.json: seen must be a whole number"):
        load_reference(folder, load("tiny"), folders)
    (folder / CONFIG).write_text(json.dumps({**said, "kind": "composer"}))
    with pytest.raises(ModelError, match="must be of kind 'rounds'; it is 'composer'"):
        load_reference(folder, load("tiny"), folders)
    (folder / CONFIG).write_text(json.dumps(said))
    (folder / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is damaged"):
        load_reference(folder, load("tiny"), folders)
