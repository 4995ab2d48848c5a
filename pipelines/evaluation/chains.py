"""Several turns: chains of edits of the embedded world, each of which changes one attribute of what the last one gave.

As EdiVal-Bench does (EdiVal-Agent, 2025), every turn is asked two things: did it do what it was told, and is all else
still there; and what was reached so far is looked at again after every turn. Drift is that of the studio
(`pipelines.evaluation.drift`), against turn 0. Rows go into ``turns.jsonl``, and a stopped run goes on where it was.
This file imports no torch.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pipelines.catalog import method as method_called
from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.errors import PipelineError
from pipelines.evaluation.benchmark import Editor, Reader, Setup, append, clicked, embedded_judge, read_lines
from pipelines.evaluation.cases import CASES_SEED, OWN_COLOUR, Case, case_of, other
from pipelines.evaluation.consistency import Edited
from pipelines.evaluation.drift import Drift
from pipelines.evaluation.entrants import entrant
from pipelines.evaluation.metrics import verdict
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, sample_scene
from pipelines.toybox.words import BACKGROUNDS, COLOURS, NATURAL, SUBJECTS, background_phrase, subject_phrase

TURN_ROWS = "turns.jsonl"
TURNS = 5
CHAINS_SEED = CASES_SEED + 100_000
"""Chain ``k`` is made from ``CHAINS_SEED + k``, so more chains begin with the same ones."""

ORDER = ("colour", "background", "subject")
"""What turns change, one after the other; chain ``k`` begins with the one of number ``k``."""


@dataclass(frozen=True)
class Chain:
    """Edits of which each begins where a right answer to the one before ends."""

    name: str
    cases: tuple[Case, ...]


def make_chain(number: int, turns: int = TURNS) -> Chain:
    """Chain `number`, from 0; always the same one, and a longer one begins like a shorter one."""
    rng = random.Random(CHAINS_SEED + number)
    scene, cases = sample_scene(rng, empty=0), []
    for turn in range(1, turns + 1):
        case = _turn(scene, ORDER[(number + turn - 1) % len(ORDER)], rng, f"chain-{number:02d}-turn-{turn}")
        cases.append(case)
        scene = case.target
    return Chain(f"chain-{number:02d}", tuple(cases))


def _turn(source: Scene, attribute: str, rng: random.Random, name: str) -> Case:
    subject, typed_subject, typed_background = source.subject, "", ""
    assert subject is not None
    asked: dict[str, str] = {}
    if attribute == "background":
        asked = {"background": other(rng, BACKGROUNDS, source.background)}
        target = replace(source, background=asked["background"])
        typed_background = background_phrase(target.background)
    else:
        if attribute == "colour":
            changed = replace(subject, colour=_colour(rng, subject.kind, subject.colour))
        else:
            changed = replace(subject, kind=_kind(rng, subject.kind, subject.colour))
        target = replace(source, subject=changed)
        asked = {"subject": changed.kind} | ({} if changed.colour == NATURAL else {"colour": changed.colour})
        typed_subject = subject_phrase(changed.kind, changed.colour, changed.size, changed.action)
    scope = Scope.BACKGROUND if attribute == "background" else Scope.SUBJECT
    return case_of(name, scope, source, target, typed_subject, typed_background, asked)


def _colour(rng: random.Random, kind: str, than: str) -> str:
    return rng.choice([colour for colour in COLOURS if colour not in (than, OWN_COLOUR.get(kind))])


def _kind(rng: random.Random, than: str, colour: str) -> str:
    return rng.choice([kind for kind in SUBJECTS if kind != than and OWN_COLOUR.get(kind) != colour])


class Measurer(Editor, Protocol):
    """The part of `pipelines.engine.Engine` that chains need beside an editor's."""

    def drift(
        self, original: Picture, pictures: Sequence[Picture], edits: Sequence[Edited], model: str
    ) -> tuple[Drift, ...]: ...


