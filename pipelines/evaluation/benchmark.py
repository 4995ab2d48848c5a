"""Runs methods over cases and keeps one row for each; a run that was stopped goes on where it was.

The folder that it writes holds ``rows.jsonl`` (one finished edit a line) and the pictures, which `report` reads.
The engine and the judge are given, so this file imports no torch.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pipelines.catalog import method as method_called
from pipelines.contract import EditRequest, EditResult, Mask, Picture, Point, Quality, Scope
from pipelines.errors import PipelineError
from pipelines.evaluation.cases import Case
from pipelines.evaluation.entrants import entrant
from pipelines.evaluation.metrics import Verdict, distance, kept_region, overlap, psnr, variety, verdict
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.refine import deepest_point
from pipelines.masks.segmenter import MaskAnswer
from pipelines.models.folders import ModelCard
from pipelines.params import Params
from pipelines.toybox.render import render
from pipelines.toybox.words import Attributes

ROWS = "rows.jsonl"

JUDGE = Path(__file__).resolve().parents[2] / "assets" / "models" / "toybox-judge"


class Editor(Protocol):
    """The part of `pipelines.engine.Engine` that is measured."""

    def edit(self, model: str, method: str, request: EditRequest, params: Params) -> EditResult: ...

    def segment(self, picture: Picture, prompts: MaskPrompts) -> MaskAnswer: ...


Reader = Callable[[Picture], Attributes]
"""Reads the attributes of a picture: the judge, which no editor ever sees."""


@dataclass(frozen=True)
class Setup:
    """What all rows of one run share; rows of another setup in the same folder are left alone."""

    model: str
    quality: Quality
    seed: int = 7
    """Of the first candidate, which is the one that is judged; the same for every case."""
    true_masks: bool = False
    """Use the world's own masks instead of one click on the segmenter."""
    candidates: int = 1
    card: ModelCard | None = None
    """The model's, whose presets are taken where it brings some."""
    noise: float = 0.0
    """Standard deviation in levels of the noise on the picture of a second run of every edit; 0 for no such run."""

    @property
    def key(self) -> tuple[object, ...]:
        """What of it makes rows others."""
        return (self.model, str(self.quality), self.seed, self.true_masks, self.candidates, self.noise)


@dataclass(frozen=True)
class Row:
    """One case edited by one method."""

    case: str
    scope: str
    method: str
    model: str
    quality: str
    seed: int
    true_masks: bool
    subject: str
    background: str
    read: dict[str, str | None]
    asked_right: bool
    kept_right: bool
    both_right: bool
    wrong: tuple[str, ...]
    kept_psnr: float | None
    """dB over the part that must stay; ``None`` when nothing must (scope both) or the edit failed."""
    outside_changed: int
    """Kept pixels that differ, as the method itself states."""
    outside_largest: int
    """Largest such difference, 0 to 255."""
    mask_overlap: float
    """IoU of the mask that was used with the true one."""
    seconds: float
    """The whole edit, mask not counted."""
    weights_restored: bool
    outline: float | None = None
    """IoU of the subject in the result, as one click of the segmenter where it should be finds it, with the true one;
    ``None`` in rows of before it was measured and where there is no result, as of the two below."""
    inside: float | None = None
    """Mean distance to the true picture within the true subject, in levels of 0 to 255."""
    variety: float | None = None
    """Mean distance between candidates where the picture was to change, in levels of 0 to 255; ``None`` for one."""
    candidates: int = 1
    network_passes: int | None = None
    """As `EditResult.network_passes`, over all candidates; ``None`` in rows of before it was counted."""
    readings: tuple[dict[str, str | None], ...] = ()
    """What was read in every candidate, the first one's included."""
    noise: float = 0.0
    """See `Setup.noise`."""
    error: str = ""
    """The message of an edit that was refused or failed; such a row counts as wrong in everything."""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it a row of its own."""
        setup = (self.model, self.quality, self.seed, self.true_masks, self.candidates, self.noise)
        return (self.case, self.method, *setup)  # as `Setup.key`


def read_rows(folder: Path) -> list[Row]:
    """The rows in `folder`, in the order they were finished. A last line that was cut off is dropped."""
    rows = []
    for values in read_lines(folder / ROWS):
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        rows.append(Row(**values | lists))
    return rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON object of every whole line of a file, if it is there."""
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def picture_path(folder: Path, row: Row) -> Path:
    """Where the result of `row` is kept."""
    masks = "-true-masks" if row.true_masks else ""
    model = Path(row.model).name  # a model may be named by its folder
    return folder / f"{model}-{row.method.replace(':', '-')}-{row.quality}-{row.seed}{masks}" / f"{row.case}.png"


