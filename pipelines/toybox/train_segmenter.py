"""Trains the Toybox segmenter: a small `segment_anything` network, 256 pixels a side, for clicks and boxes.

Half of what it sees are Toybox scenes. The other half are collages of cut-out subjects and plain or textured blobs
over unrelated grounds, where only the click says which thing is meant: they keep it from merely knowing the Toybox
subjects by heart, and make its masks usable on a photograph.

The decoder's four masks have fixed roles instead of SAM's "whichever fits best": 0 what is asked for (more prompts
than a click), 1 the part of one colour under the click, 2 the whole subject, 3 the subject with its shadow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from segment_anything.modeling import Sam
from torch import Tensor

from pipelines.contract import Box, Mask, Picture
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.sam import SamConfig, SamSegmenter, build_sam, load_sam, save_sam
from pipelines.masks.snap import snapped
from pipelines.toybox.data import HELD_OUT_SEED, TRAINING_SEED, Scenes, draw_scenes
from pipelines.toybox.render import SIZE, render_subject
from pipelines.toybox.training import Schedule, train
from pipelines.training.common import Report, best_device, fast_arithmetic

CONFIG = SamConfig(
    encoder_width=96,
    encoder_depth=5,
    encoder_heads=3,
    global_attention=(1, 4),
    image_size=SIZE,
    patch_size=8,
    window_size=8,
    width=96,
    decoder_heads=4,
    decoder_mlp=256,
    score_depth=2,
    score_width=64,
    labels=("part", "subject", "with shadow"),
)
"""32 x 32 patches, so masks of 128 x 128: the subjects' thin parts are lost on SAM's usual 4 pixels a cell."""

PART, WHOLE, SHADOWED = 0, 1, 2
"""Rows of an example's targets; the decoder's mask of that role is one further."""

Random = np.random.Generator


@dataclass(frozen=True)
class Example:
    """A picture and things in it that can be clicked."""

    picture: Picture
    """``(256, 256, 3) uint8``; beyond `extent` it is padding."""
    extent: tuple[int, int]
    """Height and width that the picture really covers."""
    things: list[tuple[Mask, Mask]]
    """(thing, thing with its shadow), each ``(256, 256) bool``."""


# ------------------------------------------------------------------------------------------------------- pictures


def scene_example(scenes: Scenes, index: int) -> Example:
    """A Toybox scene as it is, with its one subject."""
    subject = scenes.scenes[index].subject
    assert subject is not None, "segmenter scenes are drawn without empty ones"
    _, shadow = render_subject(subject)
    whole = scenes.masks[index]
    return Example(scenes.pictures[index], (SIZE, SIZE), [(whole, whole | (shadow[..., 3] >= 40))])


def cropped(example: Example, rng: Random) -> Example:
    """A random window of the picture, up to 3 : 1, resized as SAM does and padded to the right and below."""
    height, width = (int(v) for v in SIZE * rng.uniform(0.33, 1.0, 2))
    thing = example.things[0][0]
    ys, xs = np.nonzero(thing)
    top = int(np.clip(ys.mean() - height * rng.uniform(0.3, 0.7), 0, SIZE - height))
    left = int(np.clip(xs.mean() - width * rng.uniform(0.3, 0.7), 0, SIZE - width))
    scale = SIZE / max(height, width)
    h, w = int(height * scale + 0.5), int(width * scale + 0.5)

    def moved(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        window = np.ascontiguousarray(plane[top : top + height, left : left + width])
        out: NDArray[np.uint8] = np.zeros((SIZE, SIZE, *plane.shape[2:]), np.uint8)
        out[:h, :w] = cv2.resize(window, (w, h), interpolation=cv2.INTER_LINEAR)
        return out

    def moved_mask(mask: Mask) -> Mask:
        return moved(mask.astype(np.uint8) * 255) >= 128

    things = [(moved_mask(a), moved_mask(b)) for a, b in example.things]
    return Example(moved(example.picture), (h, w), things)


def texture(rng: Random) -> Picture:
    """A ground or a filling: one colour, a gradient, soft clouds, a fine grain or stripes."""
    cells = int(rng.choice([1, 2, 3, 6, 24]))
    spread = float(rng.choice([15, 40, 120]))
    colours = rng.uniform(0, 255, 3) + rng.uniform(-spread, spread, (cells, cells, 3))
    if rng.random() < 0.15:
        colours = np.tile(rng.uniform(0, 255, (int(rng.integers(4, 16)), 1, 3)), (1, 4, 1))
    interpolation = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    grown = cv2.resize(np.clip(colours, 0, 255).astype(np.float32), (SIZE, SIZE), interpolation=interpolation)
    turned = grown.transpose(1, 0, 2) if rng.random() < 0.5 else grown
    filling: Picture = np.clip(turned, 0, 255).astype(np.uint8)
    return filling


def blob(rng: Random) -> Mask:
    """A smooth or angular shape somewhere in the picture."""
    corners = int(rng.choice([3, 4, 5, 6, 60, 60]))
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6.28)
    radius = rng.uniform(16, 70) * np.ones(corners)
    for k in (2, 3, 4, 5):
        radius *= 1 + rng.uniform(-0.22, 0.22) * np.sin(k * angle + rng.uniform(0, 6.28))
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.35, 1)], 1)
    turn = rng.uniform(0, 6.28)
    points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    out = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(out, [(points + rng.uniform(20, SIZE - 20, 2)).astype(np.int32)], 1)
    return out.astype(np.bool_)


def cutout(scenes: Scenes, rng: Random) -> tuple[Picture, Mask]:
    """A Toybox subject at another place, size and angle."""
    index = int(rng.integers(len(scenes.scenes)))
    ys, xs = np.nonzero(scenes.masks[index])
    centre = (float(xs.mean()), float(ys.mean()))
    matrix = cv2.getRotationMatrix2D(centre, rng.normal(0, 40), rng.uniform(0.6, 2.2))
    matrix[:, 2] += rng.uniform(30, SIZE - 30, 2) - centre
    picture = cv2.warpAffine(scenes.pictures[index], matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(scenes.masks[index].astype(np.uint8) * 255, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    return picture.astype(np.uint8), mask >= 128


def collage(scenes: Scenes, rng: Random) -> Example:
    """One to five things over a ground they have nothing to do with; later ones cover earlier ones."""
    plain = rng.random() < 0.6
    picture = (texture(rng) if plain else scenes.pictures[rng.integers(len(scenes.scenes))]).copy()
    owner = np.zeros((SIZE, SIZE), np.int32)
    for k in range(1, int(rng.integers(2, 7))):
        filling, mask = cutout(scenes, rng) if rng.random() < 0.4 else (texture(rng), blob(rng))
        picture[mask] = filling[mask]
        owner[mask] = k
    masks = [owner == k for k in range(1, owner.max() + 1)]
    masks = [mask for mask in masks if mask.sum() > 250] or [owner == owner.max()]
    return Example(cv2.GaussianBlur(picture, (3, 3), 0.7).astype(np.uint8), (SIZE, SIZE), [(m, m) for m in masks])


def weathered(picture: Picture, rng: Random) -> Picture:
    """Another exposure and white balance, sometimes blurred or grainy."""
    x = picture.astype(np.float32)
    x = x * rng.normal(1, 0.12) * rng.normal(1, 0.05, 3).astype(np.float32) + rng.normal(0, 12)
    if rng.random() < 0.25:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.4)).astype(np.float32)
    if rng.random() < 0.3:
        x = x + rng.standard_normal(x.shape, np.float32) * rng.uniform(2, 12)
    return np.clip(x, 0, 255).astype(np.uint8)


def draw_example(scenes: Scenes, rng: Random) -> Example:
    """A scene or a collage, some of them cropped, most of them weathered."""
    is_scene = rng.random() < 0.5
    example = scene_example(scenes, int(rng.integers(len(scenes.scenes)))) if is_scene else collage(scenes, rng)
    if rng.random() < 0.4:
        moved = cropped(example, rng)
        things = [thing for thing in moved.things if thing[0].sum() > 100]
        if things:
            example = Example(moved.picture, moved.extent, things)
    if rng.random() < 0.7:
        example = Example(weathered(example.picture, rng), example.extent, example.things)
    return example


# -------------------------------------------------------------------------------------------------------- prompts


def inner_point(mask: Mask, rng: Random) -> tuple[int, int]:
    """A random (x, y) of `mask`, away from its edge where it is thick enough: where a person would click."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    ys, xs = np.nonzero(depth >= min(3.0, float(depth.max())))
    k = int(rng.integers(len(xs)))
    return int(xs[k]), int(ys[k])


