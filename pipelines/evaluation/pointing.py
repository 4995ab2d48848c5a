"""How well marks find the subject of a photograph: measured on ten, whose subjects were outlined by hand.

``python -m pipelines.evaluation.pointing`` prints the table and what an answer takes at 12 megapixels. The marks are
made by rule, as a person would make them: one click on the subject's deepest point; its tight box; and the box with two
scribbles, each through the largest part that is still wrong. This file imports torch only where a model is asked for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from pipelines.contract import Extent, Mask, Picture, Point
from pipelines.errors import BadPicture
from pipelines.masks.cut import ColourSegmenter
from pipelines.masks.phrases import box_of
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.masks.refine import deepest_point
from pipelines.masks.segmenter import Embedding, SegmenterAnswer
from pipelines.pictures import decode

PHOTOGRAPHS = Path(__file__).resolve().parents[2] / "assets" / "photographs"
SCRIBBLE = 0.008
"""Of the diagonal: radius of a scribble."""
LARGE = Extent(4000, 3000)

Answers = Callable[[MaskPrompts], SegmenterAnswer]


@dataclass(frozen=True, eq=False)
class Photograph:
    """One of the ten."""

    name: str
    picture: Picture
    subject: Mask


@dataclass(frozen=True)
class Found:
    """What some marks gave."""

    iou: float
    edge: float
    """Mean distance in pixels between the edge that was found and the true one, seen from either."""
    best: float
    """IoU of the best of the alternatives."""


def photographs() -> Iterator[Photograph]:
    """Those that are here: what comes with a package is left out where that package is not installed."""
    for entry in json.loads((PHOTOGRAPHS / "subjects.json").read_text()):
        path = _path(entry["file"])
        if path is None:
            continue
        picture = decode(path.read_bytes()).picture
        yield Photograph(entry["name"], picture, _filled(entry["outline"], Extent.of(picture)))


def _path(file: str) -> Path | None:
    package, _, rest = file.partition("/")
    if not rest:
        return PHOTOGRAPHS / file
    found = importlib.util.find_spec(package)
    path = None if found is None or found.origin is None else Path(found.origin).parent / rest
    return path if path is not None and path.is_file() else None


def _filled(outline: Sequence[Sequence[Sequence[float]]], extent: Extent) -> Mask:
    """The outline's inside; a pixel belongs to it when half of it does."""
    fine = 8
    drawn = np.zeros((extent.height * fine, extent.width * fine), np.uint8)
    cv2.fillPoly(drawn, [np.round(np.array(ring) * fine).astype(np.int32) for ring in outline], 255)
    return np.asarray(cv2.resize(drawn, (extent.width, extent.height), interpolation=cv2.INTER_AREA) >= 128)


def judged(answer: SegmenterAnswer, subject: Mask) -> Found:
    """The answer's best guess against the truth."""
    overlaps = [iou(mask, subject) for mask in answer.masks]
    chosen = answer.best(None)
    return Found(overlaps[chosen], edge_distance(answer.masks[chosen], subject), max(overlaps))


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def edge_distance(a: Mask, b: Mask) -> float:
    """See `Found.edge`; the picture's diagonal where one of the two has no edge."""
    edges = [_edge(mask) for mask in (a, b)]
    if not all(edge.any() for edge in edges):
        return float(np.hypot(*a.shape))
    away = [cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for edge in edges]
    return float((away[1][edges[0]].mean() + away[0][edges[1]].mean()) / 2)


def _edge(mask: Mask) -> Mask:
    """The mask's outermost pixels; where it ends at the picture's border is no edge."""
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mask & (eroded == 0))


def marks_of(subject: Mask) -> tuple[MaskPrompts, MaskPrompts]:
    """One click, and the box."""
    at = deepest_point(subject)
    return MaskPrompts(clicks=(Click(at.x + 0.5, at.y + 0.5),)), MaskPrompts(box=box_of(subject))


