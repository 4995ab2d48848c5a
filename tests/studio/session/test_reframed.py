"""Turns that change the frame among others: marks, masks, replays, orders, drift and files all follow."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Extent, Picture, Point, Scope
from pipelines.errors import BadRequest
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.pictures import decode_mask, encode_png
from studio.app import Studio
from studio.errors import NotReady, OverLimit, UnknownMask, WrongTurns
from studio.exports.kinds import ExportKind, exported
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.session.selection import Combine
from studio.session.session import Session
from studio.session.view import JobState, TurnView
from studio.settings import Hosting
from studio.store.archive.schema import BadArchive
from studio.store.archive.session_file import read_archive, write_archive
from tests.studio.session.test_by_hand import PAINTED, ended, finished, made, run, shown

CROP = {"left": 0.25, "bottom": 0.25}
"""Of 48 x 32 pixels, 12 and 8."""
HARD = {"edge": "hard"}


def pixels() -> Picture:
    return np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)


@pytest.fixture
def session(studio: Studio) -> Session:
    session = studio.sessions.create(encode_png(pixels()), "dog.png")
    session.set_prompts(PAINTED)
    return session


def mask_of(session: Session, digest: str | None, width: int, height: int) -> Any:
    return decode_mask(session.picture_bytes(digest or ""), Extent(width, height))


def now(session: Session) -> tuple[int, int, Any]:
    """Size of the picture one stands on, and the mask as it is shown there."""
    session._remake_mask()
    view = session.view()
    return view.width, view.height, mask_of(session, view.mask.mask, view.width, view.height)


def test_a_crop_is_a_turn_and_the_mask_goes_with_it(session: Session) -> None:
    *_, before = now(session)
    turn = made(session, "crop", changes=CROP)
    assert (turn.label, turn.scope, turn.outside_changed) == ("Crop: left 0.25, bottom 0.25", Scope.BOTH, 0)
    assert (turn.frame.width, turn.frame.height, turn.frame.moves) == (36, 24, (1, 0, 0, 1, -12, 0))
    assert np.array_equal(shown(session), pixels()[:24, 12:])
    width, height, mask = now(session)
    assert (width, height) == (36, 24) and np.array_equal(mask, before[:24, 12:])
    assert not session.view().mask.stale, "the subject that was selected is seen as it was"
    session.undo()
    width, height, mask = now(session)
    assert (width, height) == (48, 32) and np.array_equal(mask, before)
    assert session.view().draft.prompts == PAINTED


@pytest.mark.parametrize(
    ("method", "changes", "size"),
    [
        ("crop", CROP, (36, 24)),
        ("extend", {"left": 0.5, "top": 0.25, "beyond": "white"}, (72, 40)),
        ("resize", {"longer": 96}, (96, 64)),
        ("straighten", {"angle": 8.0, "keep_size": False}, (40, 26)),
        ("straighten", {"mirror": "both"}, (48, 32)),
    ],
)
def test_a_session_goes_on_in_the_new_frame_and_reads_back(
    studio: Studio, session: Session, method: str, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    turn = made(session, method, changes=changes)
    assert (turn.frame.width, turn.frame.height) == size
    width, height, mask = now(session)
    assert (width, height) == size and np.array_equal(mask, mask_of(session, turn.mask_after, *size))
    before = shown(session)
    coloured = made(session, "recolour", changes={"hue": 120.0, **HARD})
    assert coloured.mask == turn.mask_after
    changed = (shown(session) != before).any(-1)
    assert changed.any() and not changed[~mask].any()
    again = studio.sessions.create(encode_png(pixels()), "other.png")
    assert again.view().width == 48
    file = io.BytesIO()
    write_archive(studio.sessions.record(session.sid), studio.pictures, file)
    file.seek(0)
    record = read_archive(file, studio.pictures)
    assert record.tree.turns == studio.sessions.record(session.sid).tree.turns


def test_clicks_follow_and_those_that_were_cut_off_leave_their_mask(session: Session, engine: Any) -> None:
    session.set_prompts(MaskPrompts(clicks=(Click(20, 10), Click(40, 4))))
    *_, whole = now(session)
    made(session, "crop", changes={"left": 0.25})
    assert session.view().draft.prompts.clicks == (Click(8, 10), Click(28, 4))
    session.undo()
    made(session, "crop", changes={"right": 0.25})
    view = session.view()
    assert view.draft.prompts.clicks == () and view.draft.prompts.uploaded == view.mask.mask
    _, _, mask = now(session)
    assert np.array_equal(mask, whole[:, :36])
    session.undo()
    assert session.view().draft.prompts.clicks == (Click(20, 10), Click(40, 4)), "nothing was lost by looking"
    made(session, "crop", changes={"left": 0.5})
    session.set_prompts(replace(session.view().draft.prompts, clicks=(Click(3, 3),), uploaded=None))
    session.undo()
    session.undo()
    assert session.view().width == 48


def test_what_was_cut_off_is_selected_no_more(session: Session) -> None:
    session.set_prompts(MaskPrompts(clicks=(Click(6, 6),)))
    made(session, "crop", changes={"left": 0.5})
    view = session.view()
    assert (view.mask.mask, view.mask.area, view.draft.prompts.is_empty) == (None, 0, True)
    session.undo()
    assert now(session)[2].any()


def test_an_earlier_crop_is_changed_and_what_follows_is_done_where_it_lay(session: Session) -> None:
    crop = made(session, "crop", changes=CROP)
    made(session, "recolour", changes={"hue": 120.0, **HARD})
    narrow = shown(session)
    session.edit(crop.id)
    session.set_draft(replace(session.view().draft, changes={"left": 0.125, "bottom": 0.25}))
    session.start()
    finished(session)
    assert shown(session).shape == (24, 42, 3)
    assert np.array_equal(shown(session)[:, 6:], narrow)
    session.jump(session.view().turns[0].id)
    made(session, "crop", changes={"right": 0.5})


def test_a_turn_is_picked_onto_another_frame(session: Session) -> None:
    hued = made(session, "recolour", changes={"hue": 120.0, **HARD})
    whole = shown(session)
    session.undo()
    doubled = made(session, "resize", changes={"longer": 96, "squares": True})
    session.cherry_pick(hued.id, doubled.id)
    assert ended(session) is JobState.DONE, session.view().job
    there = shown(session)
    assert there.shape == (64, 96, 3)
    alike = (there == np.repeat(np.repeat(whole, 2, 0), 2, 1)).all(-1)
    assert alike.mean() > 0.95, "but for the mask's edge"


@pytest.mark.parametrize("reframing", [("crop", CROP), ("straighten", {"mirror": "left and right"})])
@pytest.mark.parametrize("first", [True, False])
def test_a_turn_that_changes_the_frame_is_swapped_with_one_that_does_not(
    studio: Studio, upload: bytes, reframing: tuple[str, dict[str, Any]], first: bool
) -> None:
    session = studio.sessions.create(upload, "dog.png")
    session.set_prompts(PAINTED)
    steps = [reframing, ("recolour", {"hue": 120.0, **HARD})]
    one, two = (made(session, name, changes=changes) for name, changes in (steps if first else steps[::-1]))
    after = shown(session)
    session.swap(one.id, two.id)
    assert ended(session) is JobState.DONE, session.view().job
    view = session.view().swap
    assert view is not None and view.consistency["order"] == "order does not matter"
    session.adopt()
    assert np.array_equal(shown(session), after)


def test_two_that_change_the_frame_are_not_swapped_and_it_is_said_why(session: Session) -> None:
    one = made(session, "crop", changes=CROP)
    two = made(session, "resize", changes={"longer": 90})
    with pytest.raises(WrongTurns, match="Crop and Resize both change the frame"):
        session.swap(one.id, two.id)
    assert session.orders(2).cells == ()


def test_a_model_paints_in_the_new_frame_and_drift_is_against_the_original_in_it(session: Session, engine: Any) -> None:
    made(session, "crop", changes=CROP)
    made(session, "extend", changes={"right": 0.5, "beyond": "texture"})
    turn = painted(session)
    request = engine.requests[-1]
    assert request.picture.shape == (24, 54, 3) and request.mask.shape == (24, 54)
    assert turn.drift is not None
    original = engine.drifts[-1]
    assert np.array_equal(original[:, :36], pixels()[:24, 12:]) and (original[:, 36:] == 128).all()


def painted(session: Session) -> TurnView:
    return made(session, "layered", subject="a red dog", model="toybox", quality="draft")


def test_candidates_wait_in_their_own_frame(session: Session) -> None:
    assert run(session, "crop", changes=CROP) is JobState.DONE
    (staged,) = session.view().staged
    assert (staged.frame.width, staged.frame.height) == (36, 24) and session.view().width == 48
    session.discard()
    assert session.view().put_away[0].frame.width == 36


def test_files_of_a_line_through_several_frames(studio: Studio, session: Session) -> None:
    made(session, "crop", changes=CROP)
    turn = made(session, "resize", changes={"longer": 72})
    record = studio.sessions.record(session.sid)
    for kind in ExportKind:
        data = exported(record, turn.id, studio.pictures, kind)
        if kind in (ExportKind.PNG, ExportKind.JPEG, ExportKind.WEBP, ExportKind.GIF, ExportKind.WEBP_ANIMATION):
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == (72, 48), kind
    with Image.open(io.BytesIO(exported(record, turn.id, studio.pictures, ExportKind.WEBP_ANIMATION))) as image:
        first = np.asarray(image.convert("RGB")).astype(int)
    cut = Image.fromarray(pixels()[:24, 12:]).resize((72, 48), Image.Resampling.BICUBIC)
    assert np.abs(first - np.asarray(cut)).mean() < 20, "the original as it lies in the last frame"


def test_what_cannot_be_is_refused_before_anything_is_queued(session: Session) -> None:
    with pytest.raises(BadRequest, match="comes of Crop must have at least 16 pixels a side; it would be 48 x 3"):
        run(session, "crop", changes={"top": 0.9})
    assert session.view().job is None


def test_strangers_make_no_picture_larger_than_they_may_bring(studio: Studio, session: Session) -> None:
    hosting = Hosting(largest_side=64)
    session._computing._services = replace(session._computing._services, hosting=hosting)
    with pytest.raises(OverLimit, match="64 pixels a side at most; this turn would make one of 96 x 64"):
        run(session, "resize", changes={"longer": 96})
    made(session, "resize", changes={"longer": 60})


def test_a_file_whose_pictures_are_not_of_their_frames_is_refused(studio: Studio, session: Session) -> None:
    turn = made(session, "crop", changes=CROP)
    record = studio.sessions.record(session.sid)
    assert record.tree.here.request is not None
    asked = replace(record.tree.here.request, params={**record.tree.here.request.params, "left": 0.5})
    other = Turn.after(turn.parent or "", asked, turn.picture, record.tree.here.outcome)
    tree = Tree.planted(record.tree[turn.parent or ""]).append(other)
    file = io.BytesIO()
    write_archive(replace(record, tree=tree, staged=()), studio.pictures, file)
    file.seek(0)
    with pytest.raises(BadArchive, match="must be 24 x 24 pixels; it is 36 x 24"):
        read_archive(file, studio.pictures)


def test_a_mask_is_saved_by_name_and_used_in_another_frame(studio: Studio, session: Session) -> None:
    *_, whole = now(session)
    session.save_mask(" the  dog ")
    made(session, "crop", changes=CROP)
    session.set_prompts(MaskPrompts(clicks=(Click(20, 20),)))
    *_, here = now(session)
    there = whole[:24, 12:]
    for how, wanted in ((Combine.ADD, here | there), (Combine.REPLACE, there), (Combine.ERASE, there & ~there)):
        session.use_mask("the dog", how)
        assert np.array_equal(mask_of(session, session.view().mask.mask, 36, 24), wanted), how
    session.undo()
    assert np.array_equal(now(session)[2], there), "one step that can be undone"
    assert [(one.name, round(one.area, 3)) for one in session.view().masks] == [("the dog", round(whole.mean(), 3))]
    again = Session(studio.sessions.record(session.sid), session._services)
    assert again.view().masks == session.view().masks, "they are stored"
    session.forget_mask("the dog")
    assert session.view().masks == ()
    with pytest.raises(UnknownMask, match="no mask was saved as 'the dog'; there are: none"):
        session.use_mask("the dog")
    session.set_prompts(MaskPrompts())
    with pytest.raises(NotReady, match="nothing is selected, so there is no mask to save"):
        session.save_mask("nothing")
    with pytest.raises(NotReady, match="a mask's name has 1 to 60 printable characters"):
        session.save_mask(" ")


def test_where_a_brush_went_over_the_edge_is_told_to_the_method(session: Session) -> None:
    over = Stroke((Point(30.0, 10.0), Point(36.0, 16.0)), 3.0, refine=True)
    session.set_prompts(replace(PAINTED, strokes=(*PAINTED.strokes, over)))
    asked = session._request(session.view().draft, session._selections.now)
    request = session._computing.edit_request(session.view().turns[0].picture, asked, 1)
    assert request.refined is not None and request.refined[10, 30] and not request.refined[16, 14]
    session.set_prompts(PAINTED)
    plain = session._request(replace(session.view().draft, method="recolour"), session._selections.now)
    assert session._computing.edit_request(session.view().turns[0].picture, plain, 1).refined is None


def test_a_wand_is_carried_and_what_it_selects_is_seen_anew(session: Session) -> None:
    wand = Stroke((Point(20.0, 10.0),), 1.0, wand=30.0)
    session.set_prompts(MaskPrompts(strokes=(wand,)))
    *_, before = now(session)
    assert before[10, 20]
    made(session, "crop", changes=CROP)
    assert session.view().draft.prompts.strokes == (replace(wand, points=(Point(8.0, 10.0),)),)
    assert np.array_equal(now(session)[2], before[:24, 12:])
