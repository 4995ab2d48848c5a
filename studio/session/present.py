"""Turns what a session holds into the plain values of `view`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pipelines.contract import Quality, Scope
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.jobs.job import Job
from studio.jobs.runner import Runner
from studio.session.view import Draft, JobView, StagedView, StageView, TurnView
from studio.store.store import Staged

LONGEST_LABEL = 60
"""Characters."""


def turn_views(tree: Tree) -> tuple[TurnView, ...]:
    """All turns in the order they were made."""
    depths, lanes = tree.depths(), tree.lanes()
    return tuple(turn_view(turn, depths[id], lanes[id]) for id, turn in tree.turns.items())


def turn_view(turn: Turn, number: int, lane: int) -> TurnView:
    """One node of the strip."""
    asked, outcome = turn.request, turn.outcome
    if asked is None:
        return TurnView(turn.id, None, number, lane, "original", turn.picture)
    return TurnView(
        id=turn.id,
        parent=turn.parent,
        number=number,
        lane=lane,
        label=_label(asked.subject, asked.background),
        picture=turn.picture,
        mask=asked.mask,
        scope=asked.scope,
        subject=asked.subject,
        background=asked.background,
        method=asked.method,
        quality=asked.quality,
        seed=asked.seed,
        seconds=outcome.seconds,
        outside_changed=outcome.outside_changed,
        outside_largest=outcome.outside_largest,
        reference=outcome.background_reference,
    )


def _label(subject: str, background: str) -> str:
    label = ", ".join(text for text in (subject.strip(), background.strip()) if text) or "from a reference"
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1].rstrip() + "…"


def staged_view(staged: Staged) -> StagedView:
    """One finished candidate."""
    asked, outcome = staged.request, staged.outcome
    return StagedView(staged.picture, asked.scope, asked.seed, outcome.outside_changed, outcome.outside_largest)


def job_view(job: Job, runner: Runner) -> JobView:
    """A job with what only its runner knows: its place in the queue and the time it will take."""
    return JobView(
        id=job.id,
        state=job.state,
        stage=job.stage,
        step=job.step,
        total=job.total,
        stages=tuple(StageView(name, fraction) for name, fraction in job.fractions()),
        seconds_left=runner.seconds_left(job.id),
        ahead=runner.ahead(job.id),
        preview=job.preview,
        error=job.error,
    )


def draft_to_json(draft: Draft) -> dict[str, Any]:
    """Without the mask prompts: `Selections` keeps them."""
    data = asdict(draft)
    del data["prompts"]
    return data


def draft_from_json(data: Mapping[str, Any]) -> Draft:
    """What `draft_to_json` gave."""
    known = {f.name for f in fields(Draft)}
    values = {name: value for name, value in data.items() if name in known}
    return Draft(**{**values, "scope": Scope(values["scope"]), "quality": Quality(values["quality"])})