@dataclass(frozen=True)
class TurnRow:
    """One turn of a chain by one entrant."""

    chain: str
    turn: int
    """From 1."""
    method: str
    model: str
    quality: str
    seed: int
    """Of turn 1; each later turn has the next one."""
    true_masks: bool
    scope: str
    subject: str
    background: str
    read: dict[str, str | None]
    asked_right: bool
    """What this turn asks for is there."""
    kept_right: bool
    """What this turn had to leave is there."""
    still_right: bool
    """Everything that any turn so far asked for, and no later one changed, is there."""
    drift: dict[str, Any] | None
    """As `Drift.to_json`; ``None`` where the turn failed."""
    seconds: float
    network_passes: int | None
    error: str = ""
    """The message of a turn that was refused or failed: the next one begins at the picture before."""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it a row of its own."""
        return (self.chain, self.turn, self.method, self.model, self.quality, self.seed, self.true_masks)


def read_turns(folder: Path) -> list[TurnRow]:
    """The rows in `folder`, in the order they were finished."""
    return [TurnRow(**values) for values in read_lines(folder / TURN_ROWS)]


def turn_path(folder: Path, row: TurnRow) -> Path:
    """Where the picture after a turn is kept; beside it, ``.mask.png``, the mask that was used."""
    masks = "-true-masks" if row.true_masks else ""
    method, model = row.method.replace(":", "-"), Path(row.model).name
    return folder / f"{model}-{method}-{row.quality}-{row.seed}{masks}" / f"{row.chain}-turn-{row.turn}.png"


def run_chains(
    engine: Measurer,
    methods: Sequence[str],
    chains: Sequence[Chain],
    out: Path,
    setup: Setup,
    on_row: Callable[[TurnRow], None] = lambda _: None,
    *,
    read: Reader | None = None,
) -> list[TurnRow]:
    """Every chain by every entrant, turn after turn; `on_row` is told of each row, those of an earlier run included.

    Each turn is given the picture that the turn before gave, and a click where the subject should be in it.
    """
    read = read or embedded_judge()
    for name in methods:
        entrant(name).params(setup.quality, setup.card)
    out.mkdir(parents=True, exist_ok=True)
    done = {row.key: row for row in read_turns(out)}
    rows = []
    for chain in chains:
        for method in methods:
            original = render(chain.cases[0].source).picture
            line = _Line(original, original, [])
            asked: dict[str, str] = {}
            for turn, case in enumerate(chain.cases, 1):
                asked |= case.asked
                key = (chain.name, turn, method, setup.model, str(setup.quality), setup.seed, setup.true_masks)
                if key not in done:
                    done[key] = _run_turn(engine, read, method, chain, turn, asked, line, out, setup)
                line = line.after(done[key], out)
                rows.append(done[key])
                on_row(done[key])
    return rows


@dataclass(frozen=True, eq=False)
class _Line:
    """How far a chain has come."""

    original: Picture
    picture: Picture
    edits: list[Edited]

    def after(self, row: TurnRow, folder: Path) -> _Line:
        """With what the turn of `row` left on disk; a turn that failed leaves the line as it is."""
        if row.error:
            return self
        path = turn_path(folder, row)
        mask = np.asarray(Image.open(path.with_suffix(".mask.png")).convert("1"))
        picture = np.asarray(Image.open(path).convert("RGB"))
        return replace(self, picture=picture, edits=[*self.edits, Edited(Scope(row.scope), mask)])


def _run_turn(
    engine: Measurer,
    read: Reader,
    method: str,
    chain: Chain,
    turn: int,
    asked: dict[str, str],
    line: _Line,
    out: Path,
    setup: Setup,
) -> TurnRow:
    case, entry, result, error, seconds = chain.cases[turn - 1], entrant(method), None, "", 0.0
    mask: Mask = np.zeros(line.picture.shape[:2], np.bool_)
    try:
        mask = render(case.source).mask if setup.true_masks else clicked(engine, line.picture, case.click)
        subject, background = case.texts(method_called(entry.method).instructs)
        request = EditRequest(
            picture=line.picture,
            mask=mask,
            subject=subject,
            background=background,
            source=case.source.caption(),
            scope=case.scope,
            seed=setup.seed + turn - 1,
        )
        started = time.perf_counter()
        result = engine.edit(setup.model, entry.method, request, entry.params(setup.quality, setup.card))
        seconds = time.perf_counter() - started
    except PipelineError as failure:
        error = str(failure)
    picture = line.picture if result is None else result.candidates[0].picture
    seen = read(picture)
    found = verdict(case, seen)
    drifted = None
    if result is not None:
        edits = [*line.edits, Edited(case.scope, mask)]
        drifted = engine.drift(line.original, [picture], edits, setup.model)[0].to_json()
    row = TurnRow(
        chain=chain.name,
        turn=turn,
        method=method,
        model=setup.model,
        quality=setup.quality,
        seed=setup.seed,
        true_masks=setup.true_masks,
        scope=case.scope,
        subject=case.subject,
        background=case.background,
        read=asdict(seen),
        asked_right=result is not None and found.asked_right,
        kept_right=result is not None and found.kept_right,
        still_right=result is not None and all(getattr(seen, name) == value for name, value in asked.items()),
        drift=drifted,
        seconds=round(seconds, 3),
        network_passes=result.network_passes if result else None,
        error=error,
    )
    if result is not None:
        path = turn_path(out, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path.with_suffix(".mask.png"))
        Image.fromarray(picture).save(path)
    append(out / TURN_ROWS, json.dumps(asdict(row)))
    return row
