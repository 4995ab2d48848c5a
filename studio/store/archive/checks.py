"""That what ``session.json`` says can be: a timeline in which everything points where it should, turns that are what
their ids say, texts and numbers within their limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines import pictures as codec
from pipelines.catalog import settings, still_there
from pipelines.contract import Extent, LoraUse
from pipelines.errors import PipelineError
from pipelines.evaluation.drift import Drift
from pipelines.frames import Frame
from pipelines.masks.prompts import MaskPrompts
from pipelines.requests import check_loras
from studio.history.frames import frames
from studio.history.sound import UnsoundTimeline, is_name, sound
from studio.history.tree import Trashed, Tree
from studio.history.turn import Turn, TurnRequest, turn_id
from studio.store.archive.parse import parsed, typed
from studio.store.archive.schema import MOST_MASKS, MOST_TURNS, BadArchive, Branch, SessionFile, StoredDraft
from studio.store.blobs import DIGEST

LONGEST_STORED = 100_000
"""Characters of any text in a file, however it came there."""
LONGEST_NAME = 120
"""Characters of a session's name."""
MOST_NOTES = 100
COLOUR = re.compile("#[0-9a-f]{6}")
LATEST = 253_402_300_799.0
"""Seconds since 1970 at the end of the year 9999."""


def checked(data: bytes) -> tuple[SessionFile, Tree, dict[str, Frame]]:
    """What ``session.json`` says, its timeline, and the frame of each turn by id; the pictures it names are looked at
    later. Raises `BadArchive`."""
    session = parsed(data)
    extent = _checked_extent(session)
    tree = _checked_tree(session)
    _check_words(session)
    _check_masks(session, tree)
    framed = _checked_frames(tree, extent)
    for turn in session.turns:
        _check_turn(turn, framed[turn.parent or turn.id].extent)
    return session, tree, framed


def _checked_frames(tree: Tree, original: Extent) -> dict[str, Frame]:
    try:
        return frames(tree.turns.values(), original)
    except (PipelineError, ArithmeticError) as problem:
        raise BadArchive(f"a turn of the session file changes the frame as none can: {problem}") from problem


def _checked_extent(session: SessionFile) -> Extent:
    extent = Extent(session.width, session.height)
    sides = (extent.width, extent.height)
    if min(sides) < codec.SMALLEST_SIDE or max(sides) > codec.LARGEST_SIDE or extent.area > codec.MOST_PIXELS:
        raise BadArchive(f"the session file's pictures would be {extent.width} x {extent.height} pixels: no such size")
    return extent


def _checked_tree(session: SessionFile) -> Tree:
    """The timeline, if everything in it points where it should."""
    if len(session.turns) > MOST_TURNS:
        raise BadArchive(f"a session file has at most {MOST_TURNS} turns; this one has {len(session.turns)}")
    branches = _pointers(session.branches)
    trashed = tuple(Trashed(cut.cut, _pointers(cut.branches)) for cut in session.trashed)
    try:
        return sound(session.turns, branches, session.branch, session.current, trashed)
    except UnsoundTimeline as problem:
        raise BadArchive(f"the timeline of the session file cannot be one: {problem}") from problem


def _pointers(branches: tuple[Branch, ...]) -> dict[str, str]:
    pointers = {branch.name: branch.tip for branch in branches}
    if len(pointers) != len(branches):
        raise BadArchive("the session file has two branches of one name")
    return pointers


def _check_words(session: SessionFile) -> None:
    """Name, notes and draft: what people wrote or are told."""
    draft = session.draft
    if not session.name.strip() or len(session.name) > LONGEST_NAME or not session.name.isprintable():
        raise BadArchive(f"a session's name has 1 to {LONGEST_NAME} printable characters; got {session.name!r:.80}")
    if not 0 <= session.created_at <= LATEST:
        raise BadArchive(f"the session file was made at {session.created_at!r:.40} seconds since 1970: no such time")
    texts = (session.studio, *session.notes, *draft.texts().values(), draft.model, draft.method)
    if len(session.notes) > MOST_NOTES or max(map(len, texts)) > LONGEST_STORED:
        raise BadArchive(
            f"a text of the session file is longer than {LONGEST_STORED} characters, or there are too many"
        )
    _check_settings(draft.changes, "the draft")
    _check_draft(draft)


