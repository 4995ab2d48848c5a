"""Cuts a subject out by its colours and edges alone: a `Segmenter` without a network. No torch here.

A box, or the first mark on the subject, gives up to three proposals by GrabCut (Rother et al., SIGGRAPH 2004) from as
many first guesses of where the subject ends. Every further mark, a click or a scribble, repairs what it touches and
nothing else: how far is told by how deep in the wrong part it lies, since a mark close to the edge means a small piece
and one far inside a large one. Nothing ever leaves the box.

All of that happens on small copies: the guesses are cut in one of `GUESSED` pixels and sharpened in one of `SEEN`,
where marks repair as well. The edge is then drawn at full size by a guided filter (He et al.,
"Guided Image Filtering", TPAMI 2013; "Fast Guided Filter", 2015), which asks for the colours of pixels near it only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.cache import Cache
from pipelines.contract import Box, Extent, Mask, Picture, Point
from pipelines.errors import BadRequest
from pipelines.masks.passes import LABELS, check_prompts
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.masks.refine import paint
from pipelines.masks.segmenter import Embedding, SegmenterAnswer

NAME = "colour"
"""What the command line and the settings call it; no model folder is of that name."""
VERSION = 1
"""Goes up when the same marks on the same picture give another mask."""

GUESSED = 176
"""Pixels of the longer side of the picture in which the first guesses are cut."""
SEEN = 320
"""Pixels of the longer side of the picture in which they are sharpened, and marks repair."""
EDGES = 512
"""Pixels of the longer side of the picture in which the edge is looked for."""
ROUNDS = 2
"""Of GrabCut, each of which learns the colours anew and cuts."""
AROUND_A_CLICK = (0.16, 0.28, 0.40)
"""Of the diagonal: within that of a click its subject is thought to lie, at first; small, medium and large."""
BEYOND = 1.9
"""Times that, beyond which it surely does not."""
IN_A_BOX = ((math.inf, 0.04), (0.6, 0.04), (1.0, 0.3))
"""Squared radii, in units of the ellipse that touches the box: within the first the subject is thought to lie at first,
within the second it surely does."""
BOX_MARGIN = 0.25
"""Of the box's sides: so much around it tells the colours of the background."""
SMALL_BOX = 0.3
"""Of the picture: what is in a smaller box is too thin in the smallest copy, and quickly cut in the other."""
MARK = 0.008
"""Of the diagonal: radius of a click's mark."""
ALIKE = 18.0
"""CIELAB distance (of 8-bit values) up to which a pixel has a mark's colour."""
MEANT = 4.0
"""Times the depth of a mark in the wrong part, as far as it may change anything."""
SMALLEST_PIECE = 0.05
"""Of the largest piece's area: smaller ones in a box are islands."""
USUAL = {"small": 0.5, "medium": 1.0, "large": 2 / 3}
"""How likely a lone click means that proposal, before its edge is looked at."""
KEPT = 64
"""Masks that are remembered of a picture, so that one more mark costs one repair."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A small copy of a picture."""

    small: Picture
    lab: NDArray[np.float32]
    """`small` in CIELAB, smoothed a little."""
    scale: tuple[float, float]
    """Pixels of `small` for one of the picture: across, and down."""

    @classmethod
    def of(cls, picture: Picture, side: int, extent: Extent) -> _Seen:
        """`picture` (of one that is of `extent`) with `side` pixels on its longer side at most."""
        own = Extent.of(picture)
        seen = own if max(own.width, own.height) <= side else own.fitted_inside(Extent(side, side))
        small = _shrunk(picture, seen)
        lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (0, 0), 1.0).astype(np.float32)
        return cls(small, lab, (seen.width / extent.width, seen.height / extent.height))

    @property
    def diagonal(self) -> float:
        return math.hypot(*self.small.shape[:2])


@dataclass(frozen=True, eq=False)
class _Features:
    """What is kept of a picture."""

    picture: Picture
    seen: _Seen
    guessed: _Seen
    cuts: Cache[object, SegmenterAnswer] = field(default_factory=lambda: Cache(KEPT))
    """Answers at the size of `seen` by what was asked."""


Mark = tuple[Mask, bool]
"""Where a mark lies, and whether what is there belongs to the subject."""