def part_under(picture: Picture, whole: Mask, point: tuple[int, int]) -> Mask:
    """The connected region of `whole` around `point` that has nearly the colour found there."""
    walls = np.pad(~whole, 1, constant_values=True).astype(np.uint8)
    smooth = cv2.medianBlur(picture, 3)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (2 << 8)
    cv2.floodFill(smooth, walls, point, 0, (36,) * 3, (36,) * 3, flags)
    part = cv2.morphologyEx((walls[1:-1, 1:-1] == 2).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    region: Mask = np.logical_and(part, whole)
    return region


def correction(found: Mask, wanted: Mask) -> Click | None:
    """The click that SAM's own evaluation makes next: the middle of the largest wrong region."""
    wrong = np.pad(found ^ wanted, 1).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(wrong, connectivity=4)
    if count < 2:
        return None
    largest = names == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    depth = cv2.distanceTransform(largest.astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(float(x), float(y), bool(wanted[y, x]))


def jittered_box(mask: Mask, rng: Random | None) -> Box:
    """The tight box of `mask`; with `rng` each edge off by up to a tenth of the side, as a hand draws it."""
    ys, xs = np.nonzero(mask)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float64)
    if rng is not None:
        side = np.array([box[2] - box[0], box[3] - box[1]])
        box = np.clip(box + np.tile(side, 2) * np.clip(rng.normal(0, 0.04, 4), -0.1, 0.1), 0, SIZE)
    return Box(*box.tolist())


# ------------------------------------------------------------------------------------------------------- training


def to_network(sam: Sam, examples: list[Example], device: torch.device) -> Tensor:
    """``(B, 3, 256, 256) float32`` normalised as SAM does, zero in the padding."""
    x = torch.from_numpy(np.stack([e.picture for e in examples])).to(device).permute(0, 3, 1, 2).float()
    x = torch.sub(x, sam.pixel_mean).div(sam.pixel_std)
    for row, example in zip(x, examples, strict=True):
        height, width = example.extent
        row[:, height:], row[:, :, width:] = 0, 0
    return x


def _coverage(masks: list[Mask], side: int, device: torch.device) -> Tensor:
    """How much of each of ``side x side`` cells is subject: ``(N, side, side) float32`` in [0, 1]."""
    small = [cv2.resize(m.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for m in masks]
    return torch.from_numpy(np.stack(small)).to(device)


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """20 x focal + dice as SAM is trained, for soft targets; both ``(..., h, w)``, returns ``(...)``."""
    p = logits.sigmoid()
    focal = (wanted - p).square() * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    overlap = 2 * (p * wanted).sum((-2, -1)) + 1
    dice = 1 - overlap / (p.square().sum((-2, -1)) + wanted.square().sum((-2, -1)) + 1)
    return 20 * focal.mean((-2, -1)) + dice


def _iou(logits: Tensor, wanted: Tensor) -> Tensor:
    found, meant = logits > 0, wanted > 0.5
    union = (found | meant).sum((-2, -1)).clamp(min=1)
    return (found & meant).sum((-2, -1)) / union


def decode(
    sam: Sam, features: Tensor, points: Tensor | None, signs: Tensor | None, boxes: Tensor | None, before: Tensor | None
) -> tuple[Tensor, Tensor]:
    """All four masks ``(P, 4, h, w)`` and scores ``(P, 4)`` of P prompts on one picture, ``(1, C, h/4, w/4)``."""
    with torch.autocast(features.device.type, enabled=False):  # coordinates need every digit
        sparse, dense = sam.prompt_encoder(
            points=None if points is None or signs is None else (points, signs), boxes=boxes, masks=before
        )
        position = sam.prompt_encoder.get_dense_pe()
    masks, scores = sam.mask_decoder.predict_masks(features, position, sparse, dense)
    return masks.float(), scores.float()


def loss_of_example(sam: Sam, features: Tensor, example: Example, rng: Random, prompts: int) -> Tensor:
    """Clicks or boxes on one picture, `prompts` of them side by side, then corrections of what came out."""
    device = features.device
    side = 4 * features.shape[-1]
    things = [example.things[int(rng.integers(len(example.things)))] for _ in range(prompts)]
    clicks = [inner_point(whole, rng) for whole, _ in things]
    parts = [part_under(example.picture, whole, point) for (whole, _), point in zip(things, clicks, strict=True)]
    roles = [[part, whole, shadowed] for part, (whole, shadowed) in zip(parts, things, strict=True)]
    wanted = _coverage([mask for row in roles for mask in row], side, device).view(prompts, 3, side, side)
    with_box = rng.random() < 0.2
    if with_box:
        corners = [jittered_box(whole, rng) for whole, _ in things]
        boxes = torch.tensor([[b.left, b.top, b.right, b.bottom] for b in corners], dtype=torch.float32, device=device)
        masks, scores = decode(sam, features, None, None, boxes, None)
        loss = mask_loss(masks[:, 0], wanted[:, WHOLE]).mean()
        score_loss = (scores[:, 0] - _iou(masks[:, 0], wanted[:, WHOLE])).square().mean()
        aims, start = [WHOLE] * prompts, masks[:, 0]
    else:
        boxes = None
        first = torch.tensor(clicks, dtype=torch.float32, device=device)[:, None]
        masks, scores = decode(sam, features, first, torch.ones(prompts, 1, device=device), None, None)
        targets = torch.cat([wanted[:, WHOLE:SHADOWED], wanted], 1)  # (P, 4, h, w): mask 0 is the whole again
        weights = torch.tensor([0.5, 0.25, 1.0, 0.25], device=device)
        loss = (mask_loss(masks, targets) * weights).sum(1).mean()
        # Every mask is scored by how well it gives the whole subject, which is what a click mostly means.
        score_loss = (scores - _iou(masks, wanted[:, WHOLE:SHADOWED])).square().mean()
        aims = [int(a) for a in rng.choice([PART, WHOLE, SHADOWED], prompts, p=[0.15, 0.75, 0.1])]
        start = masks[torch.arange(prompts), torch.tensor(aims) + 1]
    # Corrections on top of the start's own mask, as `SamSegmenter.segment` asks.
    extra = int(rng.integers(1, 4))
    points = np.zeros((prompts, extra, 2), np.float32)
    signs = np.ones((prompts, extra), np.float32)
    found = (F.interpolate(start[:, None].detach(), (SIZE, SIZE), mode="bilinear")[:, 0] > 0).cpu().numpy()
    for i, aim in enumerate(aims):
        meant = roles[i][aim]
        for k in range(extra):
            click = correction(found[i], meant) if k == 0 else None
            if click is not None and (found[i] ^ meant).sum() > 20:
                points[i, k], signs[i, k] = (click.x, click.y), click.include
            elif rng.random() < 0.5 or meant.all():
                points[i, k] = inner_point(meant, rng)
            else:
                points[i, k], signs[i, k] = inner_point(~meant, rng), 0
    where, which = torch.from_numpy(points).to(device), torch.from_numpy(signs).to(device)
    if not with_box:
        where, which = torch.cat([first, where], 1), torch.cat([torch.ones_like(which[:, :1]), which], 1)
    masks, scores = decode(sam, features, where, which, boxes, start.detach()[:, None])
    meant_cells = wanted[torch.arange(prompts), torch.tensor(aims)]
    loss = loss + mask_loss(masks[:, 0], meant_cells).mean()
    score_loss = score_loss + (scores[:, 0] - _iou(masks[:, 0], meant_cells)).square().mean()
    return loss + score_loss


# ------------------------------------------------------------------------------------------------------ measuring


def _overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def measure(folder: Path, count: int = 128, device: str = "cpu") -> dict[str, float]:
    """Mean IoU on held-out scenes through the real `Segmenter`, and the milliseconds of an embedding and a click.

    The first click is a random point at least 3 pixels inside the subject, the best scored mask is taken, and each
    further click is the middle of the largest wrong region. What is called snapped has its edge drawn along the
    picture's, as the studio does with this segmenter unless it is told not to.
    """
    segmenter = load_sam(folder, device)
    scenes = draw_scenes(count, HELD_OUT_SEED, empty=0, workers=1)
    rng = np.random.default_rng(HELD_OUT_SEED)
    ways: dict[str, Callable[[Mask, Picture], Mask]] = {"": lambda mask, _: mask, "snapped_": snapped}
    overlaps: dict[str, list[float]] = {f"{way}{n}": [] for way in ways for n in ("one_click", "three_clicks", "box")}
    embedding_ms, click_ms = [], []
    for picture, mask in zip(scenes.pictures, scenes.masks, strict=True):
        started = time.perf_counter()
        embedding = segmenter.embed(picture)
        embedding_ms.append(1000 * (time.perf_counter() - started))
        first = Click(*inner_point(mask, rng))
        boxed = segmenter.segment(embedding, MaskPrompts(box=jittered_box(mask, None)))
        for way, drawn in ways.items():
            clicks: tuple[Click, ...] = (first,)
            for asked in (1, 2, 3):
                started = time.perf_counter()
                answer = segmenter.segment(embedding, MaskPrompts(clicks=clicks))
                click_ms.append(1000 * (time.perf_counter() - started))
                found = drawn(answer.masks[answer.best(None)], picture)
                if asked == 1:
                    overlaps[f"{way}one_click"].append(_overlap(found, mask))
                following = correction(found, mask)
                clicks = clicks if following is None else (*clicks, following)
            overlaps[f"{way}three_clicks"].append(_overlap(found, mask))
            overlaps[f"{way}box"].append(_overlap(drawn(boxed.masks[0], picture), mask))
    measured = {f"{name}_miou": float(np.mean(values)) for name, values in overlaps.items()}
    measured["one_click_share_over_0.8"] = float(np.mean(np.array(overlaps["one_click"]) > 0.8))
    return {**measured, "embed_ms": float(np.median(embedding_ms)), "click_ms": float(np.median(click_ms))}


def _shown(picture: Picture, mask: Mask, clicks: tuple[Click, ...]) -> Picture:
    """The picture dimmed outside of `mask`, its outline drawn, green dots for clicks that include, red for others."""
    out = np.where(mask[..., None], picture, picture // 3).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, outlines, -1, (255, 255, 255), 1)
    for click in clicks:
        cv2.circle(out, (int(click.x), int(click.y)), 4, (60, 230, 90) if click.include else (240, 60, 60), -1)
    return out


def sample_sheet(segmenter: SamSegmenter, held_out: Scenes) -> Picture:
    """Five held-out scenes and three collages; rows: part, subject, with shadow, after a second click, box."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    examples = [scene_example(held_out, k) for k in range(5)] + [collage(held_out, rng) for _ in range(3)]
    columns = []
    for example in examples:
        whole = example.things[0][0]
        embedding = segmenter.embed(example.picture)
        clicks: tuple[Click, ...] = (Click(*inner_point(whole, rng)),)
        first = segmenter.segment(embedding, MaskPrompts(clicks=clicks))
        cells = [_shown(example.picture, mask, clicks) for mask in first.masks]
        following = correction(first.masks[first.best(None)], whole)
        clicks = clicks if following is None else (*clicks, following)
        second = segmenter.segment(embedding, MaskPrompts(clicks=clicks))
        cells.append(_shown(example.picture, second.masks[second.best(None)], clicks))
        boxed = segmenter.segment(embedding, MaskPrompts(box=jittered_box(whole, rng)))
        columns.append(np.concatenate([*cells, _shown(example.picture, boxed.masks[0], ())]))
    return np.concatenate(columns, 1)


def main(
    folder: Path,
    minutes: float,
    device: str = "auto",
    scratch: Path = Path("build"),
    batch: int = 4,
    prompts: int = 4,
    count: int = 2000,
    seed: int = 0,
) -> Report:
    """Train for `minutes`, resuming from ``scratch/segmenter.pt``; write weights, figures and ``sample.png``.

    Weights that are in `folder` already are the beginning, as they are for the text-to-image model.
    """
    where = best_device(device)
    torch.manual_seed(seed)
    scenes = draw_scenes(count, TRAINING_SEED, empty=0, workers=1)
    held_out = draw_scenes(16, HELD_OUT_SEED, empty=0, workers=1)
    sam = build_sam(CONFIG)
    if (folder / "model.safetensors").exists():
        sam.load_state_dict(load_sam(folder).sam.state_dict())
    sam = sam.to(where).train()

    def loss_of_batch(step: int, done: float) -> Tensor:
        rng = np.random.default_rng((seed, step))
        examples = [draw_example(scenes, rng) for _ in range(batch)]
        with fast_arithmetic(where):
            features = sam.image_encoder(to_network(sam, examples, where))
            losses = [
                loss_of_example(sam, row[None], example, rng, prompts)
                for row, example in zip(features, examples, strict=True)
            ]
        return torch.stack(losses).mean()

    def on_checkpoint(step: int) -> None:
        save_sam(sam, CONFIG, folder)
        measured = measure(folder, 8, str(where))
        print({name: round(value, 3) for name, value in measured.items()}, flush=True)

    schedule = Schedule(minutes=minutes, rate=1e-3, warmup_steps=100, weight_decay=1e-2, ema=0.995)
    steps, seconds, loss = train([sam], loss_of_batch, schedule, scratch / "segmenter.pt", on_checkpoint)
    save_sam(sam, CONFIG, folder)
    Image.fromarray(sample_sheet(load_sam(folder, where), held_out)).save(folder / "sample.png")
    report = Report(
        model="segmenter",
        steps=steps,
        seconds=seconds,
        device=str(where),
        seed=seed,
        loss=loss,
        parameters=sum(p.numel() for p in sam.parameters()),
        measured=measure(folder, device=str(where)),
    )
    report.write(folder)
    return report