def _check_masks(session: SessionFile, tree: Tree) -> None:
    names = [saved.name for saved in session.masks]
    if len(names) > MOST_MASKS or len(set(names)) != len(names):
        raise BadArchive(
            f"a session file has at most {MOST_MASKS} saved masks, of different names; this one has {len(names)}"
        )
    for saved in session.masks:
        if not is_name(saved.name) or saved.turn not in tree.turns:
            raise BadArchive(f"the session file has a saved mask {saved.name!r:.80} of no name or turn that can be")


def _check_draft(draft: StoredDraft) -> None:
    """As a request is checked before it runs, but for what its texts say."""
    try:
        settings(draft.method, draft.quality, still_there(draft.method, draft.changes))
        if not all(isinstance(s, int | float) and not isinstance(s, bool) for s in draft.loras.values()):
            raise BadArchive("the draft of the session file has a LoRA whose scale is no number")
        check_loras([LoraUse(name, "", scale) for name, scale in draft.loras.items()])
    except PipelineError as problem:
        raise BadArchive(f"the draft of the session file cannot be: {problem}") from problem


def _check_turn(turn: Turn, extent: Extent) -> None:
    """That a turn is what its id says, and could be shown and run again on a picture of `extent`."""
    number, outcome = f"turn {turn.id[:8]!r}", turn.outcome
    if (turn.parent is None) != (turn.request is None):
        raise BadArchive(f"{number} of the session file needs both a parent and a request, or neither")
    if turn.id != turn_id(turn.parent, turn.request, turn.picture):
        raise BadArchive(f"{number} of the session file is not what its id says: it was changed after it was made")
    if not 0 <= turn.created_at <= LATEST or outcome.fitted is not None:
        raise BadArchive(f"{number} of the session file has an impossible time, or layers that do not travel")
    counts = (outcome.outside_changed, outcome.outside_kept, outcome.outside_largest)
    if outcome.flat and not COLOUR.fullmatch(outcome.flat):
        raise BadArchive(f"{number} of the session file has a colour that is none: {outcome.flat!r:.20}")
    stages = [(stage.seconds, stage.steps, LONGEST_NAME - len(stage.name)) for stage in outcome.stages]
    if min(outcome.seconds, *counts, *(least for stage in stages for least in stage)) < 0 or len(stages) > 100:
        raise BadArchive(f"{number} of the session file counts what cannot be counted")
    if outcome.drift is not None:
        typed(Drift, outcome.drift, f"the drift of {number}")
    if turn.request is not None:
        _check_request(turn.request, extent, number)


def _check_request(request: TurnRequest, extent: Extent, number: str) -> None:
    texts = (*request.texts().values(), request.model, request.method, request.weights)
    if not all(DIGEST.fullmatch(use.sha256) and 0 < len(use.name) <= LONGEST_NAME for use in request.loras):
        raise BadArchive(f"{number} of the session file names a LoRA that cannot be one")
    if request.warm is not None and not DIGEST.fullmatch(request.warm):
        raise BadArchive(f"{number} of the session file begins at layers that cannot be any")
    if max(map(len, texts)) > LONGEST_STORED:
        raise BadArchive(f"{number} of the session file has a text longer than {LONGEST_STORED} characters")
    if request.seed < 0 or (request.fit_seed or 0) < 0 or not 0 <= request.feather <= 64:
        raise BadArchive(f"{number} of the session file has a seed or a feather outside its range")
    _check_settings(request.params, number)
    try:
        check_loras(request.loras)
        MaskPrompts.from_json(request.prompts, extent)
    except (PipelineError, ValueError) as problem:
        raise BadArchive(f"what {number} of the session file was asked for cannot be: {problem}") from problem


def _check_settings(settings: Mapping[str, Any], what: str) -> None:
    for name, value in settings.items():
        plain = value is None or isinstance(value, bool | int | float | str)
        if not plain or len(name) > LONGEST_NAME or (isinstance(value, str) and len(value) > LONGEST_STORED):
            raise BadArchive(f"{what} of the session file has a setting {name!r:.80} that is no number, switch or word")
