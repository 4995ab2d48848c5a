"""Turns what a session holds into the plain values of `view`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pipelines.catalog import CATALOG, is_by_hand, recorded, settings
from pipelines.errors import PipelineError
from pipelines.evaluation.drift import Drift
from pipelines.frames import Frame
from pipelines.models.folders import ModelCard
from studio.history.frames import frame_after, reframes
from studio.history.replay import stale
from studio.history.tree import Tree
from studio.history.turn import Outcome, StoredRequest, Turn, TurnRequest
from studio.jobs.job import Job
from studio.jobs.runner import Runner
from studio.session.view import Draft, EditingView, FrameView, JobView, StagedView, StageView, TrashView, TurnView
from studio.store.record import Staged

LONGEST_LABEL = 60
"""Characters."""


def turn_views(tree: Tree, frames: Mapping[str, Frame]) -> tuple[TurnView, ...]:
    """All turns in the order they were made."""
    depths, lanes = tree.depths(), tree.lanes()
    return tuple(turn_view(turn, depths[turn.id], lanes[turn.id], frames[turn.id]) for turn in tree.visible.values())


def turn_view(turn: Turn, number: int, lane: int, frame: Frame) -> TurnView:
    """One node of the strip."""
    asked, outcome = turn.request, turn.outcome
    place = frame_view(frame)
    if asked is None:
        return TurnView(turn.id, None, number, lane, "original", turn.picture, place)
    return TurnView(
        id=turn.id,
        parent=turn.parent,
        number=number,
        lane=lane,
        label=_label(asked),
        picture=turn.picture,
        frame=place,
        mask=asked.mask,
        mask_after=outcome.mask_after or asked.mask,
        scope=asked.scope,
        subject=asked.subject,
        background=asked.background,
        negative=asked.negative,
        method=asked.method,
        quality=asked.quality,
        seed=asked.seed,
        seconds=outcome.seconds,
        outside_changed=outcome.outside_changed,
        outside_largest=outcome.outside_largest,
        flat=outcome.flat,
        in_float32=outcome.in_float32,
        begun_warm=asked.warm is not None,
        reference=outcome.background_reference,
        drift=_drift_view(outcome),
    )


def _drift_view(outcome: Outcome) -> Mapping[str, Any] | None:
    if outcome.drift is None:
        return None
    return Drift.from_json(outcome.drift).to_json()


def editing_view(tree: Tree, id: str) -> EditingView:
    """The turn that is being changed, and what changing it costs."""
    later = stale(tree, id)
    return EditingView(id, later, sum(tree[turn].outcome.seconds for turn in (id, *later)))


def trash_views(tree: Tree) -> tuple[TrashView, ...]:
    """What can be brought back, the last one first."""
    views = []
    for trashed in reversed(tree.trashed):
        turn = tree.turns[trashed.cut]
        asked = turn.request
        label = "" if asked is None else _label(asked)
        views.append(TrashView(turn.id, label, turn.picture, tree.size_of(trashed)))
    return tuple(views)


def _label(asked: TurnRequest) -> str:
    said = ", ".join(text for text in (asked.subject.strip(), asked.background.strip()) if text)
    if not is_by_hand(asked.method):
        label = said or "from a reference"
    else:
        entry = CATALOG[asked.method]
        usual = asdict(entry.params())
        now = usual | dict(asked.params)
        changed = (_assigned(name, now[name]) for name in usual if now[name] != usual[name])
        label = ": ".join(text for text in (entry.title, said or ", ".join(changed)) if text)
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1].rstrip() + "…"


def _assigned(name: str, value: Any) -> str:
    """A setting in a label: ``one hue``, ``hue 120``."""
    words = name.replace("_", " ")
    return words if value is True else f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"


def frame_view(frame: Frame) -> FrameView:
    """A frame, as the page draws by it."""
    moves = frame.moves
    return FrameView(frame.extent.width, frame.extent.height, (moves.a, moves.d, moves.b, moves.e, moves.c, moves.f))


def staged_view(staged: Staged, begun_in: Frame) -> StagedView:
    """One finished candidate of a turn that begins in that frame."""
    asked, outcome = staged.request, staged.outcome
    return StagedView(
        picture=staged.picture,
        frame=frame_view(frame_after(begun_in, asked)),
        scope=asked.scope,
        seed=asked.seed,
        outside_changed=outcome.outside_changed,
        outside_largest=outcome.outside_largest,
        flat=outcome.flat,
        mask_after=outcome.mask_after or asked.mask,
        label=_label(asked),
        method=asked.method,
    )


def staged_to_json(staged: Staged) -> dict[str, Any]:
    """A candidate that was put away, for the panel's record."""
    asked, outcome = staged.request.to_json(), staged.outcome.to_json()
    return {"parent": staged.parent, "picture": staged.picture, "request": asked, "outcome": outcome}


def stored_put_away(data: Any) -> tuple[Staged, ...]:
    """A list of what `staged_to_json` gave, whatever became of it since: what cannot be read is not in it."""
    found = []
    for one in data if isinstance(data, list) else []:
        try:
            asked, outcome = TurnRequest.from_json(one["request"]), Outcome.from_json(one["outcome"])
            found.append(Staged(str(one["parent"]), str(one["picture"]), asked, outcome))
        except (PipelineError, LookupError, ValueError, TypeError, AttributeError):
            continue
    return tuple(found)


def job_view(job: Job, runner: Runner) -> JobView:
    """A job with what only its runner knows: its place in the queue and the time it will take."""
    return JobView(
        id=job.id,
        does=job.kind.split()[0],
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


def used_up(draft: Draft, made: TurnRequest | None = None) -> Draft:
    """The draft once its turn is made: texts and references go, settings stay. Where it is known what was `made`, only
    what that was made of goes: what was typed or given since, or had no say, is of the next turn. What changes the
    frame begins anew."""
    if made is not None and reframes(made) and draft.method == made.method:
        draft = replace(draft, changes={})  # done twice, it would take off twice as much
    nothing: dict[str, Any] = dict.fromkeys(draft.texts(), "") | dict.fromkeys(draft.references())
    used = {name: empty for name, empty in nothing.items() if made is None or _same(draft, made, name)}
    return replace(draft, **used)


def _same(draft: Draft, made: TurnRequest, name: str) -> bool:
    """Whether the turn was asked with what stands in that field now."""
    now, asked = getattr(draft, name), getattr(made, name)
    return bool((now.strip() if isinstance(now, str) else now) == asked)


def draft_of(asked: TurnRequest, before: Draft, card: ModelCard | None) -> Draft:
    """What stands in the panel to ask for `asked` again; `card` is its model's, where that is still there."""
    usual, was = asdict(settings(asked.method, asked.quality, card=card)), asdict(recorded(asked.method, asked.params))
    changes = {name: value for name, value in was.items() if usual[name] != value}
    return replace(
        before,
        **{f.name: getattr(asked, f.name) for f in fields(StoredRequest)} | {"model": asked.model or before.model},
        candidates=1,
        changes=changes,
        loras={use.name: use.scale for use in asked.loras},
    )
