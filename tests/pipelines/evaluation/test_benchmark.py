"""The benchmark on an editor whose score is known: it paints the truth, or does nothing, and is read without error."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Candidate, EditRequest, EditResult, OutsideChange, Picture, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.evaluation.benchmark import ROWS, Row, Setup, noisy, picture_path, read_rows, run_benchmark
from pipelines.evaluation.cases import Case, held_out_cases, values_of
from pipelines.evaluation.measures import Tools, measured
from pipelines.evaluation.report import EVERY, as_json, as_table, losses, summarise, write_sheet
from pipelines.evaluation.trials import trials_of
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.toybox.render import render
from pipelines.toybox.words import Attributes

drawn = cache(render)
CASES = held_out_cases(6)


def key_of(picture: Picture) -> str:
    """The same for a picture whose bits 1 and 2 were turned over."""
    return hashlib.sha256((picture >> 3).tobytes()).hexdigest()


TRUTH = {
    key_of(drawn(scene).picture): Attributes(**values_of(scene))
    for case in CASES
    for scene in (case.source, case.target)
}


def read(picture: Picture) -> Attributes:
    """An error-free judge; a picture of no scene shows nothing."""
    return TRUTH.get(key_of(picture), Attributes())


@dataclass
class KnownEditor:
    """Answers "sdedit" with the picture as it came and every other method with the true target."""

    cases: list[Case]
    edits: list[str] = field(default_factory=list)
    last: Case = CASES[0]

    def _case(self, picture: Picture) -> Case:
        return next(case for case in self.cases if np.array_equal(drawn(case.source).picture, picture))

    def edit(self, model: str, method: str, request: EditRequest, params: Params) -> EditResult:
        noisy = request.picture.tobytes() not in {drawn(case.source).picture.tobytes() for case in self.cases}
        case = self.last if noisy else self._case(request.picture)
        self.last = case
        assert request.source == case.source.caption()
        self.edits.append(f"{method} {case.name}")
        if method == "inpaint" and case.scope is Scope.BOTH:
            raise BadRequest("this editor takes one part at a time")
        picture = request.picture if method == "sdedit" else drawn(case.target).picture
        outside = OutsideChange(changed=3, kept=100, largest=9)
        others = tuple(Candidate(request.seed + k, picture ^ (1 << k), outside) for k in range(1, request.candidates))
        first = Candidate(request.seed, picture, outside)
        return EditResult((first, *others), (), weights_before="same", weights_after="same", network_passes=42)

    def segment(self, picture: Picture, prompts: MaskPrompts) -> MaskAnswer:
        shown = next(
            scene
            for case in self.cases
            for scene in (drawn(case.source), drawn(case.target))
            if np.array_equal(scene.picture, picture)
        )
        assert prompts.snap and shown.mask[int(prompts.clicks[0].y), int(prompts.clicks[0].x)]
        return MaskAnswer(np.roll(shown.mask, 1, axis=0))


def _run(out: Path, editor: KnownEditor, *methods: str, **options: Any) -> list[Row]:
    on_row = options.pop("on_row", lambda _: None)
    return run_benchmark(editor, methods, CASES, out, Setup("toybox", Quality.DRAFT, **options), on_row, read=read)


def test_the_truth_scores_everything_and_an_untouched_picture_only_keeps(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "layered", "sdedit")
    all_of = {summary.method: summary for summary in summarise(rows) if summary.scope == EVERY}
    assert all_of["layered"].both_right == 1
    assert all_of["sdedit"].asked_right == 0
    assert all_of["sdedit"].kept_right == 1
    assert all_of["sdedit"].kept_psnr == 60
    assert {row.outside_largest for row in rows} == {9}
    assert all(0.8 < row.mask_overlap < 1 for row in rows)


def test_the_true_answer_measures_outline_and_inside(tmp_path: Path) -> None:
    rows = {
        row.method: row for row in _run(tmp_path, KnownEditor(CASES), "layered", "sdedit") if row.scope == "subject"
    }
    assert rows["layered"].inside == 0
    assert rows["layered"].outline == pytest.approx(rows["layered"].mask_overlap, abs=0.1)
    assert rows["sdedit"].inside and rows["sdedit"].inside > 5, "the picture as it was is not what was asked for"


def test_candidates_that_differ_by_a_known_amount_have_that_variety(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "layered", candidates=3)
    # The three are the picture, and the picture with its bit 1 or 2 turned over: 2, 4 and then 2 or 6 levels apart.
    assert all(row.variety == pytest.approx((2 + 4 + 4) / 3, abs=0.7) for row in rows)
    assert _run(tmp_path, KnownEditor(CASES), "layered")[0].variety is None
    assert len(read_rows(tmp_path)) == 2 * len(CASES), "with other candidates they are rows of their own"


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    editor = KnownEditor(CASES)
    first = _run(tmp_path, editor, "layered")
    with (tmp_path / ROWS).open("a") as file:
        file.write('{"case": "cut of')
    text = (tmp_path / ROWS).read_text().splitlines(keepends=True)
    (tmp_path / ROWS).write_text("".join(text[1:]))
    editor.edits.clear()
    seen: list[Row] = []
    again = _run(tmp_path, editor, "layered", on_row=seen.append)
    assert editor.edits == [f"layered {CASES[0].name}"]
    assert [row.case for row in again] == [row.case for row in first] == [row.case for row in seen]
    assert {row.key for row in read_rows(tmp_path)} == {row.key for row in again}


def test_a_method_that_draws_nothing_is_asked_for_one_candidate(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "plug-and-play", candidates=3)
    assert {len(row.readings) for row in rows} == {1} and {row.variety for row in rows} == {None}
    assert all(not trial.others for trial in trials_of(tmp_path, rows, CASES))


def test_what_the_measures_need_is_kept_and_read_back(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "layered", "inpaint", candidates=2, noise=9.0)
    assert {row.network_passes for row in rows if not row.error} == {42}
    assert all(len(row.readings) == 2 * (not row.error) for row in rows)
    assert read_rows(tmp_path) == rows
    trials = trials_of(tmp_path, rows, CASES)
    found = measured([t for t, row in zip(trials, rows, strict=True) if row.method == "layered"], Tools())
    assert found["success"] == found["drfr"] == found["grounding"] == found["consistency"] == 1
    assert found["psnr-inside"] == 60 and found["ssim-inside"] == pytest.approx(1)
    assert found["noise"] == 0, "this editor gives the same, whatever noise there is"
    assert found["apart"] == pytest.approx(2, abs=0.7)
    assert 0.8 < (found["boundary"] or 0) <= 1, "the segmenter is a row off"
    refused = [t for t, row in zip(trials, rows, strict=True) if row.error]
    assert refused and all(t.after is None and t.used is not None for t in refused)
    assert measured(refused, Tools())["success"] == 0


def test_noise_is_drawn_by_its_seed_and_stays_a_picture() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    spread = noisy(grey, 10, 3).astype(float) - 128
    assert spread.std() == pytest.approx(10, rel=0.05) and abs(spread.mean()) < 0.5
    assert np.array_equal(noisy(grey, 10, 3), noisy(grey, 10, 3)) and not np.array_equal(
        noisy(grey, 10, 3), noisy(grey, 10, 4)
    )
    assert noisy(grey & 0, 10, 3).max() < 60, "no value wraps around"


def test_true_masks_ask_no_segmenter_and_are_rows_of_their_own(tmp_path: Path) -> None:
    editor = KnownEditor(CASES)
    _run(tmp_path, editor, "layered")
    rows = _run(tmp_path, editor, "layered", true_masks=True)
    assert {row.mask_overlap for row in rows} == {1.0}
    assert len(editor.edits) == 2 * len(CASES)


def test_faster_qualities_are_set_against_exact_on_the_same_cases(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "layered", "inpaint")
    exact = [replace(row, quality="exact", both_right=True, seconds=2.0) for row in rows[:4]]
    timed = [replace(row, seconds=0.5) for row in rows]
    found = {loss.method: loss for loss in losses([*timed, *exact])}
    tried = [row for row in rows if row.case in {other.case for other in exact} and row.method == "inpaint"]
    assert (found["layered"].points, found["layered"].times_faster) == (0, 4)
    assert found["inpaint"].points == pytest.approx(100 * sum(not row.both_right for row in tried) / len(tried))
    assert losses(rows) == [], "nothing to compare with"
    assert len(as_table(summarise([*rows, *exact])).splitlines()) > len(as_table(summarise(rows)).splitlines())


def test_a_refused_edit_is_a_wrong_row_with_its_message(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "inpaint")
    refused = [row for row in rows if row.scope == Scope.BOTH]
    assert {row.error for row in refused} == {"this editor takes one part at a time"}
    assert not any(row.both_right or row.asked_right or row.kept_right for row in refused)
    total = summarise(rows)[0]
    assert (total.errors, total.both_right) == (2, pytest.approx(4 / 6))


def test_the_report_can_be_read_by_people_and_machines(tmp_path: Path) -> None:
    rows = _run(tmp_path, KnownEditor(CASES), "layered", "inpaint")
    table = as_table(summarise(rows)).splitlines()
    assert len(table) == 1 + 2 * 4
    assert len({len(line) for line in table}) == 1
    assert json.loads(json.dumps(as_json(rows)))["summary"][0]["both_right"] == 1
    assert picture_path(tmp_path, rows[0]).is_file()
    sheet = tmp_path / "sheet.png"
    write_sheet(tmp_path, rows, CASES, sheet)
    with Image.open(sheet) as opened:
        assert opened.size == (3 * (4 * 160 + 8), 4 * (160 + 36))