class ColourSegmenter:
    """See the module. It has no weights; what it remembers of a picture is in that picture's `Embedding`."""

    name = NAME

    def embed(self, picture: Picture) -> Embedding:
        """See `Segmenter.embed`: no more than a small copy. The picture itself is kept for its edges."""
        extent = Extent.of(picture)
        seen = _Seen.of(picture, SEEN, extent)
        features = _Features(picture, seen, _Seen.of(seen.small, GUESSED, extent))
        return Embedding(extent, self.name, features, picture.nbytes + (6 + KEPT) * seen.small.nbytes)

    def segment(self, embedding: Embedding, prompts: MaskPrompts) -> SegmenterAnswer:
        """See `Segmenter.segment`; scribbles count as marks."""
        embedding.check_made_by(self.name)
        check_prompts(prompts, embedding.extent)
        features: _Features = embedding.features
        found = _found(features, prompts)
        masks = [_drawn(mask, features.picture, prompts.box) for mask in found.masks]
        return replace(found, masks=np.stack(masks))


def _found(features: _Features, prompts: MaskPrompts) -> SegmenterAnswer:
    """The answer at the size of what is seen."""
    seen, guessed, cuts = features.seen, features.guessed, features.cuts
    marks: list[Click | Stroke] = [*prompts.clicks, *prompts.scribbles]
    asked: tuple[str, Box | Click | Stroke]
    if prompts.box is not None:
        within = prompts.box
        box = _rows_and_columns(within, seen)
        area = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        guessing = seen if area < SMALL_BOX * seen.small.shape[0] * seen.small.shape[1] else guessed
        answer = cuts.get(
            ("box", prompts.box),
            lambda: _sharpened(_in_the_box(guessing, _rows_and_columns(within, guessing)), seen, box),
        )
        further, asked = marks, ("box", prompts.box)
    else:
        first = next((mark for mark in marks if _includes(mark)), None)
        if first is None:
            raise BadRequest("mark the subject itself, or draw a box around it, before excluding parts of it")
        box = slice(0, seen.small.shape[0]), slice(0, seen.small.shape[1])
        answer = cuts.get(("first", first), lambda: _sharpened(_around(guessed, _mark(first, guessed)), seen, box))
        further, asked = [mark for mark in marks if mark is not first], ("first", first)
    if not further:
        return answer
    chosen = answer.best(prompts.choice)
    for count in range(1, len(further) + 1):
        before, now = answer.masks[chosen if count == 1 else 0], tuple(further[:count])

        def repaired(before: Mask = before, now: tuple[Click | Stroke, ...] = now) -> SegmenterAnswer:
            mask = _repaired(before, seen, [_mark(mark, seen) for mark in now], box)
            return SegmenterAnswer(mask[None], np.ones(1, np.float32), ("subject",))

        answer = cuts.get((asked, chosen, now), repaired)
    return answer


# ------------------------------------------------------------------------------------------------------ the first guess


