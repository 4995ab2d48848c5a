"""The Toybox CLIP: its folder is loaded by the real classes, and its losses say what they should."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from pipelines.toybox import train_clip
from pipelines.toybox.augment import Batch
from pipelines.toybox.judge import SIDE
from pipelines.toybox.measure import MODELS
from pipelines.toybox.scene import Scene, Subject
from pipelines.toybox.tokenizer import build_tokenizer
from pipelines.toybox.train_clip import PATCH, SHOWN, build_clip, contrastive_loss, image_processor, patch_losses, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tokenizer = build_tokenizer(path)
    save(build_clip(tokenizer), CLIPProcessor(image_processor(), tokenizer), path)
    return path


def test_the_real_classes_load_it(folder: Path) -> None:
    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)
    pictures = [np.zeros((256, 256, 3), np.uint8), np.full((256, 256, 3), 255, np.uint8)]
    inputs = processor(text=["a dog", "in a forest", "at night"], images=pictures, return_tensors="pt", padding=True)
    assert inputs["pixel_values"].shape == (2, 3, SIDE, SIDE)
    assert inputs["pixel_values"].aminmax() == (-1, 1)
    with torch.no_grad():
        assert model(**inputs).logits_per_image.shape == (2, 3)


def test_weights_are_half_precision_safetensors(folder: Path) -> None:
    assert (folder / "model.safetensors").stat().st_size < 6_000_000
    assert not list(folder.glob("*.bin"))


def test_measuring_an_untrained_one_finds_chance(folder: Path) -> None:
    found = train_clip.measure(folder, count=32, device="cpu")
    assert found.keys() == {"image_to_text_r1", "text_to_image_r1"}
    assert all(share < 0.5 for share in found.values())


def test_equal_captions_are_right_answers_of_each_other() -> None:
    image = torch.eye(3)[[0, 0, 1]]
    scale = torch.tensor(100.0).log()
    right = contrastive_loss(image, image, scale, ["a dog", "a dog", "a cat"]).item()
    strict = contrastive_loss(image, image, scale, ["a dog", "a puppy", "a cat"]).item()
    assert right == pytest.approx(2 * np.log(2) / 3, abs=1e-3)
    assert strict == pytest.approx(right, abs=1e-3)  # two equal pictures cannot be told apart, whatever is asked
    assert contrastive_loss(image, image[[2, 2, 0]], scale, ["a dog", "a dog", "a cat"]) > 10


def test_patches_show_the_subject_where_it_covers_them() -> None:
    masks = torch.zeros(1, SIDE, SIDE)
    masks[0, :PATCH, :PATCH] = 1
    refused = np.zeros(1, bool)
    batch = Batch(torch.zeros(1, 3, SIDE, SIDE), masks, [Scene("forest", Subject("dog"))], refused, refused)
    answers = torch.zeros(1, (SIDE // PATCH) ** 2, len(SHOWN))
    answers[..., SHOWN.index("forest")] = 50
    answers[0, 0] = 0
    answers[0, 0, SHOWN.index("dog")] = 50
    assert patch_losses(answers, batch).item() == pytest.approx(0, abs=1e-6)


def test_the_committed_one_finds_captions_of_held_out_pictures() -> None:
    found = train_clip.measure(MODELS / "toybox-clip", count=128, device="cpu")
    assert min(found.values()) >= 0.85, found
