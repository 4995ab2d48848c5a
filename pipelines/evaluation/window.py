"""What the working window does for a small subject in a large photograph: ``python -m pipelines.evaluation.window``.

The picture is 4,000 x 3,000 pixels: scikit-image's cup of coffee, side by side with its mirror images, with the grain
of a camera over it; its subject is one of the cups, 300 pixels wide. Each method changes that cup once with the whole
picture before it, once in a window, and once with the colour matched and the grain kept there. The table says how much
detail and how much grain is in the subject's place then, whether what was to be kept is exact, whether a seam can be
seen, and how long it took.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.catalog import CATALOG, settings
from pipelines.contract import EditRequest, Extent, Mask, Picture, Quality, Scope
from pipelines.engine import ASSETS
from pipelines.evaluation.pointing import photographs
from pipelines.evaluation.speed import model_of
from pipelines.masks.refine import bounds, grown
from pipelines.models.bundle import ModelBundle
from pipelines.models.loader import device_named
from pipelines.params import ModelParams, When, Window
from pipelines.pasting import edited_region
from pipelines.progress import silent
from pipelines.surroundings import grain_of
from pipelines.window import run_in_window, window_of

LARGE = Extent(4000, 3000)
SUBJECT = 300
"""Pixels of its longer side, or one more."""
GRAIN = 4.0
"""Levels: standard deviation of the noise over the picture."""
WAYS: dict[str, dict[str, Any]] = {
    "whole": {"window": Window.WHOLE, "match_colour": When.NEVER, "grain": When.NEVER},
    "window": {"window": Window.AUTO, "match_colour": When.NEVER, "grain": When.NEVER},
    "window, matched": {"window": Window.AUTO, "match_colour": When.WINDOW, "grain": When.WINDOW},
}
METHODS = "inpaint,layered,sdedit"
EMBEDDED = ASSETS / "models" / "toybox"


@dataclass(frozen=True)
class Row:
    """One edit."""

    method: str
    way: str
    seen: Extent
    """Pixels of the picture that the model was shown."""
    detail: float
    """`edge_energy` of the subject's place."""
    grain: float
    """Levels: `grain_of` the subject's place, mean of the channels."""
    changed_outside: int
    """Kept pixels that are not as they were."""
    seam: float
    """`seam_rank` of the border of what changed."""
    seconds: float


