from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.catalog import is_by_hand
from pipelines.contract import Extent, Point, Quality, Scope
from pipelines.errors import BadPicture, BadRequest, ModelError, UnknownMethod
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.masks.segmenter import MaskAnswer
from pipelines.models.installed import sha256_of
from pipelines.pictures import decode, decode_mask, encode_mask, encode_png
from pipelines.progress import silent
from studio import app
from studio.app import Studio, build_studio
from studio.errors import (
    Busy,
    NothingStaged,
    NotReady,
    StorageFull,
    UnknownExample,
    UnknownPicture,
    UnknownSession,
    UnknownTurn,
)
from studio.history.replay import Replay, Step
from studio.history.turn import Outcome, Turn, TurnRequest
from studio.session.computing import Computing
from studio.session.session import Session
from studio.session.sessions import ExampleKind
from studio.session.view import FRESH, JobState
from studio.settings import Settings
from studio.ui.handlers import Handlers
from tests.pipelines.models.loras import write

LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}
CLICK = MaskPrompts(clicks=(Click(20.0, 16.0),))
OTHER_CLICK = MaskPrompts(clicks=(Click(30.0, 10.0),))
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)


@pytest.fixture
def session(studio: Studio, upload: bytes) -> Session:
    return studio.sessions.create(upload, "dog.png")


def prepare(session: Session, **changes: Any) -> None:
    values: dict[str, Any] = {"subject": "a blue dog", "background": "in a forest", "quality": Quality.DRAFT}
    session.set_draft(replace(session.view().draft, **{**values, **changes}))
    session.set_prompts(CLICK)


def ended(session: Session) -> JobState:
    """Follow the job as a page does, until it is over."""
    view = session.view()
    end = time.monotonic() + 10
    while view.job is not None and view.job.state not in ENDED:
        assert time.monotonic() < end
        view = session.wait(view.rev, 0.2)
    assert view.job is not None
    return view.job.state


def edited(session: Session, **changes: Any) -> str:
    """Run and keep one turn; gives its id."""
    prepare(session, **changes)
    session.start()
    assert ended(session) is JobState.DONE
    return session.accept(0).id


# The whole way


def test_upload_click_run_accept_run_again_undo_redo(studio: Studio, session: Session, upload: bytes) -> None:
    view = session.view()
    assert (view.name, view.width, view.height, view.rev) == ("dog.png", 48, 32, 0)
    assert [turn.label for turn in view.turns] == ["original"] and not view.can_undo and view.job is None
    assert view.notes == ("Draws toys only.",)
    assert session.picture_bytes(view.turns[0].picture) == encode_png(decode(upload).picture)

    prepare(session, candidates=2)
    mask = session.view().mask
    assert mask.mask is not None and mask.area == pytest.approx(64 / (48 * 32)) and not mask.stale
    assert [choice.label for choice in mask.choices] == ["whole", "part"]
    session.start()
    assert ended(session) is JobState.DONE
    view = session.view()
    assert [(s.seed, s.outside_changed, s.outside_largest) for s in view.staged] == [(7, 2, 5), (8, 2, 5)]
    assert len(view.turns) == 1, "nothing is kept before the person decides"

    turn = session.accept(1)
    view = session.view()
    assert (turn.number, turn.lane, turn.seed, turn.label) == (1, 0, 8, "a blue dog, in a forest")
    assert (turn.seconds, turn.outside_changed, turn.mask) == (2.0, 2, mask.mask)
    assert view.current == turn.id and view.staged == () and view.job is None
    assert (view.draft.subject, view.draft.background) == ("", "") and view.draft.candidates == 2
    assert np.array_equal(decode(session.picture_bytes(turn.picture)).picture, ~decode(upload).picture + np.uint8(8))

    second = edited(session, subject="a red dog")
    assert [t.number for t in session.view().turns] == [0, 1, 2] and session.view().current == second
    session.undo()
    assert session.view().current == turn.id and session.view().can_redo
    session.redo()
    assert session.view().current == second


def test_the_request_of_a_turn_says_everything(studio: Studio, session: Session) -> None:
    id = edited(session, changes={"steps": 9}, seed=11, scope=Scope.SUBJECT)
    record = studio.store.load(session.sid)
    assert record is not None
    asked, outcome = record.tree[id].request, record.tree[id].outcome
    assert asked is not None
    assert (asked.model, asked.weights, asked.method, asked.seed) == ("toybox", "weights", "layered", 11)
    assert asked.params["steps"] == 9 and asked.params["subject_weight"] == 0.7, "every setting, resolved"
    assert asked.prompts == {**asked.prompts, "clicks": [{"x": 20.0, "y": 16.0, "include": True}]}
    assert decode_mask(studio.pictures.get(asked.mask or ""), Extent(48, 32)).sum() == 64
    assert outcome.fitted is not None and studio.store.fitted.get(outcome.fitted) == b"layers 11"
    assert outcome.background_reference is not None and studio.pictures.get(outcome.background_reference)
    assert [stage.name for stage in outcome.stages] == ["reference", "embeddings", "fine-tune", "guidance"]


def test_running_from_an_earlier_turn_branches(session: Session) -> None:
    first = edited(session)
    original = session.view().turns[0].id
    session.jump(original)
    second = edited(session, subject="a red dog")
    turns = {turn.id: turn for turn in session.view().turns}
    assert turns[first].parent == turns[second].parent == original
    assert (turns[second].lane, turns[first].lane) == (0, 1)
    session.jump(first)
    turns = {turn.id: turn for turn in session.view().turns}
    assert (turns[second].lane, turns[first].lane) == (1, 0)
    with pytest.raises(UnknownTurn):
        session.jump("f" * 64)


def test_g04_a_result_attaches_to_the_turn_it_was_started_from(session: Session, engine: Any) -> None:
    first = edited(session)
    engine.hold_at = ("guidance", 2)
    prepare(session, subject="a red dog")
    session.start()
    assert engine.reached.wait(5)
    session.undo()
    session.undo()
    assert session.view().current == session.view().turns[0].id
    engine.hold.set()
    assert ended(session) is JobState.DONE
    assert session.accept(0).parent == first