def mask_path(folder: Path, row: Row) -> Path:
    """Where the mask of `row` is kept."""
    return picture_path(folder, row).with_suffix(".mask.png")


def found_path(folder: Path, row: Row) -> Path:
    """Where it is kept what the segmenter finds in the result, if it was looked for."""
    return picture_path(folder, row).with_suffix(".found.png")


def candidate_path(folder: Path, row: Row, k: int) -> Path:
    """Where candidate `k` is kept, from 1: the first one, 0, is the picture of `row`."""
    return picture_path(folder, row).with_suffix(f".{k}.png")


def noisy_path(folder: Path, row: Row) -> Path:
    """Where the result of the noisy picture is kept, if there was one."""
    return picture_path(folder, row).with_suffix(f".noise-{row.noise:g}.png")


def embedded_judge() -> Reader:
    """The judge of ``assets/models/toybox-judge``; raises `ModelError` when it is not there."""
    judge = importlib.import_module("pipelines.toybox.judge").Judge.load(JUDGE)  # brings torch, so only when it runs

    def read(picture: Picture) -> Attributes:
        seen: Attributes = judge.read([picture])[0].attributes
        return seen

    return read


def run_benchmark(
    engine: Editor,
    methods: Sequence[str],
    cases: Sequence[Case],
    out: Path,
    setup: Setup,
    on_row: Callable[[Row], None] = lambda _: None,
    *,
    read: Reader | None = None,
) -> list[Row]:
    """Edit every case by every entrant (see `entrants`); `on_row` is told of each row, those of an earlier run in `out`
    included.

    Rows come case by case, so that a run that is cut short still compares the methods on the same cases. `read` is
    the embedded judge unless another is given. Methods that hear what the picture shows (`EditRequest.source`) are
    told.
    """
    read = read or embedded_judge()
    for name in methods:
        entrant(name).params(setup.quality, setup.card)  # what is refused is refused before anything runs
    out.mkdir(parents=True, exist_ok=True)
    done = {row.key: row for row in read_rows(out)}
    rows = []
    for case in cases:
        picture = render(case.source).picture
        for method in methods:
            key = (case.name, method, *setup.key)
            if key not in done:
                done[key] = _run_one(engine, read, method, case, picture, out, setup)
            rows.append(done[key])
            on_row(done[key])
    return rows


@dataclass(frozen=True, eq=False)
class _Ran:
    """What came of one case."""

    mask: Mask
    result: EditResult | None
    of_noisy: EditResult | None
    error: str
    seconds: float


def _run_one(engine: Editor, read: Reader, method: str, case: Case, picture: Picture, out: Path, setup: Setup) -> Row:
    ran = _run(engine, method, case, picture, setup)
    found = None
    if ran.result is not None:
        at = deepest_point(render(case.target).mask)
        found = clicked(engine, ran.result.candidates[0].picture, at)
    row = _row(read, method, case, picture, ran, found, setup)
    picture_path(out, row).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ran.mask).save(mask_path(out, row))
    if ran.result is not None and found is not None:
        Image.fromarray(found).save(found_path(out, row))
        first, *others = (candidate.picture for candidate in ran.result.candidates)
        Image.fromarray(first).save(picture_path(out, row))
        for k, other in enumerate(others, 1):
            Image.fromarray(other).save(candidate_path(out, row, k))
    if ran.of_noisy is not None:
        Image.fromarray(ran.of_noisy.candidates[0].picture).save(noisy_path(out, row))
    append(out / ROWS, json.dumps(asdict(row)))
    return row


