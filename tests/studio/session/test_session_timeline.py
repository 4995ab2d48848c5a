"""What a session computes again: earlier turns changed, orders swapped, turns carried elsewhere, all kept."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.contract import Extent, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.instructions.contract import Asked
from pipelines.masks.prompts import Click, MaskPrompts
from studio.app import Studio, build_studio
from studio.errors import Busy, NothingStaged, NotReady, StorageFull, UnknownTurn, WrongTurns
from studio.session.session import Session
from studio.session.view import JobState
from studio.settings import Settings

CLICK = MaskPrompts(clicks=(Click(20.0, 16.0),))
OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)


@pytest.fixture
def session(studio: Studio, upload: bytes) -> Session:
    return studio.sessions.create(upload, "dog.png")


def finished(session: Session) -> JobState:
    end = time.monotonic() + 10
    view = session.view()
    while view.job is not None and view.job.state not in OVER:
        assert time.monotonic() < end
        view = session.wait(view.rev, 0.2)
    assert view.job is not None
    return view.job.state


def turn(session: Session, **changes: Any) -> str:
    """Run and keep one turn; gives its id."""
    values: dict[str, Any] = {"subject": "a blue dog", "background": "in a forest", "quality": Quality.DRAFT}
    session.set_draft(replace(session.view().draft, **{**values, **changes}))
    session.set_prompts(CLICK)
    session.start()
    assert finished(session) is JobState.DONE
    return session.accept(0).id


@pytest.fixture
def line(session: Session) -> list[str]:
    """Ids of three turns: subject, background, both."""
    return [
        turn(session, subject="a red dog", background="", scope=Scope.SUBJECT, seed=1),
        turn(session, subject="", background="on the beach", scope=Scope.BACKGROUND, seed=2),
        turn(session, subject="a red cat", background="at night", scope=Scope.BOTH, seed=3),
    ]


def requests(session: Session) -> list[tuple[str, str]]:
    """Subject and background of the line one stands on."""
    turns = {t.id: t for t in session.view().turns}
    texts, now = [], turns[session.view().current]
    while now.parent is not None:
        texts.append((now.subject, now.background))
        now = turns[now.parent]
    return texts[::-1]


# Changing an earlier turn


def test_an_earlier_turn_is_changed_and_what_follows_runs_again(session: Session, line: list[str], engine: Any) -> None:
    before = session.view()
    session.edit(line[1])
    view = session.view()
    assert view.current == line[0] and view.editing is not None and view.editing.turn == line[1]
    assert view.editing.stale == (line[2],) and view.editing.seconds > 0
    assert view.draft.background == "on the beach" and view.draft.scope is Scope.BACKGROUND and view.draft.seed == 2
    assert view.mask.mask is not None and not view.mask.stale
    session.set_draft(replace(view.draft, background="in the city"))
    ran = len(engine.requests)
    assert session.start().does == "replay"
    assert finished(session) is JobState.DONE
    view = session.view()
    assert requests(session) == [("a red dog", ""), ("", "in the city"), ("a red cat", "at night")]
    assert len(engine.requests) == ran + 2 and view.editing is None and view.draft.background == ""
    assert len(view.turns) == len(before.turns) + 2 and len(view.branches) == 2
    session.jump(line[2])
    assert requests(session) == [("a red dog", ""), ("", "on the beach"), ("a red cat", "at night")], (
        "the old line stays"
    )


def test_a_turn_can_be_left_as_it_was(session: Session, line: list[str]) -> None:
    session.edit(line[0])
    session.leave()
    view = session.view()
    assert view.current == line[0] and view.editing is None and view.draft.subject == ""
    session.edit(line[2])
    session.jump(line[0])
    assert session.view().editing is None, "going elsewhere leaves it too"


def test_which_turn_is_changed_outlives_the_studio(
    studio: Studio, session: Session, line: list[str], settings: Settings, engine: Any
) -> None:
    session.edit(line[1])
    studio.close()
    again = build_studio(settings, engine)
    try:
        editing = again.sessions.get(session.sid).view().editing
        assert editing is not None and editing.turn == line[1]
    finally:
        again.close()


def test_a_replay_that_is_cancelled_keeps_what_was_finished(
    session: Session, line: list[str], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.edit(line[0])
    session.set_draft(replace(session.view().draft, subject="a green dog"))
    turns, ran, edit = session.view().turns, len(engine.requests), engine.edit

    def held_in_the_second(*args: Any) -> Any:
        engine.hold_at = ("guidance", 2) if len(engine.requests) == ran + 1 else None
        return edit(*args)

    monkeypatch.setattr(engine, "edit", held_in_the_second)
    session.start()
    assert engine.reached.wait(5)
    session.cancel()
    assert finished(session) is JobState.CANCELLED
    assert session.view().turns == turns and session.view().editing is not None
    session.start()
    assert finished(session) is JobState.DONE
    assert requests(session)[0] == ("a green dog", "")
    assert len(engine.requests) == ran + 4, "the first turn is not computed a second time"


def test_the_original_cannot_be_changed(session: Session, line: list[str]) -> None:
    before = session.view()
    with pytest.raises(NotReady, match="original"):
        session.edit(before.turns[0].id)
    with pytest.raises(UnknownTurn):
        session.edit("0" * 64)
    assert session.view() == before


# The same again costs nothing


def test_a_request_that_was_computed_costs_nothing(session: Session, line: list[str], engine: Any) -> None:
    session.undo()
    while session.view().current != line[1]:
        session.undo()
    ran = len(engine.requests)
    session.set_draft(
        replace(session.view().draft, subject="a red cat", background="at night", scope=Scope.BOTH, seed=3)
    )
    session.set_prompts(CLICK)
    session.start()
    assert finished(session) is JobState.DONE and len(engine.requests) == ran
    assert session.accept(0).id == line[2], "it is the same turn"


def test_more_seeds_are_computed_from_the_same_layers(session: Session, engine: Any) -> None:
    session.set_draft(replace(session.view().draft, subject="a dog", quality=Quality.DRAFT, candidates=2, seed=7))
    session.set_prompts(CLICK)
    session.start()
    assert finished(session) is JobState.DONE
    session.more_seeds()
    assert finished(session) is JobState.DONE
    assert [s.seed for s in session.view().staged] == [7, 8, 9, 10]
    assert (engine.requests[-1].seed, engine.requests[-1].fit_seed) == (9, 7)


# Order


def test_two_turns_are_swapped_compared_and_adopted(session: Session, line: list[str], engine: Any) -> None:
    before = session.view()
    assert session.swap(line[0], line[1]).does == "swap"
    assert finished(session) is JobState.DONE
    view = session.view()
    assert view.turns == before.turns, "a preview lays nothing down"
    assert view.swap is not None and (view.swap.first, view.swap.second) == (line[0], line[1])
    by_id = {t.id: t for t in view.turns}
    assert view.swap.ab == by_id[line[1]].picture
    for digest in (view.swap.ab, view.swap.ba, view.swap.before, view.swap.difference):
        assert session.picture_bytes(digest).startswith(b"\x89PNG")
    assert view.swap.consistency["order"] == "order matters" or view.swap.consistency["disagreement"] < 1
    session.adopt()
    assert requests(session) == [("", "on the beach"), ("a red dog", "")]
    assert session.view().swap is None and len(session.view().turns) == len(before.turns) + 2
    session.jump(line[2])
    assert requests(session)[:2] == [("a red dog", ""), ("", "on the beach")]
    ran = len(engine.requests)
    session.swap(line[0], line[1])
    assert finished(session) is JobState.DONE and len(engine.requests) == ran, "the second time costs nothing"
    session.dismiss()
    assert session.view().swap is None
    with pytest.raises(NothingStaged):
        session.adopt()


def test_in_the_other_order_a_mask_that_came_out_of_a_turn_is_that_of_the_turn_before_it_now(
    session: Session, engine: Any
) -> None:
    """A colour on the subject as the turn before left it: swapped, it comes first, and the subject is as it was."""
    first = turn(session, subject="a cat", background="", scope=Scope.SUBJECT, seed=1)
    left = session.view().turns[-1].mask_after
    session.set_draft(replace(session.view().draft, subject="a red dog", scope=Scope.SUBJECT, quality=Quality.DRAFT))
    session.start()
    assert finished(session) is JobState.DONE
    second = session.accept(0)
    assert second.mask == left
    session.swap(first, second.id)
    assert finished(session) is JobState.DONE
    session.adopt()
    tree = session._record.tree
    red, cat = (tree[id] for id in tree.line(session.view().current)[1:])
    assert red.request is not None and cat.request is not None and red.request.subject == "a red dog"
    assert red.request.mask == tree[first].request.mask, "clicked on the original"
    assert cat.request.mask == red.outcome.mask_after == left, "what the red dog left"
    extent = Extent(session.view().width, session.view().height)
    assert {MaskPrompts.from_json(t.request.prompts, extent) for t in (red, cat) if t.request} == {CLICK}


def test_a_changed_turn_hands_its_own_mask_on(session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = turn(session, subject="a cat", background="", scope=Scope.SUBJECT, seed=1)
    session.set_draft(replace(session.view().draft, subject="a red dog", scope=Scope.SUBJECT, quality=Quality.DRAFT))
    session.start()
    assert finished(session) is JobState.DONE
    session.accept(0)
    monkeypatch.setattr(engine, "follow", lambda picture, mask, segmenter: np.roll(mask, 3, axis=1))
    session.edit(first)
    session.set_draft(replace(session.view().draft, subject="a penguin", seed=9))
    session.start()
    assert finished(session) is JobState.DONE
    tree = session._record.tree
    penguin, red = (tree[id] for id in tree.line(session.view().current)[1:])
    assert penguin.request is not None and red.request is not None and penguin.request.mask is not None
    assert red.request.mask == penguin.outcome.mask_after
    there = session._mask_here(red.request.mask)
    assert np.array_equal(there, np.roll(session._mask_here(penguin.request.mask), 3, axis=1))


def test_a_comparison_stays_when_what_would_end_it_fails(
    session: Session, line: list[str], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.swap(line[0], line[1])
    assert finished(session) is JobState.DONE
    shown = session.view().swap
    assert shown is not None
    store = session._services.store

    def full(*_: object) -> None:
        raise StorageFull("no space is left")

    with monkeypatch.context() as patched:
        patched.setattr(store, "save", full)
        for end in (session.adopt, session.dismiss):
            with pytest.raises(StorageFull):
                end()
    assert session.view().swap == shown
    engine.hold_at = ("guidance", 2)
    session.cherry_pick(line[2], line[0])
    assert engine.reached.wait(5)
    with pytest.raises(Busy):
        session.swap(line[1], line[2])
    assert session.view().swap == shown
    engine.hold.set()
    assert finished(session) is JobState.DONE


def test_only_neighbours_are_swapped(session: Session, line: list[str]) -> None:
    before = session.view()
    for first, second in ((line[0], line[2]), (line[1], line[0]), (before.turns[0].id, line[0])):
        with pytest.raises(WrongTurns):
            session.swap(first, second)
    with pytest.raises(UnknownTurn):
        session.swap(line[0], "f" * 64)
    assert session.view() == before


def test_the_table_of_orders_is_guessed_and_then_measured(session: Session, line: list[str]) -> None:
    guessed = session.orders(3)
    assert guessed.turns == tuple(line) and len(guessed.cells) == 3
    assert guessed.cells[0].guess == 1.0 and guessed.cells[0].consistency is None, "subject and background of one mask"
    session.measure(3)
    assert finished(session) is JobState.DONE
    measured = session.orders(3)
    assert all(cell.consistency is not None for cell in measured.cells)
    with pytest.raises(NothingStaged):
        session.measure(3)
    with pytest.raises(NotReady):
        session.orders(40)


# Turns carried elsewhere


def test_cherry_picking_squashing_reverting_and_redoing(session: Session, line: list[str]) -> None:
    original = session.view().turns[0].id
    session.cherry_pick(line[1], original)
    assert finished(session) is JobState.DONE and requests(session) == [("", "on the beach")]
    session.jump(line[2])
    session.revert(Scope.BACKGROUND)
    assert finished(session) is JobState.DONE and requests(session) == [("a red dog", ""), ("a red cat", "")]
    session.jump(line[1])
    session.squash(line[0], line[1])
    assert finished(session) is JobState.DONE and requests(session) == [("a red dog", "on the beach")]
    session.jump(line[2])
    session.redo_from_original()
    assert finished(session) is JobState.DONE and requests(session) == [("a red cat", "at night")]
    for id in line:
        assert id in {t.id for t in session.view().turns}, "nothing is ever lost"


# Branches and trash


def test_trash_and_back(studio: Studio, session: Session, line: list[str], settings: Settings, engine: Any) -> None:
    session.trash(line[1])
    view = session.view()
    assert view.current == line[0] and [t.id for t in view.turns][1:] == line[:1]
    assert [(t.turn, t.turns) for t in view.trash] == [(line[1], 2)]
    studio.close()
    again = build_studio(settings, engine)
    try:
        kept = again.sessions.get(session.sid)
        kept.restore(line[1])
        kept.jump(line[2])
        assert requests(kept)[-1] == ("a red cat", "at night") and not kept.view().trash
    finally:
        again.close()


def test_branches_have_names(session: Session, line: list[str]) -> None:
    session.jump(line[0])
    session.branch("by the sea")
    assert session.view().branch == "by the sea"
    session.rename_branch("main", "first try")
    assert [name for name, _ in session.view().branches] == ["first try", "by the sea"]
    assert turn(session, subject="a dog", scope=Scope.SUBJECT, background="", seed=9)
    assert session.view().branch == "by the sea"


# Kept quick, and one job at a time


def test_moving_stays_quick_while_a_replay_runs(session: Session, line: list[str], engine: Any) -> None:
    threads = threading.active_count()
    session.edit(line[0])
    session.set_draft(replace(session.view().draft, subject="a slow dog"))
    engine.hold_at = ("guidance", 2)
    session.start()
    assert engine.reached.wait(5)
    for _ in range(20):
        session.jump(line[2])
        session.undo()
    with pytest.raises(Busy):
        session.swap(line[0], line[1])
    engine.hold.set()
    assert finished(session) is JobState.DONE
    assert threading.active_count() <= threads + 1, "40 moves leave no threads behind; masks are made by one"


def test_several_turns_are_run_as_one(session: Session, engine: Any) -> None:
    session.set_draft(replace(session.view().draft, quality=Quality.DRAFT, seed=5))
    session.set_prompts(CLICK)
    asked = [Asked("a blue dog", "in a forest", Scope.BOTH), Asked("a blue dog jumping", "", Scope.SUBJECT)]
    assert session.run_all(asked).stages[1].name == "turn 2 of 2"
    assert finished(session) is JobState.DONE
    assert requests(session) == [("a blue dog", "in a forest"), ("a blue dog jumping", "")]
    assert [request.seed for request in engine.requests] == [5, 5]
    before = session.view()
    for nothing in ([], [Asked("", "", Scope.BOTH)], [asked[0], Asked("", "", Scope.SUBJECT)]):
        with pytest.raises((NotReady, BadRequest)):
            session.run_all(nothing)
    assert session.view() == before