def test_more_seeds_reuse_what_was_fitted_and_join_the_staged_ones(session: Session, engine: Any) -> None:
    with pytest.raises(NothingStaged):
        session.more_seeds()
    prepare(session, candidates=2)
    session.start()
    assert ended(session) is JobState.DONE
    session.more_seeds()
    assert ended(session) is JobState.DONE
    assert [s.seed for s in session.view().staged] == [7, 8, 9, 10]
    assert [request.fitted for request in engine.requests] == [None, b"layers 7"]
    assert np.array_equal(engine.requests[0].mask, engine.requests[1].mask)
    with pytest.raises(NothingStaged, match="4 finished candidates"):
        session.accept(4)
    session.discard()
    assert session.view().staged == () and len(session.view().turns) == 1


def test_a_turn_is_tried_by_several_methods_and_the_one_that_is_kept_says_which(session: Session, engine: Any) -> None:
    prepare(session, changes={"steps": 9})
    assert session.view().alike[0] == "layered" and {"inpaint", "ledits-pp"} <= set(session.view().alike)
    session.try_methods(["layered", "inpaint", "sdedit"])
    assert ended(session) is JobState.DONE
    view = session.view()
    assert view.job is not None and [stage.name for stage in view.job.stages][::2] == ["Layered", "SDEdit"]
    assert [(s.method, s.seed) for s in view.staged] == [("layered", 7), ("inpaint", 7), ("sdedit", 7)]
    assert len(engine.requests) == 3
    kept = session.accept(1)
    assert kept.method == "inpaint" and session.view().draft.method == "layered"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "choose between 1 and 8 methods to try, each once; got 0"),
        (["layered", "layered"], "each once; got 2"),
        (["layered", "instruct"], "does not take the same words as Layered on this model; choose from"),
        (["recolour"], "Recolour does not take the same words as Layered"),
    ],
)
def test_what_cannot_be_tried_side_by_side_is_refused(session: Session, names: list[str], said: str) -> None:
    prepare(session)
    with pytest.raises(NotReady, match=said):
        session.try_methods(names)
    with pytest.raises(UnknownMethod):
        session.try_methods(["layered", "magic"])
    assert session.view().job is None and session.view().staged == ()


def test_a_turn_that_only_samples_otherwise_is_not_fitted_again(
    studio: Studio, session: Session, engine: Any, upload: bytes
) -> None:
    """Whatever branch or session: the picture is the one it would be, for the price of sampling."""

    def fitted(on: Session, **changes: Any) -> bytes | None:
        on.jump(on.view().turns[0].id)
        edited(on, **changes)
        found: bytes | None = engine.requests[-1].fitted
        return found

    assert fitted(session, changes={"strength": 0.5}) is None
    assert fitted(session, changes={"strength": 0.6, "paste_back": False, "residual": 3.0}) == b"layers 7"
    assert fitted(session, candidates=3, changes={"alternate": False}) == b"layers 7"
    assert fitted(studio.sessions.create(upload, "again.png"), changes={"strength": 0.9}) == b"layers 7"
    for different in ({"subject": "a red dog"}, {"seed": 9}, {"changes": {"embed_steps": 2}}, {"scope": Scope.SUBJECT}):
        assert fitted(session, **different) is None, different
    edited(session)
    assert engine.requests[-1].fitted is None, "on another turn's picture other layers are fitted"