def _run(engine: Editor, method: str, case: Case, picture: Picture, setup: Setup) -> _Ran:
    """The edit, and once more from the noisy picture where that is asked."""
    entry, mask = entrant(method), np.zeros(picture.shape[:2], bool)
    result, of_noisy, error, seconds = None, None, "", 0.0
    try:
        mask, called = _mask(engine, case, picture, setup), method_called(entry.method)
        subject, background = case.texts(called.instructs)
        request = EditRequest(
            picture=picture,
            mask=mask,
            subject=subject,
            background=background,
            source=case.source.caption(),
            scope=case.scope,
            seed=setup.seed,
            candidates=setup.candidates if called.draws else 1,  # another seed gives the same
        )
        params = entry.params(setup.quality, setup.card)
        started = time.perf_counter()
        result = engine.edit(setup.model, entry.method, request, params)
        seconds = time.perf_counter() - started
        if setup.noise:
            once = replace(request, picture=noisy(picture, setup.noise, setup.seed), candidates=1)
            of_noisy = engine.edit(setup.model, entry.method, once, params)
    except PipelineError as failure:
        error = str(failure)
    return _Ran(mask, result, of_noisy, error, seconds)


def noisy(picture: Picture, deviation: float, seed: int) -> Picture:
    """`picture` with normal noise of `deviation` levels on every value."""
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.asarray(np.clip(np.round(picture + noise), 0, 255), np.uint8)


def append(path: Path, line: str) -> None:
    """Add a line; one that an earlier run left unfinished is closed first, so that it spoils no other."""
    unfinished = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" * unfinished + line + "\n")


def _mask(engine: Editor, case: Case, picture: Picture, setup: Setup) -> Mask:
    if setup.true_masks:
        return render(case.source).mask
    return clicked(engine, picture, case.click)


def clicked(engine: Editor, picture: Picture, at: Point) -> Mask:
    """As the page begins with the embedded segmenter: one click, the edge along the picture's."""
    return engine.segment(picture, MaskPrompts(clicks=(Click(at.x, at.y),), snap=True)).mask


def _to_change(subject: Mask, scope: Scope) -> Mask:
    """What an edit of `scope` is to change."""
    changed: Mask = {Scope.SUBJECT: subject, Scope.BACKGROUND: ~subject, Scope.BOTH: np.ones_like(subject)}[scope]
    return changed


def _row(read: Reader, method: str, case: Case, picture: Picture, ran: _Ran, outline: Mask | None, setup: Setup) -> Row:
    source, truth, result = render(case.source), render(case.target), ran.result
    found, kept, readings, inside, varied = Verdict(False, False, ()), None, [Attributes()], None, None
    if result is not None:
        pictures = [candidate.picture for candidate in result.candidates]
        readings = [read(one) for one in pictures]
        found = verdict(case, readings[0])
        kept = psnr(picture, pictures[0], kept_region(source.mask, case.scope))
        inside = distance(pictures[0], truth.picture, truth.mask)
        varied = variety(pictures, _to_change(ran.mask, case.scope))
    outside = result.candidates[0].outside if result else None
    return Row(
        case=case.name,
        scope=case.scope,
        method=method,
        model=setup.model,
        quality=setup.quality,
        seed=setup.seed,
        true_masks=setup.true_masks,
        subject=case.subject,
        background=case.background,
        read=asdict(readings[0]),
        asked_right=found.asked_right,
        kept_right=found.kept_right,
        both_right=found.both_right,
        wrong=found.wrong,
        kept_psnr=kept,
        outside_changed=outside.changed if outside else 0,
        outside_largest=outside.largest if outside else 0,
        mask_overlap=overlap(ran.mask, source.mask),
        seconds=round(ran.seconds, 3),
        weights_restored=result is None or result.weights_before == result.weights_after,
        outline=None if outline is None else overlap(outline, truth.mask),
        inside=inside,
        variety=varied,
        candidates=setup.candidates,
        network_passes=result.network_passes if result else None,
        readings=tuple(asdict(reading) for reading in readings) if result else (),
        noise=setup.noise,
        error=ran.error,
    )
