"""Trains the Toybox CLIP: pictures and captions of the world, brought together (Radford et al. 2021, section 2.3).

The folder is an ordinary one: `CLIPModel` and `CLIPProcessor` load it. Beside the contrastive loss the vision tower
says what each picture holds and what each of its patches shows, through heads that are thrown away afterwards: a
small transformer on few pictures learns to see several times sooner that way.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from pipelines.contract import Picture
from pipelines.toybox.augment import Batch, draw_examples, mixed_batch
from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, draw_scenes
from pipelines.toybox.judge import HEADS, SIDE
from pipelines.toybox.tokenizer import build_tokenizer
from pipelines.toybox.train_judge import head_losses
from pipelines.toybox.training import Schedule, train
from pipelines.toybox.words import BACKGROUNDS, SUBJECTS
from pipelines.training.common import Report, best_device, fast_arithmetic

WIDTH = 192
"""Width of both towers and of the space they share."""

PATCH = 16
"""Side of a patch, in pixels of the 128-pixel picture. Half of it would cost four times as much."""

ALIKE = 3 / 8
"""Share of a batch that one kind of subject on one background makes up: without such neighbours the contrast is won by
subject and background alone, and size and pose are read badly."""

SHOWN = [*BACKGROUNDS, *SUBJECTS]
"""What a patch can show."""


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Four layers of vision over 64 patches and two of text: 2 M parameters."""
    shared = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 6, "projection_dim": WIDTH}
    text = shared | {
        "num_hidden_layers": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = shared | {"num_hidden_layers": 4, "image_size": SIDE, "patch_size": PATCH}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def image_processor() -> CLIPImageProcessor:
    """Pictures to 128 pixels in [-1, 1]."""
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def _placed(positions: int, width: int) -> Tensor:
    """Sines and cosines of row and column, ``(positions * positions, width)``: neighbours start out alike."""
    place = torch.arange(positions, dtype=torch.float32)
    rates = torch.exp(torch.linspace(0, -4, width // 4))
    line = torch.cat([torch.sin(place[:, None] * rates), torch.cos(place[:, None] * rates)], 1)  # (P, width / 2)
    rows = line[:, None].expand(-1, positions, -1)
    columns = line[None].expand(positions, -1, -1)
    return torch.cat([rows, columns], 2).reshape(positions * positions, width)


def patch_losses(answers: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of what every patch shows, ``(N, patches, len(SHOWN))``: the subject where it covers a fifth."""
    covered = F.avg_pool2d(batch.masks[:, None], PATCH).flatten(1) > 0.2  # (N, patches)
    subject = [0 if s.subject is None else SHOWN.index(s.subject.kind) for s in batch.scenes]
    place = [SHOWN.index(scene.background) for scene in batch.scenes]
    shown = torch.where(covered, torch.tensor(subject)[:, None], torch.tensor(place)[:, None])
    return F.cross_entropy(answers.float().flatten(0, 1), shown.flatten().to(answers.device))


def text_inputs(tokenizer: CLIPTokenizer, captions: Sequence[str], device: torch.device) -> dict[str, Tensor]:
    """Token ids and their mask, padded to the longest caption."""
    return dict(tokenizer(list(captions), padding=True, truncation=True, return_tensors="pt").to(device))


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor, captions: Sequence[str]) -> Tensor:
    """Symmetric cross entropy over ``(N, D)`` unit vectors; equal captions are all right answers of each other."""
    logits = scale.exp().clamp(max=100) * image @ text.T
    alike = np.array(captions)[:, None] == np.array(captions)[None]
    wanted = torch.from_numpy(alike / alike.sum(1, keepdims=True)).float().to(logits.device)
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2


@torch.no_grad()
def retrieval(
    model: CLIPModel, processor: CLIPProcessor, pictures: Sequence[Picture], captions: Sequence[str]
) -> dict[str, float]:
    """R@1 in both directions; the right answer is any one with the same caption."""
    device = next(model.parameters()).device
    seen = []
    for start in range(0, len(pictures), 32):
        pixels = processor.image_processor(list(pictures[start : start + 32]), return_tensors="pt").pixel_values
        seen.append(_unit(model.visual_projection(model.vision_model(pixels.to(device)).pooler_output)))
    inputs = text_inputs(processor.tokenizer, captions, device)
    text = _unit(model.text_projection(model.text_model(**inputs).pooler_output))
    likeness = (torch.cat(seen) @ text.T).float().cpu().numpy()
    names = np.array(captions)
    return {
        "image_to_text_r1": float((names[likeness.argmax(1)] == names).mean()),
        "text_to_image_r1": float((names[likeness.argmax(0)] == names).mean()),
    }


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def measure(folder: Path, count: int = 256, device: str = "auto") -> dict[str, float]:
    """Retrieval among `count` held-out pictures with their full captions, through the folder's own processor."""
    model = CLIPModel.from_pretrained(folder).float().eval().to(best_device(device))
    scenes = draw_scenes(count, HELD_OUT_SEED, workers=1)
    captions = [scene.caption() for scene in scenes.scenes]
    return retrieval(model, CLIPProcessor.from_pretrained(folder), list(scenes.pictures), captions)


def save(model: CLIPModel, processor: Any, folder: Path) -> None:
    """Write model, tokenizer and picture settings; the weights as fp16, the live model untouched."""
    state = {name: tensor.detach().half() for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    processor.save_pretrained(folder)
    build_tokenizer(folder)


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    count: int = 8000,
    batch: int = 64,
    seed: int = 0,
    workers: int = 2,
) -> Report:
    """Train for `minutes` (drawing not counted) and write the folder; weights that are there are where it begins."""
    where = best_device(device)
    torch.manual_seed(seed)
    rng, words = np.random.default_rng(seed), random.Random(seed)
    tokenizer = build_tokenizer(folder)
    processor = CLIPProcessor(image_processor(), tokenizer)
    examples = draw_examples(count, TRAINING_SEED, where, workers)
    held_out = draw_scenes(256, HELD_OUT_SEED + 50_000, workers=workers)
    begun = (folder / "model.safetensors").exists()
    model = CLIPModel.from_pretrained(folder).float() if begun else build_clip(tokenizer)
    model = model.train().to(where)
    if not begun:
        positions = model.vision_model.embeddings.position_embedding.weight
        with torch.no_grad():
            positions[1:] = 0.1 * _placed(SIDE // PATCH, WIDTH)
    questions = nn.ModuleDict({name: nn.Linear(WIDTH, len(values)) for name, values in HEADS.items()}).to(where)
    patches = nn.Linear(WIDTH, len(SHOWN)).to(where)

    def loss_of_batch(step: int, done: float) -> Tensor:
        drawn = mixed_batch(examples, batch, rng, alike=round(ALIKE * batch))
        captions = [scene.caption(words, synonyms=0.35) for scene in drawn.scenes]
        with fast_arithmetic(where):
            seen = model.vision_model(drawn.pictures.to(where))
            image = model.visual_projection(seen.pooler_output)
            text = model.text_projection(model.text_model(**text_inputs(tokenizer, captions, where)).pooler_output)
            answers = {name: head(seen.pooler_output) for name, head in questions.items()}
            shown = patches(seen.last_hidden_state[:, 1:])
        plain = [scene.caption() for scene in drawn.scenes]
        contrast = contrastive_loss(_unit(image), _unit(text), model.logit_scale, plain)
        return contrast + 0.3 * head_losses(answers, drawn) + patch_losses(shown, drawn)

    def on_checkpoint(step: int) -> None:
        captions = [scene.caption() for scene in held_out.scenes]
        model.eval()
        print(f"held out: {retrieval(model, processor, list(held_out.pictures), captions)}", flush=True)
        save(model, processor, folder)
        model.train()

    schedule = Schedule(minutes=minutes, rate=1e-3, warmup_steps=100, weight_decay=5e-2, ema=0.99)
    steps, seconds, loss = train(
        [model, questions, patches], loss_of_batch, schedule, scratch / "clip.pt", on_checkpoint
    )
    save(model, processor, folder)
    report = Report(
        model="clip",
        steps=steps,
        seconds=seconds,
        device=str(where),
        seed=seed,
        loss=loss,
        parameters=sum(p.numel() for p in model.parameters()),
        measured=measure(folder, device=str(where)),
    )
    report.write(folder)
    return report