def test_layers_of_other_weights_or_that_are_gone_are_fitted_again(
    studio: Studio, session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = edited(session, changes={"strength": 0.5})
    for number, spoil in enumerate(
        (
            lambda: monkeypatch.setattr(engine, "weights", lambda model: "others"),
            lambda: monkeypatch.undo(),
            lambda: [path.write_bytes(b"") for path in (studio.store.folder / "fitted").iterdir()],
            lambda: [path.unlink() for path in (studio.store.folder / "fitted").iterdir()],
        )
    ):
        session.jump(session.view().turns[0].id)
        spoil()
        edited(session, changes={"strength": 0.6 + number / 100})
        assert (engine.requests[-1].fitted is None) == (number != 1), "those of the first weights are there again"
    assert session.view().turns[1].id == first


def test_a_fresh_replay_fits_again_and_layers_of_float32_are_not_kept(
    studio: Studio, session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(session)
    record = studio.store.load(session.sid)
    assert record is not None
    computing = Computing(studio.services, Extent(48, 32))
    asked = record.tree.here.request
    assert asked is not None
    again = Replay(record.tree.line(record.tree.current)[0], (Step(asked, record.tree.current),))
    (made,) = computing.replay(record.tree, again, silent, fresh=True)
    assert engine.requests[-1].fitted is None and made.id == record.tree.current

    plain = engine.edit
    monkeypatch.setattr(engine, "edit", lambda *given: replace(plain(*given), in_float32=True))
    for strength in (0.5, 0.6):
        session.jump(session.view().turns[0].id)
        edited(session, seed=30, changes={"strength": strength})
        assert engine.requests[-1].fitted is None
    record = studio.store.load(session.sid)
    assert record is not None and record.tree.here.outcome.fitted is None


# Warm starts


WARM = {"changes": {"warm_start": True}}


def asked_of(studio: Studio, session: Session, id: str) -> TurnRequest:
    record = studio.store.load(session.sid)
    assert record is not None
    request = record.tree[id].request
    assert request is not None
    return request


def layers_of(studio: Studio, session: Session, id: str) -> str | None:
    record = studio.store.load(session.sid)
    assert record is not None
    return record.tree[id].outcome.fitted


def test_a_warm_turn_begins_at_the_layers_of_its_own_parent_and_says_so(
    studio: Studio, session: Session, engine: Any
) -> None:
    first = edited(session, seed=1, **WARM)
    assert engine.requests[-1].warm is None and asked_of(studio, session, first).warm is None, "nothing is before it"
    second = edited(session, seed=2, **WARM)
    assert engine.requests[-1].warm == b"layers 1"
    assert asked_of(studio, session, second).warm == layers_of(studio, session, first) is not None
    assert [turn.begun_warm for turn in session.view().turns] == [False, False, True]
    session.jump(first)
    other = edited(session, seed=3, subject="a red dog", **WARM)
    assert engine.requests[-1].warm == b"layers 1", "a branch does not see what another one fitted"
    edited(session, seed=4, **WARM)
    assert engine.requests[-1].warm == b"layers 3"
    session.jump(other)
    cold = edited(session, seed=5, changes={})
    assert engine.requests[-1].warm is None and asked_of(studio, session, cold).warm is None, "it was not asked for"
    session.jump(other)
    sampled = edited(session, seed=6, method="sdedit", changes={})
    edited(session, seed=7, method="layered", **WARM)
    assert engine.requests[-1].warm is layers_of(studio, session, sampled) is None, "that method fits nothing"


def test_more_seeds_of_a_warm_turn_begin_at_the_same_layers(session: Session, engine: Any, studio: Studio) -> None:
    edited(session, seed=1, **WARM)
    prepare(session, seed=2, **WARM)
    session.start()
    assert ended(session) is JobState.DONE
    session.more_seeds()
    assert ended(session) is JobState.DONE
    assert [(r.warm, r.fitted) for r in engine.requests[1:]] == [(b"layers 1", None), (b"layers 1", b"layers 2")]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")], ids=["gone", "cut"])
def test_a_turn_whose_parents_layers_are_gone_begins_cold_and_says_so(
    studio: Studio, session: Session, engine: Any, spoil: Callable[[Any], Any]
) -> None:
    edited(session, seed=1, **WARM)
    for path in (studio.store.folder / "fitted").iterdir():
        spoil(path)
    second = edited(session, seed=2, **WARM)
    assert engine.requests[-1].warm is None and asked_of(studio, session, second).warm is None


def test_layers_of_other_weights_or_another_model_are_not_begun_at(
    session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(session, seed=1, **WARM)
    monkeypatch.setattr(engine, "weights", lambda model: "others")
    edited(session, seed=2, **WARM)
    assert engine.requests[-1].warm is None


def test_a_warm_turn_run_again(studio: Studio, session: Session, engine: Any) -> None:
    """As it was on its own parent, it begins where it did; on another one, at the layers of that; and where they are
    gone it begins cold, is another turn, and says why."""
    first, second = edited(session, seed=1, **WARM), edited(session, seed=2, **WARM)
    session.jump(first)
    aside = edited(session, seed=3, subject="a red dog", **WARM)
    record = studio.store.load(session.sid)
    assert record is not None
    tree, computing = record.tree, Computing(studio.services, Extent(48, 32))
    asked = asked_of(studio, session, second)

    def again(base: str, fresh: bool = True) -> Turn:
        (made,) = computing.replay(tree, Replay(base, (Step(asked, second),)), silent, fresh=fresh)
        return made

    assert again(first).id == second and engine.requests[-1].warm == b"layers 1"
    moved = again(aside)
    assert engine.requests[-1].warm == b"layers 3"
    assert moved.request is not None and moved.request.warm == layers_of(studio, session, aside)
    original = again(tree.line(first)[0])
    assert engine.requests[-1].warm is None and original.request is not None and original.request.warm is None

    (studio.store.folder / "fitted" / f"{asked.warm}.safetensors").unlink()
    count = len(engine.requests)
    assert again(first, fresh=False).id == second and len(engine.requests) == count, "what came of it is remembered"
    cold = again(first)
    assert engine.requests[-1].warm is None
    assert cold.id != second and cold.request == replace(asked, warm=None)
    count = len(engine.requests)
    studio.store.remember(asked.key(first), {"picture": "0" * 64, "outcome": {}})  # as if it were forgotten
    assert again(first, fresh=False).id == cold.id and len(engine.requests) == count, "and so is what came of it cold"


def test_a_turn_that_began_cold_begins_cold_again(studio: Studio, session: Session, engine: Any) -> None:
    """Though by now there are layers that it could begin at."""
    first = edited(session, seed=1, **WARM)
    kept = studio.store.folder / "fitted" / f"{layers_of(studio, session, first)}.safetensors"
    data = kept.read_bytes()
    kept.unlink()
    second = edited(session, seed=2, **WARM)
    kept.write_bytes(data)
    record = studio.store.load(session.sid)
    assert record is not None
    again = Replay(first, (Step(asked_of(studio, session, second), second),))
    (made,) = Computing(studio.services, Extent(48, 32)).replay(record.tree, again, silent, fresh=True)
    assert engine.requests[-1].warm is None and made.id == second


def test_turns_that_follow_a_changed_one_begin_at_what_that_fitted(session: Session, engine: Any) -> None:
    first = edited(session, seed=1, **WARM)
    edited(session, seed=2, **WARM)
    session.edit(first)
    prepare(session, seed=5, subject="a red dog", **WARM)
    session.start()
    assert ended(session) is JobState.DONE
    assert [request.warm for request in engine.requests[-2:]] == [None, b"layers 5"]


def test_candidates_that_were_not_kept_can_be_brought_back(studio: Studio, session: Session) -> None:
    prepare(session, candidates=3, seed=7)
    session.start()
    assert ended(session) is JobState.DONE
    staged = session.view().staged
    session.discard()
    assert session.view().staged == () and session.view().put_away == staged and session.view().can_undo
    session.undo()
    assert session.view().staged == staged and session.view().put_away == ()

    session.accept(1)  # the other two were minutes of work as well
    assert [s.seed for s in session.view().put_away] == [7, 9]
    assert all(session.picture_bytes(s.picture) for s in session.view().put_away)
    reopened = Session(studio.store.load(session.sid), session._services)  # type: ignore[arg-type]
    assert reopened.view().put_away == session.view().put_away
    first = session.view().put_away[0]
    session.bring_back([first.picture])
    assert [s.seed for s in session.view().staged] == [7] and [s.seed for s in session.view().put_away] == [9]
    assert session.accept(0).parent == session.view().turns[0].id
    with pytest.raises(NothingStaged, match="put away too long ago"):
        session.bring_back([first.picture])


def test_what_a_run_replaces_and_what_goes_with_a_turn_into_the_trash_is_put_away(session: Session) -> None:
    kept = edited(session, subject="a red dog", seed=3)
    for seed in (7, 20):
        prepare(session, seed=seed)
        session.start()
        assert ended(session) is JobState.DONE
    assert [s.seed for s in session.view().put_away] == [7]
    session.trash(kept)
    view = session.view()
    assert view.staged == () and [s.seed for s in view.put_away] == [20, 7]
    with pytest.raises(NothingStaged, match="bring that back first"):
        session.bring_back([s.picture for s in view.put_away])
    session.restore(kept)
    session.bring_back([s.picture for s in view.put_away])
    assert [s.seed for s in session.view().staged] == [20, 7]


def test_undo_after_something_else_does_not_bring_back_what_was_discarded(session: Session) -> None:
    prepare(session)
    session.start()
    assert ended(session) is JobState.DONE
    session.discard()
    session.set_prompts(OTHER_CLICK)
    session.undo()
    view = session.view()
    assert view.staged == () and len(view.put_away) == 1 and view.draft.prompts == CLICK


def test_a_run_again_takes_the_place_of_what_was_staged(session: Session) -> None:
    prepare(session)
    for seed in (7, 20):
        session.set_draft(replace(session.view().draft, seed=seed))
        session.start()
        assert ended(session) is JobState.DONE
    assert [s.seed for s in session.view().staged] == [20]


def test_a_reference_is_given_to_the_engine_and_used_up(session: Session, engine: Any, upload: bytes) -> None:
    session.set_reference("background", upload)
    session.set_draft(replace(session.view().draft, background_reference=None))
    assert session.view().draft.background_reference is not None, "a page that is behind cannot take it away"
    edited(session, background="")
    assert np.array_equal(engine.requests[0].background_reference, decode(upload).picture)
    assert session.view().draft.background_reference is None
    session.set_reference("background", upload)
    session.set_reference("background", None)
    assert session.view().draft.background_reference is None


def test_what_was_typed_since_the_run_is_of_the_next_turn(session: Session, upload: bytes) -> None:
    prepare(session)
    session.start()
    assert ended(session) is JobState.DONE
    asked = session.view().draft
    session.set_draft(replace(asked, subject="a green turtle"))
    session.set_reference("background", upload)
    session.accept(0)
    kept = session.view().draft
    assert (kept.subject, kept.background) == ("a green turtle", "") and asked.background
    assert kept.background_reference is not None


def test_what_is_in_the_middle_of_a_subject_reference_is_cut_out_of_it(session: Session, engine: Any) -> None:
    other = encode_png(np.zeros((40, 60, 3), np.uint8))
    session.set_reference("subject", other)
    draft = session.view().draft
    assert draft.subject_reference_mask is not None and session.picture_bytes(draft.subject_reference_mask)
    session.set_draft(replace(draft, subject_reference=None, subject_reference_mask=None))
    assert session.view().draft == draft, "a page that is behind cannot take it away"
    edited(session, subject="")
    asked = engine.requests[0]
    assert asked.subject_reference.shape == (40, 60, 3) and asked.subject_reference_mask.shape == (40, 60)
    assert asked.subject_reference_mask[20, 30] and asked.subject_reference_mask.sum() == 64
    request = session._record.tree.here.request
    assert request is not None and request.subject_reference_mask == draft.subject_reference_mask
    assert session.view().draft.subject_reference_mask is None, "used up"
    engine.segment = lambda picture, *_, **__: MaskAnswer(np.ones(picture.shape[:2], bool))
    session.set_reference("subject", other)
    assert session.view().draft.subject_reference_mask is None, "a click that finds everything cuts nothing out"
    session.set_reference("subject", None)
    assert session.view().draft.subject_reference is None


def test_what_a_run_needs_is_decoded_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        really = getattr(app, name)

        def decode(data: bytes, *extent: Extent) -> Any:
            decoded.append(hashlib.sha256(data).hexdigest())
            return really(data, *extent)

        return decode

    for name in ("decode", "decode_mask"):
        monkeypatch.setattr(app, name, counted(name))
    session.set_reference("background", encode_png(np.full((40, 60, 3), 9, np.uint8)))
    session.set_reference("subject", encode_png(np.zeros((40, 60, 3), np.uint8)))
    first = edited(session)
    edited(session, background="")
    asked = session._record.tree[first].request
    assert asked is not None and asked.mask is not None
    used = {asked.mask, *(digest for digest in asked.references().values() if digest)}
    given = {digest for name, digest in asked.references().items() if digest and not name.endswith("_mask")}
    assert len(used) == 4 and len(given) == 2
    assert {digest: decoded.count(digest) for digest in given} == dict.fromkeys(given, 1)
    pictures = {turn.picture for turn in session._record.tree.turns.values()}
    assert not (pictures | used - given) & set(decoded), "what was just made or uploaded is still there as pixels"


def test_a_session_says_what_the_model_would_be_shown(studio: Studio) -> None:
    large = studio.sessions.create(encode_png(np.zeros((600, 900, 3), np.uint8)), "large")
    assert large.view().sees is None, "nothing is selected"
    small = Stroke((Point(400.0, 300.0), Point(440.0, 300.0)), 20.0)
    large.set_prompts(MaskPrompts(strokes=(small,)))
    for scope, window, seen in (
        (Scope.SUBJECT, "around", True),
        (Scope.SUBJECT, "whole", False),
        (Scope.BACKGROUND, "around", False),
    ):
        large.set_draft(replace(large.view().draft, scope=scope, changes={"window": window}))
        box = large.view().sees
        assert (box is not None) is seen, (scope, window)
        if box is not None:
            assert box.left < 380 and 460 < box.right <= 900 and box.top < 280 and 320 < box.bottom <= 600
            assert box.right - box.left == box.bottom - box.top, "nothing is distorted"
    large.set_draft(replace(large.view().draft, scope=Scope.SUBJECT, method="recolour", changes={}))
    assert large.view().sees is None, "no model is asked"


# Masks


def test_undo_takes_back_mask_steps_before_turns(session: Session) -> None:
    edited(session)
    session.set_prompts(OTHER_CLICK)
    brush = replace(OTHER_CLICK, strokes=(Stroke((Point(2.0, 2.0), Point(9.0, 2.0)), 2.0),))
    painted = session.set_prompts(brush)
    here = session.view().current
    session.undo()
    assert session.view().draft.prompts == OTHER_CLICK and session.view().current == here
    session.redo()
    assert session.view().mask == painted
    session.undo()
    session.undo()
    assert session.view().draft.prompts == CLICK and session.view().current == here
    session.undo()
    assert session.view().current != here, "no step is left on this turn, so a turn is taken back"
    session.redo()
    session.redo()
    session.redo()
    assert session.view().current == here and session.view().draft.prompts == brush


def test_the_mask_after_a_background_turn_is_the_one_before_to_the_pixel(
    session: Session, studio: Studio, engine: Any
) -> None:
    edited(session, scope=Scope.BACKGROUND)
    before = session.view().turns[-1].mask
    for _ in range(2):
        view = session.view()
        assert view.mask.mask == view.turns[-1].mask_after == before and not view.mask.stale
        assert view.draft.prompts == CLICK, "the marks stay where they were set"
        session.set_draft(replace(view.draft, background="at night"))
        session.start()
        assert ended(session) is JobState.DONE
        session.accept(0)
    assert engine.segmented == 1, "nothing was looked for again"
    session.undo()
    assert session.view().mask.mask == before and not session.view().mask.stale


def test_after_a_subject_turn_the_mask_is_what_was_found_in_its_picture(
    session: Session, studio: Studio, engine: Any
) -> None:
    edited(session, scope=Scope.SUBJECT)
    turn = session.view().turns[-1]
    assert turn.mask is not None and turn.mask_after not in (None, turn.mask)
    found = session._mask_here(turn.mask_after or "")
    assert np.array_equal(found, np.roll(session._mask_here(turn.mask or ""), 1, axis=0))
    assert session.view().mask.mask == turn.mask_after and session.view().mask.stale
    assert session.view().mask.area == found.mean() and session.view().draft.prompts == CLICK
    session.undo()
    studio.services.background.submit(int).result()  # one thread, so by now the mask is made anew
    assert session.view().mask.mask == turn.mask
    session.redo()
    assert session.view().mask.mask == turn.mask_after
    session.set_prompts(OTHER_CLICK)
    session.undo()
    assert session.view().mask.mask == turn.mask_after, "a step back is a step back"


def test_a_candidates_own_mask_can_be_looked_at_before_it_is_kept(session: Session) -> None:
    """The page cuts its layers by it."""
    session.set_prompts(CLICK)
    session.set_draft(replace(session.view().draft, scope=Scope.SUBJECT, subject="a blue dog"))
    session.start()
    assert ended(session) is JobState.DONE
    (staged,) = session.view().staged
    assert staged.mask_after not in (None, session.view().mask.mask)
    assert session.picture_bytes(staged.mask_after or "").startswith(b"\x89PNG")
    session.discard()
    assert session.picture_bytes(staged.mask_after or ""), "it can be brought back"


def test_a_picture_is_kept_whatever_then_fails_to_look_at_it(
    session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise BadRequest("the picture is too narrow to be looked at")

    monkeypatch.setattr(engine, "follow", fails)
    monkeypatch.setattr(engine, "drift", fails)
    edited(session, scope=Scope.SUBJECT)
    turn = session.view().turns[-1]
    assert turn.mask_after == turn.mask and turn.drift is None


def test_clicks_are_tried_on_another_picture_and_called_stale(session: Session, studio: Studio, engine: Any) -> None:
    edited(session)
    session.set_prompts(OTHER_CLICK)
    assert not session.view().mask.stale and engine.segmented == 2
    session.undo()
    session.undo()
    session.redo()
    session.redo()
    assert session.view().draft.prompts == OTHER_CLICK
    session.jump(session.view().turns[0].id)
    assert session.view().mask.stale
    studio.services.background.submit(int).result()
    before = engine.segmented
    session.set_prompts(OTHER_CLICK)
    assert not session.view().mask.stale, "clicked again: it is this picture's now"
    assert engine.segmented == before, "the same clicks on the same picture are remembered"


def test_a_click_that_was_overtaken_is_dropped_and_undo_does_not_wait_for_it(session: Session, engine: Any) -> None:
    session.set_prompts(CLICK)
    engine.segment_seconds = 1.5
    slow = threading.Thread(target=session.set_prompts, args=(OTHER_CLICK,))
    slow.start()
    time.sleep(0.1)
    session.undo()
    assert slow.is_alive()
    slow.join()
    assert session.view().draft.prompts == MaskPrompts(), "the late answer did not come back"


def test_a_mask_can_be_uploaded_and_cleared(session: Session) -> None:
    mask = np.zeros((32, 48), bool)
    mask[4:12, 4:20] = True
    assert session.upload_mask(encode_mask(mask)).area == pytest.approx(mask.mean())
    digest = session.view().mask.mask or ""
    assert np.array_equal(decode_mask(session.picture_bytes(digest), Extent(48, 32)), mask)
    with pytest.raises(BadPicture, match="48 x 32"):
        session.upload_mask(encode_mask(mask[:20]))
    with pytest.raises(UnknownPicture):
        session.set_prompts(MaskPrompts(uploaded="0" * 64))
    assert session.set_prompts(MaskPrompts()).mask is None
    session.undo()
    assert session.view().mask.mask == digest


# What is refused, and that nothing happens then


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"subject": "", "background": " "}, BadRequest, "texts are empty"),
        ({"subject": "", "scope": Scope.SUBJECT}, BadRequest, "what the subject becomes"),
        ({"background": "", "scope": Scope.BACKGROUND}, BadRequest, "what the background becomes"),
        ({"candidates": 0}, BadRequest, "between 1 and 8; got 0"),
        ({"candidates": 9}, BadRequest, "between 1 and 8; got 9"),
        ({"seed": -1}, BadRequest, "between 0 and 4294967295; got -1"),
        ({"seed": 2**32}, BadRequest, "got 4294967296"),
        ({"seed": 2**32 - 1, "candidates": 2}, BadRequest, "between 0 and 4294967294"),
        ({"changes": {"steps": 0}}, Exception, "between 1 and 1000 steps; got 0"),
        ({"changes": {"steps": "many"}}, Exception, "must be a number; got 'many'"),
        ({"changes": {"magic": 1}}, Exception, "unknown setting magic"),
        ({"model": "dreams"}, ModelError, "no text-to-image model called 'dreams'"),
        ({"model": "../toybox"}, ModelError, "no text-to-image model"),
    ],
)
def test_a_turn_that_cannot_run_is_refused_before_anything_is_queued(
    studio: Studio, session: Session, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    prepare(session, **changes)
    before = session.view()
    with pytest.raises(error, match=words):
        session.start()
    assert session.view() == before and studio.store.last_job(session.sid) is None


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (MaskPrompts(), "click the subject"),
        (MaskPrompts(strokes=(Stroke((Point(5.0, 5.0),), 3.0, erase=True),)), "nothing is selected"),
        (MaskPrompts(strokes=(Stroke((Point(5.0, 5.0),), 3.0, erase=True),), invert=True), "whole picture"),
    ],
)
def test_no_mask_an_empty_one_and_a_full_one_are_refused(session: Session, prompts: MaskPrompts, words: str) -> None:
    prepare(session)
    session.set_prompts(prompts)
    with pytest.raises((NotReady, BadRequest), match=words):
        session.start()