def scene(extent: Extent = LARGE, subject: int = SUBJECT, grain: float = GRAIN) -> tuple[Picture, Mask]:
    """The picture and its subject, which lies near the middle. The same every time."""
    cup = next(photograph for photograph in photographs() if photograph.name == "coffee")
    across = np.flatnonzero(cup.subject.any(0))
    scale = subject / (across[-1] + 1 - across[0])
    size = round(cup.picture.shape[1] * scale), round(cup.picture.shape[0] * scale)
    tile = cv2.resize(cup.picture, size, interpolation=cv2.INTER_AREA)
    part = cv2.resize(cup.subject.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    rows, columns = -(-extent.height // size[1]), -(-extent.width // size[0])
    picture = np.concatenate(
        [np.concatenate([_mirrored(tile, x % 2, y % 2) for x in range(columns)], 1) for y in range(rows)]
    )[: extent.height, : extent.width]
    noise = np.random.default_rng(0).normal(0, grain, picture.shape)
    mask = np.zeros(picture.shape[:2], np.bool_)
    y, x = rows // 2 * size[1], columns // 2 * size[0]
    place = mask[y : y + size[1], x : x + size[0]]
    place |= _mirrored(part, columns // 2 % 2, rows // 2 % 2)[: place.shape[0], : place.shape[1]] > 0
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8), mask


def _mirrored(tile: NDArray[np.uint8], sides: int, ends: int) -> NDArray[np.uint8]:
    return tile[:: -1 if ends else 1, :: -1 if sides else 1]


def gradients(picture: Picture) -> NDArray[np.float32]:
    """How much each pixel differs from its neighbours: length of Scharr's gradient of the luma, in levels a pixel,
    ``(H, W) float32``."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.magnitude(cv2.Scharr(luma, -1, 1, 0), cv2.Scharr(luma, -1, 0, 1)) / 32)


def edge_energy(picture: Picture, part: Mask) -> float:
    """Mean square of `gradients` over `part`."""
    return float(np.square(gradients(picture)[part]).mean())


def seam_rank(picture: Picture, original: Picture, region: Mask) -> float:
    """Which share of the original's own gradients near `region` the typical gradient on its border exceeds: half of
    them where no seam can be told from the rest of the picture, all where it is drawn like a line.

    The border is two pixels wide, one on either side, and near is within 64 pixels outside of it.
    """
    border = grown(region, 1) & ~grown(region, -1)
    near = grown(region, 64) & ~region
    typical = float(np.median(gradients(picture)[border]))
    return float((gradients(original)[near] < typical).mean())


def grain_in(picture: Picture, part: Mask) -> float:
    """Levels; see `Row`."""
    found = grain_of(picture, part)
    return float("nan") if found is None else float(found[3])


def measured(bundle: ModelBundle, method: str, way: str, request: EditRequest, quality: Quality) -> tuple[Row, Picture]:
    """One edit in one of `WAYS`, and its picture."""
    params = settings(method, quality, card=bundle.card)
    assert isinstance(params, ModelParams), method
    params = replace(params, **WAYS[way])
    place = window_of(request.mask, request.scope, params, bundle.card.resolution)
    began = time.perf_counter()
    result = run_in_window(CATALOG[method].resolve(), bundle, request, params, silent)
    seconds = time.perf_counter() - began
    picture, before = result.candidates[0].picture, request.picture
    seen = Extent.of(before if place is None else before[place])
    if params.paste_back:
        # The region is that of what was shown: its margin is a share of that.
        region = np.zeros_like(request.mask)
        at = (slice(None), slice(None)) if place is None else place
        region[at] = edited_region(np.ascontiguousarray(request.mask[at]), request.scope, request.feather)
    else:
        region = np.zeros_like(request.mask)
        region[place or (slice(None), slice(None))] = True
    near = bounds(request.mask, 4 * SUBJECT)
    after, part = np.ascontiguousarray(picture[near]), np.ascontiguousarray(request.mask[near])
    seam = float("nan")
    if not region.all():
        seam = seam_rank(after, np.ascontiguousarray(before[near]), np.ascontiguousarray(region[near]))
    changed = int((picture[~region] != before[~region]).any(-1).sum())
    return Row(method, way, seen, edge_energy(after, part), grain_in(after, part), changed, seam, seconds), picture


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one line an edit; with ``--out`` writes what lies around the subject, as it was and as it became."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--model", default=str(EMBEDDED), help="a model folder, or random-tiny, random-sd15, random-sdxl"
    )
    parser.add_argument("--methods", default=METHODS, help="separated by commas")
    parser.add_argument("--quality", type=Quality, default=Quality.DRAFT, choices=list(Quality))
    parser.add_argument("--text", default="a red apple", help="what the subject becomes")
    parser.add_argument("--out", type=Path, help="a folder for the pictures")
    asked = parser.parse_args(arguments)
    bundle = model_of(asked.model, device_named("auto"))
    picture, mask = scene()
    request = EditRequest(picture=picture, mask=mask, subject=asked.text, background="", scope=Scope.SUBJECT, seed=7)
    around = bounds(mask, SUBJECT)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[around]).save(asked.out / "before.png")
    before = f"detail {edge_energy(picture, mask):.1f}, grain {grain_in(picture, mask):.1f}"
    print(f"{bundle.card.title}, {LARGE.width} x {LARGE.height} pixels; before: {before}")  # noqa: T201
    print("method           way              seen          detail  grain  changed outside   seam  seconds")  # noqa: T201
    for method in asked.methods.split(","):
        for way in WAYS:
            row, made = measured(bundle, method, way, request, asked.quality)
            print(  # noqa: T201
                f"{row.method:16} {row.way:16} {row.seen.width:4} x {row.seen.height:4}  {row.detail:7.1f}  "
                f"{row.grain:5.1f}  {row.changed_outside:15}  {row.seam:5.2f}  {row.seconds:7.1f}"
            )
            if asked.out:
                Image.fromarray(made[around]).save(asked.out / f"{method}-{way.replace(' ', '-')}.png")


if __name__ == "__main__":
    main()
