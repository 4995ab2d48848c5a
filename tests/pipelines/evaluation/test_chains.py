"""Chains of turns by editors whose score is known: one paints the truth, one forgets, one does nothing, one refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Candidate, EditRequest, EditResult, OutsideChange, Picture, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.evaluation.benchmark import Setup
from pipelines.evaluation.cases import OWN_COLOUR, Case, values_of
from pipelines.evaluation.chains import TURN_ROWS, TurnRow, make_chain, read_turns, run_chains, turn_path
from pipelines.evaluation.consistency import Edited
from pipelines.evaluation.drift import Drift, drift
from pipelines.evaluation.report import summarise_turns
from pipelines.masks.prompts import MaskPrompts
from pipelines.masks.segmenter import MaskAnswer
from pipelines.params import Params
from pipelines.pasting import edited_region
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene
from pipelines.toybox.words import Attributes
from pipelines.toybox.words import read as read_text

CHAINS = [make_chain(number, 3) for number in range(2)]
SETUP = Setup("toybox", Quality.DRAFT, true_masks=True)
drawn = cache(render)


def forgetful(case: Case, chain_start: Scene) -> Scene:
    """The turn's answer painted into turn 0, as if no turn had been between."""
    names = {"subject": "kind", "colour": "colour"}
    subject = {names[name]: value for name, value in case.asked.items() if name in names}
    scene = chain_start.with_subject(**subject) if subject else chain_start
    return replace(scene, background=case.asked.get("background", scene.background))


SCENES: dict[str, Scene] = {}
for _chain in CHAINS:
    for _case in _chain.cases:
        for _scene in (_case.source, _case.target, forgetful(_case, _chain.cases[0].source)):
            SCENES[hashlib.sha256(drawn(_scene).picture.tobytes()).hexdigest()] = _scene


def read(picture: Picture) -> Attributes:
    return Attributes(**values_of(SCENES[hashlib.sha256(picture.tobytes()).hexdigest()]))


@dataclass
class KnownEditor:
    """ "layered" paints the truth, "imagic" forgets what was before, "inpaint" refuses backgrounds, "sdedit" does
    nothing."""

    edits: list[str] = field(default_factory=list)

    def edit(self, model: str, method: str, request: EditRequest, params: Params) -> EditResult:
        chain, case = next(
            (chain, case)
            for chain in CHAINS
            for case in chain.cases
            if case.source.caption() == request.source and case.subject == request.subject
        )
        self.edits.append(f"{method} {case.name}")
        if method == "inpaint" and request.scope is Scope.BACKGROUND:
            raise BadRequest("no backgrounds today")
        picture = {
            "layered": drawn(case.target).picture,
            "imagic": drawn(forgetful(case, chain.cases[0].source)).picture,
        }.get(method, request.picture)
        return EditResult((Candidate(request.seed, picture, OutsideChange(0, 1, 0)),), (), network_passes=5)

    def segment(self, picture: Picture, prompts: MaskPrompts) -> MaskAnswer:
        raise AssertionError("true masks ask no segmenter")

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]:
        changed = [edited_region(edit.mask, edit.scope, edit.feather) for edit in edits if edit.mask is not None]
        return tuple(drift(original, picture, edits, changed, None) for picture in pictures)


def run(out: Path, editor: KnownEditor, *methods: str) -> list[TurnRow]:
    return run_chains(editor, methods, CHAINS, out, SETUP, read=read)


@pytest.mark.parametrize("number", range(12))
def test_each_turn_changes_one_attribute_of_what_was_there_before(number: int) -> None:
    chain = make_chain(number)
    assert make_chain(number, 2).cases == chain.cases[:2]
    for case, after in zip(chain.cases, chain.cases[1:], strict=False):
        assert after.source == case.target
    for case in chain.cases:
        before, then = values_of(case.source), values_of(case.target)
        assert sum(before[name] != then[name] for name in before) == 1
        said = read_text(f"{case.subject} {case.background}")
        assert {name: value for name, value in asdict(said).items() if value and name in case.asked} == case.asked
        assert {**case.kept, **case.asked}.items() <= then.items()
        assert then["colour"] != OWN_COLOUR.get(then["subject"])
        assert (case.scope is Scope.BACKGROUND) == bool(case.background) == (not case.subject)
    assert len({case.scope for case in chain.cases}) == 2


def test_the_truth_holds_every_turn_and_who_forgets_is_found_out(tmp_path: Path) -> None:
    rows = run(tmp_path, KnownEditor(), "layered", "imagic", "sdedit")
    turns = {(s.method, s.turn): s for s in summarise_turns(rows)}
    for turn in (1, 2, 3):
        assert turns["layered", turn].asked_right == turns["layered", turn].still_right == 1
        assert turns["layered", turn].kept_right == 1
        assert turns["imagic", turn].asked_right == 1
        assert turns["sdedit", turn].asked_right == turns["sdedit", turn].still_right == 0
        assert turns["sdedit", turn].kept_psnr in (60, None)
    assert turns["imagic", 1].still_right == 1 > turns["imagic", 2].still_right
    assert turns["imagic", 3].chains == 2
    assert {row.network_passes for row in rows} == {5}


def test_every_turn_begins_at_the_picture_that_the_one_before_gave(tmp_path: Path) -> None:
    rows = run(tmp_path, KnownEditor(), "layered")
    assert [row.turn for row in rows] == [1, 2, 3, 1, 2, 3]
    assert all(turn_path(tmp_path, row).is_file() for row in rows)
    drifts = [row.drift for row in rows if row.drift is not None]
    assert len(drifts) == 6
    # Once the background and the subject were both asked to change, nothing was to be kept.
    assert drifts[0]["kept_share"] > 0 and drifts[1]["kept_share"] < 0.1
    assert [drift["subject_turns"] + drift["background_turns"] for drift in drifts[:3]] == [1, 2, 3]


def test_a_stopped_run_goes_on_in_the_middle_of_a_chain(tmp_path: Path) -> None:
    editor = KnownEditor()
    first = run(tmp_path, editor, "layered", "sdedit")
    lines = (tmp_path / TURN_ROWS).read_text().splitlines(keepends=True)
    (tmp_path / TURN_ROWS).write_text("".join(lines[:1]) + '{"cut')
    editor.edits.clear()
    again = run(tmp_path, editor, "layered", "sdedit")
    assert len(editor.edits) == len(first) - 1 and editor.edits[0] == "layered chain-00-turn-2"
    assert [replace(row, seconds=0.0) for row in again] == [replace(row, seconds=0.0) for row in first]
    assert {row.key for row in read_turns(tmp_path)} == {row.key for row in first}


def test_a_turn_that_is_refused_leaves_the_line_where_it_was(tmp_path: Path) -> None:
    rows = [row for row in run(tmp_path, KnownEditor(), "inpaint") if row.chain == "chain-00"]
    assert [bool(row.error) for row in rows] == [False, True, False]
    assert rows[1].error == "no backgrounds today" and rows[1].drift is None and not rows[1].kept_right
    assert rows[2].drift is not None and rows[2].drift["background_turns"] == 0
    assert not np.any(turn_path(tmp_path, rows[1]).exists())