def test_a_method_without_a_mask_runs_on_the_whole_picture(session: Session, engine: Any) -> None:
    prepare(session, method="sdedit")
    session.set_prompts(MaskPrompts())
    session.set_draft(replace(session.view().draft, scope=Scope.SUBJECT))
    with pytest.raises(NotReady, match="click the subject"):
        session.start()
    session.set_draft(replace(session.view().draft, scope=Scope.BOTH))
    session.start()
    assert ended(session) is JobState.DONE and engine.requests[0].mask.all()


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": None},
        {"subject": "x" * 200_000},
        {"candidates": 1.5},
        {"seed": "7"},
        {"scope": "everything"},
        {"quality": "best"},
        {"method": 3},
        {"changes": {"steps": float("nan")}},
        {"changes": {"steps": [1]}},
    ],
)
def test_a_draft_of_the_wrong_kind_is_not_stored(session: Session, changes: dict[str, Any]) -> None:
    before = session.view()
    with pytest.raises((NotReady, BadRequest)):
        session.set_draft(replace(before.draft, **changes))
    assert session.view() == before


def test_text_is_kept_verbatim_whatever_it_holds(studio: Studio, session: Session) -> None:
    text = "<script>alert(1)</script> ${1+1} {{x}} \\ \x00 \u202e 犬 " + "word " * 100
    session.set_draft(replace(session.view().draft, subject=text, background="half \ud83d pair"))
    record = studio.store.load(session.sid)
    assert record is not None and record.panel["draft"]["subject"] == text
    assert record.panel["draft"]["background"] == "half � pair"