def _around(seen: _Seen, mark: Mark) -> SegmenterAnswer:
    """What a lone mark may mean: one proposal for each of `AROUND_A_CLICK`, its labels by size."""
    distance = _distance(mark[0]) / seen.diagonal
    guesses = []
    for radius in AROUND_A_CLICK:
        labels = np.where(distance < radius, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[distance > BEYOND * radius] = cv2.GC_BGD
        labels[(distance < radius / 8) & (distance < 2 * MARK)] = cv2.GC_FGD
        labels[mark[0]] = cv2.GC_FGD
        guesses.append(labels)
    cuts = [_filled(_joined(cut, mark[0])) | mark[0] for cut in _grabbed(seen.small, guesses)]
    scores = [_edge(seen, cut) * USUAL[label] for cut, label in zip(cuts, LABELS, strict=True)]
    return _answer(cuts, scores)


def _in_the_box(seen: _Seen, box: tuple[slice, slice]) -> SegmenterAnswer:
    """What a box may hold: one proposal for each of `IN_A_BOX`, the best of which reaches its sides and has the
    clearest edge."""
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    down, across = math.ceil(BOX_MARGIN * height) + 2, math.ceil(BOX_MARGIN * width) + 2
    window = (
        slice(max(0, rows.start - down), min(seen.small.shape[0], rows.stop + down)),
        slice(max(0, columns.start - across), min(seen.small.shape[1], columns.stop + across)),
    )
    y, x = np.mgrid[window]
    middle = ((rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2)
    ellipse = ((y - middle[0]) * 2 / height) ** 2 + ((x - middle[1]) * 2 / width) ** 2
    inside = (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
    guesses = []
    for likely, sure in IN_A_BOX:
        labels = np.where(inside & (ellipse < likely), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[ellipse < sure] = cv2.GC_FGD
        labels[~inside] = cv2.GC_BGD
        guesses.append(labels)
    cuts = []
    for cut in _grabbed(np.ascontiguousarray(seen.small[window]), guesses):
        whole = np.zeros(seen.small.shape[:2], np.bool_)
        whole[window] = _filled(_without_islands(cut & inside))
        cuts.append(whole)
    scores = [min(_reach(cut, box), 0.95) + 0.05 * _edge(seen, cut) for cut in cuts]
    return _answer(cuts, scores)


def _answer(cuts: Sequence[Mask], scores: Sequence[float]) -> SegmenterAnswer:
    """The proposals from the smallest to the largest; of those that are nearly the same, the best."""
    kept: list[tuple[Mask, float]] = []
    for cut, score in sorted(zip(cuts, scores, strict=True), key=lambda pair: -pair[1]):
        if all((cut & other).sum() < 0.97 * (cut | other).sum() for other, _ in kept):
            kept.append((cut, score))
    kept.sort(key=lambda pair: int(pair[0].sum()))
    names = {1: ("subject",), 2: (LABELS[0], LABELS[2]), 3: LABELS}[len(kept)]
    return SegmenterAnswer(
        np.stack([cut for cut, _ in kept]), np.array([score for _, score in kept], np.float32).clip(0, 1), names
    )


def _sharpened(guess: SegmenterAnswer, seen: _Seen, box: tuple[slice, slice]) -> SegmenterAnswer:
    """The proposals at the size of `seen`, cut once more where they end, and nothing outside `box`."""
    height, width = seen.small.shape[:2]
    inside = np.zeros((height, width), np.bool_)
    inside[box] = True
    masks = []
    for coarse in guess.masks:
        share = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        mask = (share > 0.5) & inside
        if coarse.shape != mask.shape and mask.any() and not mask.all():
            band = _distance(mask) + _distance(~mask) <= math.ceil(2 * width / coarse.shape[1]) + 1
            labels = np.where(mask, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
            labels[band] = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD)[band]
            labels[~inside] = cv2.GC_BGD
            window = _window(mask, 16)
            (cut,) = _grabbed(np.ascontiguousarray(seen.small[window]), [labels[window].copy()], rounds=1)
            mask[window] = cut
        masks.append(mask)
    return replace(guess, masks=np.stack(masks))


def _grabbed(picture: Picture, guesses: Sequence[NDArray[np.uint8]], rounds: int = ROUNDS) -> list[Mask]:
    """GrabCut from each guess; one that leaves no subject or no background is the answer itself."""

    def cut(labels: NDArray[np.uint8]) -> Mask:
        subject = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        if subject.all() or not subject.any():
            return np.asarray(subject)
        cv2.setRNGSeed(0)  # the first guess of the colours is drawn, by this thread
        cv2.grabCut(picture, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_MASK)
        return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))

    if len(guesses) == 1:
        return [cut(guesses[0])]
    with ThreadPoolExecutor(len(guesses)) as pool:
        return list(pool.map(cut, guesses))


def _edge(seen: _Seen, cut: Mask) -> float:
    """How clearly the colours on both sides of the edge differ, 0 to 1: the quarter of it where they do so least."""
    inner, outer = (_ring(part) for part in (cut, ~cut))
    across = 13
    within, beyond = (cv2.blur(ring.astype(np.float32), (across, across)) for ring in (inner, outer))
    edge = cut & (cv2.erode(cut.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0) & (within > 0.02) & (beyond > 0.02)
    if not edge.any():
        return 0.0
    means = [
        cv2.blur(seen.lab * ring[..., None], (across, across))[edge] / share[edge][:, None]
        for ring, share in ((inner, within), (outer, beyond))
    ]
    apart = float(np.percentile(np.linalg.norm(means[0] - means[1], axis=-1), 25))
    return apart / (apart + 40)


def _ring(part: Mask) -> Mask:
    """Two to four pixels inside the edge of `part`."""
    depth = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray((depth > 1) & (depth <= 4))


def _reach(cut: Mask, box: tuple[slice, slice]) -> float:
    """The share of the box that the smallest box around `cut` has."""
    if not cut.any():
        return 0.0
    rows, columns = np.flatnonzero(cut.any(1)), np.flatnonzero(cut.any(0))
    own = (rows[-1] + 1 - rows[0]) * (columns[-1] + 1 - columns[0])
    return float(own / ((box[0].stop - box[0].start) * (box[1].stop - box[1].start)))


# ----------------------------------------------------------------------------------------------------------- a repair


def _repaired(mask: Mask, seen: _Seen, marks: Sequence[Mark], box: tuple[slice, slice]) -> Mask:
    """`mask` with its last mark heeded, all earlier ones kept, and nothing changed far from it."""
    *earlier, (at, includes) = marks
    inside = np.zeros_like(mask)
    inside[box] = True
    at = at & inside
    wrong = (mask != includes) & inside
    after = mask.copy()
    after[at] = includes
    if not (wrong & at).any():
        return after
    depth = float(cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1][at].max())
    reach = max(MEANT * depth, 0.02 * seen.diagonal)
    window = _window(at, math.ceil(reach + 0.15 * seen.diagonal))
    at, inside, wrong, before = at[window], inside[window], wrong[window], mask[window]
    zone = _distance(at) < reach
    alike = (_colour_distance(seen.lab[window], at) < ALIKE) & zone & wrong | at
    piece = _joined(alike, at)
    labels = np.where(before, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[piece] = cv2.GC_PR_FGD if includes else cv2.GC_PR_BGD
    free = (_distance(piece) < max(4.0, min(depth, 0.06 * seen.diagonal))) & zone & inside
    labels[~free] = np.where(before, cv2.GC_FGD, cv2.GC_BGD)[~free]
    for spot, included in (*((spot[window], included) for spot, included in earlier), (at, includes)):
        labels[spot & inside] = cv2.GC_FGD if included else cv2.GC_BGD
    (cut,) = _grabbed(np.ascontiguousarray(seen.small[window]), [labels])
    after[window] = cut
    return after


def _colour_distance(lab: NDArray[np.float32], at: Mask) -> NDArray[np.float32]:
    """How far each pixel's colour is from the nearest of the (at most three) colours under a mark: ``(H, W)``."""
    under = np.ascontiguousarray(lab[at])
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 10, 1.0)
    _, _, colours = cv2.kmeans(under, min(3, len(under)), None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    away = [np.linalg.norm(lab - colour, axis=-1) for colour in colours]
    return np.asarray(np.min(away, axis=0), np.float32)


# --------------------------------------------------------------------------------------------------- marks and pieces


def _includes(mark: Click | Stroke) -> bool:
    return mark.include if isinstance(mark, Click) else not mark.erase


def _mark(mark: Click | Stroke, seen: _Seen) -> Mark:
    """A click or scribble where it lies in what is seen; at least one pixel is always marked."""
    least = MARK * seen.diagonal
    if isinstance(mark, Click):
        points: Iterable[tuple[float, float]] = ((mark.x, mark.y),)
        radius = least
    else:
        points = ((point.x, point.y) for point in mark.points)
        radius = max(least, mark.radius * seen.scale[0])
    height, width = seen.small.shape[:2]
    inside = tuple(
        Point(min(max(x * seen.scale[0], 0.0), width - 1.0), min(max(y * seen.scale[1], 0.0), height - 1.0))
        for x, y in points
    )
    at = np.zeros((height, width), np.bool_)
    paint(at, Stroke(inside, radius))
    return at, _includes(mark)


def _rows_and_columns(box: Box, seen: _Seen) -> tuple[slice, slice]:
    """The pixels of what is seen that lie in `box`, one at least."""
    (across, down), (height, width) = seen.scale, seen.small.shape[:2]
    top, left = min(round(box.top * down), height - 1), min(round(box.left * across), width - 1)
    return slice(top, max(top + 1, round(box.bottom * down))), slice(left, max(left + 1, round(box.right * across)))


def _distance(mask: Mask) -> NDArray[np.float32]:
    """Each pixel's distance to the nearest one of `mask`."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _joined(mask: Mask, to: Mask) -> Mask:
    """The pieces of `mask` that touch `to`."""
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    touched = np.zeros(int(pieces.max()) + 1, np.bool_)
    touched[pieces[to & mask]] = True
    touched[0] = False
    return np.asarray(touched[pieces])


def _without_islands(mask: Mask) -> Mask:
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= max(1, SMALLEST_PIECE * areas.max()))[pieces])


def _filled(mask: Mask) -> Mask:
    """`mask` without holes: what the border cannot be reached from belongs to it."""
    _, pieces = cv2.connectedComponents((~np.pad(mask, 1)).astype(np.uint8), connectivity=4)
    return np.asarray((pieces != pieces[0, 0])[1:-1, 1:-1])


def _window(at: Mask, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(at.any(1)), np.flatnonzero(at.any(0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


# ------------------------------------------------------------------------------------------------------ at full size


def _drawn(mask: Mask, picture: Picture, box: Box | None) -> Mask:
    """`mask` at the size of `picture`, its edge along that of the picture, and nothing outside `box`."""
    extent = Extent.of(picture)
    if Extent.of(mask) == extent:
        full = mask.copy()
    elif mask.all() or not mask.any():
        full = np.full((extent.height, extent.width), bool(mask.any()))
    else:
        full = _edge_found(mask, picture)
    if box is not None:
        within = np.zeros_like(full)
        rows, columns = slice(round(box.top), round(box.bottom)), slice(round(box.left), round(box.right))
        within[rows, columns] = full[rows, columns]
        full = within
    return full


def _edge_found(mask: Mask, picture: Picture) -> Mask:
    """`mask` (smaller than `picture`) in the size of `picture`."""
    extent = Extent.of(picture)
    middle = extent if max(extent.width, extent.height) <= EDGES else extent.fitted_inside(Extent(EDGES, EDGES))
    wide = math.ceil(middle.width / mask.shape[1]) + 1
    share = cv2.resize(mask.astype(np.float32), (middle.width, middle.height), interpolation=cv2.INTER_LINEAR)
    sure = (share > 0.5).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    band = cv2.dilate(sure, disc) - cv2.erode(sure, disc)
    window = _window(band > 0, 3 * wide)
    lines = _guided(np.ascontiguousarray(_shrunk(picture, middle)[window]), np.ascontiguousarray(share[window]), wide)
    full = cv2.resize(sure, (extent.width, extent.height), interpolation=cv2.INTER_NEAREST)
    wanted = cv2.resize(band, (extent.width, extent.height), interpolation=cv2.INTER_NEAREST)
    x, y = cv2.findNonZero(wanted).reshape(-1, 2).T
    colours = picture[y, x].astype(np.float32) / 255
    found = _sampled(
        lines,
        ((x + 0.5) * (middle.width / extent.width) - 0.5 - window[1].start).astype(np.float32),
        ((y + 0.5) * (middle.height / extent.height) - 0.5 - window[0].start).astype(np.float32),
    )
    full[y, x] = (found[:, :3] * colours).sum(1) + found[:, 3] > 0.5
    return np.asarray(full.view(np.bool_))


def _guided(guide: Picture, shares: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """The guided filter's coefficients, ``(H, W, 4)``: ``shares ~ the first three . colour + the fourth``."""
    colours, window = guide.astype(np.float32) / 255, (2 * radius + 1, 2 * radius + 1)

    def mean(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, window), np.float32)

    average, level = mean(colours), mean(shares)
    products = np.dstack([colours * colours, colours[..., :2] * colours[..., 1:], colours[..., 0] * colours[..., 2]])
    rr, gg, bb, rg, gb, rb = np.moveaxis(mean(products), -1, 0)
    r, g, b = np.moveaxis(average, -1, 0)
    noise = 1e-4
    a11, a22, a33 = rr - r * r + noise, gg - g * g + noise, bb - b * b + noise
    a12, a13, a23 = rg - r * g, rb - r * b, gb - g * b
    along = mean(colours * shares[..., None]) - average * level[..., None]
    c11, c12, c13 = a22 * a33 - a23 * a23, a13 * a23 - a12 * a33, a12 * a23 - a13 * a22
    c22, c23, c33 = a11 * a33 - a13 * a13, a12 * a13 - a11 * a23, a11 * a22 - a12 * a12
    size = a11 * c11 + a12 * c12 + a13 * c13
    one, two, three = np.moveaxis(along, -1, 0)
    slopes = np.dstack(
        [
            (c11 * one + c12 * two + c13 * three) / size,
            (c12 * one + c22 * two + c23 * three) / size,
            (c13 * one + c23 * two + c33 * three) / size,
        ]
    ).astype(np.float32)
    offset = level - (slopes * average).sum(-1)
    return mean(np.dstack([slopes, offset]).astype(np.float32))


def _sampled(values: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(N, C)`` of `values` ``(H, W, C)``, between its pixels, at N places."""
    wide = 4096  # a list as an image: its sides are limited
    count, rows = len(x), -(-len(x) // wide)
    if not count:
        return np.zeros((0, values.shape[-1]), np.float32)
    grid = [np.resize(place, (rows, wide)) for place in (x, y)]
    found = cv2.remap(values, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, values.shape[-1])[:count])


def _shrunk(picture: Picture, extent: Extent) -> Picture:
    if Extent.of(picture) == extent:
        return picture
    return np.asarray(cv2.resize(picture, (extent.width, extent.height), interpolation=cv2.INTER_AREA))
