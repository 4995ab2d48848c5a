"""What must be computed again after a change of the timeline: requests to run one after another from a turn there is.

Pure planning, no pixels. `studio.session` runs a plan: it finds each mask again where the picture before it is another
one than the mask was made on, and what was computed before costs nothing. Every function raises `UnknownTurn` for an
id that the timeline does not show, and `WrongTurns` where the turns do not fit what is asked.

A turn *changes* a part (subject or background) if its scope has it and it says something of it, by text or reference
picture; one that needs no model, if its scope has it. What a request says of a part that its scope keeps only describes
what was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.catalog import CATALOG, is_by_hand
from pipelines.contract import Scope
from studio.errors import WrongTurns
from studio.history.frames import reframes
from studio.history.tree import Tree
from studio.history.turn import TurnRequest


@dataclass(frozen=True)
class Step:
    """One request to run."""

    request: TurnRequest
    source: str | None
    """The turn whose mask the request has: the mask was made on the picture before that turn. ``None`` for one that
    was newly asked, on the very picture it starts from."""


@dataclass(frozen=True)
class Replay:
    """Run the first step on the turn `base`, and each other step on what the one before it made."""

    base: str
    steps: tuple[Step, ...]


# The order


def swapped(tree: Tree, first: str, second: str) -> Replay:
    """Two neighbouring turns in the other order, from their common start: the second's request, then the first's."""
    base, a = _edit(tree, first)
    before_b, b = _edit(tree, second)
    if before_b != first:
        raise WrongTurns(
            f"only two turns that follow one another can be swapped, and {_named(tree, second)} does not come "
            f"right after {_named(tree, first)}; choose a turn and the one right after it"
        )
    refuse_two_frames(a, b)
    return Replay(base, (Step(b, second), Step(a, first)))


def refuse_two_frames(a: TurnRequest, b: TurnRequest) -> None:
    """Raise `WrongTurns` where both change the frame: the two orders may end at different sizes."""
    if reframes(a) and reframes(b):
        raise WrongTurns(
            f"{CATALOG[a.method].title} and {CATALOG[b.method].title} both change the frame, so their two orders may "
            "not lie over each other; swap one of them with a turn that leaves the frame as it is"
        )


def followed(tree: Tree, replay: Replay, last: str) -> Replay:
    """`replay`, and then every turn that now comes after `last` (see `stale`)."""
    return replace(replay, steps=(*replay.steps, *(_step(tree, id) for id in stale(tree, last))))


def stale(tree: Tree, id: str) -> tuple[str, ...]:
    """The turns after `id`: on the branch one stands on if it leads there, else on the newest one that does."""
    line = tree.line(tree.branches[tree.jump(id).branch])
    return line[line.index(id) + 1 :]


# One turn


def edited(tree: Tree, id: str, request: TurnRequest) -> Replay:
    """`request` in the place of the turn `id`, and all that came after that turn once more."""
    base, _ = _edit(tree, id)
    return followed(tree, Replay(base, (Step(request, None),)), id)


def cherry_picked(tree: Tree, id: str, onto: str) -> Replay:
    """What the turn `id` did, after the turn `onto`."""
    before, request = _edit(tree, id)
    if tree[onto].id == before:
        raise WrongTurns(f"{_named(tree, id)} comes right after {_named(tree, onto)} already; drop it on another turn")
    return Replay(onto, (Step(request, id),))


# Several turns in one


def merged(requests: Sequence[TurnRequest]) -> TurnRequest:
    """One request that asks for what all of them, one after another, came to.

    - For each part, the text of the last request that changes the part. It is empty where that request gave only a
      reference picture: that replaced what earlier texts had made. Where no request changes a part, the last one's
      words about it stay.
    - For each part, the reference given last by a request that changes the part: a later text speaks of what it shows.
    - The scope is the union of theirs.
    - The mask, with its prompts and feather, belongs to the subject: it is that of the first request with the same
      prompts as the request whose subject was taken, for that one was made nearest to the picture the merged turn
      starts from. Where the subject's request ran without a mask or none changes the subject, it is sought for the
      last request that has a mask. So turns about two different subjects cannot both be in it: the later one is.
    - What is kept out is what the last request that says anything of it keeps out.
    - What the picture shows is the first one's words: the merged turn starts from the picture that they are about.
    - Everything else (model, method, settings, quality, seeds) is the last one's.

    One request alone stays as it is. Raises `WrongTurns` where one of several needs no model: what its settings do is
    said in no text.
    """
    by_hand = [CATALOG[request.method].title for request in requests if is_by_hand(request.method)]
    if by_hand and len(requests) > 1:
        raise WrongTurns(
            f"{by_hand[0]} needs no model and cannot be put into one turn with others; choose turns that texts ask for"
        )
    subject, subject_reference = _said(requests, Scope.SUBJECT)
    background, background_reference = _said(requests, Scope.BACKGROUND)
    of_mask = requests[_masked(requests)]
    of_reference = next((r for r in reversed(requests) if r.subject_reference == subject_reference), requests[-1])
    scopes = {request.scope for request in requests}
    return replace(
        requests[-1],
        scope=scopes.pop() if len(scopes) == 1 else Scope.BOTH,
        subject=subject,
        subject_reference=subject_reference,
        subject_reference_mask=of_reference.subject_reference_mask,
        background=background,
        background_reference=background_reference,
        mask=of_mask.mask,
        prompts=of_mask.prompts,
        feather=of_mask.feather,
        negative=next((request.negative for request in reversed(requests) if request.negative), ""),
        source=requests[0].source,
    )


def squashed(tree: Tree, first: str, last: str) -> Replay:
    """What the turns from `first` to `last` did in one turn: their requests `merged`, from before `first`."""
    base, _ = _edit(tree, first)
    line = tree.line(last)
    if first not in line:
        raise WrongTurns(
            f"{_named(tree, last)} does not come after {_named(tree, first)}; choose the first and the last turn of a "
            "run on one line"
        )
    if first == last:
        raise WrongTurns(f"{_named(tree, first)} alone is one turn already; choose at least two to make one of")
    return _in_one(base, [_step(tree, id) for id in line[line.index(first) :]])


def from_original(tree: Tree, id: str) -> Replay:
    """The whole line to `id` in one turn of the original, so that nothing is painted over twice."""
    line = tree.line(id)
    if len(line) < 3:
        raise WrongTurns(f"{_named(tree, id)} has not been painted over: there is nothing to do again")
    return squashed(tree, line[1], id)


# One part of the picture


def without_track(tree: Tree, id: str, track: Scope) -> Replay:
    """The line to `id` again without what it did to the subject, or to the background.

    A turn of that part alone is left out. One of both keeps only the other part; where it ran without a mask it still
    runs on the whole picture, as nothing tells the parts apart, and only what it said of the part is taken back.
    """
    other = _other(track)
    line = tree.line(id)
    edits = [_step(tree, edit) for edit in line[1:]]
    kept = [_narrowed(step, other) for step in edits]
    begin = next((i for i, (was, now) in enumerate(zip(edits, kept, strict=True)) if was != now), None)
    if begin is None:
        raise WrongTurns(f"no turn up to {_named(tree, id)} changed the {track}, so there is nothing to take back")
    base, steps = line[begin], tuple(step for step in kept[begin:] if step is not None)
    if not steps:
        raise WrongTurns(
            f"without what was done to the {track} all that is left is {_named(tree, base)}; go there instead"
        )
    return Replay(base, steps)


def combined(tree: Tree, subject_of: str, background_of: str) -> Replay:
    """The subject as it is in one turn before the background as it is in another.

    Both began alike, at the last turn that is on both lines. From there, in one turn: what the one line did to the
    background since and what the other did to the subject, `merged`, the subject last.
    """
    base = tree.ancestor(subject_of, background_of)
    steps = [
        narrowed
        for id, part in ((background_of, Scope.BACKGROUND), (subject_of, Scope.SUBJECT))
        for edit in tree.line(id)[len(tree.line(base)) :]
        if (narrowed := _narrowed(_step(tree, edit), part)) is not None
    ]
    if not steps:
        raise WrongTurns(
            f"since {_named(tree, base)} neither turn's line did anything to the part that was asked of it, so the "
            "picture would be the one of that turn; go there instead"
        )
    return _in_one(base, steps)


# Inside


def _edit(tree: Tree, id: str) -> tuple[str, TurnRequest]:
    """Parent and request of a turn that is not the original."""
    turn = tree[id]
    if turn.parent is None or turn.request is None:
        raise WrongTurns("the original was made by no turn; choose one of the turns after it")
    return turn.parent, turn.request


def _step(tree: Tree, id: str) -> Step:
    return Step(_edit(tree, id)[1], id)


def _in_one(base: str, steps: Sequence[Step]) -> Replay:
    requests = [step.request for step in steps]
    return Replay(base, (Step(merged(requests), steps[_masked(requests)].source),))


def _said(requests: Sequence[TurnRequest], part: Scope) -> tuple[str, str | None]:
    """Text and reference that count for `part`; see `merged`."""
    changing = [_words(request, part) for request in requests if _changes(request, part)]
    if not changing:
        return _words(requests[-1], part)
    references = [reference for _, reference in changing if reference is not None]
    return changing[-1][0], references[-1] if references else None


def _masked(requests: Sequence[TurnRequest]) -> int:
    """Index of the request whose mask counts; see `merged`."""
    with_mask = [request for request in requests if request.mask is not None]
    if not with_mask:
        return len(requests) - 1
    about_subject = [request for request in requests if _changes(request, Scope.SUBJECT)]
    chosen = about_subject[-1] if about_subject and about_subject[-1].mask is not None else with_mask[-1]
    return next(i for i, r in enumerate(requests) if r.mask is not None and r.prompts == chosen.prompts)


def _narrowed(step: Step, part: Scope) -> Step | None:
    """The step without what it does to the other part; ``None`` where nothing is left."""
    request = step.request
    if not _changes(request, part):
        return None
    entry = CATALOG.get(request.method)
    if request.scope is part or (entry is not None and entry.changes is not None):  # it cannot do half of what it does
        return step
    scope = Scope.BOTH if request.mask is None else part
    if part is Scope.SUBJECT:
        return replace(step, request=replace(request, scope=scope, background="", background_reference=None))
    return replace(step, request=_without_subject(replace(request, scope=scope)))


def _without_subject(request: TurnRequest) -> TurnRequest:
    return replace(request, subject="", subject_reference=None, subject_reference_mask=None)


def _changes(request: TurnRequest, part: Scope) -> bool:
    text, reference = _words(request, part)
    if is_by_hand(request.method):
        return request.scope in (part, Scope.BOTH)
    return request.scope in (part, Scope.BOTH) and (bool(text.strip()) or reference is not None)


def _words(request: TurnRequest, part: Scope) -> tuple[str, str | None]:
    """What a request says of a part: text and reference."""
    if part is Scope.SUBJECT:
        return request.subject, request.subject_reference
    return request.background, request.background_reference


def _other(part: Scope) -> Scope:
    if part is Scope.BOTH:
        raise WrongTurns("one part can be taken back at a time; choose the subject or the background")
    return Scope.BACKGROUND if part is Scope.SUBJECT else Scope.SUBJECT


def _named(tree: Tree, id: str) -> str:
    number = len(tree.line(id)) - 1
    return f"turn {number}" if number else "the original"