def test_uploads_that_are_no_pictures_store_nothing(studio: Studio) -> None:
    for data in (b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        with pytest.raises(BadPicture):
            studio.sessions.create(data, "x")
    assert studio.sessions.list() == () and list((studio.store.folder / "pictures").iterdir()) == []


def test_names_of_uploads_lose_folders_and_control_characters(studio: Studio, upload: bytes) -> None:
    for name, kept in (("../../etc/evil\x07.png", "evil.png"), ("C:\\a\\b.png", "b.png"), ("", "untitled")):
        assert studio.sessions.create(upload, name).view().name == kept
    assert len(studio.sessions.create(upload, "n" * 500).view().name) == 120


# Jobs


@pytest.mark.parametrize("again", [False, True])
def test_a_turn_says_that_it_took_a_second_run_in_float32(session: Session, engine: Any, again: bool) -> None:
    engine.in_float32 = again
    prepare(session)
    session.start()
    ended(session)
    session.accept(0)
    assert [turn.in_float32 for turn in session.view().turns] == [False, again]


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (Scope.SUBJECT, ("a blue dog", "")),
        (Scope.BACKGROUND, ("", "in a forest")),
        (Scope.BOTH, ("a blue dog", "in a forest")),
    ],
)
def test_a_part_that_stays_is_not_spoken_of(session: Session, engine: Any, scope: Scope, said: tuple[str, str]) -> None:
    """What was typed for it is not shown while it stays, and is there again when it changes."""
    prepare(session)
    texts = {"subject": "a blue dog", "background": "in a forest"}
    session.set_draft(replace(session.view().draft, scope=scope, **texts))
    session.start()
    ended(session)
    asked = engine.requests[-1]
    assert (asked.subject, asked.background) == said
    assert (session.view().draft.subject, session.view().draft.background) == tuple(texts.values())
    session.accept(0)
    assert (session.view().turns[-1].subject, session.view().turns[-1].background) == said


