"""Turns that need no model are turns like all others, and no model is asked for them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.contract import Extent, Picture, Point, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.instructions.contract import Asked
from pipelines.masks.prompts import MaskPrompts, Stroke
from pipelines.pictures import decode, decode_mask, encode_png
from studio.app import Studio, build_studio
from studio.errors import NotReady, WrongTurns
from studio.session.computing import known_source
from studio.session.session import Session
from studio.session.view import FRESH, JobState, TurnView
from studio.settings import Settings

PAINTED = MaskPrompts(strokes=(Stroke((Point(14.0, 16.0), Point(30.0, 16.0)), 6.0),), feather=0.0)
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class NoEngine:
    """Whoever asks it anything has asked for a model."""

    is_built = False

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a model was asked to {name}")


@pytest.fixture
def alone(tmp_path: Any) -> Any:
    """A studio on a machine without a single model."""
    settings = Settings(data=tmp_path / "data", model_folders=(tmp_path / "none",), warm_up=False)
    studio = build_studio(settings, NoEngine())  # type: ignore[arg-type]
    yield studio
    studio.close()


def picture() -> Picture:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)


@pytest.fixture
def session(alone: Studio) -> Session:
    session = alone.sessions.create(encode_png(picture()), "dog.png")
    session.set_prompts(PAINTED)
    return session


def run(session: Session, method: str, **changes: Any) -> JobState:
    said = {"subject": "", "background": "", "model": "gone", "changes": {}, "scope": Scope.SUBJECT} | changes
    session.set_draft(replace(session.view().draft, method=method, **said))
    session.start()
    return ended(session)


def ended(session: Session) -> JobState:
    """Follow the job as a page does, until it is over."""
    end, view = time.monotonic() + 20, session.view()
    while view.job is not None and view.job.state not in ENDED:
        assert time.monotonic() < end
        view = session.wait(view.rev, 0.2)
    assert view.job is not None
    return view.job.state


def finished(session: Session) -> None:
    assert ended(session) is JobState.DONE, session.view().job


def made(session: Session, method: str, **changes: Any) -> TurnView:
    assert run(session, method, **changes) is JobState.DONE, session.view().job
    return session.accept(0)


def shown(session: Session) -> Picture:
    view = session.view()
    digest = next(turn.picture for turn in view.turns if turn.id == view.current)
    return decode(session.picture_bytes(digest)).picture


def test_a_whole_line_by_hand_takes_no_model(alone: Studio, session: Session) -> None:
    first = made(session, "recolour", changes={"hue": 120.0})
    assert (first.label, first.scope, first.method) == ("Recolour: hue 120", Scope.SUBJECT, "recolour")
    assert (first.outside_changed, first.outside_largest, first.drift) == (0, 0, None)
    mask = decode_mask(session.picture_bytes(first.mask or ""), Extent(48, 32))
    assert np.array_equal(shown(session)[~mask], picture()[~mask])
    assert not np.array_equal(shown(session)[mask], picture()[mask])
    second = made(session, "light", changes={"exposure": -1.0, "edge": "hard"}, scope=Scope.BACKGROUND)
    assert second.label == "Light: exposure -1, edge hard"
    third = made(session, "backdrop", background="navy to white", changes={"match": 0.0, "edge": "hard"})
    assert (third.label, third.scope) == ("Backdrop: navy to white", Scope.BACKGROUND)
    before = shown(session)
    session.undo()
    assert session.view().current == second.id
    session.redo()
    assert np.array_equal(shown(session), before)
    record = alone.store.load(session.sid)
    assert record is not None
    for turn in (first, second, third):
        asked = record.tree[turn.id].request
        assert asked is not None and (asked.model, asked.weights) == ("", "")


def test_an_earlier_one_is_changed_and_what_follows_is_replayed(session: Session) -> None:
    first = made(session, "recolour", changes={"hue": 120.0, "edge": "hard"})
    second = made(session, "light", changes={"exposure": -1.0, "edge": "hard"}, scope=Scope.BACKGROUND)
    after = shown(session)
    session.undo()
    hued = shown(session)
    session.redo()
    session.edit(first.id)
    assert session.view().draft.changes == {"hue": 120.0, "edge": "hard"}, "the panel asks for the same again"
    session.set_draft(replace(session.view().draft, changes={"hue": -60.0, "edge": "hard"}))
    session.start()
    finished(session)
    mask = decode_mask(session.picture_bytes(first.mask or ""), Extent(48, 32))
    assert np.array_equal(shown(session)[~mask], after[~mask]), "the light is replayed"
    assert not np.array_equal(shown(session)[mask], after[mask])
    session.jump(second.id)
    session.undo()
    assert np.array_equal(shown(session), hued), "what was made stays as it was"


def test_two_turns_by_hand_are_swapped_and_the_other_order_is_laid_down(studio: Studio, upload: bytes) -> None:
    session = studio.sessions.create(upload, "dog.png")
    session.set_prompts(PAINTED)
    first = made(session, "recolour", changes={"hue": 120.0, "edge": "hard"})
    second = made(session, "light", changes={"exposure": -1.0, "edge": "hard"}, scope=Scope.BACKGROUND)
    after = shown(session)
    session.swap(first.id, second.id)
    finished(session)
    view = session.view().swap
    assert view is not None and view.consistency["order"] == "order does not matter"
    session.adopt()
    assert np.array_equal(shown(session), after), "they change different parts"
    methods = [turn.method for turn in session.view().turns if turn.lane == 0]
    assert methods == ["", "light", "recolour"]


def test_the_subject_is_moved_and_removed_at_the_pictures_own_size(session: Session) -> None:
    moved = made(session, "place", changes={"right": 0.2, "edge": "hard"})
    assert (moved.label, moved.scope) == ("Place: right 0.2, edge hard", Scope.BOTH)
    assert (moved.outside_changed, shown(session).shape) == (0, (32, 48, 3))
    gone = made(session, "remove")
    assert (gone.label, gone.scope, gone.outside_changed) == ("Remove", Scope.SUBJECT, 0)
    made(session, "straighten", changes={"mirror": "left and right"})
    before = shown(session)
    again = made(session, "straighten", changes={"mirror": "left and right"})
    assert np.array_equal(shown(session)[:, ::-1], before) and again.outside_changed == 0


def test_texts_that_nobody_read_stay_for_the_next_turn(session: Session) -> None:
    made(session, "recolour", changes={"hue": 10.0}, subject="a blue dog", background="in a forest")
    draft = session.view().draft
    assert (draft.subject, draft.background, draft.model) == ("a blue dog", "in a forest", "gone")
    made(session, "backdrop", subject="a blue dog", background="navy", changes={"match": 0.0})
    draft = session.view().draft
    assert (draft.subject, draft.background) == ("a blue dog", "")


def test_what_is_not_selected_is_asked_for(session: Session) -> None:
    session.set_prompts(MaskPrompts())
    with pytest.raises(NotReady, match="click the subject in the picture first, or let the turn change both"):
        run(session, "recolour", changes={"hue": 10.0})
    with pytest.raises(NotReady, match="Backdrop needs to know what it is"):
        run(session, "backdrop", background="navy")
    assert made(session, "recolour", changes={"hue": 10.0}, scope=Scope.BOTH).mask is None


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        ("recolour", {}, "every setting leaves the colours as they are"),
        ("backdrop", {"background": "a forest"}, "name a colour or two"),
        ("place", {"changes": {"right": 1.0}}, "the subject would lie outside of the picture"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_nothing_is_lost(
    session: Session, method: str, changes: dict[str, Any], says: str
) -> None:
    before = session.view()
    assert run(session, method, **changes) is JobState.FAILED
    after = session.view()
    assert after.job is not None and after.job.error is not None and says in after.job.error
    assert (after.turns, after.current, after.staged) == (before.turns, before.current, ())
    assert after.mask == before.mask


def test_several_candidates_are_refused_before_anything_is_queued(session: Session) -> None:
    with pytest.raises(BadRequest, match="Recolour draws nothing at random, so 3 candidates would be one picture"):
        run(session, "recolour", changes={"hue": 10.0}, candidates=3)
    assert session.view().job is None


def test_sentences_are_not_run_by_a_method_that_reads_none(session: Session) -> None:
    session.set_draft(replace(session.view().draft, method="recolour"))
    with pytest.raises(NotReady, match="Recolour does not read what a part becomes"):
        session.run_all([Asked("a blue dog", "", Scope.SUBJECT)])


def test_turns_by_hand_cannot_be_put_into_one(session: Session) -> None:
    first = made(session, "recolour", changes={"hue": 10.0})
    second = made(session, "light", changes={"exposure": 1.0})
    with pytest.raises(WrongTurns, match="Recolour needs no model and cannot be put into one turn with others"):
        session.squash(first.id, second.id)
    assert session.view().current == second.id


def test_what_was_said_of_a_part_that_was_changed_by_hand_is_said_no_more(studio: Studio, upload: bytes) -> None:
    session = studio.sessions.create(upload, "dog.png")
    session.set_prompts(PAINTED)
    made(
        session,
        "layered",
        subject="a red dog",
        background="in a forest",
        scope=Scope.BOTH,
        model="toybox",
        quality=Quality.DRAFT,
    )
    record = studio.store.load(session.sid)
    assert record is not None
    assert known_source(record.tree[id] for id in record.tree.line(record.tree.current)) == "a red dog in a forest"
    made(session, "recolour", changes={"hue": 120.0}, scope=Scope.SUBJECT)
    record = studio.store.load(session.sid)
    assert record is not None
    assert known_source(record.tree[id] for id in record.tree.line(record.tree.current)) == "in a forest"


def test_the_panel_of_a_turn_by_hand_keeps_the_model_that_was_chosen(session: Session) -> None:
    turn = made(session, "recolour", changes={"hue": 10.0})
    session.set_draft(replace(session.view().draft, model="another"))
    session.edit(turn.id)
    assert session.view().draft.model == "another"
    assert FRESH.method == "layered"


def test_a_subject_that_was_moved_is_selected_where_it_is_then(session: Session, alone: Studio) -> None:
    turn = made(session, "place", changes={"right": 0.25, "margin": 0.0})
    view = session.view()
    assert view.mask.mask == turn.mask_after is not None and turn.mask is not None
    before, after = (decode_mask(alone.pictures.get(mask), Extent(48, 32)) for mask in (turn.mask, turn.mask_after))
    assert np.array_equal(after[:, 12:], before[:, :-12]) and not after[:, :12].any()


def test_of_a_subject_that_was_taken_out_nothing_is_selected(session: Session) -> None:
    made(session, "remove", changes={"margin": 0.0})
    assert session.view().mask.area == 0 and session.view().mask.mask is None
    session.undo()
    session._remake_mask()
    assert session.view().mask.area > 0, "the marks are tried anew"


def test_a_subject_that_kept_its_place_stays_selected_to_the_pixel(session: Session) -> None:
    for method, changes, scope in (
        ("recolour", {"hue": 10.0}, Scope.SUBJECT),
        ("light", {"exposure": 1.0}, Scope.BOTH),
    ):
        turn = made(session, method, changes=changes, scope=scope)
        assert turn.mask_after == turn.mask == session.view().mask.mask


def test_a_turn_that_is_run_again_after_its_subject_was_taken_out_keeps_its_own_mask(session: Session) -> None:
    """There is nothing left to recolour: it is done where the subject was, and nothing breaks."""
    first = made(session, "recolour", changes={"hue": 120.0})
    second = made(session, "remove", changes={"margin": 0.0})
    session.cherry_pick(first.id, second.id)
    assert ended(session) is JobState.DONE, session.view().job
    again = session.view().turns[-1]
    assert (again.parent, again.method, again.mask) == (second.id, "recolour", first.mask)