def corrected(prompts: MaskPrompts, mask: Mask, subject: Mask) -> MaskPrompts:
    """`prompts` with a scribble through the middle of the largest part in which `mask` is wrong."""
    wrong = mask ^ subject
    if not wrong.any():
        return prompts
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
    piece = pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    depth = cv2.distanceTransform(np.pad(piece, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    deepest = deepest_point(piece)
    _, cores = cv2.connectedComponents((depth >= depth.max() / 2).astype(np.uint8))
    ys, xs = np.nonzero(cores == cores[int(deepest.y), int(deepest.x)])
    one = int(((xs - deepest.x) ** 2 + (ys - deepest.y) ** 2).argmax())
    other = int(((xs - xs[one]) ** 2 + (ys - ys[one]) ** 2).argmax())
    line = tuple(
        Point(x + 0.5, y + 0.5) for x, y in ((xs[one], ys[one]), (deepest.x, deepest.y), (xs[other], ys[other]))
    )
    erase = not bool(subject[int(deepest.y), int(deepest.x)])
    radius = max(0.5, SCRIBBLE * float(np.hypot(*mask.shape)))
    return replace(prompts, scribbles=(*prompts.scribbles, Stroke(line, radius, erase)))


def measured(photograph: Photograph, ask: Answers) -> tuple[Found, Found, Found]:
    """One click; one box; the box and two scribbles."""
    click, box = marks_of(photograph.subject)
    found = [judged(ask(click), photograph.subject)]
    prompts, answer = box, ask(box)
    found.append(judged(answer, photograph.subject))
    for _ in range(2):
        prompts = corrected(prompts, answer.masks[answer.best(None)], photograph.subject)
        answer = ask(prompts)
    found.append(judged(answer, photograph.subject))
    return found[0], found[1], found[2]


def times(photograph: Photograph) -> list[tuple[float, float]]:
    """Of the first answer to a click, of one for a box, and of one for one more mark, at `LARGE`: the seconds, and
    those that processors worked on it, which say more where other programs run beside it."""
    size = (LARGE.width, LARGE.height)
    picture = np.asarray(cv2.resize(photograph.picture, size, interpolation=cv2.INTER_CUBIC))
    subject = cv2.resize(photograph.subject.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    click, box = marks_of(subject)
    segmenter, taken = ColourSegmenter(), []

    def asked(prompts: MaskPrompts, embedding: Embedding | None = None) -> tuple[Embedding, SegmenterAnswer]:
        began, busy = time.perf_counter(), time.process_time()
        embedding = segmenter.embed(picture) if embedding is None else embedding
        answer = segmenter.segment(embedding, prompts)
        taken.append((time.perf_counter() - began, time.process_time() - busy))
        return embedding, answer

    asked(click)
    embedding, answer = asked(box)
    asked(corrected(box, answer.masks[answer.best(None)], subject), embedding)
    return taken


def _asking(segmenter: str, photograph: Photograph) -> Answers:
    if segmenter == ColourSegmenter.name:
        by_colour = ColourSegmenter()
        embedding = by_colour.embed(photograph.picture)
        return lambda prompts: by_colour.segment(embedding, prompts)
    from pipelines.engine import ASSETS
    from pipelines.masks.load import load_segmenter
    from pipelines.models.folders import SEGMENTER, find_model
    from pipelines.models.loader import device_named

    model = load_segmenter(find_model(segmenter, (ASSETS / "models",), SEGMENTER), device_named("auto"))
    seen = model.embed(photograph.picture)
    return lambda prompts: model.segment(seen, prompts)


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segmenter", default=ColourSegmenter.name, help="another one, from assets/models")
    parser.add_argument("--times", action="store_true", help="only the seconds at 12 megapixels")
    asked = parser.parse_args(arguments)
    say = sys.stdout.write
    all_of_them = list(photographs())
    if not all_of_them:
        raise BadPicture(f"{PHOTOGRAPHS} has no photograph that can be read")
    if not asked.times:
        say("IoU (of the best alternative), mean distance of the edge in pixels\n")
        say(f"{'photograph':12}{'one click':>22}{'one box':>22}{'box and two scribbles':>24}\n")
        rows = []
        for photograph in all_of_them:
            row = measured(photograph, _asking(asked.segmenter, photograph))
            rows.append(row)
            say(f"{photograph.name:12}" + "".join(f"{_cell(found):>23}" for found in row) + "\n")
        means = [
            Found(*(statistics.fmean(getattr(row[k], name) for row in rows) for name in ("iou", "edge", "best")))
            for k in range(3)
        ]
        say(f"{'mean of ' + str(len(rows)):12}" + "".join(f"{_cell(found):>23}" for found in means) + "\n")
    say(f"\nseconds (a processor's) at {LARGE.width} x {LARGE.height}: first click, first box, one more mark\n")
    for photograph in all_of_them:
        say(f"{photograph.name:12}" + "".join(f"{took:8.2f} ({work:.2f})" for took, work in times(photograph)) + "\n")


def _cell(found: Found) -> str:
    return f"{found.iou:.3f} ({found.best:.3f}) {found.edge:5.1f}"


if __name__ == "__main__":
    main()