def test_what_came_out_as_one_colour_is_marked_from_the_candidate_on(
    session: Session, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = engine.edit

    def blackened(*given: Any) -> Any:
        result = plain(*given)
        return replace(result, candidates=tuple(replace(c, flat="#000000") for c in result.candidates))

    monkeypatch.setattr(engine, "edit", blackened)
    prepare(session)
    session.start()
    ended(session)
    assert [candidate.flat for candidate in session.view().staged] == ["#000000"]
    session.accept(0)
    assert [turn.flat for turn in session.view().turns] == ["", "#000000"]


def test_one_job_a_session_and_cancel_at_once(session: Session, engine: Any) -> None:
    engine.hold_at = ("embeddings", 3)
    prepare(session)
    session.cancel()
    started = session.start()
    assert started.state in (JobState.QUEUED, JobState.RUNNING)
    assert [stage.name for stage in started.stages] == ["reference", "embeddings", "fine-tune", "guidance"]
    assert engine.reached.wait(5)
    with pytest.raises(Busy, match="wait for it, or press Cancel"):
        session.start()
    view = session.view()
    assert view.job is not None and view.job.stage == "embeddings"
    assert view.job.stages[0].fraction == 1.0 and view.job.stages[3].fraction == 0.0
    preview = session.preview()
    assert preview is not None and preview.startswith(b"\xff\xd8")
    began = time.monotonic()
    session.cancel()
    view = session.view()
    assert time.monotonic() - began < 2 and view.job is not None and view.job.state is JobState.CANCELLED
    session.cancel()
    engine.hold_at = None
    session.start()
    assert ended(session) is JobState.DONE and len(session.view().staged) == 1


def test_a_failed_turn_leaves_everything_and_the_next_one_runs(session: Session, engine: Any) -> None:
    engine.raises = RuntimeError("cublas failed at /opt/secret")
    prepare(session)
    session.start()
    assert ended(session) is JobState.FAILED
    view = session.view()
    assert view.job is not None and "secret" not in (view.job.error or "") and "code" in (view.job.error or "")
    assert view.draft.subject == "a blue dog" and view.staged == () and len(view.turns) == 1
    engine.raises = None
    session.start()
    assert ended(session) is JobState.DONE


def test_i08_two_sessions_wait_for_the_device_in_order(studio: Studio, upload: bytes, engine: Any) -> None:
    first, second = (studio.sessions.create(upload, name) for name in ("a", "b"))
    engine.hold_at = ("reference", 2)
    for session in (first, second):
        prepare(session)
        session.start()
    assert engine.reached.wait(5)
    waiting = second.view().job
    assert waiting is not None and (waiting.state, waiting.ahead) == (JobState.QUEUED, 1)
    second.cancel()
    running = first.view().job
    assert running is not None and running.state is JobState.RUNNING
    engine.hold.set()
    assert ended(first) is JobState.DONE and ended(second) is JobState.CANCELLED


def test_wait_returns_at_a_change_and_at_the_timeout(session: Session) -> None:
    began = time.monotonic()
    rev = session.view().rev
    assert session.wait(rev, 0.1).rev == rev and 0.09 < time.monotonic() - began < 1.0
    threading.Timer(0.1, session.set_prompts, (CLICK,)).start()
    began = time.monotonic()
    assert session.wait(rev, 5.0).rev > rev and time.monotonic() - began < 2.0
    assert session.wait(rev, 5.0).rev > rev, "a change that was missed is told at once"


# What lasts


def test_a_reload_shows_the_same_session(
    settings: Settings, upload: bytes, engine: Any, wait_until: Callable[..., None]
) -> None:
    studio = build_studio(settings, engine)
    session = studio.sessions.create(upload, "dog.png")
    edited(session)
    session.set_prompts(OTHER_CLICK)
    prepare(session, subject="half a thou")
    session.start()
    assert ended(session) is JobState.DONE
    before = session.view()
    assert studio.sessions.get(session.sid) is session, "one object of a session"
    studio.close()

    studio = build_studio(settings, engine)
    again = studio.sessions.get(before.sid)
    assert replace(again.view(), job=None) == replace(before, job=None)
    assert [s.sid for s in studio.sessions.list()] == [before.sid]
    again.undo()
    assert again.view().draft.prompts == OTHER_CLICK, "even the mask's steps can still be taken back"
    assert again.accept(0).number == 2
    studio.close()


def test_f11_a_job_cut_off_by_a_stop_is_shown_as_interrupted(settings: Settings, upload: bytes, engine: Any) -> None:
    studio = build_studio(settings, engine)
    session = studio.sessions.create(upload, "dog.png")
    engine.hold_at = ("guidance", 1)
    prepare(session)
    session.start()
    assert engine.reached.wait(5)
    studio.close()
    engine.hold_at = None

    studio = build_studio(settings, engine)
    again = studio.sessions.get(session.sid)
    job = again.view().job
    assert job is not None and job.state is JobState.INTERRUPTED and "Press Run" in (job.error or "")
    again.start()
    assert ended(again) is JobState.DONE
    studio.close()


def test_a_session_belongs_to_who_knows_its_id(studio: Studio, session: Session, upload: bytes) -> None:
    assert len(session.sid) == 32 and int(session.sid, 16)
    for sid in ("", "0" * 32, session.sid[:-1], "' OR 1=1 --"):
        with pytest.raises(UnknownSession):
            studio.sessions.get(sid)
    other = studio.sessions.create(encode_png(np.full((19, 20, 3), 7, np.uint8)), "other")
    for digest in (other.view().turns[0].picture, "0" * 64, "../studio.db", ""):
        with pytest.raises(UnknownPicture):
            session.picture_bytes(digest)


def test_examples_fill_in_the_texts(studio: Studio) -> None:
    examples = studio.sessions.examples()
    assert examples and all(example.clicks for example in examples)
    session = studio.sessions.create_example(examples[0].id)
    draft = session.view().draft
    assert (draft.subject, draft.background, draft.scope) == (
        examples[0].subject,
        examples[0].background,
        examples[0].scope,
    )
    photographs = [example for example in examples if example.kind is ExampleKind.PHOTOGRAPH]
    assert len(photographs) == 3 and all(is_by_hand(example.method) for example in photographs)
    assert studio.sessions.create_example(photographs[0].id).view().draft.method == photographs[0].method
    for name in ("nothing", "../examples/" + examples[0].id, ""):
        with pytest.raises(UnknownExample):
            studio.sessions.create_example(name)


def test_an_example_of_turns_is_opened_as_a_copy_of_its_own(studio: Studio) -> None:
    (example,) = (e for e in studio.sessions.examples() if e.kind is ExampleKind.SESSION)
    first, second = studio.sessions.create_example(example.id), studio.sessions.create_example(example.id)
    view = first.view()
    assert first.sid != second.sid and view.name == example.title
    assert [turn.number for turn in view.turns] == [0, 1, 2, 3, 4, 5, 6, 3] and len(view.branches) == 2
    assert [turn.method for turn in view.turns[1:]].count("layered") == 4
    first.trash(view.turns[6].id)
    assert len(second.view().turns) == 8, "what is done to one copy is not done to another"


def test_h03_a_full_disk_at_any_call_loses_nothing_and_is_survived(
    studio: Studio, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails the k-th call of the file layer while a turn runs and is kept, until one run gets through."""
    prepare(session)
    files = studio.pictures._files
    calls = ("create", "write", "fsync", "rename", "fsync_dir")
    for k in range(1, 100):
        session.set_draft(replace(session.view().draft, subject="a blue dog", seed=k))  # new pictures every time
        before = session.view()
        count = 0

        def failing(original: Callable[..., Any], k: int = k) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                nonlocal count
                count += 1
                if count == k:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return original(*args)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(files, name, failing(getattr(files, name)))
            session.start()
            state = ended(session)
        after = session.view()
        if count < k:
            assert state is JobState.DONE
            break
        assert state is JobState.FAILED and after.job is not None and "no space left" in (after.job.error or "")
        assert (after.turns, after.staged, after.draft) == (before.turns, before.staged, before.draft)
        assert not list((studio.store.folder / "pictures").glob("*.part"))
    else:
        pytest.fail("it never got through")
    assert k > 10, "the loop reached the files of a turn"
    session.accept(0)
    record = studio.store.load(session.sid)
    assert record is not None
    for turn in record.tree.turns.values():
        for digest in turn.files():
            studio.pictures.get(digest)


def test_h04_when_the_row_cannot_be_saved_nothing_has_changed(
    studio: Studio, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(session)
    session.start()
    assert ended(session) is JobState.DONE
    before = session.view()

    def full(*args: Any) -> None:
        raise StorageFull("there is no space left")

    with monkeypatch.context() as patch:
        patch.setattr(studio.store, "save", full)
        for change in (
            lambda: session.accept(0),
            session.discard,
            session.undo,
            lambda: session.set_prompts(OTHER_CLICK),
            lambda: session.set_draft(replace(FRESH, subject="x")),
        ):
            with pytest.raises(StorageFull):
                change()
            after = session.view()
            assert replace(after, job=None) == replace(before, job=None)
    assert session.accept(0).number == 1


def test_a_thousand_turns_open_and_move_with_a_job_running(studio: Studio, session: Session, engine: Any) -> None:
    record = studio.store.load(session.sid)
    assert record is not None
    tree, parents = record.tree, [record.tree.here]
    for seed in range(1_000):
        parent = parents[-1] if seed % 5 else parents[5 * (seed // 10) + 1 if seed else 0]
        asked = TurnRequest(
            model="m",
            weights="w",
            method="sdedit",
            params={"a": 1},
            quality=Quality.DRAFT,
            subject="s",
            background="",
            scope=Scope.BOTH,
            seed=seed,
            mask=None,
            prompts={},
            feather=2.0,
        )
        turn = Turn.after(parent.id, asked, parent.picture, Outcome())
        parents.append(turn)
        tree = tree.append(turn)
    assert len(tree.branches) >= 200
    large = replace(record, sid="large", tree=tree)
    studio.store.save(large, None)
    opened = studio.sessions.get("large")
    assert len(opened.view().turns) == 1_001
    engine.hold_at = ("guidance", 1)
    prepare(session)
    session.start()
    assert engine.reached.wait(5)
    for step in range(0, 1_000, 50):
        opened.jump(parents[step].id)
        assert opened.view().current == parents[step].id
        opened.undo()
        opened.redo()
        assert opened.view().can_undo == (step > 0) or opened.view().current != parents[step].id


def test_nothing_of_torch_was_imported() -> None:
    script = "import sys, studio.app; assert not {'torch', 'diffusers', 'transformers', 'gradio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_mask_that_was_just_replaced_can_still_be_fetched(session: Session) -> None:
    edited(session)
    session.set_prompts(OTHER_CLICK)
    before = session.view().mask.mask
    assert before is not None
    session.undo()
    session.set_prompts(replace(OTHER_CLICK, grow=2))
    assert session.view().mask.mask != before
    assert session.picture_bytes(before).startswith(b"\x89PNG")


def test_a_lora_is_part_of_the_turn_and_of_its_key(
    studio: Studio, session: Session, engine: Any, model_folder: Any
) -> None:
    file = write(model_folder / "loras" / "pencil.safetensors", LORA)
    prepare(session, loras={"pencil": 0.5})
    session.start()
    assert ended(session) is JobState.DONE
    session.accept(0)
    (use,) = engine.requests[-1].loras
    assert (use.name, use.scale, use.sha256) == ("pencil", 0.5, sha256_of(file))
    session.undo()
    assert session.view().draft.loras == {"pencil": 0.5}
    ran = len(engine.requests)
    prepare(session, loras={"pencil": 0.5})
    session.start()
    assert ended(session) is JobState.DONE and len(engine.requests) == ran  # it was computed before
    session.discard()
    prepare(session, loras={"pencil": 0.25})
    session.start()
    assert ended(session) is JobState.DONE and len(engine.requests) == ran + 1
    session.discard()
    again = studio.sessions.get(session.sid)
    assert again.view().draft.loras == {"pencil": 0.25}


@pytest.mark.parametrize(
    ("loras", "error", "told"),
    [
        ({"ghost": 1.0}, ModelError, "no LoRA called 'ghost'"),
        ({"pencil": 9.0}, BadRequest, "between -4 and 4"),
        ({"pencil": float("nan")}, NotReady, "finite"),
        ({"pencil": "much"}, NotReady, "a number for its scale"),
    ],
)
def test_a_lora_that_cannot_be_is_refused(
    session: Session, model_folder: Any, loras: dict[str, Any], error: type[Exception], told: str
) -> None:
    write(model_folder / "loras" / "pencil.safetensors", LORA)

    def run() -> None:
        prepare(session, loras=loras)
        session.start()

    with pytest.raises(error, match=told):
        run()


def test_a_method_that_there_is_none_of_is_not_kept(session: Session) -> None:
    before = session.view()
    with pytest.raises(UnknownMethod, match="no method called 'telepathy'; choose one of layered"):
        session.set_draft(replace(before.draft, method="telepathy"))
    assert session.view() == before


DUDS: list[tuple[dict[str, Any], str]] = [
    ({"method": "telepathy"}, "method"),
    ({"changes": {"steps": "many", "guidance": 3.0}}, "steps"),
    ({"changes": {"steps": 10**9}}, "steps"),
    ({"changes": {"magic": 1}}, "magic"),
    ({"changes": [1]}, "changes"),
    ({"quality": "best", "scope": 7}, "quality"),
    ({"candidates": "2", "seed": 1.5}, "candidates"),
    ({"subject": ["a dog"]}, "subject"),
    ({"loras": {"ink": "strong"}}, "loras"),
    ({"subject_reference": "../../x"}, "subject_reference"),
]


@pytest.mark.parametrize(("dud", "named"), DUDS)
def test_a_draft_that_cannot_be_opens_without_that_and_says_so(
    studio: Studio, session: Session, dud: dict[str, Any], named: str
) -> None:
    session.set_draft(replace(session.view().draft, background="in a forest"))
    record = studio.store.load(session.sid)
    assert record is not None
    stored = replace(record, sid="d" * 32, panel={**record.panel, "draft": {**record.panel["draft"], **dud}}, rev=0)
    view = studio.sessions.adopt_record(stored).view()
    (note,) = (note for note in view.notes if "could not be used" in note)
    assert named in note and view.draft.background == "in a forest"
    usual = FRESH
    for name in dud:
        kept = {"guidance": 3.0} if "guidance" in str(dud) else getattr(usual, name)
        assert getattr(view.draft, name) == kept
    assert len(Handlers(studio).fields(view, None)) > 10, "the panel can show it"


@pytest.mark.parametrize(
    "panel", [{"editing": "gone"}, {"selections": {"now": 7}}, {"selections": []}, {"draft": None}]
)
def test_a_panel_that_cannot_be_opens_as_a_new_one(studio: Studio, session: Session, panel: dict[str, Any]) -> None:
    record = studio.store.load(session.sid)
    assert record is not None
    view = studio.sessions.adopt_record(replace(record, sid="d" * 32, panel={**record.panel, **panel}, rev=0)).view()
    assert view.editing is None and view.mask.mask is None and len(view.turns) == 1
