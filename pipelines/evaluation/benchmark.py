"""Runs methods over cases and keeps one row for each; a run that was stopped goes on where it was.

The folder that it writes holds ``rows.jsonl`` (one finished edit a line) and the pictures, which `report` reads.
The engine and the judge are given, so this file imports no torch.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from pipelines.catalog import settings
from pipelines.contract import EditRequest, EditResult, Mask, Picture, Point, Quality, Scope
from pipelines.errors import PipelineError
from pipelines.evaluation.cases import Case
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
    seed: int
    """Of the first candidate, which is the one that is judged; the same for every case."""
    true_masks: bool
    candidates: int = 1
    card: ModelCard | None = None
    """The model's, whose presets are taken where it brings some."""


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
    error: str = ""
    """The message of an edit that was refused or failed; such a row counts as wrong in everything."""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it a row of its own."""
        return (self.case, self.method, self.model, self.quality, self.seed, self.true_masks, self.candidates)


def read_rows(folder: Path) -> list[Row]:
    """The rows in `folder`, in the order they were finished. A last line that was cut off is dropped."""
    path = folder / ROWS
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.append(Row(**{**values, "wrong": tuple(values["wrong"])}))
    return rows


def picture_path(folder: Path, row: Row) -> Path:
    """Where the result of `row` is kept."""
    masks = "-true-masks" if row.true_masks else ""
    model = Path(row.model).name  # a model may be named by its folder
    return folder / f"{model}-{row.method}-{row.quality}-{row.seed}{masks}" / f"{row.case}.png"


def mask_path(folder: Path, row: Row) -> Path:
    """Where the mask of `row` is kept."""
    return picture_path(folder, row).with_suffix(".mask.png")


def embedded_judge() -> Reader:
    """The judge of ``assets/models/toybox-judge``; raises `ModelError` when it is not there."""
    judge = importlib.import_module("pipelines.toybox.judge").Judge.load(JUDGE)  # brings torch, so only when it runs

    def read(picture: Picture) -> Attributes:
        seen: Attributes = judge.read([picture])[0].attributes
        return seen

    return read


def run_benchmark(
    engine: Editor,
    model: str,
    methods: Sequence[str],
    quality: Quality,
    cases: Sequence[Case],
    out: Path,
    on_row: Callable[[Row], None] = lambda _: None,
    *,
    read: Reader | None = None,
    seed: int = 7,
    true_masks: bool = False,
    candidates: int = 1,
    card: ModelCard | None = None,
) -> list[Row]:
    """Edit every case by every method; `on_row` is told of each row, those of an earlier run in `out` included.

    Rows come case by case, so that a run that is cut short still compares the methods on the same cases. `read` is
    the embedded judge unless another is given. With `true_masks` the world's own masks are used instead of one click
    on the segmenter. `card` is the model's.
    """
    read = read or embedded_judge()
    setup = Setup(model, quality, seed, true_masks, candidates, card)
    out.mkdir(parents=True, exist_ok=True)
    done = {row.key: row for row in read_rows(out)}
    rows = []
    for case in cases:
        picture = render(case.source).picture
        for method in methods:
            key = (case.name, method, model, str(quality), seed, true_masks, candidates)
            if key not in done:
                done[key] = _run_one(engine, read, method, case, picture, out, setup)
            rows.append(done[key])
            on_row(done[key])
    return rows


def _run_one(engine: Editor, read: Reader, method: str, case: Case, picture: Picture, out: Path, setup: Setup) -> Row:
    mask, result, error, seconds = np.zeros(picture.shape[:2], bool), None, "", 0.0
    try:
        mask = _mask(engine, case, picture, setup)
        started = time.perf_counter()
        request = EditRequest(
            picture=picture,
            mask=mask,
            subject=case.subject,
            background=case.background,
            scope=case.scope,
            seed=setup.seed,
            candidates=setup.candidates,
        )
        result = engine.edit(setup.model, method, request, settings(method, setup.quality, card=setup.card))
        seconds = time.perf_counter() - started
    except PipelineError as failure:
        error = str(failure)
    row = _row(engine, read, method, case, picture, mask, result, error, seconds, setup)
    path = picture_path(out, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(mask_path(out, row))
    if result is not None:
        Image.fromarray(result.candidates[0].picture).save(path)
    _append(out / ROWS, json.dumps(asdict(row)))
    return row


def _append(path: Path, line: str) -> None:
    """Add a line; one that an earlier run left unfinished is closed first, so that it spoils no other."""
    unfinished = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" * unfinished + line + "\n")


def _mask(engine: Editor, case: Case, picture: Picture, setup: Setup) -> Mask:
    if setup.true_masks:
        return render(case.source).mask
    return _clicked(engine, picture, case.click)


def _clicked(engine: Editor, picture: Picture, at: Point) -> Mask:
    """As the page begins with the embedded segmenter: one click, the edge along the picture's."""
    return engine.segment(picture, MaskPrompts(clicks=(Click(at.x, at.y),), snap=True)).mask


def _to_change(subject: Mask, scope: Scope) -> Mask:
    """What an edit of `scope` is to change."""
    changed: Mask = {Scope.SUBJECT: subject, Scope.BACKGROUND: ~subject, Scope.BOTH: np.ones_like(subject)}[scope]
    return changed


def _row(
    engine: Editor,
    read: Reader,
    method: str,
    case: Case,
    picture: Picture,
    mask: Mask,
    result: EditResult | None,
    error: str,
    seconds: float,
    setup: Setup,
) -> Row:
    true_mask, truth = render(case.source).mask, render(case.target)
    found, kept, seen = Verdict(False, False, ()), None, Attributes()
    outline = inside = varied = None
    if result is not None:
        edited = result.candidates[0].picture
        seen = read(edited)
        found = verdict(case, seen)
        kept = psnr(picture, edited, kept_region(true_mask, case.scope))
        outline = overlap(_clicked(engine, edited, deepest_point(truth.mask)), truth.mask)
        inside = distance(edited, truth.picture, truth.mask)
        varied = variety([candidate.picture for candidate in result.candidates], _to_change(mask, case.scope))
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
        read=asdict(seen),
        asked_right=found.asked_right,
        kept_right=found.kept_right,
        both_right=found.both_right,
        wrong=found.wrong,
        kept_psnr=kept,
        outside_changed=outside.changed if outside else 0,
        outside_largest=outside.largest if outside else 0,
        mask_overlap=overlap(mask, true_mask),
        seconds=round(seconds, 3),
        weights_restored=result is None or result.weights_before == result.weights_after,
        outline=outline,
        inside=inside,
        variety=varied,
        candidates=setup.candidates,
        error=error,
    )
